"""Gradients of the engine against central differences of its own forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pylstm

from .combinations import GRADIENT_COMBINATIONS, Combination
from .differences import MAX_DIFFERENCE_ERROR, central_differences
from .results import relative_error


@pytest.mark.parametrize("combination", GRADIENT_COMBINATIONS, ids=str)
def test_every_gradient_is_the_central_difference(combination: Combination) -> None:
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    dy, dh_n, dc_n = output_gradients.values()

    def loss(**moved: Any) -> float:
        out = pylstm.lstm_forward(**moved)
        return float((dy * out.y).sum() + (dh_n * out.h_n).sum() + (dc_n * out.c_n).sum())

    tape = pylstm.lstm_forward(**arguments, training=True).tape
    gradients = pylstm.lstm_backward(tape, **output_gradients)._asdict()
    for name, differences in central_differences(loss, arguments).items():
        expected = np.zeros(gradients[name].shape)
        for index, value in differences.items():
            expected[index] = value
        assert relative_error(gradients[name], expected) <= MAX_DIFFERENCE_ERROR, name


@pytest.mark.parametrize("given", ["dy", "dh_n", "dc_n"])
@pytest.mark.parametrize("combination", GRADIENT_COMBINATIONS[48::7], ids=str)
def test_an_output_gradient_left_out_means_zeros(combination: Combination, given: str) -> None:
    output_gradients = combination.output_gradients()
    tape = pylstm.lstm_forward(**combination.forward_arguments(), training=True).tape

    alone = pylstm.lstm_backward(tape, **{given: output_gradients[given]})

    zeros = {name: np.zeros_like(value) for name, value in output_gradients.items()}
    beside_zeros = pylstm.lstm_backward(tape, **{**zeros, given: output_gradients[given]})
    for name, value in alone._asdict().items():
        np.testing.assert_array_equal(value, getattr(beside_zeros, name), err_msg=name)


def test_without_any_output_gradient_all_gradients_are_zero() -> None:
    tape = pylstm.lstm_forward(**GRADIENT_COMBINATIONS[-1].forward_arguments(), training=True).tape
    assert not any(value.any() for value in pylstm.lstm_backward(tape))
