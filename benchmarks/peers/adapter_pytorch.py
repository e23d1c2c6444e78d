"""PyTorch, eager: ``torch.nn.LSTM`` in inference mode, with autograd, and in the usual training loop."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.peers.problems import PREDICT_BATCH
from benchmarks.peers.registry import Action

if TYPE_CHECKING:
    from benchmarks.peers.problems import FitProblem, ForecasterWeights, GRUProblem, PredictProblem, SequenceProblem


def limit_threads(n_threads: int) -> None:
    """Hold PyTorch to so many threads; once in a process."""
    torch.set_num_threads(n_threads)
    torch.set_num_interop_threads(1)


class Adapter:
    """Sequences time major, the layout that ``torch.nn.LSTM`` works in (no transposition); windows batch first."""

    def __init__(self, n_threads: int) -> None:
        limit_threads(n_threads)

    def versions(self) -> dict[str, str]:
        """Version of PyTorch."""
        return {"torch": str(torch.__version__)}

    def forward(self, problem: SequenceProblem) -> Action:
        """One call of the layer in inference mode."""
        layer, x, h0, c0 = _layer_and_inputs(problem)

        def call() -> Any:
            with torch.inference_mode():
                return layer(x, (h0, c0))

        def results() -> dict[str, np.ndarray]:
            y, (h_n, c_n) = call()
            return _outputs(y, h_n, c_n)

        return Action(call, results)

    def training(self, problem: SequenceProblem) -> Action:
        """Run the layer, then the gradients of parameters, input and states from ``dy``."""
        layer, x, h0, c0 = _layer_and_inputs(problem)
        dy = _time_major(problem.dy)
        wanted = [t.requires_grad_() for t in (x, h0, c0)] + list(layer.parameters())

        def call() -> Any:
            y, (h_n, c_n) = layer(x, (h0, c0))
            return y, h_n, c_n, torch.autograd.grad(y, wanted, dy)

        return Action(call, lambda: _with_gradients(*call()))

    def ragged(self, problem: SequenceProblem) -> Action:
        """Pack the padded sequences, run the layer, pad the outputs, then the gradients as in "training"."""
        layer, x, h0, c0 = _layer_and_inputs(problem)
        dy, lengths = _time_major(problem.dy), torch.from_numpy(problem.lengths)
        wanted = [t.requires_grad_() for t in (x, h0, c0)] + list(layer.parameters())
        pack, pad = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence

        def call() -> Any:
            packed, (h_n, c_n) = layer(pack(x, lengths, enforce_sorted=False), (h0, c0))
            y, _ = pad(packed, total_length=len(x))
            return y, h_n, c_n, torch.autograd.grad(y, wanted, dy)

        return Action(call, lambda: _with_gradients(*call()))

    def gru_forward(self, problem: GRUProblem) -> Action:
        """One call of ``torch.nn.GRU`` in inference mode."""
        layer, x, h0 = _gru_and_inputs(problem)

        def call() -> Any:
            with torch.inference_mode():
                return layer(x, h0)

        def results() -> dict[str, np.ndarray]:
            y, h_n = call()
            return {"y": y.transpose(0, 1).numpy(), "h_n": h_n[0].numpy()}

        return Action(call, results)

    def gru_training(self, problem: GRUProblem) -> Action:
        """Run the GRU, then the gradients of parameters, input and state from ``dy``."""
        layer, x, h0 = _gru_and_inputs(problem)
        dy = _time_major(problem.dy)
        wanted = [t.requires_grad_() for t in (x, h0)] + list(layer.parameters())

        def call() -> Any:
            y, h_n = layer(x, h0)
            return y, h_n, torch.autograd.grad(y, wanted, dy)

        def results() -> dict[str, np.ndarray]:
            y, h_n, (dx, dh0, dweight_ih, dweight_hh, dbias, dbias_hh) = call()
            return {
                "y": y.detach().transpose(0, 1).numpy(),
                "h_n": h_n.detach()[0].numpy(),
                "dx": dx.transpose(0, 1).numpy(),
                "dh0": dh0[0].numpy(),
                "dweight_ih": dweight_ih.numpy(),
                "dweight_hh": dweight_hh.numpy(),
                "dbias": dbias.numpy(),
                "dbias_hn": dbias_hh[-len(problem.bias_hn) :].numpy(),
            }

        return Action(call, results)

    def step(self, problem: SequenceProblem) -> Action:
        """Run the layer on a sequence of one step, for each step."""
        layer, x, h0, c0 = _layer_and_inputs(problem)
        inputs = list(x[:, None])  # x_t (1 step, 1, I)

        def call() -> Any:
            state, y = (h0, c0), []
            with torch.inference_mode():
                for x_t in inputs:
                    y_t, state = layer(x_t, state)
                    y.append(y_t)
            return y, *state

        def results() -> dict[str, np.ndarray]:
            y, h_n, c_n = call()
            return _outputs(torch.cat(y), h_n, c_n)

        return Action(call, results, n_operations=len(inputs))

    def fit(self, problem: FitProblem) -> Action:
        """Train LSTM and linear head in the usual loop; batches by plain indexing, faster than a DataLoader."""
        case = problem.case
        x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y)

        def call() -> Forecaster:
            torch.manual_seed(0)
            model = Forecaster(case.n_features, case.hidden_size, x.dtype)
            optimizer = torch.optim.Adam(model.parameters(), lr=case.learning_rate)
            for _ in range(case.n_epochs):
                order = torch.randperm(len(x))
                for start in range(0, len(x), case.batch_size):
                    batch = order[start : start + case.batch_size]
                    loss: Any = torch.nn.functional.mse_loss(model(x[batch]), y[batch])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            return model

        def results() -> dict[str, np.ndarray]:
            model = call()
            with torch.inference_mode():
                return {"mse": torch.nn.functional.mse_loss(model(x), y).numpy()}

        return Action(call, results)

    def predict(self, problem: PredictProblem) -> Action:
        """Run the model in inference mode, batch by batch."""
        model = Forecaster.with_weights(problem.weights)

        def call() -> np.ndarray:
            with torch.inference_mode():
                parts = [model(part) for part in torch.from_numpy(problem.x).split(PREDICT_BATCH)]
                prediction: np.ndarray = torch.cat(parts).numpy()
            return prediction

        return Action(call, lambda: {"prediction": call(), **asdict(problem.weights)})


class Forecaster(torch.nn.Module):
    """One LSTM layer, and a linear head on its state at the last step."""

    def __init__(self, n_features: int, hidden_size: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(n_features, hidden_size, batch_first=True, dtype=dtype)
        self.head = torch.nn.Linear(hidden_size, 1, dtype=dtype)

    @classmethod
    def with_weights(cls, weights: ForecasterWeights) -> Forecaster:
        """Make a model that has the weights given."""
        hidden_size, n_features = weights.weight_hh.shape[1], weights.weight_ih.shape[1]
        model = cls(n_features, hidden_size, torch.from_numpy(weights.bias).dtype)
        copy_weights(model.lstm, weights)
        with torch.no_grad():
            model.head.weight.copy_(torch.from_numpy(weights.head_weight))
            model.head.bias.copy_(torch.from_numpy(weights.head_bias))
        return model

    def forward(self, x: Any) -> Any:
        y, _ = self.lstm(x)
        return self.head(y[:, -1]).squeeze(1)


def copy_weights(layer: Any, source: SequenceProblem | GRUProblem | ForecasterWeights, suffix: str = "_l0") -> None:
    """Give a ``torch.nn.LSTM``, or with ``suffix=""`` a ``torch.nn.LSTMCell``, the weights of ``source``."""
    with torch.no_grad():
        getattr(layer, f"weight_ih{suffix}").copy_(torch.from_numpy(source.weight_ih))
        getattr(layer, f"weight_hh{suffix}").copy_(torch.from_numpy(source.weight_hh))
        getattr(layer, f"bias_ih{suffix}").copy_(torch.from_numpy(source.bias))
        getattr(layer, f"bias_hh{suffix}").zero_()  # PyTorch adds two biases, everybody else one


def _layer_and_inputs(problem: SequenceProblem) -> tuple[Any, Any, Any, Any]:
    """Return the layer with the weights of ``problem``, x (T, N, I), h0 and c0 (1, N, H)."""
    x = _time_major(problem.x)
    layer = torch.nn.LSTM(problem.weight_ih.shape[1], problem.weight_hh.shape[1], dtype=x.dtype)
    copy_weights(layer, problem)
    h0, c0 = (torch.from_numpy(state[None].copy()) for state in (problem.h0, problem.c0))
    return layer, x, h0, c0


def _gru_and_inputs(problem: GRUProblem) -> tuple[Any, Any, Any]:
    """Return the layer with the weights of ``problem``, x (T, N, I) and h0 (1, N, H)."""
    x = _time_major(problem.x)
    layer = torch.nn.GRU(problem.weight_ih.shape[1], problem.weight_hh.shape[1], dtype=x.dtype)
    copy_weights(layer, problem)
    with torch.no_grad():
        layer.bias_hh_l0[-len(problem.bias_hn) :].copy_(torch.from_numpy(problem.bias_hn))
    return layer, x, torch.from_numpy(problem.h0[None].copy())


def _time_major(array: np.ndarray) -> Any:
    """Turn (N, T, .) into a contiguous tensor (T, N, .)."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(1, 0, 2)))


def _outputs(y: Any, h_n: Any, c_n: Any) -> dict[str, np.ndarray]:
    """Turn time-major tensors into the named arrays of the reference."""
    return {
        "y": y.detach().transpose(0, 1).numpy(),
        "h_n": h_n.detach()[0].numpy(),
        "c_n": c_n.detach()[0].numpy(),
    }


def _with_gradients(y: Any, h_n: Any, c_n: Any, gradients: Any) -> dict[str, np.ndarray]:
    """Turn time-major outputs, and gradients of x, states and parameters, into the named arrays of the reference."""
    dx, dh0, dc0, dweight_ih, dweight_hh, dbias, _ = gradients
    return _outputs(y, h_n, c_n) | {
        "dx": dx.transpose(0, 1).numpy(),
        "dweight_ih": dweight_ih.numpy(),
        "dweight_hh": dweight_hh.numpy(),
        "dbias": dbias.numpy(),
        "dh0": dh0[0].numpy(),
        "dc0": dc0[0].numpy(),
    }
