"""Layer normalisation and projection: against their equations in plain NumPy, differences, steps, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pylstm
from pylstm import LayerNorm

from .differences import MAX_DIFFERENCE_ERROR, central_differences, weighted_sum
from .oracle import sigmoid
from .results import relative_error

N, T, I, H, P = 3, 4, 2, 5, 3  # noqa: E741 (rows, steps, inputs, units, elements of a projection)
LENGTHS = np.array([4, 2, 3])

LSTM_GAINS = {"gain_ih": 4 * H, "gain_hh": 4 * H, "gain_c": H, "bias_c": H}
GRU_GAINS = {"gain_ih": 3 * H, "gain_hh": 3 * H}

CASES = {
    "normalized LSTM": ("lstm", True, False),
    "normalized GRU": ("gru", True, False),
    "projected LSTM": ("lstm", False, True),
    "normalized and projected LSTM": ("lstm", True, True),
}
"""Cell, whether it is normalized, whether it is projected."""

MAX_ERROR = 1e-13
"""Of float64 against other orders of summation, relative to the largest of each array; the largest seen is 3e-15."""


def shapes_of(cell: str, normalized: bool, projected: bool) -> dict[str, tuple[int, ...]]:
    """Shapes of every argument with a gradient; gains by their own names."""
    gates, width = (4 if cell == "lstm" else 3), (P if projected else H)
    shapes: dict[str, tuple[int, ...]] = {
        "x": (N, T, I),
        "weight_ih": (gates * H, I),
        "weight_hh": (gates * H, width),
        "bias": (gates * H,),
        "h0": (N, width),
    }
    shapes |= {"c0": (N, H)} if cell == "lstm" else {"bias_hn": (H,)}
    if projected:
        shapes["weight_hr"] = (P, H)
    if normalized:
        shapes |= {name: (size,) for name, size in (LSTM_GAINS if cell == "lstm" else GRU_GAINS).items()}
    return shapes


def values_of(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Any]:
    """Numbers of order 1: no product is near zero as a whole, where its normalisation is a step."""
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(shape) for name, shape in shapes.items()}


def forward(cell: str, values: dict[str, Any], *, training: bool = False, reverse: bool = False) -> Any:
    """Call the cell's function; gains go into a LayerNorm."""
    gains = {name: values[name] for name in LSTM_GAINS if name in values}
    arguments = {name: value for name, value in values.items() if name not in gains}
    if gains:
        arguments["layer_norm"] = LayerNorm(**gains)
    function = pylstm.lstm_forward if cell == "lstm" else pylstm.gru_forward
    return function(**arguments, lengths=LENGTHS, reverse=reverse, training=training)


def outputs(out: Any) -> dict[str, np.ndarray]:
    """What came out, but the tape."""
    return {name: value for name, value in out._asdict().items() if name != "tape"}


def norm(sums: np.ndarray) -> np.ndarray:
    """Without gain and bias."""
    return (sums - sums.mean()) / np.sqrt(sums.var() + 1e-5)


def normalized_products(values: dict[str, Any], x: np.ndarray, h: np.ndarray, groups: list[slice]) -> list[np.ndarray]:
    """Both products, normalised by groups of rows where there are gains."""
    products = [values["weight_ih"] @ x, values["weight_hh"] @ h]
    if "gain_ih" not in values:
        return products
    return [
        values[gain] * np.concatenate([norm(product[group]) for group in groups])
        for gain, product in zip(("gain_ih", "gain_hh"), products, strict=True)
    ]


def expected_outputs(cell: str, values: dict[str, Any], *, reverse: bool) -> dict[str, np.ndarray]:
    """Row by row and step by step."""
    h_n, y = values["h0"].copy(), np.zeros((N, T, values["h0"].shape[1]))
    c_n = values["c0"].copy() if cell == "lstm" else None
    for n in range(N):
        order = range(LENGTHS[n])
        for t in reversed(order) if reverse else order:
            if c_n is not None:
                sums = sum(normalized_products(values, values["x"][n, t], h_n[n], [slice(None)])) + values["bias"]
                i, f, g, o = np.split(sums, 4)
                c_n[n] = sigmoid(f) * c_n[n] + sigmoid(i) * np.tanh(g)
                c = values["gain_c"] * norm(c_n[n]) + values["bias_c"] if "gain_c" in values else c_n[n]
                m = sigmoid(o) * np.tanh(c)
                h_n[n] = values["weight_hr"] @ m if "weight_hr" in values else m
            else:
                groups = [slice(0, 2 * H), slice(2 * H, None)]
                of_x, of_h = normalized_products(values, values["x"][n, t], h_n[n], groups)
                (r, z, x_n), (h_r, h_z, h_n_) = np.split(of_x + values["bias"], 3), np.split(of_h, 3)
                r, z = sigmoid(r + h_r), sigmoid(z + h_z)
                candidate = np.tanh(x_n + r * (h_n_ + values["bias_hn"]))
                h_n[n] = (1 - z) * candidate + z * h_n[n]
            y[n, t] = h_n[n]
    return {"y": y, "h_n": h_n} | ({} if c_n is None else {"c_n": c_n})


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_outputs_are_those_of_the_equations(case: str, reverse: bool) -> None:
    cell, *options = CASES[case]
    values = values_of(shapes_of(cell, *options))
    actual = outputs(forward(cell, values, reverse=reverse))
    expected = expected_outputs(cell, values, reverse=reverse)
    assert actual.keys() == expected.keys()
    for name, want in expected.items():
        assert relative_error(actual[name], want) <= MAX_ERROR, name


@pytest.mark.parametrize("case", CASES)
def test_every_gradient_is_the_central_difference(case: str) -> None:
    cell, *options = CASES[case]
    shapes = shapes_of(cell, *options)
    values = values_of(shapes)
    out = forward(cell, values, training=True)
    of_outputs = {
        f"d{name}": np.random.default_rng(1).standard_normal(value.shape) for name, value in outputs(out).items()
    }

    def loss(**moved: Any) -> float:
        return weighted_sum(of_outputs, outputs(forward(cell, moved)))

    backward = pylstm.lstm_backward if cell == "lstm" else pylstm.gru_backward
    given = backward(out.tape, **of_outputs)._asdict()
    layer_norm = given.pop("layer_norm")
    given |= layer_norm._asdict() if layer_norm is not None else {}
    gradients = {name: value for name, value in given.items() if value is not None}
    assert gradients.keys() == shapes.keys()
    for name, of_argument in central_differences(loss, values, shapes).items():
        expected = np.array([of_argument[index] for index in np.ndindex(shapes[name])]).reshape(shapes[name])
        assert relative_error(gradients[name], expected) <= MAX_DIFFERENCE_ERROR, name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_training_inference_and_steps_give_the_same_bits(case: str, dtype: str) -> None:
    cell, *options = CASES[case]
    values = {name: value.astype(dtype) for name, value in values_of(shapes_of(cell, *options)).items()}
    inference, training = outputs(forward(cell, values)), outputs(forward(cell, values, training=True))
    for name, value in inference.items():
        assert value.tobytes() == training[name].tobytes(), name

    gains = {name: values.pop(name) for name in LSTM_GAINS if name in values}
    options_of_step = {"layer_norm": LayerNorm(**gains)} if gains else {}
    x, h = values.pop("x"), values.pop("h0")
    if cell == "lstm":
        c = values.pop("c0")
    for t in range(T):
        if cell == "lstm":
            h, c = pylstm.lstm_step(x[:, t], h, c, **values, **options_of_step)
        else:
            h = pylstm.gru_step(x[:, t], h, **values, **options_of_step)
        running = t < LENGTHS
        assert h[running].tobytes() == inference["y"][running, t].tobytes()


def test_missing_gains_are_ones_and_missing_biases_zeros() -> None:
    values = values_of(shapes_of("lstm", False, False))
    ones = LayerNorm(np.ones(4 * H), np.ones(4 * H), np.ones(H), np.zeros(H))
    bare = pylstm.lstm_forward(**values, layer_norm=LayerNorm())
    assert bare.y.tobytes() == pylstm.lstm_forward(**values, layer_norm=ones).y.tobytes()


def test_a_large_mean_does_not_hide_the_variance() -> None:
    """What a product has in common in all its rows is normalised away; the mean of squares would lose the rest."""
    values = values_of(shapes_of("lstm", True, False))
    x = np.ones((N, T, 1), np.float32)
    weight = np.linspace(0, 1, 4 * H, dtype=np.float32)[:, None]
    results = []
    for shift in (0, 1000):
        arguments: dict[str, Any] = {"x": x, "weight_ih": weight + np.float32(shift), "weight_hh": np.zeros((4 * H, H))}
        results.append(pylstm.lstm_forward(**arguments, bias=values["bias"], layer_norm=LayerNorm()).y)
    assert relative_error(results[1], results[0]) < 1e-3


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("name", ["x", "weight_ih", "weight_hh"])
def test_a_variance_that_overflows_gives_nan_and_no_layer_without_its_product(cell: str, name: str) -> None:
    values = {name: value.astype(np.float32) for name, value in values_of(shapes_of(cell, True, False)).items()}
    for scale, finite in ((1e16, True), (1e22, False)):
        y = forward(cell, values | {name: values[name] * np.float32(scale)}).y
        assert np.isnan(y).any() != finite
        double = {key: value.astype(np.float64) for key, value in values.items()}
        assert np.isfinite(forward(cell, double | {name: double[name] * scale}).y).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_what_the_weights_of_all_units_share_costs_no_digits(cell: str, dtype: str) -> None:
    """It changes no sum without its mean, forward or back; here it and the weights are exact in a float."""
    values = values_of(shapes_of(cell, True, False))
    for name in ("weight_ih", "weight_hh"):
        values[name] = np.round(values[name] * 2**12) / 2**12
    values = {name: value.astype(dtype) for name, value in values.items()}
    shifted = values | {name: values[name] + np.array(16, dtype) for name in ("weight_ih", "weight_hh")}
    for name in ("weight_ih", "weight_hh"):
        assert np.array_equal(shifted[name] - np.array(16, dtype), values[name])
    results = []
    for arguments in (values, shifted):
        out = forward(cell, arguments, training=True)
        backward = pylstm.lstm_backward if cell == "lstm" else pylstm.gru_backward
        gradients = backward(out.tape, dy=np.ones_like(out.y))._asdict()
        gains = gradients.pop("layer_norm")._asdict()
        results.append(outputs(out) | {name: value for name, value in (gradients | gains).items() if value is not None})
    for name, value in results[0].items():
        assert relative_error(results[1][name], value) <= 50 * np.finfo(dtype).eps, name


def call(**changed: Any) -> Any:
    """Call lstm_forward with some arguments changed."""
    values = values_of(shapes_of("lstm", False, False))
    return pylstm.lstm_forward(**(values | changed))


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"layer_norm": True}, TypeError, "layer_norm is bool, expected LayerNorm or None"),
        ({"layer_norm": LayerNorm(), "coupled": True}, ValueError, "coupled and layer_norm are both given"),
        ({"layer_norm": LayerNorm(), "cell_clip": 1.0}, ValueError, "cell_clip and layer_norm are both given"),
        ({"layer_norm": LayerNorm(), "peephole": np.ones(15)}, ValueError, "peephole and layer_norm are both given"),
        (
            {"layer_norm": LayerNorm(gain_ih=np.ones(5))},
            ValueError,
            r"layer_norm.gain_ih has shape \(5,\), expected \(20,\): 4\*hidden_size elements",
        ),
        (
            {"layer_norm": LayerNorm(gain_c=np.ones(4))},
            ValueError,
            r"layer_norm.gain_c has shape \(4,\), expected \(5,\)",
        ),
        ({"weight_hr": np.ones(5)}, ValueError, r"weight_hr has shape \(5,\), expected \(proj_size, hidden_size\)"),
        (
            {"weight_hr": np.ones((5, 3)), "weight_hh": np.ones((20, 3))},
            ValueError,
            r"weight_hr has shape \(5, 3\), expected \(proj_size, 5\): one column for each unit that weight_ih has",
        ),
        ({"weight_hr": np.ones((3, 6))}, ValueError, r"weight_hr has shape \(3, 6\), expected \(proj_size, 5\)"),
        (
            {"weight_hr": np.ones((3, 6)), "weight_hh": np.ones((24, 3))},
            ValueError,
            r"weight_ih has shape \(20, 2\), expected \(24, 2\)",
        ),
        (
            {"weight_hr": np.ones((3, 5))},
            ValueError,
            r"weight_hh has shape \(20, 5\), expected \(20, 3\): 4\*hidden_size rows, proj_size columns",
        ),
        (
            {"weight_hr": np.ones((3, 5)), "weight_hh": np.ones((20, 3))},
            ValueError,
            r"h0 has shape \(3, 5\), expected \(3, 3\): one row of proj_size elements",
        ),
    ],
)
def test_bad_arguments_are_named(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(**changed)


def test_a_gru_has_no_cell_state_to_normalise() -> None:
    values = values_of(shapes_of("gru", False, False))
    with pytest.raises(ValueError, match="gain_c or bias_c, expected None"):
        pylstm.gru_forward(**values, layer_norm=LayerNorm(gain_c=np.ones(H)))
