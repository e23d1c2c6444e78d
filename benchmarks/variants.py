"""What every cell and option costs beside the plain LSTM: ``python -m benchmarks.variants``, from the project's root.

The cells as NumPy functions, inference and training step (forward and BPTT of everything). Dropout, zoneout and two
directions as epochs of ``LSTMRegressor``, as only training draws masks. And two directions on two threads beside one
direction on one thread. Everything takes turns with the plain LSTM; a figure is the median over the rounds of the ratio
of times in that round.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import astuple
from timeit import default_timer
from typing import TYPE_CHECKING, Any

import numpy as np

import pylstm
from benchmarks.calls import GATES
from benchmarks.peers.cases import SequenceCase
from benchmarks.peers.options import sequence_case
from benchmarks.peers.text import table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Arrays = tuple[np.ndarray, ...]

GRID = (SequenceCase(50, 32, 8, 64), SequenceCase(100, 64, 16, 128), SequenceCase(100, 32, 64, 256))
PLAIN = "plain LSTM"
REGULARISERS: Mapping[str, dict[str, Any]] = {
    PLAIN: {},
    "dropout of inputs": {"input_dropout": 0.2},
    "recurrent dropout": {"recurrent_dropout": 0.2},
    "zoneout": {"zoneout": 0.1},
    "bidirectional": {"bidirectional": True},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the tables as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.variants", description=__doc__)
    parser.add_argument(
        "--grid",
        type=sequence_case,
        nargs="+",
        default=GRID,
        metavar="T,B,I,H",
        help="steps, batch, inputs, hidden units",
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--budget", type=float, default=0.1, help="seconds for each turn, at least one call")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    options = parser.parse_args(arguments)
    sizes = {case.name: astuple(case) for case in options.grid}
    threads = pylstm.get_num_threads()
    try:
        pylstm.set_num_threads(1)
        print(f"Times beside the plain LSTM's, {options.dtype}, ISA {pylstm.show_config('dicts')['isa']}, one thread\n")
        for what, calls_of in (("inference", inference), ("training step", training), ("epoch", epoch)):
            rows = {
                name: shares(calls_of(*size, options.dtype), options.rounds, options.budget)
                for name, size in sizes.items()
            }
            print_table(f": {what}", rows)
        print("Two directions on two threads beside one direction on one\n")
        rows = {
            name: {
                what: two_directions(calls_of(*size, options.dtype), options.rounds, options.budget)
                for what, calls_of in (("predict", prediction), ("epoch", epoch))
            }
            for name, size in sizes.items()
        }
        print_table("", rows)
    finally:
        pylstm.set_num_threads(threads)
    return 0


def inference(steps: int, batch: int, inputs: int, units: int, dtype: str) -> dict[str, Callable[[], Any]]:
    """One forward call of every cell."""
    x = normal(batch, steps, inputs, dtype=dtype)
    return {
        name: lambda forward=forward, weights=weights, extra=extra: forward(x, *weights, **extra)
        for name, (forward, _, weights, extra) in cells(inputs, units, dtype).items()
    }


def training(steps: int, batch: int, inputs: int, units: int, dtype: str) -> dict[str, Callable[[], Any]]:
    """One forward call for training and the backward call after it, of every cell."""
    x, dy = normal(batch, steps, inputs, dtype=dtype), normal(batch, steps, units, dtype=dtype)

    def call(forward: Any, backward: Any, weights: Arrays, extra: dict[str, Any]) -> None:
        columns = extra["weight_hr"].shape[0] if "weight_hr" in extra else units
        backward(forward(x, *weights, training=True, **extra)[-1], dy[..., :columns])

    return {
        name: lambda parts=parts: call(*parts)  # type: ignore[misc]
        for name, parts in cells(inputs, units, dtype).items()
    }


def cells(inputs: int, units: int, dtype: str) -> dict[str, tuple[Any, Any, Arrays, dict[str, Any]]]:
    """Forward and backward function, weights and further arguments of every cell."""
    scale = units**-0.5

    def weights(gates: int, columns: int = units) -> Arrays:
        shapes = ((gates * units, inputs), (gates * units, columns), (gates * units,))
        return tuple(scale * normal(*shape, dtype=dtype) for shape in shapes)

    lstm, half = (pylstm.lstm_forward, pylstm.lstm_backward), max(units // 2, 1)
    found: dict[str, tuple[Any, Any, Arrays, dict[str, Any]]] = {
        PLAIN: (*lstm, weights(GATES["lstm"]), {}),
        "peepholes": (*lstm, weights(GATES["lstm"]), {"peephole": scale * normal(3 * units, dtype=dtype)}),
        "coupled gates": (*lstm, weights(3), {"coupled": True}),
        "layer norm": (*lstm, weights(GATES["lstm"]), {"layer_norm": pylstm.LayerNorm()}),
        "projection to H/2": (
            *lstm,
            weights(GATES["lstm"], half),
            {"weight_hr": scale * normal(half, units, dtype=dtype)},
        ),
        "GRU": (pylstm.gru_forward, pylstm.gru_backward, weights(GATES["gru"]), {}),
        "RNN": (pylstm.rnn_forward, pylstm.rnn_backward, weights(GATES["rnn"]), {}),
    }
    gru = found["GRU"]
    found["GRU, reset before"] = (*gru[:3], {"reset_after": False})
    found["GRU, layer norm"] = (*gru[:3], {"layer_norm": pylstm.LayerNorm()})
    return found


def estimators(
    steps: int, batch: int, inputs: int, units: int, dtype: str
) -> tuple[dict[str, pylstm.LSTMRegressor], np.ndarray, np.ndarray]:
    """An estimator for each regulariser, and what it learns from: four batches, one epoch."""
    x = normal(4 * batch, steps, inputs, dtype=dtype)
    made = {
        name: pylstm.LSTMRegressor(hidden_size=units, batch_size=batch, dtype=dtype, random_state=0, **extra)
        for name, extra in REGULARISERS.items()
    }
    return made, x, x[:, -1].sum(axis=1)


def epoch(steps: int, batch: int, inputs: int, units: int, dtype: str) -> dict[str, Callable[[], Any]]:
    """One epoch for each regulariser; what ``fit`` does once, as drawing the weights, has been done."""
    made, x, y = estimators(steps, batch, inputs, units, dtype)
    return {name: lambda estimator=estimator: estimator.partial_fit(x, y) for name, estimator in made.items()}


def prediction(steps: int, batch: int, inputs: int, units: int, dtype: str) -> dict[str, Callable[[], Any]]:
    """``predict`` of one batch."""
    made, x, y = estimators(steps, batch, inputs, units, dtype)
    fitted = {name: made[name].partial_fit(x, y) for name in (PLAIN, "bidirectional")}
    return {name: lambda estimator=estimator: estimator.predict(x[:batch]) for name, estimator in fitted.items()}


def two_directions(calls: Mapping[str, Callable[[], Any]], rounds: int, budget_s: float) -> float:
    """Time of two directions on two threads over that of one direction on one."""
    one, two = on_threads(1, calls[PLAIN]), on_threads(2, calls["bidirectional"])
    times = measure({"one": one, "two": two}, rounds, budget_s)
    return ratio(times["two"], times["one"])


def on_threads(n: int, call: Callable[[], Any]) -> Callable[[], Any]:
    """Make ``call`` with ``n`` threads."""

    def made() -> None:
        pylstm.set_num_threads(n)
        call()

    return made


def shares(calls: Mapping[str, Callable[[], Any]], rounds: int, budget_s: float) -> dict[str, float]:
    """Times of all calls over that of the plain LSTM."""
    times = measure(calls, rounds, budget_s)
    return {name: ratio(seconds, times[PLAIN]) for name, seconds in times.items() if name != PLAIN}


def measure(calls: Mapping[str, Callable[[], Any]], rounds: int, budget_s: float) -> dict[str, list[float]]:
    """Median seconds of a call in each round, all calls taking turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            turn: list[float] = []
            while not turn or sum(turn) < budget_s:
                start = default_timer()
                call()
                turn.append(default_timer() - start)
            times[name].append(statistics.median(turn))
    return times


def ratio(seconds: Sequence[float], plain: Sequence[float]) -> float:
    """Median over the rounds."""
    return statistics.median(a / b for a, b in zip(seconds, plain, strict=True))


def normal(*shape: int, dtype: str) -> np.ndarray:
    """Standard normal numbers, the same ones for the same shape."""
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def print_table(what: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print a row for each size."""
    header = [f"T, B, I, H{what}", *next(iter(rows.values()))]
    print(
        table(header, ([name, *(f"{figure:.2f}" for figure in row.values())] for name, row in rows.items())), flush=True
    )


if __name__ == "__main__":
    sys.exit(main())
