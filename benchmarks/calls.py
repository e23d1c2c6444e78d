"""How long small calls of the NumPy functions take: ``python -m benchmarks.calls``, from the project's root.

One row of one input: at few units the time is that of the call itself, from Python to C++ and back.
"""

from __future__ import annotations

import argparse
import sys
from timeit import default_timer
from typing import TYPE_CHECKING, Any

import numpy as np

import pylstm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
STEPS = 4
"""Of the sequence of each forward function."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__)
    parser.add_argument("--units", type=int, nargs="+", default=[4, 16, 64, 128], help="numbers of hidden units")
    parser.add_argument("--repeats", type=int, default=200, help="slices, of which the fastest counts")
    parser.add_argument("--calls", type=int, default=500, help="calls in a slice")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    options = parser.parse_args(arguments)
    rows = {units: fastest(calls_of(units, options.dtype), options.repeats, options.calls) for units in options.units}
    names = list(next(iter(rows.values())))
    print(f"Microseconds per call, {options.dtype}, one row, one input, {STEPS} steps of a sequence\n")
    print("| H |", " | ".join(names), "|")
    print("|---" * (len(names) + 1) + "|")
    for units, times in rows.items():
        print(f"| {units} |", " | ".join(f"{1e6 * times[name]:.2f}" for name in names), "|")
    return 0


def calls_of(units: int, dtype: str) -> dict[str, Callable[[], Any]]:
    """One call of each function."""
    generator = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape).astype(dtype)

    x, h, c = normal(1, STEPS, 1), normal(1, units), normal(1, units)
    x_t = np.ascontiguousarray(x[:, 0])
    calls: dict[str, Callable[[], Any]] = {}
    for cell, gates in GATES.items():
        weights = (normal(gates * units, 1), normal(gates * units, units), normal(gates * units))
        states = (h, c) if cell == "lstm" else (h,)
        step, forward = getattr(pylstm, f"{cell}_step"), getattr(pylstm, f"{cell}_forward")
        calls[f"{cell}_step"] = lambda step=step, states=states, weights=weights: step(x_t, *states, *weights)
        calls[f"{cell}_forward"] = lambda forward=forward, weights=weights: forward(x, *weights)
    return calls


def fastest(calls: dict[str, Callable[[], Any]], repeats: int, number: int) -> dict[str, float]:
    """Seconds per call, of the fastest slice; slices of all calls in turns."""
    best = dict.fromkeys(calls, np.inf)
    for _ in range(repeats):
        for name, call in calls.items():
            start = default_timer()
            for _ in range(number):
                call()
            best[name] = min(best[name], (default_timer() - start) / number)
    return best


if __name__ == "__main__":
    sys.exit(main())
