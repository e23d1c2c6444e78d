"""pylstm as its users call it: the NumPy functions and LSTMRegressor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import pylstm
from benchmarks.peers.registry import Action

if TYPE_CHECKING:
    from benchmarks.peers.problems import FitProblem, GRUProblem, PredictProblem, SequenceProblem

#: A network is fitted to this many windows before it predicts: any weights will do.
N_FITTED = 1000


class Adapter:
    """Arrays batch first, as the public functions take them."""

    def __init__(self, n_threads: int) -> None:
        pylstm.set_num_threads(n_threads)

    def versions(self) -> dict[str, str]:
        """Version, and the instruction set in use."""
        config = pylstm.show_config("dicts") or {}
        return {"pylstm": pylstm.__version__, "ISA": str(config.get("isa"))}

    def forward(self, problem: SequenceProblem) -> Action:
        """One call of ``lstm_forward``."""
        p = problem

        def call() -> pylstm.LSTMOutput:
            return pylstm.lstm_forward(p.x, p.weight_ih, p.weight_hh, p.bias, h0=p.h0, c0=p.c0)

        def results() -> dict[str, np.ndarray]:
            out = call()
            return {"y": out.y, "h_n": out.h_n, "c_n": out.c_n}

        return Action(call, results)

    def training(self, problem: SequenceProblem) -> Action:
        """``lstm_forward`` with a tape, then ``lstm_backward``."""
        p = problem

        def call() -> tuple[pylstm.LSTMOutput, pylstm.LSTMGradients]:
            out = pylstm.lstm_forward(
                p.x, p.weight_ih, p.weight_hh, p.bias, h0=p.h0, c0=p.c0, lengths=p.lengths, training=True
            )
            return out, pylstm.lstm_backward(out.tape, p.dy)

        def results() -> dict[str, np.ndarray]:
            out, gradients = call()
            return {"y": out.y, "h_n": out.h_n, "c_n": out.c_n} | {
                f"d{name}": gradient for name, gradient in gradients._asdict().items() if gradient is not None
            }

        return Action(call, results)

    #: A training step with ``lengths``.
    ragged = training

    def gru_forward(self, problem: GRUProblem) -> Action:
        """One call of ``gru_forward``."""
        p = problem

        def call() -> pylstm.GRUOutput:
            return pylstm.gru_forward(p.x, p.weight_ih, p.weight_hh, p.bias, bias_hn=p.bias_hn, h0=p.h0)

        def results() -> dict[str, np.ndarray]:
            out = call()
            return {"y": out.y, "h_n": out.h_n}

        return Action(call, results)

    def gru_training(self, problem: GRUProblem) -> Action:
        """``gru_forward`` with a tape, then ``gru_backward``."""
        p = problem

        def call() -> tuple[pylstm.GRUOutput, pylstm.GRUGradients]:
            out = pylstm.gru_forward(p.x, p.weight_ih, p.weight_hh, p.bias, bias_hn=p.bias_hn, h0=p.h0, training=True)
            return out, pylstm.gru_backward(out.tape, p.dy)

        def results() -> dict[str, np.ndarray]:
            out, gradients = call()
            named = {f"d{name}": array for name, array in gradients._asdict().items() if array is not None}
            return {"y": out.y, "h_n": out.h_n} | named

        return Action(call, results)

    def step(self, problem: SequenceProblem) -> Action:
        """One call of ``lstm_step`` for each step."""
        p = problem
        inputs = list(p.x.transpose(1, 0, 2))  # x_t (1, I)

        def call() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
            h, c, y = p.h0, p.c0, []
            for x_t in inputs:
                h, c = pylstm.lstm_step(x_t, h, c, p.weight_ih, p.weight_hh, p.bias)
                y.append(h)
            return y, h, c

        def results() -> dict[str, np.ndarray]:
            y, h_n, c_n = call()
            return {"y": np.stack(y, axis=1), "h_n": h_n, "c_n": c_n}

        return Action(call, results, n_operations=len(inputs))

    def fit(self, problem: FitProblem) -> Action:
        """``LSTMRegressor.fit`` for exactly ``n_epochs``, with what a plain loop does not do switched off."""
        case = problem.case

        def call() -> pylstm.LSTMRegressor:
            regressor = pylstm.LSTMRegressor(
                hidden_size=case.hidden_size,
                batch_size=case.batch_size,
                max_iter=case.n_epochs,
                solver="adam",
                learning_rate_init=case.learning_rate,
                alpha=0.0,
                tol=None,
                max_grad_norm=None,
                dtype=str(problem.x.dtype),
                random_state=0,
            )
            return regressor.fit(problem.x, problem.y)

        def results() -> dict[str, np.ndarray]:
            regressor = call()
            if regressor.n_iter_ != case.n_epochs:
                msg = f"LSTMRegressor ran {regressor.n_iter_} epochs, expected {case.n_epochs}"
                raise RuntimeError(msg)
            return {"mse": np.mean((regressor.predict(problem.x) - problem.y) ** 2)}

        return Action(call, results)

    def predict(self, problem: PredictProblem) -> Action:
        """``LSTMRegressor.predict`` with the weights of a short fit: an estimator cannot be given any."""
        x = problem.x
        regressor = pylstm.LSTMRegressor(
            hidden_size=problem.weights.weight_hh.shape[1], max_iter=1, dtype=str(x.dtype), random_state=0
        ).fit(x[:N_FITTED], x[:N_FITTED, -1, 0])

        def results() -> dict[str, np.ndarray]:
            return {"prediction": regressor.predict(x)} | {
                name.removeprefix("layers.0.").replace(".", "_"): array for name, array in regressor.parameters_.items()
            }

        return Action(lambda: regressor.predict(x), results)
