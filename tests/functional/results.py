"""Run one combination through the engine, and compare what comes out."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import pylstm

from .oracle import layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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

KINK_MARGIN = 4e-6
"""What float32 may round off a sum of order 1 and K = 900 terms, sqrt(K) eps.

A sum nearer to a kink may be on its other side in the oracle, and so have another derivative.
"""


class Functions(NamedTuple):
    """What the package offers for a cell."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    step: Callable[..., Any]


FUNCTIONS = {
    "lstm": Functions(pylstm.lstm_forward, pylstm.lstm_backward, pylstm.lstm_step),
    "gru": Functions(pylstm.gru_forward, pylstm.gru_backward, pylstm.gru_step),
    "rnn": Functions(pylstm.rnn_forward, pylstm.rnn_backward, pylstm.rnn_step),
}


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


def forward(cell: str, arguments: Mapping[str, Any]) -> Arrays:
    """Outputs of an inference pass: y, h_n and, of an LSTM, c_n."""
    return outputs(FUNCTIONS[cell].forward(**arguments))


def backward(cell: str, tape: Any, output_gradients: Mapping[str, Any]) -> Arrays:
    """All gradients there are, with a ``d_`` before the name of the argument they belong to."""
    gradients = FUNCTIONS[cell].backward(tape, **output_gradients)
    return {f"d_{name}": value for name, value in gradients._asdict().items() if value is not None}


def step(cell: str, arguments: Mapping[str, Any]) -> Arrays:
    """States after one step: h and, of an LSTM, c."""
    states = FUNCTIONS[cell].step(**arguments)
    return dict(zip("hc", states, strict=True)) if isinstance(states, tuple) else {"h": states}


def tape_of(combination: Combination, seed: int = 0) -> Any:
    """Tape of a training forward pass."""
    return FUNCTIONS[combination.cell].forward(**combination.forward_arguments(seed), training=True).tape


def outputs(out: Any) -> Arrays:
    """What a forward function gave, but the tape."""
    return {name: value for name, value in out._asdict().items() if name != "tape"}


def forward_backward(cell: str, arguments: Mapping[str, Any], output_gradients: Mapping[str, Any]) -> Arrays:
    """All outputs of a training forward pass and all gradients."""
    out = FUNCTIONS[cell].forward(**arguments, training=True)
    return outputs(out) | backward(cell, out.tape, output_gradients)


def run(combination: Combination, seed: int = 0) -> Arrays:
    """Run a combination forward and back."""
    return forward_backward(combination.cell, combination.forward_arguments(seed), combination.output_gradients(seed))


def expected_results(
    combination: Combination, *, first_seed: int = 0, margin: float = KINK_MARGIN
) -> tuple[int, Arrays]:
    """Return what ``run`` does, from the oracle, and its seed: the first with no sum within ``margin`` of a kink."""
    for seed in count(first_seed):
        arguments, output_gradients = combination.forward_arguments(seed), combination.output_gradients(seed)
        arrays, kink_distance = layer(combination.cell, **arguments, **output_gradients)
        if kink_distance > margin:
            break
    return seed, arrays


def only_gradients(results: Mapping[str, np.ndarray]) -> Arrays:
    """Gradients among results."""
    return {name: value for name, value in results.items() if name.startswith("d_")}


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


def relative_errors(actual: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> dict[str, float]:
    """``relative_error`` of every array, by name; both must have the same names."""
    assert actual.keys() == expected.keys()
    return {name: relative_error(actual[name], expected[name]) for name in expected}
