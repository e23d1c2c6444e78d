"""The determinism contract: what must not change a single bit."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

import pylstm

from .combinations import COMBINATIONS, DTYPES, FMA_ISAS, LARGE, LARGE_COMBINATIONS, Combination
from .oracle import lstm, visited_steps
from .results import assert_same_bits, config, forward_backward, relative_error, run, take_rows, tolerance

if TYPE_CHECKING:
    from .conftest import ForcedISA

ALL = [*COMBINATIONS, *LARGE_COMBINATIONS]
SOME = [*COMBINATIONS[::7], *LARGE_COMBINATIONS]
"""Every seventh of the small ones: 7 and 96, the number of those of one size, are coprime, so every option occurs."""

WEIGHT_GRADIENTS = ("d_weight_ih", "d_weight_hh", "d_bias")
"""Sums over the rows: they depend on which rows are in the batch, and in their last bits on the order of the rows."""


def without_weight_gradients(results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value for name, value in results.items() if name not in WEIGHT_GRADIENTS}


@pytest.mark.parametrize("n_threads", [2, 3])
@pytest.mark.parametrize("combination", ALL, ids=str)
def test_the_number_of_threads_changes_nothing(combination: Combination, n_threads: int) -> None:
    pylstm.set_num_threads(1)
    expected = run(combination)
    pylstm.set_num_threads(n_threads)
    assert_same_bits(run(combination), expected)


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_running_twice_gives_the_same_bits(combination: Combination) -> None:
    assert_same_bits(run(combination), run(combination))


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_a_tape_gives_the_same_gradients_every_time(combination: Combination) -> None:
    out = pylstm.lstm_forward(**combination.forward_arguments(), training=True)
    output_gradients = combination.output_gradients()
    first = pylstm.lstm_backward(out.tape, **output_gradients)._asdict()
    pylstm.lstm_backward(out.tape, dy=2 * output_gradients["dy"])
    assert_same_bits(pylstm.lstm_backward(out.tape, **output_gradients)._asdict(), first)


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_splitting_a_batch_changes_nothing(combination: Combination) -> None:
    N = combination.sizes.N
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    whole = without_weight_gradients(run(combination))
    borders = sorted({0, 1, N // 3, N // 2 + 1, N})
    for rows in (slice(start, stop) for start, stop in pairwise(borders) if stop <= N):
        part = forward_backward(take_rows(arguments, rows), take_rows(output_gradients, rows))
        assert_same_bits(without_weight_gradients(part), take_rows(whole, rows))


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_weight_gradients_of_the_parts_of_a_batch_add_up(combination: Combination) -> None:
    half = combination.sizes.N // 2
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    whole = run(combination)
    parts = [
        forward_backward(take_rows(arguments, rows), take_rows(output_gradients, rows))
        for rows in (slice(0, half), slice(half, None))
    ]
    for name in WEIGHT_GRADIENTS:
        total = parts[0][name].astype(np.float64) + parts[1][name]
        assert relative_error(whole[name], total) <= tolerance(combination), name


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_permuting_rows_permutes_the_results(combination: Combination) -> None:
    order = np.random.default_rng(0).permutation(combination.sizes.N)
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    expected = run(combination)

    actual = forward_backward(take_rows(arguments, order), take_rows(output_gradients, order))

    assert_same_bits(without_weight_gradients(actual), take_rows(without_weight_gradients(expected), order))
    for name in WEIGHT_GRADIENTS:
        assert relative_error(actual[name], expected[name]) <= tolerance(combination), name


@pytest.mark.parametrize("combination", [c for c in SOME if c.lengths != "full"], ids=str)
def test_a_ragged_row_is_the_row_alone_without_its_padding(combination: Combination) -> None:
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    together = without_weight_gradients(run(combination))
    for n, length in enumerate(arguments["lengths"][:8]):
        row = {**take_rows(arguments, [n]), "lengths": None}
        row["x"] = row["x"][:, :length]
        gradients = take_rows(output_gradients, [n])
        gradients["dy"] = gradients["dy"][:, :length]

        alone = without_weight_gradients(forward_backward(row, gradients))

        expected = take_rows(together, [n])
        padding = {name: expected[name][:, length:] for name in ("y", "d_x")}
        assert not any(value.any() for value in padding.values())
        assert_same_bits(alone, expected | {name: expected[name][:, :length] for name in padding})


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_inference_gives_the_bits_of_the_training_forward_pass(combination: Combination) -> None:
    arguments = combination.forward_arguments()
    training = pylstm.lstm_forward(**arguments, training=True)._asdict()
    inference = pylstm.lstm_forward(**arguments)._asdict()
    assert training.pop("tape") is not None
    assert inference.pop("tape") is None
    assert_same_bits(inference, training)


@pytest.mark.parametrize("combination", [c for c in ALL if c.lengths == "full"], ids=str)
def test_step_by_step_gives_the_bits_of_the_whole_sequence(combination: Combination) -> None:
    N, T, _, H = combination.sizes
    arguments = combination.forward_arguments()
    x, weight_ih, weight_hh, bias = (arguments[name] for name in ("x", "weight_ih", "weight_hh", "bias"))
    h, c = (np.zeros((N, H), x.dtype) if arguments[name] is None else arguments[name] for name in ("h0", "c0"))
    y = np.empty((N, T, H), x.dtype)
    for t in visited_steps(T, reverse=combination.reverse):
        h, c = pylstm.lstm_step(x[:, t], h, c, weight_ih, weight_hh, bias)
        y[:, t] = h

    out = pylstm.lstm_forward(**arguments)

    assert_same_bits({"y": y, "h_n": h, "c_n": c}, {"y": out.y, "h_n": out.h_n, "c_n": out.c_n})


@pytest.mark.parametrize("combination", [c for c in SOME if c.lengths == "full"], ids=str)
def test_two_calls_with_the_state_handed_on_give_the_bits_of_one(combination: Combination) -> None:
    arguments = combination.forward_arguments()
    middle = combination.sizes.T // 2 + 1
    parts = [arguments["x"][:, :middle], arguments["x"][:, middle:]]
    whole = pylstm.lstm_forward(**arguments)

    if combination.reverse:
        parts.reverse()
    first = pylstm.lstm_forward(**{**arguments, "x": parts[0]})
    second = pylstm.lstm_forward(**{**arguments, "x": parts[1], "h0": first.h_n, "c0": first.c_n})

    ys = [second.y, first.y] if combination.reverse else [first.y, second.y]
    actual = {"y": np.concatenate(ys, axis=1), "h_n": second.h_n, "c_n": second.c_n}
    assert_same_bits(actual, {"y": whole.y, "h_n": whole.h_n, "c_n": whole.c_n})


@pytest.mark.parametrize("combination", [c for c in SOME if c.lengths == "full"], ids=str)
def test_the_gradient_handed_back_between_two_calls_continues_the_pass(combination: Combination) -> None:
    arguments, output_gradients = combination.forward_arguments(), combination.output_gradients()
    middle = combination.sizes.T // 2 + 1
    sides = [slice(0, middle), slice(middle, None)]
    if combination.reverse:
        sides.reverse()
    early, late = sides
    first = pylstm.lstm_forward(**{**arguments, "x": arguments["x"][:, early]}, training=True)
    second = pylstm.lstm_forward(
        **{**arguments, "x": arguments["x"][:, late], "h0": first.h_n, "c0": first.c_n}, training=True
    )

    dy = output_gradients.pop("dy")
    d_second = pylstm.lstm_backward(second.tape, dy[:, late], **output_gradients)
    d_first = pylstm.lstm_backward(first.tape, dy[:, early], dh_n=d_second.h0, dc_n=d_second.c0)

    expected = run(combination)
    actual = {name: getattr(d_first, name) + getattr(d_second, name) for name in ("weight_ih", "weight_hh", "bias")}
    actual |= {"h0": d_first.h0, "c0": d_first.c0, "x": np.empty_like(arguments["x"])}
    actual["x"][:, early], actual["x"][:, late] = d_first.x, d_second.x
    errors = {name: relative_error(value, expected[f"d_{name}"]) for name, value in actual.items()}
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
        {**arguments, "x": flipped(arguments["x"]), "reverse": not combination.reverse},
        {**output_gradients, "dy": flipped(output_gradients["dy"])},
    )

    # The weight gradients may be summed over the steps in another order.
    expected = run(combination)
    actual = {**other, "y": flipped(other["y"]), "d_x": flipped(other["d_x"])}
    assert_same_bits(without_weight_gradients(actual), without_weight_gradients(expected))
    for name in WEIGHT_GRADIENTS:
        assert relative_error(actual[name], expected[name]) <= tolerance(combination), name


@pytest.mark.parametrize("combination", SOME, ids=str)
def test_an_optional_argument_left_out_means_its_default(combination: Combination) -> None:
    N, T, _, H = combination.sizes
    arguments = combination.forward_arguments()
    meaning = {
        "bias": np.zeros(4 * H, combination.dtype),
        "h0": np.zeros((N, H), combination.dtype),
        "c0": np.zeros((N, H), combination.dtype),
        "lengths": np.full(N, T),
    }
    explicit = {**arguments, **{name: value for name, value in meaning.items() if arguments[name] is None}}
    assert_same_bits(forward_backward(explicit, combination.output_gradients()), run(combination))


@pytest.mark.parametrize("isa", FMA_ISAS)
def test_a_forced_isa_with_fma_changes_nothing(results_on_isa: ForcedISA, isa: str) -> None:
    in_use = config()["isa"]
    if in_use not in FMA_ISAS:
        pytest.skip(f"{in_use}, in use here, has no FMA to compare with")
    calls = [(c.forward_arguments(), c.output_gradients()) for c in ALL]
    for combination, actual in zip(ALL, results_on_isa(isa, calls), strict=True):
        assert_same_bits(actual, run(combination))


def test_the_generic_isa_computes_the_same_within_rounding(results_on_isa: ForcedISA) -> None:
    """Without FMA each product is rounded once more, which the bound allows for."""
    combinations = SOME
    calls = [(c.forward_arguments(), c.output_gradients()) for c in combinations]
    for combination, call, actual in zip(combinations, calls, results_on_isa("generic", calls), strict=True):
        out, gradients = lstm(**call[0], **call[1])
        expected = out._asdict() | {f"d_{name}": value for name, value in gradients._asdict().items()}
        errors = {name: relative_error(actual[name], expected[name]) for name in expected}
        assert max(errors.values()) <= tolerance(combination), (str(combination), errors)


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_do_not_depend_on_what_ran_before(dtype: str) -> None:
    """Reused buffers may hold anything, NaN included."""
    small = Combination(LARGE[0]._replace(N=5, T=4), lengths="ragged", dtype=dtype)  # type: ignore[arg-type]
    expected = run(small)
    poison = Combination(LARGE[0], dtype=dtype)  # type: ignore[arg-type]
    arguments = poison.forward_arguments()
    forward_backward({**arguments, "x": np.full_like(arguments["x"], np.nan)}, poison.output_gradients())
    assert_same_bits(run(small), expected)
