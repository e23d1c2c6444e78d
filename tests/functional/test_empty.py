"""Batches without rows and sequences without steps give empty results, not errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import pylstm

from .combinations import DTYPES, OPTIONS, Combination, Sizes
from .results import assert_same_bits, forward_backward, run

if TYPE_CHECKING:
    from typing import Any

EMPTY_COMBINATIONS = [
    Combination(sizes, **options, dtype=dtype)
    for sizes in (Sizes(0, 5, 2, 4), Sizes(3, 0, 2, 4), Sizes(0, 0, 2, 4), Sizes(0, 7, 600, 130))
    for options in OPTIONS
    for dtype in DTYPES
]


def state(combination: Combination, name: str) -> np.ndarray:
    """h0 or c0, zeros if left out."""
    given = combination.forward_arguments()[name]
    N, _, _, H = combination.sizes
    return np.zeros((N, H), combination.dtype) if given is None else given


@pytest.mark.parametrize("combination", EMPTY_COMBINATIONS, ids=str)
def test_no_rows_or_no_steps_leave_the_state_as_it_was(combination: Combination) -> None:
    N, T, I, H = combination.sizes  # noqa: E741
    zeros = {
        "y": (N, T, H),
        "d_x": (N, T, I),
        "d_weight_ih": (4 * H, I),
        "d_weight_hh": (4 * H, H),
        "d_bias": (4 * H,),
    }
    output_gradients = combination.output_gradients()
    expected = {name: np.zeros(shape, combination.dtype) for name, shape in zeros.items()}
    expected |= {"h_n": state(combination, "h0"), "c_n": state(combination, "c0")}
    expected |= {"d_h0": output_gradients["dh_n"], "d_c0": output_gradients["dc_n"]}

    actual = run(combination)

    assert_same_bits({name: actual[name] for name in expected}, expected)
    assert actual.keys() == expected.keys()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_length_zero_leave_the_state_as_it_was(dtype: Any, reverse: bool) -> None:
    combination = Combination(Sizes(N=4, T=3, I=2, H=5), lengths="ragged", reverse=reverse, dtype=dtype)
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    arguments["lengths"] = np.zeros(4, np.int64)

    actual = forward_backward(arguments, output_gradients)

    handed_on = {
        "h_n": arguments["h0"],
        "c_n": arguments["c0"],
        "d_h0": output_gradients["dh_n"],
        "d_c0": output_gradients["dc_n"],
    }
    assert_same_bits({name: actual.pop(name) for name in handed_on}, handed_on)
    assert not any(value.any() for value in actual.values())


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_of_no_rows_gives_no_rows(dtype: str) -> None:
    H = 4
    state = np.empty((0, H), dtype)
    h, c = pylstm.lstm_step(np.empty((0, 2), dtype), state, state, np.ones((4 * H, 2)), np.ones((4 * H, H)))
    assert h.shape == c.shape == (0, H)
    assert {h.dtype.name, c.dtype.name} == {dtype}
