"""Targets in units of their own spread while a network learns them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pylstm.model._readout import Sequences, for_each
from pylstm.typing import FloatArray

from ._loss import Loss
from ._samples import Samples, flat_targets, flat_weights

# The mean is a multiple of this share of the spread: equal targets in another order, or with other weights of the same
# meaning, give the same bits.
MEAN_STEP = 2.0**-8


@dataclass(frozen=True)
class TargetScale:
    """y = mean + spread * y': the same problem for a network, but of the size that its initial weights expect.

    `spread` is a power of two, by which numbers are scaled without rounding, and one for all targets, so that none of
    them weighs more or less in the loss.
    """

    mean: NDArray[np.float64]  # (n_targets,)
    spread: float

    @classmethod
    def of(cls, samples: Samples, loss: Loss) -> TargetScale:
        """Return mean and spread of the targets, 0 and 1 where the loss knows no other unit."""
        if not loss.is_homogeneous:
            return cls(np.zeros(samples.n_targets), 1.0)
        y, weight = flat_targets(samples), flat_weights(samples)
        total = float(len(y)) if weight is None else math.fsum(weight)
        with np.errstate(over="ignore"):
            weighted = y if weight is None else y * weight[:, np.newaxis]
            mean = np.array([math.fsum(column) / total for column in weighted.T])
            variance = np.average((y - mean) ** 2, axis=0, weights=weight).mean()
        if not np.isfinite(variance) or variance == 0:
            return cls(mean if np.isfinite(mean).all() else np.zeros(len(mean)), 1.0)
        spread = 2.0 ** round(math.log2(variance) / 2)
        step = spread * MEAN_STEP
        return cls(np.round(mean / step) * step, spread)

    def scaled(self, samples: Samples) -> Samples:
        """Return `samples` with targets y'."""
        if self.spread == 1 and not self.mean.any():
            return samples
        dtype = samples.y[0].dtype
        return replace(
            samples, y=for_each(samples.y, lambda y: ((y.astype(np.float64) - self.mean) / self.spread).astype(dtype))
        )

    def loss(self, loss: Loss) -> Loss:
        """Return the loss of y' that is as large as that of y, but for `loss_unit`."""
        return replace(loss, delta=loss.delta / self.spread) if loss.loss == "huber" else loss

    def loss_unit(self, loss: Loss) -> float:
        """Return the loss of y in units of that of y'."""
        return self.spread**2 if loss.loss in {"squared_error", "huber"} else self.spread

    def outside(self, outputs: Sequences) -> Sequences:
        """Return outputs for y from those for y', in their type."""
        return for_each(  # type: ignore[no-any-return]
            outputs, lambda o: (o * self.spread + self._offsets(o.shape[-1])).astype(o.dtype, copy=False)
        )

    def head_outside(self, parameters: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Return a network's parameters with the head that gives y instead of y'."""
        weight, bias = parameters["head.weight"], parameters["head.bias"]
        with np.errstate(over="ignore"):
            return parameters | {
                "head.weight": (weight * self.spread).astype(weight.dtype),
                "head.bias": (bias * self.spread + self._offsets(len(bias))).astype(bias.dtype),
            }

    def head_inside(self, parameters: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Return a network's parameters with the head that gives y' instead of y."""
        weight, bias = parameters["head.weight"], parameters["head.bias"]
        return parameters | {
            "head.weight": (weight / self.spread).astype(weight.dtype),
            "head.bias": ((bias - self._offsets(len(bias))) / self.spread).astype(bias.dtype),
        }

    def _offsets(self, n_outputs: int) -> NDArray[np.float64]:
        """Return the mean of each output's target: of quantiles several outputs have one; of classes there is none."""
        return np.repeat(self.mean, n_outputs // len(self.mean)) if self.mean.any() else np.zeros(n_outputs)
