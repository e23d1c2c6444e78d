"""Chosen activations: outputs against ONNX Runtime, gradients against central differences, and bad choices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pylstm

from .results import FUNCTIONS, assert_same_bits, backward, forward, relative_errors, step

ONNX_NAMES = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "affine": "Affine",
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
    "scaled_tanh": "ScaledTanh",
    "hard_sigmoid": "HardSigmoid",
    "elu": "Elu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
PARAMETERS: dict[str, tuple[float, ...]] = {
    "affine": (0.75, 0.125),
    "leaky_relu": (0.25,),
    "thresholded_relu": (0.25,),
    "scaled_tanh": (1.5, 0.75),
    "hard_sigmoid": (0.3, 0.45),
    "elu": (0.5,),
}
"""Not the defaults, for those that have some."""
ROLES = {"lstm": 3, "gru": 2, "rnn": 1}
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
DEFAULTS: dict[str, list[Any]] = {"lstm": ["sigmoid", "tanh", "tanh"], "gru": ["sigmoid", "tanh"], "rnn": ["tanh"]}
N, T, I, H = 5, 6, 3, 11  # noqa: E741


def arguments_of(cell: str, seed: int = 0, dtype: str = "float64") -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    rows = GATES[cell] * H
    shapes = {"x": (N, T, I), "weight_ih": (rows, I), "weight_hh": (rows, H), "bias": (rows,), "h0": (N, H)}
    scales = {"weight_ih": I**-0.5, "weight_hh": 0.7 * H**-0.5}
    drawn: dict[str, Any] = {
        name: (scales.get(name, 0.5) * generator.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()
    }
    return {**drawn, "lengths": np.array([6, 1, 4, 6, 3])}


def chosen(cell: str, role: int, name: str) -> list[Any]:
    """Give one role this function, others the default."""
    functions = list(DEFAULTS[cell])
    functions[role] = (name, *PARAMETERS[name]) if name in PARAMETERS else name
    return functions


CHOICES = [(cell, role, name) for cell, roles in ROLES.items() for role in range(roles) for name in ONNX_NAMES]
WITH_STANDARD_DEFAULTS = {"leaky_relu", "hard_sigmoid", "elu"}
"""Of the functions with parameters those that have defaults in the standard, which ONNX Runtime follows.

It gives ThresholdedRelu alpha = 0, the standard 1.
"""


@pytest.mark.parametrize(
    ("cell", "role", "name", "defaults"),
    [
        *((*choice, False) for choice in CHOICES),
        *((*choice, True) for choice in CHOICES if choice[2] in WITH_STANDARD_DEFAULTS),
    ],
)
def test_outputs_are_those_of_onnx_runtime(cell: str, role: int, name: str, defaults: bool) -> None:
    onnx = pytest.importorskip("onnx", exc_type=ImportError)
    runtime = pytest.importorskip("onnxruntime", exc_type=ImportError)
    arguments = arguments_of(cell, dtype="float32")
    functions = chosen(cell, role, name)
    if defaults:
        functions = [function if isinstance(function, str) else function[0] for function in functions]
    order = {"lstm": [0, 3, 1, 2], "gru": [1, 0, 2], "rnn": [0]}[cell]  # blocks i, o, f, g; z, r, n

    def blocks(array: np.ndarray) -> np.ndarray:
        return np.concatenate([np.split(array, GATES[cell])[block] for block in order])[None]

    inputs = {
        "X": arguments["x"].swapaxes(0, 1),
        "W": blocks(arguments["weight_ih"]),
        "R": blocks(arguments["weight_hh"]),
        "B": np.concatenate([blocks(arguments["bias"]), np.zeros((1, GATES[cell] * H), "float32")], axis=1),
        "sequence_lens": arguments["lengths"].astype(np.int32),
        "initial_h": arguments["h0"][None],
    }
    attributes: dict[str, Any] = {
        "hidden_size": H,
        "activations": [ONNX_NAMES[function if isinstance(function, str) else function[0]] for function in functions],
    }
    given = [function for function in functions if not isinstance(function, str)]
    if given:
        attributes["activation_alpha"] = [float(function[1]) for function in given]
        attributes["activation_beta"] = [float(function[2]) for function in given if len(function) > 2]
    if cell == "gru":
        attributes["linear_before_reset"] = 1
    real = onnx.TensorProto.FLOAT
    node = onnx.helper.make_node(cell.upper(), list(inputs), ["Y"], **{k: v for k, v in attributes.items() if v != []})
    graph = onnx.helper.make_graph(
        [node],
        "layer",
        [
            onnx.helper.make_tensor_value_info(k, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for k, v in inputs.items()
        ],
        [onnx.helper.make_tensor_value_info("Y", real, [None] * 4)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, inputs)

    actual = forward(cell, {**arguments, "activations": functions})

    # The largest error is 6e-7; the clip of a softplus' argument and the like are not ours to repeat.
    assert relative_errors({"y": actual["y"]}, {"y": expected[:, 0].swapaxes(0, 1)})["y"] <= 1e-5


@pytest.mark.parametrize(("cell", "role", "name"), CHOICES)
def test_gradients_are_central_differences(cell: str, role: int, name: str) -> None:
    generator = np.random.default_rng(1)
    dy = generator.standard_normal((N, T, H))
    functions = chosen(cell, role, name)

    def loss(arguments: dict[str, Any]) -> float:
        return float((dy * forward(cell, {**arguments, "activations": functions})["y"]).sum())

    step_size, worst = 2.0**-19, 0.0
    arguments = arguments_of(cell)
    tape = FUNCTIONS[cell].forward(**arguments, activations=functions, training=True).tape
    gradients = backward(cell, tape, {"dy": dy})
    largest = max(float(np.abs(gradients[f"d_{k}"]).max()) for k in ("x", "weight_ih", "weight_hh", "bias", "h0"))
    for argument in ("x", "weight_ih", "weight_hh", "bias", "h0"):
        for flat in generator.integers(arguments[argument].size, size=12):
            index = np.unravel_index(flat, arguments[argument].shape)
            losses = []
            for side in (1, -1):
                moved = {**arguments, argument: arguments[argument].copy()}
                moved[argument][index] += side * step_size
                losses.append(loss(moved))
            difference = (losses[0] - losses[1]) / (2 * step_size)
            worst = max(worst, abs(float(gradients[f"d_{argument}"][index]) - difference) / largest)
    assert worst <= 1e-6  # where no sum lies within 2^-19 of a kink, as here


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", ROLES)
def test_the_usual_functions_chosen_give_the_usual_bits(cell: str, dtype: str) -> None:
    arguments = arguments_of(cell, dtype=dtype)
    assert_same_bits(forward(cell, {**arguments, "activations": DEFAULTS[cell]}), forward(cell, arguments))


def test_every_option_of_the_lstm_goes_with_chosen_activations() -> None:
    arguments = arguments_of("lstm")
    functions = ("hard_sigmoid", "softsign", "relu")
    peephole = np.linspace(-1, 1, 3 * H)
    plain = forward("lstm", {**arguments, "activations": functions})
    changed = forward("lstm", {**arguments, "activations": functions, "peephole": peephole, "cell_clip": 0.2})
    assert not np.array_equal(plain["y"], changed["y"])
    assert np.abs(changed["c_n"]).max() <= 0.2
    projected = forward("lstm", arguments_projected(arguments) | {"activations": functions})
    assert projected["y"].shape == (N, T, 2)


def arguments_projected(arguments: dict[str, Any]) -> dict[str, Any]:
    generator = np.random.default_rng(2)
    projected = {name: value for name, value in arguments.items() if name != "h0"}
    projected["weight_hh"] = projected["weight_hh"][:, :2]
    return {**projected, "weight_hr": generator.standard_normal((2, H))}


@pytest.mark.parametrize("cell", ROLES)
def test_steps_give_the_bits_of_the_sequence(cell: str) -> None:
    arguments = arguments_of(cell)
    functions = ["softplus", "elu", "softsign"][: ROLES[cell]]
    del arguments["lengths"]
    y = forward(cell, {**arguments, "activations": functions})["y"]
    weights = {name: arguments[name] for name in ("weight_ih", "weight_hh", "bias")} | {"activations": functions}
    states = {"h": arguments["h0"]} | ({"c": np.zeros((N, H))} if cell == "lstm" else {})
    for t in range(T):
        states = step(cell, {"x_t": arguments["x"][:, t], **states, **weights})
        assert_same_bits({"h": states["h"]}, {"h": np.ascontiguousarray(y[:, t])})


@pytest.mark.parametrize(
    ("activations", "error", "message"),
    [
        ("tanh", TypeError, "activations is 'tanh', expected None or 3 functions, f, g, h"),
        (3, TypeError, "activations is 3, expected None or 3 functions"),
        (["tanh"], ValueError, "activations has 1 functions, expected None or 3 functions"),
        (["sigmoid", "tanh", "swish"], ValueError, 'activation is "swish", expected one of "sigmoid", "tanh"'),
        (["sigmoid", ("elu", 1, 2, 3), "tanh"], TypeError, "activation g is .*expected a name"),
        (["sigmoid", (), "tanh"], TypeError, "activation g is .*expected a name"),
        (["sigmoid", 5, "tanh"], TypeError, "activation g is 5, expected a name"),
        ([None, "tanh", "tanh"], TypeError, "activation f is None, expected a name"),
        (["sigmoid", ("elu", None), "tanh"], TypeError, r"activation g is \('elu', None\), expected a name"),
        (["sigmoid", ("elu", True), "tanh"], TypeError, r"activation g is \('elu', True\), expected a name"),
        (["sigmoid", ("elu", 2**2000), "tanh"], ValueError, r"activation g is \('elu', 1148.*expected a name"),
        (["sigmoid", "\ud800", "tanh"], ValueError, "activation g is .*expected a name"),
        (["sigmoid", "tanh\0", "tanh"], ValueError, "activation g is .*expected a name"),
        (
            ["sigmoid", ("tanh", 1.7159, 0.6667), "tanh"],
            ValueError,
            "activation tanh is given 2 numbers, expected none",
        ),
        (["sigmoid", ("relu", 6), "tanh"], ValueError, "activation relu is given 1 number, expected none"),
        (["sigmoid", ("elu", 1, 2), "tanh"], ValueError, "activation elu is given 2 numbers, expected at most alpha"),
        (["sigmoid", ("elu", "0.5"), "tanh"], TypeError, r"activation g is \('elu', '0.5'\), expected a name"),
        ([("leaky_relu", -1), "tanh", "tanh"], ValueError, "activation leaky_relu has alpha = -1, expected at least 0"),
        (["sigmoid", "tanh", ("scaled_tanh", 0)], ValueError, "activation scaled_tanh has alpha = 0, expected"),
        (["sigmoid", "tanh", ("elu", float("nan"))], ValueError, "activation elu has alpha = nan"),
        (
            [("thresholded_relu", -1), "tanh", "tanh"],
            ValueError,
            "activation thresholded_relu has alpha = -1, expected at least 0",
        ),
    ],
)
def test_a_bad_choice_is_named(activations: Any, error: type[Exception], message: str) -> None:
    arguments = arguments_of("lstm")
    with pytest.raises(error, match=message):
        pylstm.lstm_forward(**arguments, activations=activations)


@pytest.mark.parametrize("function", [("scaled_tanh", 1e-50), ("elu", 1e39), ("affine", 1, -1e39)])
def test_parameters_are_numbers_of_the_type_of_the_computation(function: tuple[Any, ...]) -> None:
    x, w = np.full((2, 3, 1), -0.5), np.ones((1, 1))
    out = pylstm.rnn_forward(x, w, w, activations=[function], training=True)
    assert np.isfinite(out.y).all()
    single = (x.astype(np.float32), w.astype(np.float32), w.astype(np.float32))
    with pytest.raises(ValueError, match=f"activation {function[0]} has alpha = .*expected"):
        pylstm.rnn_forward(*single, activations=[function])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(ONNX_NAMES))
def test_nan_passes_through_every_function(name: str, dtype: type) -> None:
    x, w = np.array([[[1.0], [np.nan], [1.0]]], dtype), np.ones((1, 1), dtype)
    y = pylstm.rnn_forward(x, w, w, activations=[name]).y.ravel()
    np.testing.assert_array_equal(np.isnan(y), [False, True, True])


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"activations are given, expected none: this cell \(layer_norm, relu\) has its own"
    ):
        pylstm.lstm_forward(
            **arguments_of("lstm"), layer_norm=pylstm.LayerNorm(), activations=["sigmoid", "tanh", "tanh"]
        )
    with pytest.raises(ValueError, match="nonlinearity='relu' and activations are both given"):
        pylstm.rnn_forward(**arguments_of("rnn"), nonlinearity="relu", activations=["tanh"])
    gru = arguments_of("gru")
    with pytest.raises(ValueError, match="bias_hn is given, expected None with reset_after=False"):
        pylstm.gru_forward(**gru, bias_hn=np.ones(H), reset_after=False)
    with pytest.raises(ValueError, match="layer_norm is given, expected None with reset_after=False"):
        pylstm.gru_forward(**gru, layer_norm=pylstm.LayerNorm(), reset_after=False)
