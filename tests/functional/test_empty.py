"""Batches without rows and sequences without steps give empty results, not errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from .combinations import DTYPES, OPTIONS, VARIANTS, Combination, DType, Sizes, Variant, each_at_one_size
from .results import assert_same_bits, forward_backward, run, step

EMPTY = (Sizes(0, 5, 2, 4), Sizes(3, 0, 2, 4), Sizes(0, 0, 2, 4), Sizes(0, 7, 600, 130))

EMPTY_COMBINATIONS = [
    *(Combination(sizes, **options, dtype=dtype) for sizes in EMPTY for options in OPTIONS for dtype in DTYPES),
    *[
        replace(combination, dtype=dtype)
        for variant in VARIANTS[1:]
        for combination in each_at_one_size(EMPTY, variant)
        for dtype in DTYPES
    ][::7],
]


def handed_through(combination: Combination, arguments: dict[str, Any]) -> dict[str, np.ndarray]:
    """What leaves rows without steps: the states, forward and back; zeros where left out."""
    zeros = np.zeros((combination.sizes.N, combination.sizes.H), combination.dtype)
    output_gradients = combination.output_gradients()
    results = {}
    for name in "hc":
        if f"{name}0" in arguments:
            given = arguments[f"{name}0"]
            results[f"{name}_n"] = zeros if given is None else given
            results[f"d_{name}0"] = output_gradients[f"d{name}_n"]
    return results


@pytest.mark.parametrize("combination", EMPTY_COMBINATIONS, ids=str)
def test_no_rows_or_no_steps_leave_the_state_as_it_was(combination: Combination) -> None:
    N, T, _, H = combination.sizes
    zeros = {"y": (N, T, H), **{f"d_{name}": shape for name, shape in combination.shapes().items()}}
    expected = {name: np.zeros(shape, combination.dtype) for name, shape in zeros.items()}
    expected |= handed_through(combination, combination.forward_arguments())

    assert_same_bits(run(combination), expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_rows_of_length_zero_leave_the_state_as_it_was(variant: Variant, dtype: DType, reverse: bool) -> None:
    combination = Combination(
        Sizes(N=4, T=3, I=2, H=5), lengths="ragged", reverse=reverse, dtype=dtype, variant=variant
    )
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    arguments["lengths"] = np.zeros(4, np.int64)

    actual = forward_backward(variant.cell, arguments, output_gradients)

    expected = handed_through(combination, arguments)
    assert_same_bits({name: actual.pop(name) for name in expected}, expected)
    assert not any(value.any() for value in actual.values())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_step_of_no_rows_gives_no_rows(variant: Variant, dtype: DType) -> None:
    combination = Combination(Sizes(N=0, T=1, I=2, H=4), dtype=dtype, variant=variant)
    for state in step(variant.cell, combination.step_arguments()).values():
        assert state.shape == (0, 4)
        assert state.dtype == dtype
