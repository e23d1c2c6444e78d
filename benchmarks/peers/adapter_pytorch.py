"""PyTorch, eager: ``torch.nn.LSTM`` in inference mode, with autograd, and in the usual training loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.peers.registry import Action

if TYPE_CHECKING:
    from benchmarks.peers.cases import FitProblem, SequenceProblem


class Adapter:
    """Arrays time major in "forward" and "training", the layout that ``torch.nn.LSTM`` works in (no transposition)."""

    def __init__(self, n_threads: int) -> None:
        torch.set_num_threads(n_threads)
        torch.set_num_interop_threads(1)

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

        def results() -> dict[str, np.ndarray]:
            y, h_n, c_n, (dx, dh0, dc0, dweight_ih, dweight_hh, dbias, _) = call()
            return _outputs(y, h_n, c_n) | {
                "dx": dx.transpose(0, 1).numpy(),
                "dweight_ih": dweight_ih.numpy(),
                "dweight_hh": dweight_hh.numpy(),
                "dbias": dbias.numpy(),
                "dh0": dh0[0].numpy(),
                "dc0": dc0[0].numpy(),
            }

        return Action(call, results)

    def fit(self, problem: FitProblem) -> Action:
        """Train LSTM and linear head in the usual loop; batches by plain indexing, faster than a DataLoader."""
        case = problem.case
        x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y)

        def call() -> _Forecaster:
            torch.manual_seed(0)
            model = _Forecaster(case.n_features, case.hidden_size).to(x.dtype)
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


class _Forecaster(torch.nn.Module):
    def __init__(self, n_features: int, hidden_size: int) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(n_features, hidden_size, batch_first=True)
        self.head = torch.nn.Linear(hidden_size, 1)

    def forward(self, x: Any) -> Any:
        y, _ = self.lstm(x)
        return self.head(y[:, -1]).squeeze(1)


def _layer_and_inputs(problem: SequenceProblem) -> tuple[Any, Any, Any, Any]:
    """Return the layer with the weights of ``problem``, x (T, N, I), h0 and c0 (1, N, H)."""
    layer: Any = torch.nn.LSTM(problem.weight_ih.shape[1], problem.weight_hh.shape[1]).to(_time_major(problem.x).dtype)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.from_numpy(problem.weight_ih))
        layer.weight_hh_l0.copy_(torch.from_numpy(problem.weight_hh))
        layer.bias_ih_l0.copy_(torch.from_numpy(problem.bias))
        layer.bias_hh_l0.zero_()  # PyTorch adds two biases, everybody else one
    h0, c0 = (torch.from_numpy(state[None].copy()) for state in (problem.h0, problem.c0))
    return layer, _time_major(problem.x), h0, c0


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
