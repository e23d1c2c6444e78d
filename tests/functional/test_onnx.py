"""The engine against the ONNX operators LSTM, GRU and RNN: forward passes over random configurations.

Two implementations of the standard, each as far as it goes:

- ``onnx.reference``: any direction, peepholes, either dtype; but no lengths, no ``input_forget`` and no Relu.
- ONNX Runtime: float32 alone, and all of that.

Neither can bound the cell state: ``clip`` of ONNX bounds what enters the activations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from .combinations import DTYPES, VARIANTS, Combination, DType, Sizes, Variant, options_of
from .results import expected_results, forward, relative_errors

# From 1.23 on the reference knows the reverse direction.
onnx = pytest.importorskip("onnx", minversion="1.23", exc_type=ImportError)

if TYPE_CHECKING:
    from collections.abc import Callable

    Evaluate = Callable[[Any, dict[str, np.ndarray]], list[np.ndarray]]

MAX_ERROR = {"float32": 1e-5, "float64": 1e-12}
"""Relative to the largest value of each array.

Sums of at most 80 products: sqrt(80) * eps is 1.1e-6 or 2e-15; the largest errors are 8.3e-7 and 1.8e-15.
"""

OPSET = 14

IN_ONNX = [variant for variant in VARIANTS if not variant.clipped]
IN_REFERENCE = [variant for variant in IN_ONNX if not (variant.coupled or variant.relu)]

# Each letter is one block of H rows.
OUR_GATES = {"lstm": "ifgo", "coupled": "igo", "gru": "rzn", "rnn": "h"}
ONNX_GATES = {"lstm": "iofg", "coupled": "iofg", "gru": "zrn", "rnn": "h"}
OUR_PEEPHOLES = {"lstm": "ifo", "coupled": "io"}
ONNX_PEEPHOLES = "iof"


def reordered(array: np.ndarray, ours: str, theirs: str) -> np.ndarray:
    """Blocks in ONNX's order behind its axis of directions; ones for a forget gate, which coupled gates do not use."""
    blocks = dict(zip(ours, np.split(array, len(ours)), strict=True))
    unused = np.ones_like(blocks[ours[0]])
    return np.concatenate([blocks.get(gate, unused) for gate in theirs])[None]


def operator_inputs(combination: Combination, seed: int) -> dict[str, np.ndarray]:
    """Inputs of the operator by their names in the standard; those left out are missing."""
    arguments = combination.forward_arguments(seed)
    given = {name for name, value in arguments.items() if value is not None}
    kind = "coupled" if combination.variant.coupled else combination.cell
    gates = OUR_GATES[kind], ONNX_GATES[kind]
    inputs = {
        "X": arguments["x"].swapaxes(0, 1),
        "W": reordered(arguments["weight_ih"], *gates),
        "R": reordered(arguments["weight_hh"], *gates),
    }
    if given & {"bias", "bias_hn"}:
        of_x = np.zeros(len(arguments["weight_ih"]), combination.dtype)
        of_h = of_x.copy()
        if "bias" in given:
            of_x[...] = arguments["bias"]
        if "bias_hn" in given:
            of_h[-combination.sizes.H :] = arguments["bias_hn"]
        inputs["B"] = np.concatenate([reordered(of_x, *gates), reordered(of_h, *gates)], axis=1)
    if "lengths" in given:
        inputs["sequence_lens"] = arguments["lengths"].astype(np.int32)
    inputs |= {f"initial_{name}": arguments[f"{name}0"][None] for name in "hc" if f"{name}0" in given}
    if "peephole" in given:
        inputs["P"] = reordered(arguments["peephole"], OUR_PEEPHOLES[kind], ONNX_PEEPHOLES)
    return inputs


def model_of(combination: Combination, inputs: dict[str, np.ndarray]) -> Any:
    """One operator, with what it is given as inputs of the graph."""
    of_cell: dict[str, dict[str, Any]] = {
        "lstm": {"input_forget": int(combination.variant.coupled)},
        "gru": {"linear_before_reset": int(not combination.variant.reset_before)},
        "rnn": {"activations": ["Relu" if combination.variant.relu else "Tanh"]},
    }
    attributes = {
        "hidden_size": combination.sizes.H,
        "direction": "reverse" if combination.reverse else "forward",
        **of_cell[combination.cell],
    }
    outputs = ["Y", "Y_h", "Y_c"][: 3 if combination.cell == "lstm" else 2]
    order = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
    names = [name if name in inputs else "" for name in order]
    while not names[-1]:
        names.pop()
    node = onnx.helper.make_node(combination.cell.upper(), names, outputs, **attributes)
    graph_inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    ]
    real = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(combination.dtype))
    graph_outputs = [
        onnx.helper.make_tensor_value_info(name, real, [None] * (4 if name == "Y" else 3)) for name in outputs
    ]
    graph = onnx.helper.make_graph([node], "layer", graph_inputs, graph_outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def by_reference(model: Any, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    from onnx.reference import ReferenceEvaluator

    outputs = ReferenceEvaluator(model).run(None, inputs)
    assert isinstance(outputs, list)
    return outputs


def by_runtime(model: Any, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    runtime = pytest.importorskip("onnxruntime", exc_type=ImportError)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(None, inputs)
    return outputs


def configuration(variant: Variant, seed: int, *, dtype: DType, ragged: bool) -> Combination:
    """One of the ways to give the options, with random sizes."""
    generator = np.random.default_rng(seed)
    options = {**options_of(variant)[seed % len(options_of(variant))]}
    if not ragged:
        options["lengths"] = "full"
    elif options["lengths"] == "ragged0":  # ONNX Runtime gives rows without steps zeros instead of their initial state
        options["lengths"] = "ragged"
    N, T, I, H = (int(size) for size in generator.integers(1, (9, 13, 41, 41)))  # noqa: E741
    return Combination(Sizes(N, T, I, H), **options, dtype=dtype, variant=variant)


def check(combination: Combination, seed: int, evaluate: Evaluate) -> None:
    if combination.variant.has_kinks:
        seed, _ = expected_results(combination, first_seed=seed)
    inputs = operator_inputs(combination, seed)
    Y, *states = evaluate(model_of(combination, inputs), inputs)
    expected = {
        "y": Y[:, 0].swapaxes(0, 1),
        **{f"{name}_n": state[0] for name, state in zip("hc", states, strict=False)},
    }

    actual = forward(combination.cell, combination.forward_arguments(seed))

    errors = relative_errors(actual, expected)
    assert max(errors.values()) <= MAX_ERROR[combination.dtype], errors


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("variant", IN_REFERENCE, ids=str)
def test_outputs_are_those_of_the_reference_implementation_of_onnx(variant: Variant, seed: int, dtype: DType) -> None:
    check(configuration(variant, seed, dtype=dtype, ragged=False), seed, by_reference)


@pytest.mark.parametrize("seed", range(48))
@pytest.mark.parametrize("variant", IN_ONNX, ids=str)
def test_outputs_are_those_of_onnx_runtime(variant: Variant, seed: int) -> None:
    check(configuration(variant, seed, dtype="float32", ragged=True), seed, by_runtime)
