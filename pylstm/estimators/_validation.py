"""Checks of what users pass as data: shapes, types, names of features, and that every number is finite.

X is looked at in pieces and handed on as it lies in memory, so that an array larger than memory can be checked.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, validate_data

from pylstm.typing import FloatArray

# Elements looked at in one piece: 8 MiB of float64, small beside a training step and large beside a call of NumPy.
PIECE = 1 << 20


class SequenceEstimator(Protocol):
    """What `check_sequences` reads from an estimator, and sets on it with ``reset=True``."""

    n_timesteps: int | None
    n_features_in_: int
    n_features_per_step_: int
    _n_columns_in: int | None


def check_sequences(estimator: SequenceEstimator, X: Any, *, dtype: str, reset: bool, name: str = "X") -> FloatArray:
    """Return `X` as (n_samples, n_steps, n_features) of float32 or float64: a view, unless its type is another.

    Parameters
    ----------
    estimator : SequenceEstimator
        With ``reset=True`` it learns names and number of features from `X`, otherwise `X` has to match them.
    X : array-like of shape (n_samples, n_steps, n_features) or (n_samples, n_columns)
        See `LSTMRegressor.fit`.
    dtype : {"float32", "float64"}
        The engine's type; every value has to be finite in it.
    reset : bool
        Whether this is what the estimator is fitted on.
    name : str
        The argument's name, for messages.
    """
    validate_data(estimator, X, reset=reset, skip_check_array=True, ensure_2d=False)  # names of features only
    array = _real_array(X, dtype, name=name, estimator=estimator, ensure_2d=True, allow_nd=True)
    if array.ndim > 3 or 0 in array.shape:
        msg = (
            f"{name} has shape {array.shape}, "
            "expected (n_samples, n_steps, n_features) or (n_samples, n_columns), none of them 0"
        )
        raise ValueError(msg)

    n_columns = array.shape[1] if array.ndim == 2 else None
    if reset:
        estimator.n_features_in_ = array.shape[-1]
        estimator._n_columns_in = n_columns
    elif n_columns is not None and estimator._n_columns_in not in {None, n_columns}:
        # scikit-learn's own wording, which its checks look for.
        msg = (
            f"{name} has {n_columns} features, but {type(estimator).__name__} "
            f"is expecting {estimator._n_columns_in} features as input"
        )
        raise ValueError(msg)

    sequences = array if n_columns is None else _cut_columns(array, estimator.n_timesteps, name)
    n_features = sequences.shape[2]
    if reset:
        estimator.n_features_per_step_ = n_features
    elif n_features != estimator.n_features_per_step_:
        msg = (
            f"{name} has {n_features} features per step, but {type(estimator).__name__} "
            f"is expecting {estimator.n_features_per_step_} features per step"
        )
        raise ValueError(msg)
    _require_finite(sequences, dtype, name, ("step", "feature"))
    return sequences


def check_targets(y: Any, n_samples: int, *, dtype: str, name: str = "y") -> tuple[FloatArray, bool]:
    """Return `y` as a new or shared array of shape (n_samples, n_outputs) in `dtype`, and whether it was 1-D."""
    if y is None:
        msg = f"fit requires {name} to be passed, but the target y is None"
        raise ValueError(msg)
    array = _real_array(y, "float64", name=name, ensure_2d=False, allow_nd=True, ensure_min_features=0)
    if array.ndim not in {1, 2} or len(array) != n_samples or 0 in array.shape:
        msg = (
            f"{name} has shape {array.shape}, expected ({n_samples},) or ({n_samples}, n_outputs) "
            "(one row for each sample of X)"
        )
        raise ValueError(msg)
    targets = array.reshape(n_samples, -1)
    _require_finite(targets, dtype, name, ("output",))
    return np.ascontiguousarray(targets, dtype=dtype), array.ndim == 1


def check_weights(weight: Any, n_samples: int, *, name: str = "sample_weight") -> NDArray[np.float64] | None:
    """Return `weight` as float64 of shape (n_samples,), finite, non-negative and not all zero; None stays None."""
    if weight is None:
        return None
    array = _real_array(weight, "float64", name=name, ensure_2d=False, allow_nd=True)
    if array.shape != (n_samples,):
        msg = f"{name} has shape {array.shape}, expected ({n_samples},) (one weight for each sample of X)"
        raise ValueError(msg)
    weights = np.ascontiguousarray(array, dtype=np.float64)
    _require_finite(weights, "float64", name, ())
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        msg = f"{name} is {weights[row]} at row {row}, expected weights that are not negative"
        raise ValueError(msg)
    with np.errstate(over="ignore"):
        total = weights.sum()
    if total == 0 or not np.isfinite(total):
        msg = f"{name} sums to {'zero' if total == 0 else 'infinity'}, expected a positive, finite sum"
        raise ValueError(msg)
    return weights


def _real_array(value: Any, dtype: str, name: str, **options: Any) -> FloatArray:
    """Return `value` as a native, aligned float array: as it is where it is one, else converted to `dtype`."""
    array: FloatArray = check_array(value, dtype="numeric", ensure_all_finite=False, input_name=name, **options)
    if array.dtype in {np.dtype(np.float32), np.dtype(np.float64)} and array.flags.aligned:
        return array
    if array.dtype.kind not in "fiub":
        msg = f"{name} has dtype {array.dtype}, expected real numbers"
        raise TypeError(msg)
    with np.errstate(over="ignore"):  # a long double too large becomes infinite, and is reported as that
        return array.astype(dtype)


def _cut_columns(array: FloatArray, n_timesteps: int | None, name: str) -> FloatArray:
    """View (n, T*F) as (n, T, F)."""
    n, n_columns = array.shape
    n_steps = n_columns if n_timesteps is None else n_timesteps
    if n_columns % n_steps:
        msg = f"{name} has shape {array.shape}, expected a multiple of {n_steps} columns (n_timesteps * n_features)"
        raise ValueError(msg)
    return array.reshape(n, n_steps, n_columns // n_steps)  # splitting an axis is a view whatever the strides


def _require_finite(array: FloatArray, dtype: str, name: str, axes: tuple[str, ...]) -> None:
    """Raise ValueError at the first element of (n, *axes) that is not finite as `dtype`."""
    limit = np.finfo(dtype).max
    rows = max(1, PIECE // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        piece = array[start : start + rows]
        # NaN makes both sides of the comparison false.
        if piece.max() <= limit and piece.min() >= -limit:
            continue
        first = np.argwhere(~(np.abs(piece) <= limit))[0]
        value = piece[tuple(first)]
        what = "NaN" if np.isnan(value) else "infinity"
        if np.isfinite(value):
            what = f"{value}, too large for {dtype}"
        first[0] += start
        place = ", ".join(f"{axis} {index}" for axis, index in zip(("row", *axes), first, strict=True))
        msg = f"Input {name} contains {what}: {place}"
        raise ValueError(msg)
