"""NaN and infinities pass through as IEEE 754 says, and stay in their row; padding has no effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pylstm

from .combinations import COMBINATIONS, DTYPES, LARGE_COMBINATIONS, Combination, Sizes
from .oracle import lstm
from .results import assert_same_bits, forward_backward, relative_error, run, take_rows

RAGGED_COMBINATIONS = [c for c in [*COMBINATIONS[::7], *LARGE_COMBINATIONS] if c.lengths != "full"]


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
    assert_same_bits(forward_backward(arguments, output_gradients), run(combination))


@pytest.mark.parametrize("combination", RAGGED_COMBINATIONS, ids=str)
def test_outputs_and_input_gradients_are_zero_in_the_padding(combination: Combination) -> None:
    results = run(combination)
    for name in ("y", "d_x"):
        assert not results[name][padding(combination)].any(), name


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_bad_number_stays_in_its_row(dtype: Any, value: float) -> None:
    combination = Combination(Sizes(N=40, T=6, I=3, H=20), dtype=dtype)
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    expected = take_rows(run(combination), np.arange(40) != 17)
    arguments["x"][17, 2, 1] = value

    actual = take_rows(forward_backward(arguments, output_gradients), np.arange(40) != 17)

    for name in ("y", "h_n", "c_n", "d_x", "d_h0", "d_c0"):
        assert_same_bits({name: actual[name]}, {name: expected[name]})


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_in_x_shows_from_its_step_on(dtype: Any, reverse: bool) -> None:
    combination = Combination(Sizes(N=2, T=6, I=3, H=20), reverse=reverse, dtype=dtype)
    arguments = combination.forward_arguments()
    arguments["x"][1, 2, 1] = np.nan

    out = pylstm.lstm_forward(**arguments)

    after = np.arange(6) <= 2 if reverse else np.arange(6) >= 2
    assert np.isnan(out.y[1, after]).all()
    assert np.isfinite(out.y[1, ~after]).all()
    assert np.isnan(out.h_n[1]).all()
    assert np.isnan(out.c_n[1]).all()


@pytest.mark.parametrize("name", ["weight_ih", "weight_hh", "bias", "h0", "c0"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_in_any_argument_reaches_the_output(dtype: Any, name: str) -> None:
    arguments = Combination(Sizes(N=3, T=4, I=2, H=11), dtype=dtype).forward_arguments()
    arguments[name].flat[0] = np.nan
    assert np.isnan(pylstm.lstm_forward(**arguments).h_n).any()


@pytest.mark.parametrize("name", ["dy", "dh_n", "dc_n"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_in_an_output_gradient_reaches_the_weights(dtype: Any, name: str) -> None:
    combination = Combination(Sizes(N=3, T=4, I=2, H=11), dtype=dtype)
    output_gradients = combination.output_gradients()
    output_gradients[name].flat[0] = np.nan
    results = forward_backward(combination.forward_arguments(), output_gradients)
    for gradient in ("d_weight_ih", "d_weight_hh", "d_bias"):
        assert np.isnan(results[gradient]).any(), gradient


SATURATED_ERROR = 1e-6
"""Saturated gates are 0 or 1 up to exp(-1000), so what is left is the rounding of a few sums: 8 eps for float32."""


@pytest.mark.parametrize("scale", [1e3, 1e30, np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_saturated_gates_are_exact_and_their_gradients_finite(dtype: Any, scale: float) -> None:
    """Pre-activations of +-scale on every gate, infinities included; the weights are zero, so no inf * 0 arises."""
    combination = Combination(Sizes(N=3, T=4, I=2, H=16), dtype=dtype)
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    signs = np.sign(arguments["bias"])
    arguments |= {
        "weight_ih": np.zeros_like(arguments["weight_ih"]),
        "weight_hh": np.zeros_like(arguments["weight_hh"]),
        "bias": signs * np.asarray(scale, dtype),
    }
    out, gradients = lstm(**{**arguments, "bias": 1e3 * signs}, **output_gradients)
    expected = out._asdict() | {f"d_{name}": value for name, value in gradients._asdict().items()}

    actual = forward_backward(arguments, output_gradients)

    for name, want in expected.items():
        assert relative_error(actual[name], want) <= SATURATED_ERROR, name


@pytest.mark.parametrize("dtype", DTYPES)
def test_outputs_are_bounded_for_the_largest_finite_inputs(dtype: Any) -> None:
    combination = Combination(Sizes(N=3, T=4, I=1, H=16), dtype=dtype)
    arguments = combination.forward_arguments()
    arguments["x"] = np.sign(arguments["x"]) * np.finfo(dtype).max
    out = pylstm.lstm_forward(**{**arguments, "weight_ih": np.sign(arguments["weight_ih"]) / 2})
    assert np.abs(out.y).max() <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_call_leaves_subnormal_numbers_of_numpy_alone(dtype: Any) -> None:
    """Flushing to zero inside the kernels must not leak into the caller's floating-point state."""
    run(Combination(Sizes(N=64, T=20, I=8, H=64), dtype=dtype))
    smallest = np.finfo(dtype).smallest_normal
    halves = np.full(100, smallest, dtype) / np.asarray(2, dtype)
    assert (halves > 0).all()
    assert (halves * np.asarray(2, dtype) == smallest).all()
