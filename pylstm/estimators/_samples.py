"""Which rows are learnt from, in which order, and which are held out.

Rows are always meant by their index: X is never reordered or copied.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pylstm.typing import FloatArray

Rows: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Sequences with their targets and weights, and the rows of them that are meant."""

    X: FloatArray  # (n_samples, n_steps, n_features)
    y: FloatArray  # (n_samples, n_outputs)
    weight: NDArray[np.float64] | None  # (n_samples,)
    rows: Rows  # (n_rows,)

    @classmethod
    def of(cls, X: FloatArray, y: FloatArray, weight: NDArray[np.float64] | None) -> Samples:
        """Return the samples whose weight is not zero: the others are as good as absent."""
        rows = np.arange(len(X)) if weight is None else np.flatnonzero(weight)
        return cls(X, y, weight, rows.astype(np.int64))

    @property
    def row_weight(self) -> NDArray[np.float64] | None:
        """Weights of the rows, of shape (n_rows,)."""
        return None if self.weight is None else self.weight[self.rows]


def hold_out(samples: Samples, fraction: float, seed: int | None) -> tuple[Samples, Samples]:
    """Split `samples` into those to learn from and those to measure on.

    Parameters
    ----------
    samples : Samples
        Left as they are.
    fraction : float
        Share to hold out, rounded up to whole rows.
    seed : int or None
        Draws the rows; with None the last ones are held out.
    """
    n_rows = len(samples.rows)
    n_held_out = math.ceil(fraction * n_rows)
    if n_held_out >= n_rows:
        msg = f"X has n_samples={n_rows} of positive weight, too few to hold out validation_fraction={fraction}"
        raise ValueError(msg)
    # The stream of (seed, 0) is this one's; `epoch_order` takes those from (seed, 1) on.
    rows = samples.rows if seed is None else np.random.RandomState([seed, 0]).permutation(samples.rows)
    return (
        replace(samples, rows=np.sort(rows[: n_rows - n_held_out])),
        replace(samples, rows=np.sort(rows[n_rows - n_held_out :])),
    )


def epoch_order(rows: Rows, seed: int, epoch: int) -> Rows:
    """Return `rows` shuffled by `seed` and `epoch` alone, so that a fit in two parts meets the same orders."""
    return np.random.RandomState([seed, epoch + 1]).permutation(rows)


def merge_equal(samples: Samples) -> Samples:
    """Return one row for each distinct pair of sequence and target, their weights added up, in an order of their own.

    For the rows of one batch this changes nothing but rounding: the loss is the same sum. What it buys is that the
    result depends, bit for bit, neither on the order of the rows nor on whether a row is repeated or has that weight.
    Rows are ordered by a hash of their content.
    """
    found: dict[bytes, int] = {}
    weights: defaultdict[int, list[float]] = defaultdict(list)
    dtype = samples.y.dtype
    for row in samples.rows.tolist():
        content = hashlib.blake2b(np.ascontiguousarray(samples.X[row], dtype=dtype).tobytes(), digest_size=16)
        content.update(samples.y[row].tobytes())
        first = found.setdefault(content.digest(), row)
        weights[first].append(1.0 if samples.weight is None else float(samples.weight[row]))
    rows = np.array([found[digest] for digest in sorted(found)], dtype=np.int64)
    weight = np.zeros(len(samples.y))
    weight[rows] = [math.fsum(weights[row]) for row in rows.tolist()]  # fsum: the same in any order
    return replace(samples, rows=rows, weight=weight)


def target_variance(samples: Samples) -> float:
    """Return the weighted variance of the targets, averaged over the outputs; 1 if they are constant.

    It is the loss of the best constant forecast, and so the natural unit of the loss.
    """
    y, weight = samples.y[samples.rows].astype(np.float64), samples.row_weight
    with np.errstate(over="ignore"):
        variance = np.average((y - np.average(y, axis=0, weights=weight)) ** 2, axis=0, weights=weight).mean()
    return float(variance) or 1.0
