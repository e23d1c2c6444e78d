"""Run one combination through the engine, and compare what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import pylstm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .combinations import Combination

    Arrays = dict[str, np.ndarray]

ROUNDING_UNITS = 64
"""Allowed error of a value against the float64 oracle, in units of eps * sqrt(K), relative to the largest of its array.

Every value is the sum of at most K = max(4H, I + H, N*T) products.  Rounding errors of random sign add up to about
sqrt(K) eps; activations (3 ULP each) and the steps before, damped by forget gates, stay within the same order: the
engine's largest error is 1.2 units.  Except for arrays of a single number, which may be a small difference of large
terms: the four gates' shares of d_x cancel to 1/30 in one combination of one unit, 34 units.  A wrong sign, gate or
index is an error of order 1, at least 1000 times the tolerance.
"""


def tolerance(combination: Combination) -> float:
    """Relative error that rounding alone may cause; see ``ROUNDING_UNITS``."""
    N, T, I, H = combination.sizes  # noqa: E741
    terms = max(4 * H, I + H, N * T)
    return float(ROUNDING_UNITS * np.finfo(combination.dtype).eps * np.sqrt(terms))


def config() -> dict[str, Any]:
    """Return version, ISA in use, ISAs available and number of threads."""
    settings: dict[str, Any] | None = pylstm.show_config(mode="dicts")
    assert settings is not None
    return settings


def forward_backward(arguments: Mapping[str, Any], output_gradients: Mapping[str, Any]) -> Arrays:
    """All outputs of a training forward pass (y, h_n, c_n) and all gradients, the latter with a ``d_`` before."""
    out = pylstm.lstm_forward(**arguments, training=True)
    gradients = pylstm.lstm_backward(out.tape, **output_gradients)
    outputs = {name: value for name, value in out._asdict().items() if name != "tape"}
    return outputs | {f"d_{name}": value for name, value in gradients._asdict().items()}


def run(combination: Combination, seed: int = 0) -> Arrays:
    """Run a combination forward and back."""
    return forward_backward(combination.forward_arguments(seed), combination.output_gradients(seed))


def take_rows(arrays: Mapping[str, Any], rows: np.ndarray | slice | list[int]) -> dict[str, Any]:
    """Arguments or results of these rows of the batch alone; what has no rows (weights, flags, None) stays."""
    by_row = {"x", "h0", "c0", "lengths", "dy", "dh_n", "dc_n", "y", "h_n", "c_n", "d_x", "d_h0", "d_c0"}
    return {
        name: value[rows] if name in by_row and isinstance(value, np.ndarray) else value
        for name, value in arrays.items()
    }


def assert_same_bits(actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """Fail unless names, dtypes, shapes and every bit agree, signs of zero and NaN payloads included."""
    assert actual.keys() == expected.keys()
    for name, want in expected.items():
        got = actual[name]
        assert (got.dtype, got.shape) == (want.dtype, want.shape), name
        if got.tobytes() != want.tobytes():
            different = np.count_nonzero(got.view(f"u{got.itemsize}") != want.view(f"u{want.itemsize}"))
            error = relative_error(got, want)
            msg = f"{name}: {different} of {got.size} values differ, largest relative error {error:.2g}"
            raise AssertionError(msg)


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest error, relative to the largest expected magnitude; 0 for two equal or empty arrays."""
    assert actual.shape == expected.shape
    error = np.abs(actual.astype(np.float64) - expected).max(initial=0.0)
    if error == 0:
        return 0.0
    return float(error / np.abs(expected).max())
