"""Checks of sequences: shapes, types, names of features, and that every number is finite.

X is looked at in pieces and handed on as it lies in memory, so that an array larger than memory can be checked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, validate_data

from pylstm.model._missing import PER_FEATURE, with_mask
from pylstm.model._readout import Sequences, for_each
from pylstm.preprocessing._sequences import cut_columns, listed, read_real, require_real, require_same_columns
from pylstm.typing import FloatArray

from ._pieces import pieces


class SequenceEstimator(Protocol):
    """What `check_sequences` reads from an estimator, and sets on it with ``reset=True``."""

    n_timesteps: int | None
    vocabulary_size: int | None
    missing: str
    n_features_in_: int
    n_features_per_step_: int
    _input: InputForm
    _by_item: bool


@dataclass(frozen=True)
class InputForm:
    """How a fitted network takes X, whatever the estimator's parameters have become since."""

    missing: str
    vocabulary_size: int | None
    n_timesteps: int | None
    n_columns: int | None  # of a 2-D X in fit

    @classmethod
    def of(cls, estimator: SequenceEstimator, n_columns: int | None) -> Self:
        """Return what the parameters say."""
        return cls(estimator.missing, estimator.vocabulary_size, estimator.n_timesteps, n_columns)

    def n_network_features(self, n_features: int) -> int:
        """Return how many numbers a network without embedding reads of a step of so many features."""
        return n_features * (PER_FEATURE if self.missing == "mask" else 1)

    def now(self, estimator: SequenceEstimator) -> Self:
        """Return this, but with the present `n_timesteps` where fit met no table."""
        return replace(self, n_timesteps=estimator.n_timesteps) if self.n_columns is None else self


def check_sequences(
    estimator: SequenceEstimator, X: Any, *, dtype: str, reset: bool, name: str = "X"
) -> tuple[Sequences, bool]:
    """Return `X` as (n_samples, n_steps, n_features) of float32 or float64: a view, unless its type is another.

    A list of sequences becomes a list of C-contiguous (n_steps_i, n_features) arrays of one type. Also returned is
    whether X was a table.

    Parameters
    ----------
    estimator : SequenceEstimator
        With ``reset=True`` it learns names and number of features from `X`, otherwise `X` has to match them.
    X : array-like of shape (n_samples, n_steps, n_features) or (n_samples, n_columns), or list of sequences
        See `LSTMRegressor.fit`.
    dtype : {"float32", "float64"}
        The engine's type; every value has to be finite in it.
    reset : bool
        Whether this is what the estimator is fitted on.
    name : str
        The argument's name, for messages.
    """
    if isinstance(X, list | tuple) and len(X) == 0:
        msg = f"{name} is empty, expected at least one sequence"
        raise ValueError(msg)
    items = listed(X)
    if items is not None:
        require_same_columns(items, name)
    if reset or not estimator._by_item:  # a scorer's data have been looked at before the training
        # Names of features only.
        validate_data(estimator, X if items is None else items[0], reset=reset, skip_check_array=True, ensure_2d=False)
    sequences: Sequences
    if items is not None:
        n_columns = None
        sequences = _check_list(items, dtype, name)
        n_features = sequences[0].shape[1]
        if reset:
            estimator.n_features_in_ = n_features
            estimator._input = InputForm.of(estimator, None)
    else:
        array = real_array(X, dtype, name=name, estimator=estimator, ensure_2d=True, allow_nd=True)
        if array.ndim > 3 or 0 in array.shape:
            msg = (
                f"{name} has shape {array.shape}, "
                "expected (n_samples, n_steps, n_features) or (n_samples, n_columns), none of them 0"
            )
            raise ValueError(msg)
        n_columns = array.shape[1] if array.ndim == 2 else None
        if reset:
            estimator.n_features_in_ = array.shape[-1]
            estimator._input = InputForm.of(estimator, n_columns)
        elif n_columns is not None and estimator._input.n_columns not in {None, n_columns}:
            # scikit-learn's own wording, which its checks look for.
            msg = (
                f"{name} has {n_columns} features, but {type(estimator).__name__} "
                f"is expecting {estimator._input.n_columns} features as input"
            )
            raise ValueError(msg)
        n_timesteps = estimator._input.now(estimator).n_timesteps
        sequences = array if n_columns is None else cut_columns(array, n_timesteps, name)
        n_features = sequences.shape[2]

    if reset:
        estimator.n_features_per_step_ = n_features
    elif n_features != estimator.n_features_per_step_:
        msg = (
            f"{name} has {n_features} features per step, but {type(estimator).__name__} "
            f"is expecting {estimator.n_features_per_step_} features per step"
        )
        raise ValueError(msg)
    masks = estimator._input.missing == "mask"
    require_finite(sequences, dtype, name, ("step", "feature"), missing_allowed=masks)
    if masks:
        sequences = for_each(sequences, with_mask)
    if estimator._input.vocabulary_size is not None:
        _require_tokens(sequences, estimator._input.vocabulary_size, name)
    return sequences, n_columns is not None


def _check_list(items: list[Any], dtype: str, name: str) -> list[FloatArray]:
    """Return C-contiguous (n_steps, n_features) arrays of one type."""
    arrays = [as_real(item, dtype, f"{name}[{i}]") for i, item in enumerate(items)]
    common = arrays[0].dtype if len({array.dtype for array in arrays}) == 1 else np.dtype(dtype)
    for i, array in enumerate(arrays):
        columns = array[:, np.newaxis] if array.ndim == 1 else array
        if columns.ndim != 2 or 0 in columns.shape:
            msg = f"{name}[{i}] has shape {array.shape}, expected (n_steps, n_features), none of them 0"
            raise ValueError(msg)
        if columns.shape[1] != (width := arrays[0].shape[1] if arrays[0].ndim == 2 else 1):
            msg = f"{name}[{i}] has {columns.shape[1]} features, expected {width} (as {name}[0])"
            raise ValueError(msg)
        arrays[i] = np.ascontiguousarray(columns, dtype=common)
    return arrays


def as_real(value: Any, dtype: str, name: str) -> FloatArray:
    """Return one sequence as a native float array."""
    array = read_real(name, value)
    return array if _is_engine_type(array) else array.astype(dtype)


def real_array(value: Any, dtype: str, name: str, **options: Any) -> FloatArray:
    """Return `value` as a native, aligned float array: as it is where it is one, else converted to `dtype`."""
    array: FloatArray = check_array(value, dtype="numeric", ensure_all_finite=False, input_name=name, **options)
    if _is_engine_type(array):
        return array
    require_real(array, name)
    with np.errstate(over="ignore"):  # a long double too large becomes infinite, and is reported as that
        return array.astype(dtype)


def _is_engine_type(array: NDArray[Any]) -> bool:
    return array.dtype in {np.dtype(np.float32), np.dtype(np.float64)} and array.flags.aligned


def _require_tokens(sequences: Sequences, vocabulary_size: int, name: str) -> None:
    """Raise ValueError at the first element that is not a whole number from 0 to `vocabulary_size` - 1."""
    if sequences[0].shape[1] != 1:
        msg = f"{name} has {sequences[0].shape[1]} features per step, expected 1: vocabulary_size is {vocabulary_size}"
        raise ValueError(msg)
    for start, piece in pieces(sequences):
        wrong = (piece < 0) | (piece >= vocabulary_size) | (piece != np.floor(piece))
        if wrong.any():
            row, step, _ = np.argwhere(wrong)[0]
            msg = (
                f"{name} is {piece[row, step, 0]:.16g} at row {start + row}, step {step}, "
                f"expected a token: a whole number from 0 to {vocabulary_size - 1} (vocabulary_size - 1)"
            )
            raise ValueError(msg)


def require_finite(
    data: Sequences, dtype: str, name: str, axes: tuple[str, ...], *, missing_allowed: bool = False
) -> None:
    """Raise ValueError at the first element of (n, *axes) that is not finite as `dtype`, nor NaN if that is allowed."""
    for start, piece in pieces(data):
        _require_finite_piece(piece, dtype, name, axes, start, missing_allowed)


def _require_finite_piece(
    piece: FloatArray, dtype: str, name: str, axes: tuple[str, ...], start: int, missing_allowed: bool
) -> None:
    if missing_allowed:
        piece = np.nan_to_num(piece, nan=0, posinf=np.inf, neginf=-np.inf)
    limit = np.finfo(dtype).max
    # NaN makes both sides of the comparison false.
    if piece.max() <= limit and piece.min() >= -limit:
        return
    first = np.argwhere(~(np.abs(piece) <= limit))[0]
    value = piece[tuple(first)]
    what = "NaN" if np.isnan(value) else "infinity"
    if np.isfinite(value):
        what = f"{value}, too large for {dtype}"
    first[0] += start
    place = ", ".join(f"{axis} {index}" for axis, index in zip(("row", *axes), first, strict=False))
    msg = f"Input {name} contains {what}: {place}"
    raise ValueError(msg)
