"""Gradients of the engine against central differences of its own forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pylstm

from .combinations import EACH_FUNCTION, GRADIENT_COMBINATIONS, TINY, Combination, Variant
from .differences import CLEAR_OF_KINKS, MAX_DIFFERENCE_ERROR, central_differences, weighted_sum
from .results import backward, expected_results, forward, relative_error, tape_of

LEFT_OUT = [(c, name) for c in GRADIENT_COMBINATIONS[48::7] for name in c.output_gradients()]


@pytest.mark.parametrize("combination", GRADIENT_COMBINATIONS, ids=str)
def test_every_gradient_is_the_central_difference(combination: Combination) -> None:
    seed, _ = expected_results(combination, margin=CLEAR_OF_KINKS)
    arguments, output_gradients = combination.forward_arguments(seed), combination.output_gradients(seed)

    def loss(**moved: Any) -> float:
        return weighted_sum(output_gradients, forward(combination.cell, moved))

    gradients = backward(combination.cell, tape_of(combination, seed), output_gradients)
    differences = central_differences(loss, arguments, combination.shapes())
    assert gradients.keys() == {f"d_{name}" for name in differences}
    for name, of_argument in differences.items():
        expected = np.zeros(combination.shapes()[name])
        for index, value in of_argument.items():
            expected[index] = value
        assert relative_error(gradients[f"d_{name}"], expected) <= MAX_DIFFERENCE_ERROR, name


@pytest.mark.parametrize(("combination", "given"), LEFT_OUT, ids=str)
def test_an_output_gradient_left_out_means_zeros(combination: Combination, given: str) -> None:
    output_gradients = combination.output_gradients()
    tape = tape_of(combination)

    alone = backward(combination.cell, tape, {given: output_gradients[given]})

    zeros = {name: np.zeros_like(value) for name, value in output_gradients.items()}
    beside_zeros = backward(combination.cell, tape, {**zeros, given: output_gradients[given]})
    for name, value in alone.items():
        np.testing.assert_array_equal(value, beside_zeros[name], err_msg=name)


@pytest.mark.parametrize("variant", EACH_FUNCTION, ids=str)
def test_without_any_output_gradient_all_gradients_are_zero(variant: Variant) -> None:
    tape = tape_of(Combination(TINY[-1], variant=variant))
    assert not any(value.any() for value in backward(variant.cell, tape, {}).values())


def test_without_peepholes_their_gradient_is_none() -> None:
    assert pylstm.lstm_backward(tape_of(Combination(TINY[-1]))).peephole is None


def test_a_cell_state_at_the_bound_passes_no_gradient_on() -> None:
    """All gates are 1, so c is the number of steps; the bound is 2."""
    weight_ih, weight_hh, one = np.full((4, 1), 100.0), np.zeros((4, 1)), np.ones((1, 1))
    for n_steps, c_n, gradient in ((1, 1, 1), (2, 2, 0), (3, 2, 0)):
        out = pylstm.lstm_forward(np.ones((1, n_steps, 1)), weight_ih, weight_hh, cell_clip=2, training=True)
        assert out.c_n == c_n
        assert pylstm.lstm_backward(out.tape, dc_n=one).c0 == gradient
