"""Features and targets in units of their own spread while a network learns them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pylstm.model._missing import PER_FEATURE
from pylstm.model._readout import Sequences, for_each
from pylstm.typing import FloatArray

from ._loss import Loss
from ._pieces import chosen_pieces
from ._samples import Samples, flat, flat_targets, flat_weights
from ._targets import ROUNDING, warn_user

# The mean is a multiple of this share of the spread: equal data in another order, or with other weights of the same
# meaning, give the same bits.
MEAN_STEP = 2.0**-8

# A mean of so many standard deviations is subtracted. The zero of a count, or of a background, means something: images
# of digits are read better as they are (0.977 of them right against 0.967).
FAR = 2

# How wrong a constant that is learnt in units of one may be outside, of which initial weights add a third or less to
# what a unit sees. In float32 that is a constant of 1024; larger ones are their own unit.
MOST_WRONG = 2.0**-13

# Targets whose standard deviations differ by more than this have shares in the squared error that differ by 1000.
UNEVEN = 30

# Sizes that are told apart: those from 2**(n - 127) to twice that, n = 1 to 255. What is smaller counts as 0.
N_SIZES = 256

# Elements of features looked at in one piece: 512 KiB of float64.
PIECE = 1 << 16


@dataclass(frozen=True)
class FeatureScale:
    """x = mean + spread * x': numbers of the size that initial weights expect.

    The first layer's weights and biases take it in, so that a fitted network reads x. `spread` are powers of two, by
    which numbers are scaled without rounding. Where a value is missing x' is 0.
    """

    mean: NDArray[np.float64]  # (n_features,)
    spread: NDArray[np.float64]  # (n_features,)
    masks: bool  # after the features come as many flags of what is missing

    @classmethod
    def of(cls, samples: Samples, dtype: str, *, masks: bool, shift: bool) -> FeatureScale:
        """Return what is learnt from all steps of the meant rows.

        The spread is the next power of two above the median of how far numbers other than the mean are from it: a few
        far ones change nothing, nor do the many zeros of what is mostly absent; that of a constant is 1, or the next
        power of two above it where it is so large that its last digit matters. The mean is 0 if numbers lie about 0,
        less than `FAR` standard deviations from it, and without `shift`. Numbers are looked at in the engine's type,
        which is all that a fitted network sees of them.
        """
        n_features = int(samples.X[0].shape[-1]) // (PER_FEATURE if masks else 1)
        mean = np.zeros(n_features)
        if shift:
            found, deviation = _mean_and_deviation(samples, dtype, n_features, masks=masks)
            mean = np.where(abs(found) > FAR * deviation, found, 0)
        counts = np.zeros((n_features, N_SIZES))  # weight of the numbers of each size
        for values, weight in _values(samples, dtype, n_features, masks=masks):
            apart = abs(values - mean[:, np.newaxis])
            apart[apart <= ROUNDING * np.finfo(dtype).eps * abs(mean[:, np.newaxis])] = 0
            size = np.clip((apart.view(np.int64) >> 52) - 1023 + 127, 0, N_SIZES - 1)  # from the exponent, as stored
            size += N_SIZES * np.arange(n_features)[:, np.newaxis]
            weighed = np.bincount(size.ravel(), None if weight is None else weight.ravel(), counts.size)
            counts += weighed.reshape(counts.shape)
        counts[:, 0] = 0  # of zeros
        half = np.argmax(np.cumsum(counts, axis=1) >= counts.sum(axis=1, keepdims=True) / 2, axis=1)
        size_of_constant = np.where(abs(mean) * np.finfo(dtype).eps > MOST_WRONG, np.frexp(mean)[1], 0)
        spread = np.exp2(np.where(counts.any(axis=1), half - 126, size_of_constant).astype(np.float64))
        step = spread * MEAN_STEP
        return cls(np.round(mean / step) * step, spread, masks)

    @classmethod
    def none(cls, n_features: int) -> FeatureScale:
        """Return the scale that leaves everything as it is."""
        return cls(np.zeros(n_features), np.ones(n_features), masks=False)

    @property
    def is_none(self) -> bool:
        """Whether it leaves everything as it is."""
        return not self.mean.any() and bool((self.spread == 1).all())

    def units(self) -> dict[str, Any]:
        """Return arguments of the engine's trainer, which reads x as x'."""
        return {} if self.is_none else vars(self)

    def seen(self, x: FloatArray, dtype: str) -> FloatArray:
        """Return the steps of one sequence as x', with which the engine fills a batch."""
        seen = np.array(x, dtype, order="C")
        if not self.is_none:
            n = len(self.mean)
            seen[:, :n] = (seen[:, :n].astype(np.float64) - self.mean) / self.spread
            if self.masks:
                seen[:, :n][seen[:, n : 2 * n] != 0] = 0
        return seen

    def parameters_outside(self, parameters: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Return a network's parameters with the first layer that reads x instead of x'."""
        return self._folded(parameters, self.mean / self.spread, 1 / self.spread, -1)

    def parameters_inside(self, parameters: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Return a network's parameters with the first layer that reads x' instead of x."""
        return self._folded(parameters, self.mean, self.spread, 1)

    def _folded(
        self, parameters: dict[str, FloatArray], offset: NDArray[np.float64], factor: NDArray[np.float64], sign: int
    ) -> dict[str, FloatArray]:
        """Return weights times `factor`, and what `offset` adds with them in the biases."""
        if self.is_none:
            return parameters
        changed, n = dict(parameters), len(self.mean)
        for direction in ("", "reverse."):
            name, bias = (f"layers.0.{direction}{what}" for what in ("weight_ih", "bias"))
            if name not in parameters:
                continue
            weight = parameters[name].astype(np.float64)
            shifts = sign * weight[:, :n] * offset
            weight[:, :n] *= factor
            if self.masks:
                weight[:, n : 2 * n] -= shifts
            with np.errstate(over="ignore"):
                changed[name] = weight.astype(parameters[name].dtype)
                if self.mean.any():
                    changed[bias] = (parameters[bias] + shifts.sum(axis=1)).astype(parameters[bias].dtype)
        return changed


def _mean_and_deviation(
    samples: Samples, dtype: str, n_features: int, *, masks: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of the meant rows' features; a mean of 0 where either is not finite."""
    centre: NDArray[np.float64] | None = None
    sums = np.zeros((3, n_features))  # of weights, of differences from the centre, of their squares
    with np.errstate(over="ignore", invalid="ignore"):
        for values, given in _values(samples, dtype, n_features, masks=masks):
            weight = np.ones((1, 1)) if given is None else given
            total = np.full(n_features, values.shape[1]) if given is None else given.sum(axis=1)
            if centre is None:  # near the mean: the mean square loses what a large mean hides
                centre = (values * weight).sum(axis=1) / np.where(total > 0, total, 1)
            apart = values - centre[:, np.newaxis]
            weighted = apart if given is None else apart * weight
            sums += total, weighted.sum(axis=1), np.einsum("fn,fn->f", weighted, apart)
        assert centre is not None  # there is a row
        away, square = sums[1:] / np.where(sums[0] > 0, sums[0], 1)
        mean, variance = centre + away, square - away**2
        finite = np.isfinite(mean) & np.isfinite(variance)
        return np.where(finite, mean, 0), np.sqrt(np.where(finite & (variance > 0), variance, 0))


def _values(
    samples: Samples, dtype: str, n_features: int, *, masks: bool
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
    """Yield features (n_features, n) of the meant rows, and the weight of each number, 0 where it is missing."""
    for steps, step_weight in _steps(samples):
        # One row for each feature: NumPy is several times as fast along rows.
        values = np.ascontiguousarray(steps[:, :n_features].T, dtype=dtype).astype(np.float64)
        weight = None if step_weight is None else np.repeat(step_weight[np.newaxis], n_features, axis=0)
        if masks:
            seen = steps[:, n_features : 2 * n_features].T == 0
            weight = seen.astype(np.float64) if weight is None else weight * seen
        yield values, weight


def _steps(samples: Samples) -> Iterator[tuple[FloatArray, NDArray[np.float64] | None]]:
    """Yield the steps of the meant rows in pieces (n, n_features), and the weight of each, (n,), if they have any.

    A step weighs what those of its sequence weigh on average, up to the last one of weight: others are never read.
    """
    X, rows, weight = samples.X, samples.rows, samples.weight
    size = max(1, PIECE // X[int(rows[0])].size)  # rows of an array, about so many of a list
    for chosen, x in chosen_pieces(X, rows, size):
        if weight is None:
            yield flat(x), None
        elif isinstance(weight, np.ndarray) and weight.ndim == 2:
            yield flat(x), np.repeat(weight[chosen, 0], [len(item) for item in x])
        else:
            yield flat(x), np.concatenate([_mean_until_last(weight[row][:, 0]) for row in chosen.tolist()])


def _mean_until_last(weight: FloatArray) -> NDArray[np.float64]:
    n = int(np.flatnonzero(weight)[-1]) + 1
    return np.where(np.arange(len(weight)) < n, weight[:n].mean(), 0.0)


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
            variances = np.average((y - mean) ** 2, axis=0, weights=weight)
            variance = variances.mean()
        _warn_if_uneven(mean, np.sqrt(variances))
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


def _warn_if_uneven(mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> None:
    """Warn if some targets vary so much less than others that a loss in units of y does not see them."""
    varying = deviation[deviation > ROUNDING * np.finfo(np.float64).eps * abs(mean)]
    if len(varying) > 1 and varying.max() > UNEVEN * varying.min():
        msg = (
            f"y has outputs of standard deviations from {varying.min():.3g} to {varying.max():.3g}, and the loss is in "
            "units of y: small ones are hardly learnt. Scale them, as TransformedTargetRegressor with StandardScaler "
            "does, or fit one estimator for each output"
        )
        warn_user(msg)


@dataclass(frozen=True)
class Scale:
    """How a network in training sees samples, and what its numbers mean outside."""

    features: FeatureScale
    targets: TargetScale

    def outside(self, parameters: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Return parameters of the network that reads x and gives y."""
        return self.targets.head_outside(self.features.parameters_outside(parameters))

    def inside(self, parameters: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Return parameters of the network that reads x' and gives y'."""
        return self.targets.head_inside(self.features.parameters_inside(parameters))
