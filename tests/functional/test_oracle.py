"""The engine against the cells in plain NumPy, and those against central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .combinations import COMBINATIONS, GRADIENT_COMBINATIONS, LARGE_COMBINATIONS, TINY, Combination
from .differences import CLEAR_OF_KINKS, MAX_DIFFERENCE_ERROR, central_differences, weighted_sum
from .oracle import layer
from .results import expected_results, relative_error, relative_errors, run, tolerance

OF_LARGEST_TINY = [c for c in GRADIENT_COMBINATIONS if c.sizes == TINY[-1]]


@pytest.mark.parametrize("combination", OF_LARGEST_TINY, ids=str)
def test_gradients_of_the_oracle_are_its_central_differences(combination: Combination) -> None:
    seed, gradients = expected_results(combination, margin=CLEAR_OF_KINKS)
    arguments, output_gradients = combination.forward_arguments(seed), combination.output_gradients(seed)

    def loss(**moved: Any) -> float:
        return weighted_sum(output_gradients, layer(combination.cell, **moved).arrays)

    generator = np.random.default_rng(0)
    differences = central_differences(loss, arguments, combination.shapes(), sample=4, generator=generator)
    for name, of_argument in differences.items():
        expected = np.array(list(of_argument.values()))
        actual = np.array([gradients[f"d_{name}"][index] for index in of_argument])
        assert relative_error(actual, expected) <= MAX_DIFFERENCE_ERROR, name


@pytest.mark.parametrize("combination", [*COMBINATIONS, *LARGE_COMBINATIONS], ids=str)
def test_outputs_and_gradients_are_those_of_the_oracle(combination: Combination) -> None:
    seed, expected = expected_results(combination)

    actual = run(combination, seed)

    errors = relative_errors(actual, expected)
    assert max(errors.values()) <= tolerance(combination), errors
    assert {value.dtype.name for value in actual.values()} == {combination.dtype}
