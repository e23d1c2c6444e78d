"""``torch.nn.LSTMCell``: PyTorch's other way to run one step at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from benchmarks.peers.adapter_pytorch import copy_weights, limit_threads
from benchmarks.peers.registry import Action

if TYPE_CHECKING:
    import numpy as np

    from benchmarks.peers.problems import SequenceProblem


class Adapter:
    """One step only; over sequences ``torch.nn.LSTM`` is the faster one."""

    def __init__(self, n_threads: int) -> None:
        limit_threads(n_threads)

    def versions(self) -> dict[str, str]:
        """Version of PyTorch."""
        return {"torch": str(torch.__version__)}

    def step(self, problem: SequenceProblem) -> Action:
        """One call of the cell in inference mode for each step."""
        x = torch.from_numpy(problem.x)
        cell = torch.nn.LSTMCell(problem.weight_ih.shape[1], problem.weight_hh.shape[1], dtype=x.dtype)
        copy_weights(cell, problem, suffix="")
        inputs = list(x.transpose(0, 1))  # x_t (1, I)
        h0, c0 = torch.from_numpy(problem.h0), torch.from_numpy(problem.c0)

        def call() -> Any:
            h, c, y = h0, c0, []
            with torch.inference_mode():
                for x_t in inputs:
                    h, c = cell(x_t, (h, c))
                    y.append(h)
            return y, h, c

        def results() -> dict[str, np.ndarray]:
            y, h_n, c_n = call()
            return {"y": torch.stack(y, 1).numpy(), "h_n": h_n.numpy(), "c_n": c_n.numpy()}

        return Action(call, results, n_operations=len(inputs))
