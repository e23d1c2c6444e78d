"""ONNX Runtime on the CPU: a graph of one LSTM operator; inference in float32 only."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers.problems import PREDICT_BATCH
from benchmarks.peers.registry import Action

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.peers.problems import ForecasterWeights, GRUProblem, PredictProblem, SequenceProblem

#: Operator set 14 has the LSTM operator as runtimes have kept it since; file version 8 is read by all of them.
OPSET_VERSION = 14
IR_VERSION = 8


class Adapter:
    """Arrays time major, the only layout of the CPU kernel; weights are constants, packed when the model loads."""

    def __init__(self, n_threads: int) -> None:
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = n_threads
        self._options.inter_op_num_threads = 1

    def versions(self) -> dict[str, str]:
        """Versions of the runtime and of the model builder."""
        return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}

    def forward(self, problem: SequenceProblem) -> Action | None:
        """One run of a session."""
        if problem.x.dtype != np.float32:
            return None
        session = self._session(_layer_model(problem, n_steps=problem.x.shape[1]))
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

    def gru_forward(self, problem: GRUProblem) -> Action | None:
        """One run of a session with the GRU operator, ``linear_before_reset=1``."""
        if problem.x.dtype != np.float32:
            return None
        session = self._session(_gru_model(problem))
        inputs = {"x": np.ascontiguousarray(problem.x.transpose(1, 0, 2)), "h0": problem.h0[None]}

        def call() -> list[np.ndarray]:
            outputs: list[np.ndarray] = session.run(None, inputs)
            return outputs

        def results() -> dict[str, np.ndarray]:
            y, h_n = call()
            return {"y": y[:, 0].transpose(1, 0, 2), "h_n": h_n[0]}

        return Action(call, results)

    def step(self, problem: SequenceProblem) -> Action | None:
        """One run of a model of one step for each step."""
        if problem.x.dtype != np.float32:
            return None
        session = self._session(_layer_model(problem, n_steps=1))
        inputs = list(problem.x.transpose(1, 0, 2)[:, None])  # x_t (1 step, 1, I)

        def call() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
            h, c, y = problem.h0[None], problem.c0[None], []
            for x_t in inputs:
                h, c = session.run(["h_n", "c_n"], {"x": x_t, "h0": h, "c0": c})
                y.append(h)
            return y, h, c

        def results() -> dict[str, np.ndarray]:
            y, h_n, c_n = call()
            return {"y": np.concatenate(y).transpose(1, 0, 2), "h_n": h_n[0], "c_n": c_n[0]}

        return Action(call, results, n_operations=len(inputs))

    def predict(self, problem: PredictProblem) -> Action | None:
        """One run for each batch, of a model that transposes the windows and keeps only the last state."""
        if problem.x.dtype != np.float32:
            return None
        session = self._session(_forecaster_model(problem.weights, n_steps=problem.x.shape[1]))
        starts = range(0, len(problem.x), PREDICT_BATCH)

        def call() -> np.ndarray:
            parts = [session.run(None, {"x": problem.x[start : start + PREDICT_BATCH]})[0] for start in starts]
            return np.concatenate(parts)[:, 0]

        return Action(call, lambda: {"prediction": call(), **asdict(problem.weights)})

    def _session(self, model: onnx.ModelProto) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), self._options, providers=["CPUExecutionProvider"]
        )


def _layer_model(problem: SequenceProblem, n_steps: int) -> onnx.ModelProto:
    n, _, features = problem.x.shape
    hidden = problem.weight_hh.shape[1]
    return _model(
        [helper.make_node("LSTM", ["x", "W", "R", "B", "", "h0", "c0"], ["y", "h_n", "c_n"], hidden_size=hidden)],
        inputs={"x": (n_steps, n, features), "h0": (1, n, hidden), "c0": (1, n, hidden)},
        outputs={"y": (n_steps, 1, n, hidden), "h_n": (1, n, hidden), "c_n": (1, n, hidden)},
        constants=_layer_constants(problem),
    )


def _gru_model(problem: GRUProblem) -> onnx.ModelProto:
    n, n_steps, features = problem.x.shape
    hidden = problem.weight_hh.shape[1]

    def gates(array: np.ndarray) -> np.ndarray:
        r, z, new = np.split(array, 3)
        return np.concatenate([z, r, new])[None]  # the operator's order

    bias_h = np.concatenate([np.zeros(2 * hidden, np.float32), problem.bias_hn])[None]
    return _model(
        [
            helper.make_node(
                "GRU", ["x", "W", "R", "B", "", "h0"], ["y", "h_n"], hidden_size=hidden, linear_before_reset=1
            )
        ],
        inputs={"x": (n_steps, n, features), "h0": (1, n, hidden)},
        outputs={"y": (n_steps, 1, n, hidden), "h_n": (1, n, hidden)},
        constants={
            "W": gates(problem.weight_ih),
            "R": gates(problem.weight_hh),
            "B": np.concatenate([gates(problem.bias), bias_h], axis=1),
        },
    )


def _forecaster_model(weights: ForecasterWeights, n_steps: int) -> onnx.ModelProto:
    hidden, features = weights.weight_hh.shape[1], weights.weight_ih.shape[1]
    return _model(
        [
            helper.make_node("Transpose", ["x"], ["x_time_major"], perm=[1, 0, 2]),
            helper.make_node("LSTM", ["x_time_major", "W", "R", "B"], ["", "h_n"], hidden_size=hidden),
            helper.make_node("Squeeze", ["h_n", "direction"], ["h"]),
            helper.make_node("Gemm", ["h", "head_weight", "head_bias"], ["prediction"], transB=1),
        ],
        inputs={"x": ("n", n_steps, features)},
        outputs={"prediction": ("n", 1)},
        constants=_layer_constants(weights)
        | {"direction": np.zeros(1, np.int64), "head_weight": weights.head_weight, "head_bias": weights.head_bias},
    )


def _model(
    nodes: Sequence[onnx.NodeProto],
    *,
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    constants: Mapping[str, np.ndarray],
) -> onnx.ModelProto:
    """Build a checked model; inputs and outputs by name with their shapes, a letter for any size."""

    def tensors(shapes: Mapping[str, Sequence[int | str]]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "lstm", tensors(inputs), tensors(outputs), initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET_VERSION)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def _layer_constants(layer: SequenceProblem | ForecasterWeights) -> dict[str, np.ndarray]:
    bias = _iofc(layer.bias)
    return {
        "W": _iofc(layer.weight_ih)[None],
        "R": _iofc(layer.weight_hh)[None],
        "B": np.concatenate([bias, np.zeros_like(bias)])[None],
    }


def _iofc(array: np.ndarray) -> np.ndarray:
    """Gate blocks in order i, f, g, o to ONNX's order i, o, f, c (its c is our g)."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])
