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

CLEAR_OF_KINKS = 1e-3
"""Distance from every kink at which differences are taken: a STEP in one argument moves no sum that far.

Sums of these sizes move by at most 100 times what an argument moves.
"""


def weighted_sum(output_gradients: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> float:
    """Sum of dy * y and so on: the loss whose derivatives by the outputs are these."""
    return sum(float((derivative * outputs[name[1:]]).sum()) for name, derivative in output_gradients.items())


def central_differences(
    loss: Callable[..., float],
    arguments: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    sample: int | None = None,
    generator: np.random.Generator | None = None,
) -> dict[str, dict[Index, float]]:
    """(loss(a + STEP) - loss(a - STEP)) / (2 STEP) for the numbers of the float64 arguments of ``shapes``, by index.

    An argument that is None is moved around zeros, which is what it means.  ``sample`` draws that many numbers of each
    argument with ``generator``; default: all of them.
    """
    differences: dict[str, dict[Index, float]] = {}
    for name, shape in shapes.items():
        array = np.zeros(shape) if arguments[name] is None else arguments[name].copy()
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
