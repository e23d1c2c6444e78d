"""Checks of targets and weights, and how targets are understood: one per sequence, or one per step."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np

from pylstm.model._readout import Sequences, TargetForm
from pylstm.preprocessing._sequences import listed
from pylstm.typing import FloatArray

from ._pieces import pieces
from ._samples import flat
from ._validation import as_real, real_array, require_finite

# Differences from the mean, in units of its last digit, that are rounding: a constant.
ROUNDING = 16

# Targets whose last digit in the engine's type is more than this share of their standard deviation lose what matters.
MOST_ROUNDED = 2.0**-6


def check_targets(
    y: Any, X: Sequences, *, is_table: bool, targets: str, dtype: str, name: str = "y"
) -> tuple[Sequences, TargetForm]:
    """Return numeric targets as the engine takes them, and what they looked like.

    Parameters
    ----------
    y : array-like or list of sequences
        Targets: (n_samples,) or (n_samples, n_outputs); or one for each step, (n_samples, n_steps),
        (n_samples, n_steps, n_outputs) or a list of (n_steps_i,) or (n_steps_i, n_outputs).
    X : Sequences
        What they belong to.
    is_table : bool
        Whether X was given as a table, which has no targets per step unless `targets` says so.
    targets : {"auto", "per_sequence", "per_step"}
        How to understand y.
    dtype : {"float32", "float64"}
        The engine's type.
    name : str
        The argument's name, for messages.

    Returns
    -------
    y : Sequences
        (n_samples, n_outputs), or one per step as X.
    form : TargetForm
        What y looked like.
    """
    if y is None:
        msg = f"fit requires {name} to be passed, but the target y is None"
        raise ValueError(msg)
    items = listed_targets(y, is_table=is_table)
    array = None
    if items is None:
        array = real_array(y, "float64", name=name, ensure_2d=False, allow_nd=True, ensure_min_features=0)
    per_step = understand_targets(array, X, is_table=is_table, targets=targets, name=name)
    if not per_step:
        assert array is not None
        if array.ndim not in {1, 2} or len(array) != len(X) or 0 in array.shape:
            msg = (
                f"{name} has shape {array.shape}, expected ({len(X)},) or ({len(X)}, n_outputs) "
                "(one row for each sample of X)"
            )
            raise ValueError(msg)
        values: Sequences = array.reshape(len(array), -1)
        require_finite(values, dtype, name, ("output",))
        _warn_if_rounded(values, dtype, name)
        return np.ascontiguousarray(values, dtype=dtype), TargetForm(per_step=False, is_1d=array.ndim == 1)
    if array is not None:
        steps = _lengths(X)
        if array.ndim > 3 or len(array) != len(X) or steps != {array.shape[1]} or 0 in array.shape:
            n_steps = steps.pop() if len(steps) == 1 else "n_steps"
            msg = (
                f"{name} has shape {array.shape}, expected ({len(X)},) or ({len(X)}, n_outputs), or for one target per "
                f"step ({len(X)}, {n_steps}) or ({len(X)}, {n_steps}, n_outputs)"
            )
            raise ValueError(msg)
        values, is_1d = array.reshape(*array.shape[:2], -1), array.ndim == 2
    else:
        assert items is not None
        values, is_1d = _per_step_items(items, X, dtype, name)
    require_finite(values, dtype, name, ("step", "output"))
    _warn_if_rounded(values, dtype, name)
    return _as_engine(values, X, dtype), TargetForm(per_step=True, is_1d=is_1d)


def understand_targets(array: Any | None, X: Sequences, *, is_table: bool, targets: str, name: str) -> bool:
    """Return whether targets are one per step: `array`, or a list of sequences where that is None."""
    if targets == "per_sequence" and (array is None or array.ndim > 2):
        msg = f"{name} has one target per step, expected one per sequence: ({len(X)},) or ({len(X)}, n_outputs)"
        raise ValueError(msg)
    if array is None or array.ndim > 2:
        return True
    if targets != "auto":
        if targets == "per_step" and array.ndim == 1:
            msg = f"{name} has shape {array.shape}, one target per sequence, expected one per step of X"
            raise ValueError(msg)
        return targets == "per_step"
    if is_table or not fits_steps(array, X):
        return False
    msg = (
        f"{name} has shape {array.shape}, and X has {array.shape[1]} steps: it is taken as one target per step. "
        f"Say targets='per_step', or targets='per_sequence' if a sequence has {array.shape[1]} targets."
    )
    warn_user(msg)
    return True


def fits_steps(array: Any, X: Sequences) -> bool:
    """Return whether a 2-D array has a column for each step of every sequence of X; no other array has."""
    return array.ndim == 2 and array.shape[1] > 1 and len(array) == len(X) and _lengths(X) == {array.shape[1]}


def listed_targets(y: Any, *, is_table: bool) -> list[Any] | None:
    """Return `y` as a list of the targets of steps of each sequence if it is one, None if it is an array.

    Of a table the sequences are equally long, so that a list of equally long rows is an array to scikit-learn.
    """
    items = listed(y)
    if items is not None and is_table and not isinstance(y, np.ndarray) and len({len(item) for item in items}) == 1:
        return None
    return items


def check_weights(weight: Any, X: Sequences, *, per_step: bool, name: str = "sample_weight") -> Sequences | None:
    """Return `weight` as float64, finite, non-negative and not all zero; None stays None.

    (n_samples, 1) for weights of sequences; as X, of width 1, for weights of steps, which only targets per step have.
    """
    if weight is None:
        return None
    items = listed(weight) if per_step else None
    weights: Sequences
    if items is not None:
        columns, is_1d = _per_step_items(items, X, "float64", name)
        if not is_1d:
            msg = (
                f"{name}[0] has shape {np.shape(items[0])}, expected ({len(X[0])},) (one weight for each step of X[0])"
            )
            raise ValueError(msg)
        weights = _as_engine(columns, X, "float64")
    else:
        array = real_array(weight, "float64", name=name, ensure_2d=False, allow_nd=True)
        of_steps = per_step and array.ndim == 2 and len(array) == len(X) and _lengths(X) == {array.shape[1]}
        if not of_steps and array.shape != (len(X),):
            by_step = ", or one for each step" if per_step else ""
            msg = f"{name} has shape {array.shape}, expected ({len(X)},) (one weight for each sample of X{by_step})"
            raise ValueError(msg)
        weights = array[..., np.newaxis]
        weights = _as_engine(weights, X, "float64") if of_steps else np.ascontiguousarray(weights, dtype=np.float64)
    require_finite(weights, "float64", name, ("step",) if weights[0].ndim == 2 else ())
    total = 0.0
    for start, piece in pieces(weights):
        if piece.min() < 0:
            row = start + int(np.argwhere(piece < 0)[0][0])
            msg = f"{name} is {piece.min()} at row {row}, expected weights that are not negative"
            raise ValueError(msg)
        with np.errstate(over="ignore"):
            total += float(piece.sum())
    if total == 0 or not np.isfinite(total):
        msg = f"{name} sums to {'zero' if total == 0 else 'infinity'}, expected a positive, finite sum"
        raise ValueError(msg)
    return weights


def _lengths(X: Sequences) -> set[int]:
    """Return the numbers of steps that sequences of X have."""
    return {len(x) for x in X} if isinstance(X, list) else {X.shape[1]}


def warn_user(message: str) -> None:
    """Warn at the line that called this package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("pylstm."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)


def _warn_if_rounded(values: Sequences, dtype: str, name: str) -> None:
    """Warn if the engine's type rounds away what there is to learn: numbers far from 0 beside how much they vary."""
    if values[0].dtype == np.dtype(dtype) or name != "y":  # of validation samples nothing is learnt
        return
    table = flat(values)
    mean, deviation = abs(table.mean(axis=0)), table.std(axis=0)
    digit = np.finfo(dtype).eps * mean
    lost = (digit > MOST_ROUNDED * deviation) & (deviation > ROUNDING * np.finfo(table.dtype).eps * mean)
    if lost.any():
        worst = int(np.argmax(np.where(lost, digit / np.where(lost, deviation, 1), 0)))
        msg = (
            f"{name} is about {mean[worst]:.3g} and varies by {deviation[worst]:.3g}, of which {dtype} loses much: it "
            f'has steps of {digit[worst]:.3g} there. Subtract a constant, or say dtype="float64"'
        )
        warn_user(msg)


def _per_step_items(items: list[Any], X: Sequences, dtype: str, name: str) -> tuple[list[FloatArray], bool]:
    """Return (n_steps_i, n_outputs) arrays for the sequences of X, and whether the outputs had no axis."""
    if len(items) != len(X):
        msg = f"{name} has {len(items)} sequences, expected {len(X)} (one for each of X)"
        raise ValueError(msg)
    arrays = [as_real(item, dtype, f"{name}[{i}]") for i, item in enumerate(items)]
    is_1d = arrays[0].ndim == 1
    shape = arrays[0].shape[1:]
    for i, item in enumerate(arrays):
        if item.ndim not in {1, 2} or item.shape != (len(X[i]), *shape) or 0 in item.shape:
            expected = f"({len(X[i])},)" if is_1d else f"({len(X[i])}, {shape[0] if shape else 'n_outputs'})"
            msg = f"{name}[{i}] has shape {item.shape}, expected {expected} (one target for each step of X[{i}])"
            raise ValueError(msg)
    return [item.reshape(len(item), -1) for item in arrays], is_1d


def _as_engine(values: Sequences, X: Sequences, dtype: str) -> Sequences:
    """Return what belongs to steps as one array where X is one, else as a list."""
    if isinstance(X, list):
        return [np.ascontiguousarray(item, dtype=dtype) for item in values]
    return np.ascontiguousarray(np.stack(values) if isinstance(values, list) else values, dtype=dtype)
