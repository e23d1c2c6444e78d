"""The determinism contract: what must not change a single bit."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

import pylstm

from .combinations import (
    CELL_CLIP,
    DTYPES,
    FMA_ISAS,
    LARGE,
    LARGE_COMBINATIONS,
    PLAIN_COMBINATIONS,
    PLAIN_LARGE_COMBINATIONS,
    SOME_COMBINATIONS,
    VARIANTS,
    VARIED_COMBINATIONS,
    Combination,
    DType,
    Sizes,
    Variant,
)
from .oracle import visited_steps
from .results import (
    FUNCTIONS,
    assert_same_bits,
    backward,
    config,
    expected_results,
    forward,
    forward_backward,
    only_gradients,
    outputs,
    relative_errors,
    run,
    step,
    take_rows,
    tape_of,
    tolerance,
)

if TYPE_CHECKING:
    from .conftest import ForcedISA

ALL = [*PLAIN_COMBINATIONS, *VARIED_COMBINATIONS[::5], *LARGE_COMBINATIONS]
SOME = SOME_COMBINATIONS

# H and I beside the widths of all vectors: part of one, exactly one, several and a part.
ONE_ROW = [
    Combination(Sizes(1, 1, *inputs_and_units), bias=bias, dtype=dtype, variant=variant)
    for variant in VARIANTS
    for dtype in DTYPES
    for bias in (True, False)
    for inputs_and_units in ((1, 1), (2, 7), (9, 8), (17, 16), (3, 19), (1, 33))
]

WEIGHT_GRADIENTS = ("d_weight_ih", "d_weight_hh", "d_bias", "d_bias_hn", "d_peephole")
"""Sums over the rows: they depend on which rows are in the batch, and in their last bits on the order of the rows."""


def without_weight_gradients(results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value for name, value in results.items() if name not in WEIGHT_GRADIENTS}


def handed_on(results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Final states as the initial ones of the next call."""
    return {f"{name}0": results[f"{name}_n"] for name in "hc" if f"{name}_n" in results}


def weight_gradients(results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value for name, value in results.items() if name in WEIGHT_GRADIENTS}


@pytest.mark.parametrize("combination", ALL, ids=str)
def test_the_number_of_threads_changes_nothing(combination: Combination) -> None:
    pylstm.set_num_threads(1)
    expected = run(combination)
    for n_threads in (2, 3):
        pylstm.set_num_threads(n_threads)
        assert_same_bits(run(combination), expected)


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_running_twice_gives_the_same_bits(combination: Combination) -> None:
    assert_same_bits(run(combination), run(combination))


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_a_tape_gives_the_same_gradients_every_time(combination: Combination) -> None:
    tape, output_gradients = tape_of(combination), combination.output_gradients()
    first = backward(combination.cell, tape, output_gradients)
    backward(combination.cell, tape, {"dy": 2 * output_gradients["dy"]})
    assert_same_bits(backward(combination.cell, tape, output_gradients), first)


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_splitting_a_batch_changes_nothing(combination: Combination) -> None:
    N = combination.sizes.N
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    whole = without_weight_gradients(run(combination))
    borders = sorted({0, 1, N // 3, N // 2 + 1, N})
    for rows in (slice(start, stop) for start, stop in pairwise(borders) if stop <= N):
        part = forward_backward(combination.cell, take_rows(arguments, rows), take_rows(output_gradients, rows))
        assert_same_bits(without_weight_gradients(part), take_rows(whole, rows))


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_weight_gradients_of_the_parts_of_a_batch_add_up(combination: Combination) -> None:
    half = combination.sizes.N // 2
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    whole = weight_gradients(run(combination))
    parts = [
        forward_backward(combination.cell, take_rows(arguments, rows), take_rows(output_gradients, rows))
        for rows in (slice(0, half), slice(half, None))
    ]
    errors = relative_errors(whole, {name: parts[0][name].astype(np.float64) + parts[1][name] for name in whole})
    assert max(errors.values()) <= tolerance(combination), errors


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_permuting_rows_permutes_the_results(combination: Combination) -> None:
    order = np.random.default_rng(0).permutation(combination.sizes.N)
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    expected = run(combination)

    actual = forward_backward(combination.cell, take_rows(arguments, order), take_rows(output_gradients, order))

    assert_same_bits(without_weight_gradients(actual), take_rows(without_weight_gradients(expected), order))
    errors = relative_errors(weight_gradients(actual), weight_gradients(expected))
    assert max(errors.values()) <= tolerance(combination), errors


@pytest.mark.parametrize("combination", [c for c in SOME if c.lengths != "full"], ids=str)
def test_a_ragged_row_is_the_row_alone_without_its_padding(combination: Combination) -> None:
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    together = without_weight_gradients(run(combination))
    for n, length in enumerate(arguments["lengths"][:8]):
        row = {**take_rows(arguments, [n]), "lengths": None}
        row["x"] = row["x"][:, :length]
        gradients = take_rows(output_gradients, [n])
        gradients["dy"] = gradients["dy"][:, :length]

        alone = without_weight_gradients(forward_backward(combination.cell, row, gradients))

        expected = take_rows(together, [n])
        padding = {name: expected[name][:, length:] for name in ("y", "d_x")}
        assert not any(value.any() for value in padding.values())
        assert_same_bits(alone, expected | {name: expected[name][:, :length] for name in padding})


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_inference_gives_the_bits_of_the_training_forward_pass(combination: Combination) -> None:
    arguments = combination.forward_arguments()
    training = FUNCTIONS[combination.cell].forward(**arguments, training=True)._asdict()
    inference = FUNCTIONS[combination.cell].forward(**arguments)._asdict()
    assert training.pop("tape") is not None
    assert inference.pop("tape") is None
    assert_same_bits(inference, training)


@pytest.mark.parametrize("combination", [c for c in ALL if c.lengths == "full"], ids=str)
def test_step_by_step_gives_the_bits_of_the_whole_sequence(combination: Combination) -> None:
    N, T, _, H = combination.sizes
    arguments = combination.forward_arguments()
    of_step = combination.step_arguments()
    states: dict[str, np.ndarray] = {}
    y = np.empty((N, T, H), combination.dtype)
    for t in visited_steps(T, reverse=combination.reverse):
        states = step(combination.cell, {**of_step, **states, "x_t": arguments["x"][:, t]})
        y[:, t] = states["h"]

    actual = {"y": y, **{f"{name}_n": value for name, value in states.items()}}
    assert_same_bits(actual, forward(combination.cell, arguments))


@pytest.mark.parametrize("combination", ONE_ROW, ids=str)
def test_a_step_of_one_row_gives_the_bits_of_a_step_of_several(combination: Combination) -> None:
    """One row takes its weights as they lie; for several they are packed."""
    arguments = combination.step_arguments()
    of_row = ("x_t", "h", "c")
    several = {name: np.repeat(value, 2, axis=0) if name in of_row else value for name, value in arguments.items()}
    expected = {name: value[:1] for name, value in step(combination.cell, several).items()}
    assert_same_bits(step(combination.cell, arguments), expected)


@pytest.mark.parametrize("combination", [c for c in SOME if c.lengths == "full"], ids=str)
def test_two_calls_with_the_state_handed_on_give_the_bits_of_one(combination: Combination) -> None:
    arguments = combination.forward_arguments()
    middle = combination.sizes.T // 2 + 1
    parts = [arguments["x"][:, :middle], arguments["x"][:, middle:]]

    if combination.reverse:
        parts.reverse()
    first = forward(combination.cell, {**arguments, "x": parts[0]})
    second = forward(combination.cell, {**arguments, "x": parts[1], **handed_on(first)})

    ys = [second["y"], first["y"]] if combination.reverse else [first["y"], second["y"]]
    assert_same_bits({**second, "y": np.concatenate(ys, axis=1)}, forward(combination.cell, arguments))


@pytest.mark.parametrize("combination", [c for c in SOME if c.lengths == "full"], ids=str)
def test_the_gradient_handed_back_between_two_calls_continues_the_pass(combination: Combination) -> None:
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    middle = combination.sizes.T // 2 + 1
    sides = [slice(0, middle), slice(middle, None)]
    if combination.reverse:
        sides.reverse()
    early, late = sides
    cell, dy = combination.cell, output_gradients.pop("dy")
    first = FUNCTIONS[cell].forward(**{**arguments, "x": arguments["x"][:, early]}, training=True)
    of_second = {**arguments, "x": arguments["x"][:, late], **handed_on(outputs(first))}
    d_second = forward_backward(cell, of_second, {"dy": dy[:, late], **output_gradients})
    handed_back = {f"d{name}_n": d_second[f"d_{name}0"] for name in "hc" if f"d_{name}0" in d_second}
    actual = backward(cell, first.tape, {"dy": dy[:, early], **handed_back})
    actual |= {name: value + d_second[name] for name, value in weight_gradients(actual).items()}
    actual["d_x"] = np.concatenate([d_second["d_x"], actual["d_x"]][:: -1 if early.start == 0 else 1], axis=1)

    errors = relative_errors(actual, only_gradients(run(combination)))
    assert max(errors.values()) <= tolerance(combination), errors


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_reverse_is_the_flipped_sequence(combination: Combination) -> None:
    """Row n is flipped within its own length."""
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    N, T = combination.sizes[:2]
    lengths = np.full(N, T) if arguments["lengths"] is None else arguments["lengths"]
    source = np.tile(np.arange(T), (N, 1))
    for n, length in enumerate(lengths):
        source[n, :length] = source[n, :length][::-1]

    def flipped(array: np.ndarray) -> np.ndarray:
        return np.take_along_axis(array, source[:, :, None], axis=1)

    other = forward_backward(
        combination.cell,
        {**arguments, "x": flipped(arguments["x"]), "reverse": not combination.reverse},
        {**output_gradients, "dy": flipped(output_gradients["dy"])},
    )

    # The weight gradients may be summed over the steps in another order.
    expected = run(combination)
    actual = {**other, "y": flipped(other["y"]), "d_x": flipped(other["d_x"])}
    assert_same_bits(without_weight_gradients(actual), without_weight_gradients(expected))
    errors = relative_errors(weight_gradients(actual), weight_gradients(expected))
    assert max(errors.values()) <= tolerance(combination), errors


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_an_optional_argument_left_out_means_its_default(combination: Combination) -> None:
    N, T = combination.sizes[:2]
    arguments = combination.forward_arguments()
    meaning = {name: np.zeros(shape, combination.dtype) for name, shape in combination.shapes().items()}
    meaning["lengths"] = np.full(N, T)
    explicit = {**arguments, **{name: value for name, value in meaning.items() if arguments[name] is None}}
    assert_same_bits(forward_backward(combination.cell, explicit, combination.output_gradients()), run(combination))


@pytest.mark.parametrize("isa", FMA_ISAS)
def test_a_forced_isa_with_fma_changes_nothing(results_on_isa: ForcedISA, isa: str) -> None:
    in_use = config()["isa"]
    if in_use not in FMA_ISAS:
        pytest.skip(f"{in_use}, in use here, has no FMA to compare with")
    calls = [(c.cell, c.forward_arguments(), c.output_gradients()) for c in ALL]
    for combination, actual in zip(ALL, results_on_isa(isa, calls), strict=True):
        assert_same_bits(actual, run(combination))


def test_the_generic_isa_computes_the_same_within_rounding(results_on_isa: ForcedISA) -> None:
    """Without FMA each product is rounded once more, which the bound allows for."""
    combinations = [*PLAIN_COMBINATIONS[::7], *VARIED_COMBINATIONS[::17], *PLAIN_LARGE_COMBINATIONS]
    seeds, expected = zip(*map(expected_results, combinations), strict=True)
    calls = [
        (c.cell, c.forward_arguments(seed), c.output_gradients(seed))
        for c, seed in zip(combinations, seeds, strict=True)
    ]
    for combination, actual, want in zip(combinations, results_on_isa("generic", calls), expected, strict=True):
        errors = relative_errors(actual, want)
        assert max(errors.values()) <= tolerance(combination), (str(combination), errors)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_results_do_not_depend_on_what_ran_before(variant: Variant, dtype: DType) -> None:
    """Reused buffers may hold anything, NaN included, from any cell."""
    small = Combination(LARGE[0]._replace(N=5, T=4), lengths="ragged", dtype=dtype, variant=variant)
    expected = run(small)
    for earlier in VARIANTS:
        poison = Combination(LARGE[0], dtype=dtype, variant=earlier)
        arguments = poison.forward_arguments()
        arguments["x"][...] = np.nan
        forward_backward(poison.cell, arguments, poison.output_gradients())
        assert_same_bits(run(small), expected)


@pytest.mark.parametrize("bound", [1e30, np.inf])
@pytest.mark.parametrize("combination", [c for c in SOME if c.cell == "lstm" and not c.variant.clipped][::3], ids=str)
def test_a_bound_that_no_cell_state_reaches_changes_nothing(combination: Combination, bound: float) -> None:
    arguments = {**combination.forward_arguments(), "cell_clip": bound}
    assert_same_bits(forward_backward("lstm", arguments, combination.output_gradients()), run(combination))


@pytest.mark.parametrize("combination", [c for c in SOME if c.cell == "lstm" and not c.variant.peephole], ids=str)
def test_peepholes_of_zero_change_nothing(combination: Combination) -> None:
    with_peepholes = replace(combination.variant, peephole=True)
    zeros = np.zeros(replace(combination, variant=with_peepholes).shapes()["peephole"])
    arguments = {**combination.forward_arguments(), "peephole": zeros}
    actual = forward_backward("lstm", arguments, combination.output_gradients())
    del actual["d_peephole"]
    assert_same_bits(actual, run(combination))


@pytest.mark.parametrize("combination", [c for c in SOME if c.variant.coupled], ids=str)
def test_coupled_gates_are_those_of_an_lstm_whose_forget_gate_negates_the_sum_of_its_input_gate(
    combination: Combination,
) -> None:
    """1 - sigmoid(s) = sigmoid(-s).  The negated rows' gradients come back with another minus."""
    arguments, expected = combination.forward_arguments(), run(combination)
    output_gradients = combination.output_gradients()

    def uncoupled(name: str, array: np.ndarray | None) -> np.ndarray | None:
        """Blocks i, g, o to i, f, g, o; of the peepholes i, o to i, f, o."""
        if array is None:
            return None
        i, *others = np.split(array, 2 if name == "peephole" else 3)
        return np.concatenate([i, -i, *others])

    weights = {name: uncoupled(name, arguments[name]) for name in arguments if f"d_{name}" in WEIGHT_GRADIENTS}
    actual = forward_backward("lstm", {**arguments, **weights, "coupled": False}, output_gradients)
    for name, value in weight_gradients(actual).items():
        i, f, *others = np.split(value, 3 if name == "d_peephole" else 4)
        actual[name] = np.concatenate([i - f, *others])

    errors = relative_errors(actual, expected)
    assert max(errors.values()) <= tolerance(combination), errors


@pytest.mark.parametrize("combination", [c for c in SOME if c.variant.clipped], ids=str)
def test_no_cell_state_is_beyond_the_bound(combination: Combination) -> None:
    stepped = combination.forward_arguments()["lengths"] != 0
    assert np.abs(run(combination)["c_n"][stepped]).max(initial=0.0) <= CELL_CLIP
