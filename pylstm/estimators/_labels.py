"""Labels of any type as numbers of classes, of sequences or of their steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import type_of_target

from pylstm.model._readout import Classes, Sequences, TargetForm

from ._validation import check_targets, listed


def encode_labels(
    y: Any, X: Sequences, known: Classes | None, *, is_table: bool, targets: str, dtype: str, name: str
) -> tuple[Sequences, TargetForm, Classes]:
    """Return labels as numbers, what they looked like, and the classes: `known` ones, or those found.

    Parameters
    ----------
    y : array-like or list
        See `LSTMClassifier.fit`.
    X : Sequences
        What they belong to.
    known : Classes or None
        What the labels have to be.
    is_table, targets, dtype, name
        As for `check_targets`.
    """
    if y is None:
        msg = f"requires {name} to be passed, but the target y is None"
        raise ValueError(msg)
    items = listed(y)
    arrays = [np.asarray(y)] if items is None else [np.asarray(item) for item in items]
    if items is None and arrays[0].ndim == 2 and arrays[0].shape[1] == 1 and targets != "per_step":
        arrays[0] = column_or_1d(arrays[0], warn=True)
    per_step, several = _understand(
        arrays[0], X, listed_items=items is not None, is_table=is_table, targets=targets, name=name
    )
    if known is not None and several != known.several:
        msg = f"{name} has {'several labels' if several else 'one label'} at once, expected it the other way, as before"
        raise ValueError(msg)
    classes = known
    if several:
        if any(np.any((array != 0) & (array != 1)) for array in arrays):
            msg = f"{name} has several labels at once, expected 0 and 1 only; Unknown label type: {type_of_target(y)}"
            raise ValueError(msg)
        coded = arrays
        classes = classes or Classes(np.arange(arrays[0].shape[-1]), several=True)
    else:
        coded, classes = _numbers(arrays, classes, name)
    encoded, form = check_targets(
        coded[0] if items is None else coded,
        X,
        is_table=is_table,
        targets="per_step" if per_step else "per_sequence",
        dtype=dtype,
        name=name,
    )
    return encoded, form, classes


def _understand(
    array: NDArray[Any], X: Sequences, *, listed_items: bool, is_table: bool, targets: str, name: str
) -> tuple[bool, bool]:
    """Return whether labels are of steps, and whether there are several at once; `array` holds all or the first."""
    if listed_items:
        return True, array.ndim == 2 and array.shape[1] > 1
    if array.ndim != 2:
        return array.ndim > 2, array.ndim == 3 and array.shape[2] > 1
    if targets != "auto":
        return targets == "per_step", targets == "per_sequence"
    if type_of_target(array) == "multilabel-indicator":
        return False, True
    if not is_table and len(array) == len(X) and all(len(x) == array.shape[1] for x in X):
        return True, False
    msg = (
        f"{name} has shape {array.shape}, expected ({len(X)},), one label for each step of X, or several labels at "
        f"once as 0 and 1; Unknown label type: {type_of_target(array)}"
    )
    raise ValueError(msg)


def _numbers(arrays: list[NDArray[Any]], known: Classes | None, name: str) -> tuple[list[NDArray[Any]], Classes]:
    labels = np.concatenate([array.ravel() for array in arrays])
    if labels.size == 0:
        msg = f"{name} is empty, expected one label for each sample of X"
        raise ValueError(msg)
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            msg = f"Input {name} contains NaN or infinity"
            raise ValueError(msg)
        if (labels != np.floor(labels)).any():
            msg = f"Unknown label type: {name} is continuous, expected classes; LSTMRegressor is for numbers"
            raise ValueError(msg)
    classes = known or Classes(np.unique(labels), several=False)
    if len(classes.labels) < 2:
        msg = f"{name} has one class, {classes.labels[0]!r}, expected at least 2 classes"
        raise ValueError(msg)
    numbers = np.searchsorted(classes.labels, labels)
    found = numbers < len(classes.labels)
    found[found] = classes.labels[numbers[found]] == labels[found]
    if not found.all():
        msg = f"{name} has the label {labels[np.argmin(found)]!r}, expected one of {classes.labels.tolist()}"
        raise ValueError(msg)
    ends = np.cumsum([array.size for array in arrays])[:-1]
    return [part.reshape(array.shape) for part, array in zip(np.split(numbers, ends), arrays, strict=True)], classes
