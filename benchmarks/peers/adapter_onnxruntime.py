"""ONNX Runtime on the CPU: a graph of one LSTM operator; inference in float32 only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers.registry import Action

if TYPE_CHECKING:
    from benchmarks.peers.cases import FitProblem, SequenceProblem

#: Operator set 14 has the LSTM operator as runtimes have kept it since; file version 8 is read by all of them.
OPSET_VERSION = 14
IR_VERSION = 8


class Adapter:
    """Arrays time major, the only layout of the CPU kernel."""

    def __init__(self, n_threads: int) -> None:
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = n_threads
        self._options.inter_op_num_threads = 1

    def versions(self) -> dict[str, str]:
        """Versions of the runtime and of the model builder."""
        return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}

    def forward(self, problem: SequenceProblem) -> Action | None:
        """One run of a session whose weights are constants of the model (packed once, when it loads)."""
        if problem.x.dtype != np.float32:
            return None
        session = onnxruntime.InferenceSession(
            _lstm_model(problem).SerializeToString(), self._options, providers=["CPUExecutionProvider"]
        )
        inputs = {
            "x": np.ascontiguousarray(problem.x.transpose(1, 0, 2)),
            "h0": problem.h0[None],
            "c0": problem.c0[None],
        }

        def call() -> list[np.ndarray]:
            outputs: list[np.ndarray] = session.run(None, inputs)
            return outputs

        def results() -> dict[str, np.ndarray]:
            y, h_n, c_n = call()  # y is (T, 1 direction, N, H)
            return {"y": y[:, 0].transpose(1, 0, 2), "h_n": h_n[0], "c_n": c_n[0]}

        return Action(call, results)

    def training(self, problem: SequenceProblem) -> None:
        """Not offered."""
        return

    def fit(self, problem: FitProblem) -> None:
        """Not offered."""
        return


def _lstm_model(problem: SequenceProblem) -> onnx.ModelProto:
    n, t, features = problem.x.shape
    hidden = problem.weight_hh.shape[1]
    bias = _iofc(problem.bias)
    constants = {
        "W": _iofc(problem.weight_ih)[None],
        "R": _iofc(problem.weight_hh)[None],
        "B": np.concatenate([bias, np.zeros_like(bias)])[None],
    }

    def tensor(name: str, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [helper.make_node("LSTM", ["x", "W", "R", "B", "", "h0", "c0"], ["y", "h_n", "c_n"], hidden_size=hidden)],
        "lstm",
        inputs=[tensor("x", t, n, features), tensor("h0", 1, n, hidden), tensor("c0", 1, n, hidden)],
        outputs=[tensor("y", t, 1, n, hidden), tensor("h_n", 1, n, hidden), tensor("c_n", 1, n, hidden)],
        initializer=[numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET_VERSION)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def _iofc(array: np.ndarray) -> np.ndarray:
    """Gate blocks in order i, f, g, o to ONNX's order i, o, f, c (its c is our g)."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])
