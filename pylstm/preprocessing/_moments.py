"""Mean, variance and extremes of steps that are seen piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._sequences import RealArray


@dataclass(frozen=True)
class Moments:
    """What is known of some steps, feature by feature: arrays of shape (n_features,)."""

    count: NDArray[np.int64]
    """Values that are not NaN."""
    mean: NDArray[np.float64]
    """0 where there are none."""
    variance: NDArray[np.float64]
    """Divided by the count; 0 where there are no values."""
    low: NDArray[np.float64]
    """NaN where there are none."""
    high: NDArray[np.float64]
    """As low."""


def moments_of(table: RealArray) -> Moments:
    """Return the moments of the rows of `table`, by the two-pass algorithm."""
    # One row for each feature: 4 times as fast as down the columns of 10 features, and NumPy's sums are pairwise.
    values = table.T.astype(np.float64, order="C")
    low, high = np.fmin.reduce(values, axis=1), np.fmax.reduce(values, axis=1)
    if np.isinf(low).any() or np.isinf(high).any():
        msg = "Input X contains infinity, expected finite numbers or NaN"
        raise ValueError(msg)
    total = values.sum(axis=1)
    count = np.full(len(values), len(table), dtype=np.int64)
    missing = np.isnan(values) if np.isnan(total).any() else None
    if missing is not None:
        count -= missing.sum(axis=1)
        total = np.where(missing, 0, values).sum(axis=1)
    divisor = np.maximum(count, 1)
    mean = np.where(low == high, low, total / divisor)  # so that constants have exactly no variance
    values -= mean[:, np.newaxis]
    if missing is not None:
        values[missing] = 0
    return Moments(count, mean, np.einsum("ft,ft->f", values, values) / divisor, low, high)


def merge(a: Moments, b: Moments) -> Moments:
    """Return the moments of the steps of both (Chan, Golub and LeVeque 1983)."""
    count = a.count + b.count
    divisor = np.maximum(count, 1)
    share_a, share_b = a.count / divisor, b.count / divisor
    difference = b.mean - a.mean
    return Moments(
        count=count,
        mean=a.mean + difference * share_b,
        variance=a.variance * share_a + b.variance * share_b + difference**2 * share_a * share_b,
        low=np.fmin(a.low, b.low),
        high=np.fmax(a.high, b.high),
    )
