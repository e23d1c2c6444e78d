"""The engine against the LSTM in plain NumPy, and that against central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .combinations import COMBINATIONS, GRADIENT_COMBINATIONS, LARGE_COMBINATIONS, Combination
from .differences import MAX_DIFFERENCE_ERROR, central_differences
from .oracle import lstm
from .results import relative_error, run, tolerance

LARGEST_TINY = GRADIENT_COMBINATIONS[-1].sizes


@pytest.mark.parametrize("combination", [c for c in GRADIENT_COMBINATIONS if c.sizes == LARGEST_TINY], ids=str)
def test_gradients_of_the_oracle_are_its_central_differences(combination: Combination) -> None:
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()

    def loss(**moved: Any) -> float:
        out, _ = lstm(**moved)
        return sum(float((d * value).sum()) for d, value in zip(output_gradients.values(), out, strict=True))

    _, gradients = lstm(**arguments, **output_gradients)
    generator = np.random.default_rng(0)
    for name, differences in central_differences(loss, arguments, sample=4, generator=generator).items():
        expected = np.array(list(differences.values()))
        actual = np.array([getattr(gradients, name)[index] for index in differences])
        assert relative_error(actual, expected) <= MAX_DIFFERENCE_ERROR, name


@pytest.mark.parametrize("combination", [*COMBINATIONS, *LARGE_COMBINATIONS], ids=str)
def test_outputs_and_gradients_are_those_of_the_oracle(combination: Combination) -> None:
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    out, gradients = lstm(**arguments, **output_gradients)
    expected = out._asdict() | {f"d_{name}": value for name, value in gradients._asdict().items()}

    actual = run(combination)

    assert actual.keys() == expected.keys()
    errors = {name: relative_error(actual[name], expected[name]) for name in expected}
    assert max(errors.values()) <= tolerance(combination), errors
    assert {value.dtype.name for value in actual.values()} == {combination.dtype}
