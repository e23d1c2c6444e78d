"""Calls from many Python threads at once neither disturb each other nor change a bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest

import pylstm
from pylstm import _core

from .combinations import COMBINATIONS, LARGE, LARGE_COMBINATIONS, LSTM, Combination
from .results import assert_same_bits, backward, only_gradients, run, tape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Item = TypeVar("Item")
Result = TypeVar("Result")

N_CALLERS = 8
"""More callers than cores and than threads of the pool, which serves one of them at a time."""

OF_VARIANTS = [c for c in LARGE_COMBINATIONS if c.sizes == LARGE[0] and c.variant != LSTM]

MIXED = [*COMBINATIONS[::31], *LARGE_COMBINATIONS[:8], *OF_VARIANTS]
"""Small ones that run on the caller's thread beside large ones that ask for the pool."""


def at_once(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    with ThreadPoolExecutor(N_CALLERS) as callers:
        return list(callers.map(function, items))


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_calls_at_once_give_the_bits_of_calls_in_turn(n_threads: int) -> None:
    pylstm.set_num_threads(n_threads)
    expected = [run(combination) for combination in MIXED]
    for actual in (at_once(run, MIXED), at_once(run, MIXED)):
        for got, want in zip(actual, expected, strict=True):
            assert_same_bits(got, want)


@pytest.mark.parametrize("combination", [*LARGE_COMBINATIONS[:8:2], *OF_VARIANTS], ids=str)
def test_one_tape_serves_many_threads_at_once(combination: Combination) -> None:
    pylstm.set_num_threads(2)
    tape = tape_of(combination)
    seeds = [*range(4)] * N_CALLERS

    def gradients(seed: int) -> dict[str, np.ndarray]:
        return backward(combination.cell, tape, combination.output_gradients(seed))

    expected = {seed: gradients(seed) for seed in set(seeds)}
    for seed, actual in zip(seeds, at_once(gradients, seeds), strict=True):
        assert_same_bits(actual, expected[seed])


@pytest.mark.parametrize("combination", [LARGE_COMBINATIONS[0], *OF_VARIANTS], ids=str)
def test_a_tape_may_be_used_and_dropped_in_another_thread(combination: Combination) -> None:
    expected = only_gradients(run(combination))
    tapes = at_once(lambda seed: tape_of(combination, seed), [0] * 16)
    results = at_once(
        lambda _: backward(combination.cell, tapes.pop(), combination.output_gradients()), range(len(tapes))
    )
    for actual in results:
        assert_same_bits(actual, expected)


def test_changing_the_number_of_threads_during_calls_changes_nothing() -> None:
    combination = LARGE_COMBINATIONS[1]
    expected = run(combination)
    done = Event()

    def keep_changing() -> int:
        changes = 0
        while not done.is_set():
            pylstm.set_num_threads(1 + changes % 4)
            changes += 1
        return changes

    with ThreadPoolExecutor(1) as changer:
        changes = changer.submit(keep_changing)
        try:
            results = at_once(run, [combination] * 24)
        finally:
            done.set()
        assert changes.result() > 0
    for actual in results:
        assert_same_bits(actual, expected)


def test_a_call_lets_other_python_threads_run() -> None:
    """The GIL is released: a thread that counts gets its turn while one call computes."""
    combination = Combination(LARGE[-1])  # 1500 steps
    done = Event()

    def count() -> int:
        turns = 0
        while not done.is_set():
            turns += 1
        return turns

    with ThreadPoolExecutor(1) as counter:
        turns = counter.submit(count)
        try:
            run(combination)
        finally:
            done.set()
        assert turns.result() > 0


def test_parameters_and_moments_are_not_read_in_the_middle_of_an_epoch() -> None:
    network = _core.Network(dtype="float32", n_features=8, hidden_sizes=(64,), n_outputs=1)
    trainer = _core.Trainer(network, solver="adam", learning_rate=1e-3)
    network.initialize(0)
    X, y = np.ones((6000, 50, 8), np.float32), np.ones((6000, 1), np.float32)
    begun = Event()
    with ThreadPoolExecutor(1) as other:
        training = other.submit(
            trainer.run_epoch, X, y, None, np.arange(6000), 10, 0, progress=lambda _: begun.set()
        )  # says something every 0.1 s
        assert begun.wait(60)
        n_updates = trainer.get_state()["n_updates"]
        parameters = network.get_parameters()
        training.result()
    assert n_updates == 600
    assert_same_bits(parameters, network.get_parameters())
