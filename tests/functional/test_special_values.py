"""NaN and infinities pass through as IEEE 754 says, and stay in their row; padding has no effect."""

from __future__ import annotations

import numpy as np
import pytest

import pylstm

from .combinations import DTYPES, SOME_COMBINATIONS, VARIANTS, Combination, DType, Sizes, Variant
from .oracle import layer
from .results import assert_same_bits, forward, forward_backward, relative_errors, run, take_rows

RAGGED_COMBINATIONS = [c for c in SOME_COMBINATIONS if c.lengths != "full"]
BOUNDED = [variant for variant in VARIANTS if not variant.relu]
NAMES = [
    (variant, name)
    for variant in VARIANTS
    for name in Combination(Sizes(1, 1, 1, 1), variant=variant).shapes()
    if name != "x" and (name != "bias_hn" or variant.bias_hn)
]
"""Every array argument of every variant but x."""
OUTPUT_GRADIENTS = [
    (variant, name)
    for variant in VARIANTS
    for name in Combination(Sizes(1, 1, 1, 1), variant=variant).output_gradients()
]


def padding(combination: Combination) -> np.ndarray:
    """Mark the steps past the end of each row: (N, T)."""
    lengths = combination.forward_arguments()["lengths"]
    past_the_end: np.ndarray = np.arange(combination.sizes.T) >= lengths[:, None]
    return past_the_end


@pytest.mark.parametrize("garbage", [1.0, np.inf, np.nan])
@pytest.mark.parametrize("combination", RAGGED_COMBINATIONS, ids=str)
def test_what_stands_in_the_padding_has_no_effect(combination: Combination, garbage: float) -> None:
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    arguments["x"][padding(combination)] = garbage
    output_gradients["dy"][padding(combination)] = garbage
    assert_same_bits(forward_backward(combination.cell, arguments, output_gradients), run(combination))


@pytest.mark.parametrize("combination", RAGGED_COMBINATIONS, ids=str)
def test_outputs_and_input_gradients_are_zero_in_the_padding(combination: Combination) -> None:
    results = run(combination)
    for name in ("y", "d_x"):
        assert not results[name][padding(combination)].any(), name


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_bad_number_stays_in_its_row(variant: Variant, dtype: DType, value: float) -> None:
    combination = Combination(Sizes(N=40, T=6, I=3, H=20), dtype=dtype, variant=variant)
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    expected = take_rows(run(combination), np.arange(40) != 17)
    arguments["x"][17, 2, 1] = value

    actual = take_rows(forward_backward(variant.cell, arguments, output_gradients), np.arange(40) != 17)

    by_row = [name for name in ("y", "h_n", "c_n", "d_x", "d_h0", "d_c0") if name in expected]
    assert_same_bits({name: actual[name] for name in by_row}, {name: expected[name] for name in by_row})


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_nan_in_x_shows_from_its_step_on(variant: Variant, dtype: DType, reverse: bool) -> None:
    """Neither the bound of a cell state nor relu makes a number of it."""
    combination = Combination(Sizes(N=2, T=6, I=3, H=20), reverse=reverse, dtype=dtype, variant=variant)
    arguments = combination.forward_arguments()
    arguments["x"][1, 2, 1] = np.nan

    out = forward(variant.cell, arguments)

    after = np.arange(6) <= 2 if reverse else np.arange(6) >= 2
    y = out.pop("y")
    assert np.isnan(y[1, after]).all()
    assert np.isfinite(y[1, ~after]).all()
    for name, state in out.items():
        assert np.isnan(state[1]).all(), name


@pytest.mark.parametrize(("variant", "name"), NAMES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_in_any_argument_reaches_the_output(dtype: DType, variant: Variant, name: str) -> None:
    arguments = Combination(Sizes(N=3, T=4, I=2, H=11), dtype=dtype, variant=variant).forward_arguments()
    arguments[name].flat[0] = np.nan
    assert np.isnan(forward(variant.cell, arguments)["h_n"]).any()


@pytest.mark.parametrize(("variant", "name"), OUTPUT_GRADIENTS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_in_an_output_gradient_reaches_the_weights(dtype: DType, variant: Variant, name: str) -> None:
    """In all of row 0: a single unit may be at a bound, which passes no gradient on, NaN or not."""
    combination = Combination(Sizes(N=3, T=4, I=2, H=11), dtype=dtype, variant=variant)
    output_gradients = combination.output_gradients()
    output_gradients[name][0] = np.nan
    results = forward_backward(variant.cell, combination.forward_arguments(), output_gradients)
    for gradient in ("d_weight_ih", "d_weight_hh", "d_bias", "d_bias_hn", "d_peephole"):
        assert gradient not in results or np.isnan(results[gradient]).any(), gradient


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_infinite_cell_state_is_bounded(dtype: DType, value: float) -> None:
    """Its gates are open: f = sigmoid(100) = 1."""
    bias = np.array([0, 100, 0, 0], dtype)
    weight = np.zeros((4, 1), dtype)
    c0 = np.full((1, 1), value, dtype)
    out = pylstm.lstm_forward(np.zeros((1, 3, 1), dtype), weight, weight, bias, c0=c0, cell_clip=2)
    assert out.c_n == np.copysign(2, value)


SATURATED_ERROR = 1e-6
"""Saturated gates are 0 or 1 up to exp(-1000), so what is left is the rounding of a few sums: 8 eps for float32."""


@pytest.mark.parametrize("scale", [1e3, 1e30, np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", BOUNDED, ids=str)
def test_saturated_gates_are_exact_and_their_gradients_finite(variant: Variant, dtype: DType, scale: float) -> None:
    """Pre-activations of +-scale on every gate, infinities included; the weights are zero, so no inf * 0 arises."""
    combination = Combination(Sizes(N=3, T=4, I=2, H=16), dtype=dtype, variant=variant)
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    signs = np.sign(arguments["bias"])
    arguments |= {
        "weight_ih": np.zeros_like(arguments["weight_ih"]),
        "weight_hh": np.zeros_like(arguments["weight_hh"]),
        "bias": signs * np.asarray(scale, dtype),
    }
    expected = layer(variant.cell, **{**arguments, "bias": 1e3 * signs}, **output_gradients).arrays

    actual = forward_backward(variant.cell, arguments, output_gradients)

    errors = relative_errors(actual, expected)
    assert max(errors.values()) <= SATURATED_ERROR, errors


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", BOUNDED, ids=str)
def test_outputs_are_bounded_for_the_largest_finite_inputs(variant: Variant, dtype: DType) -> None:
    """By 1, or by the initial state, which a GRU may keep."""
    combination = Combination(Sizes(N=3, T=4, I=1, H=16), dtype=dtype, variant=variant)
    arguments = combination.forward_arguments()
    arguments["x"] = np.sign(arguments["x"]) * np.finfo(dtype).max
    y = forward(variant.cell, {**arguments, "weight_ih": np.sign(arguments["weight_ih"]) / 2})["y"]
    assert np.abs(y).max() <= (max(1, np.abs(arguments["h0"]).max()) if variant.cell == "gru" else 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_call_leaves_subnormal_numbers_of_numpy_alone(variant: Variant, dtype: DType) -> None:
    """Flushing to zero inside the kernels must not leak into the caller's floating-point state."""
    run(Combination(Sizes(N=64, T=20, I=8, H=64), dtype=dtype, variant=variant))
    smallest = np.finfo(dtype).smallest_normal
    halves = np.full(100, smallest, dtype) / np.asarray(2, dtype)
    assert (halves > 0).all()
    assert (halves * np.asarray(2, dtype) == smallest).all()
