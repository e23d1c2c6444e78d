"""Labels of any type as numbers of classes, of sequences or of their steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import type_of_target

from pylstm.model._readout import Classes, Sequences, TargetForm

from ._targets import check_targets, fits_steps, listed_targets, understand_targets


def as_labels(y: Any) -> NDArray[Any]:
    """Return `y` as an array, of numbers where it holds numbers as objects: metrics do not know such."""
    array = np.asarray(y)
    if array.dtype != np.dtype(object) or any(isinstance(label, str) for label in array.flat):
        return array
    return np.asarray(array.tolist())


def classes_of(labels: Any, name: str) -> Classes:
    """Return the distinct ones of labels, in order, as classes of which one is right."""
    array = as_labels(labels)
    _require_finite(array, name)
    try:
        return Classes(np.unique(array), several=False)
    except TypeError:
        msg = f"{name} has labels of types {_types(array)}, expected labels that can be put in order"
        raise TypeError(msg) from None


def encode_labels(
    y: Any,
    X: Sequences,
    known: Classes | None,
    *,
    announced: bool,
    is_table: bool,
    targets: str,
    dtype: str,
    name: str,
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
    announced : bool
        Whether `known` are numbers that may as well be those of several labels at once.
    is_table, targets, dtype, name
        As for `check_targets`.
    """
    if y is None:
        msg = f"requires {name} to be passed, but the target y is None"
        raise ValueError(msg)
    if issparse(y):
        msg = f"{name} is sparse, expected a dense array: use '.toarray()'"
        raise TypeError(msg)
    items = listed_targets(y, is_table=is_table)
    arrays = [as_labels(y)] if items is None else [as_labels(item) for item in items]
    if items is None and arrays[0].ndim == 2 and arrays[0].shape[1] == 1 and targets != "per_step":
        arrays[0] = column_or_1d(arrays[0], warn=True)
    per_step, several = _understand(
        arrays[0], X, listed_items=items is not None, is_table=is_table, targets=targets, name=name
    )
    if known is not None and announced and several and np.array_equal(known.labels, np.arange(arrays[0].shape[-1])):
        known = replace(known, several=True)
    if known is not None and several != known.several:
        found, wanted = ("several labels", "one") if several else ("one label", "several")
        msg = f"{name} has {found} at once, expected {wanted} (as in the first fit, or as classes says)"
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
    zeros_and_ones = array.dtype.kind in "biuf" and bool(np.all((array == 0) | (array == 1)))
    if targets == "auto" and not (listed_items or is_table or zeros_and_ones) and fits_steps(array, X):
        return True, False
    per_step = understand_targets(None if listed_items else array, X, is_table=is_table, targets=targets, name=name)
    if listed_items or array.ndim > 2:
        n_axes = 1 if listed_items else 2  # of one label per step
        return per_step, array.ndim > n_axes and array.shape[-1] > 1
    several = array.ndim == 2 and not per_step
    if several and not zeros_and_ones:
        msg = (
            f"{name} has shape {array.shape}, expected ({len(X)},), one label for each step of X "
            f"(with targets='per_step' if X is a table), or several labels at once as 0 and 1; "
            f"Unknown label type: {type_of_target(array)}"
        )
        raise ValueError(msg)
    return per_step, several


def _numbers(arrays: list[NDArray[Any]], known: Classes | None, name: str) -> tuple[list[NDArray[Any]], Classes]:
    labels = np.concatenate([array.ravel() for array in arrays])
    if labels.size == 0:
        msg = f"{name} is empty, expected one label for each sample of X"
        raise ValueError(msg)
    _require_finite(labels, name)
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        msg = f"Unknown label type: {name} is continuous, expected classes; LSTMRegressor is for numbers"
        raise ValueError(msg)
    classes = known or classes_of(labels, name)
    if len(classes.labels) < 2:
        msg = f"{name} has one class, {classes.labels.tolist()[0]!r}, expected at least 2 classes"
        raise ValueError(msg)
    try:
        numbers = np.searchsorted(classes.labels, labels)
    except TypeError:
        msg = f"{name} has labels of types {_types(labels)}, expected those of {classes.labels.tolist()}"
        raise TypeError(msg) from None
    found = numbers < len(classes.labels)
    found[found] = classes.labels[numbers[found]] == labels[found]
    if not found.all():
        msg = f"{name} has the label {labels.tolist()[np.argmin(found)]!r}, expected one of {classes.labels.tolist()}"
        raise ValueError(msg)
    ends = np.cumsum([array.size for array in arrays])[:-1]
    return [part.reshape(array.shape) for part, array in zip(np.split(numbers, ends), arrays, strict=True)], classes


def _require_finite(labels: NDArray[Any], name: str) -> None:
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        msg = f"Input {name} contains NaN or infinity"
        raise ValueError(msg)


def _types(labels: NDArray[Any]) -> str:
    return ", ".join(sorted({type(label).__name__ for label in labels.ravel().tolist()}))
