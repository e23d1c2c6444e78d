"""What is minimised, and its natural unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pylstm.typing import FloatArray

from ._samples import Samples, flat_targets, flat_weights


@dataclass(frozen=True)
class Loss:
    """Arguments of the engine's trainer."""

    loss: str
    delta: float = 1.0
    quantiles: tuple[float, ...] = (0.5,)
    label_smoothing: float = 0.0

    @property
    def is_homogeneous(self) -> bool:
        """Whether shifted and scaled targets are the same problem in other units."""
        return self.loss in {"squared_error", "absolute_error", "huber", "quantile"}

    def unit(self, samples: Samples) -> float:
        """Return about the loss of the best constant forecast of `samples`: what a loss is small beside.

        1 where that is zero, and for a loss whose zero means nothing.
        """
        y, weight = flat_targets(samples), flat_weights(samples)
        with np.errstate(over="ignore"):
            spread = float(_spread(self, y, weight))
        return spread if np.isfinite(spread) and spread > 0 else 1.0


def _spread(loss: Loss, y: FloatArray, weight: NDArray[np.float64] | None) -> float:
    """Of flat targets (n_items, n_targets)."""
    if loss.loss == "cross_entropy":
        share = np.bincount(y[:, 0].astype(np.int64), weights=weight)
        return float(_entropy(share / share.sum()).sum())
    mean = np.average(y, axis=0, weights=weight)
    if loss.loss == "binary_cross_entropy":
        return float(np.mean(_entropy(mean) + _entropy(1 - mean)))
    if loss.loss == "poisson":
        return float(np.mean(mean))
    variance = np.average((y - mean) ** 2, axis=0, weights=weight)
    return float(variance.mean() if loss.loss in {"squared_error", "huber"} else np.sqrt(variance).mean())


def _entropy(share: FloatArray) -> FloatArray:
    """Return -p log p of each share p."""
    return -share * np.log(share, out=np.zeros_like(share), where=share > 0)
