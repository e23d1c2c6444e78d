"""Central differences of a loss by every number of every argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Index = tuple[int, ...]

STEP = float(np.cbrt(np.finfo(np.float64).eps))
"""6e-6: balances truncation, STEP**2/6 * |f'''|, with rounding, eps * |f| / STEP, for f and f''' of order 1."""

MAX_DIFFERENCE_ERROR = 1e-6
"""Truncation gives 6e-12 * |f'''|, rounding 4e-11 * |f|, relative to a largest gradient of order 0.1.

With losses and third derivatives up to 100 that is at most 4e-8; the rest is for arrays of small gradients.
"""

DIFFERENTIABLE = ("x", "weight_ih", "weight_hh", "bias", "h0", "c0")


def central_differences(
    loss: Callable[..., float],
    arguments: Mapping[str, Any],
    *,
    sample: int | None = None,
    generator: np.random.Generator | None = None,
) -> dict[str, dict[Index, float]]:
    """(loss(a + STEP) - loss(a - STEP)) / (2 STEP) for the numbers of each float64 argument, by their index.

    An argument that is None is moved around zeros, which is what it means.  ``sample`` draws that many numbers of each
    argument with ``generator``; default: all of them.
    """
    n_rows, _, _ = arguments["x"].shape
    rows, hidden_size = arguments["weight_hh"].shape
    meaning_of_none = {"bias": (rows,), "h0": (n_rows, hidden_size), "c0": (n_rows, hidden_size)}
    differences: dict[str, dict[Index, float]] = {}
    for name in DIFFERENTIABLE:
        array = np.zeros(meaning_of_none[name]) if arguments[name] is None else arguments[name].copy()
        indices: list[Index] = list(np.ndindex(array.shape))
        if sample is not None and generator is not None:
            indices = [indices[k] for k in generator.choice(len(indices), min(sample, len(indices)), replace=False)]
        moved = {**arguments, name: array}
        differences[name] = {}
        for index in indices:
            middle = array[index]
            array[index] = middle + STEP
            above = loss(**moved)
            array[index] = middle - STEP
            below = loss(**moved)
            array[index] = middle
            differences[name][index] = (above - below) / (2 * STEP)
    return differences
