"""Sequences out of a long table: one row per step, a column that says which sequence it belongs to."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pylstm.typing import FloatArray

from ._sequences import RealArray


class TableSequences(NamedTuple):
    """What `to_sequences` returns."""

    X: list[FloatArray]
    """One array of shape (n_steps, n_features) for each sequence."""
    y: RealArray | list[RealArray] | None
    """Targets of the sequences, or a list with those of their steps; None if none were asked for."""
    keys: list[Any]
    """The value of `by` for each sequence; a tuple if `by` is several columns."""


def to_sequences(
    frame: Any,
    *,
    by: Hashable | list[Hashable],
    order: Hashable,
    features: Sequence[Hashable] | None = None,
    target: Hashable | list[Hashable] | None = None,
    target_per_step: bool = False,
) -> TableSequences:
    """Turn a long table into sequences: one for each value of a column, its rows in the order of another.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per step. It is not changed, and its index not used.
    by : label or list of labels
        Columns that say which sequence a row belongs to.
    order : label
        Column that the steps of a sequence are sorted by: times, numbers, or whatever pandas can sort.
    features : list of labels, optional
        Columns that become the features of a step. Default: all that are not `by`, `order` or `target`.
    target : label or list of labels, optional
        Columns that become y.
    target_per_step : bool, default=False
        Whether every step has a target of its own, or every sequence one, which then stands in all of its rows.

    Returns
    -------
    X : list of ndarray of shape (n_steps, n_features)
        Sequences in the order in which they first appear in `frame`; views of one new array. float32 if all features
        are, otherwise float64. Missing values are NaN.
    y : ndarray of shape (n_sequences,) or (n_sequences, n_targets), list of such for the steps, or None
        Targets in the type they have; 1-D if `target` is one label. A list holds an array for each sequence.
    keys : list
        The value of `by` for each sequence; a tuple if `by` is a list.

    Raises
    ------
    TypeError
        If `frame` is not a data frame, or a feature not real numbers.
    ValueError
        If a column is not there, or twice, a value of `by` or `order` is missing, two steps of a sequence have the same
        place in the order, a target differs within a sequence, or there is no row.

    Notes
    -----
    Sequences of one source should stay together when data are split: ``groups=keys``, or a part of each key, for
    `sklearn.model_selection.GroupKFold`. A long table of sktime ("pd-multiindex") is
    ``to_sequences(X.reset_index(), by=..., order=...)``.

    Examples
    --------
    >>> import pandas as pd
    >>> from pylstm.preprocessing import to_sequences
    >>> frame = pd.DataFrame(
    ...     {"pump": ["b", "a", "b"], "hour": [2, 1, 1], "flow": [0.2, 5.0, 0.1], "broke": [True, False, True]}
    ... )
    >>> X, y, keys = to_sequences(frame, by="pump", order="hour", target="broke")
    >>> X
    [array([[0.1],
           [0.2]]), array([[5.]])]
    >>> y
    array([ True, False])
    >>> keys
    ['b', 'a']
    """
    if not all(hasattr(frame, name) for name in ("columns", "groupby", "iloc")):
        msg = f"frame is a {type(frame).__name__}, expected a pandas DataFrame"
        raise TypeError(msg)
    if isinstance(features, str):
        msg = f"features is {features!r}, expected a list of labels"
        raise TypeError(msg)
    if set(frame.index.names) & set(frame.columns):  # which is meant, pandas does not know
        frame = frame.reset_index(drop=True)
    groups, targets = _labels(by), _labels(target)
    if features is None:
        features = [name for name in frame.columns if name not in {*groups, order, *targets}]
    else:
        features = list(features)
    if not features:
        msg = "features is empty, expected at least one column besides by, order and target"
        raise ValueError(msg)
    _check_columns(frame, [*groups, order, *targets, *features])
    _check_keys(frame, groups, order)

    # Rows by sequence, and within a sequence in order; sequences are numbered as they appear.
    grouped = frame.groupby(groups, sort=False, observed=True)
    number = grouped.ngroup().to_numpy()
    in_order = frame[order].reset_index(drop=True).sort_values(kind="stable").index.to_numpy()
    rows = in_order[np.argsort(number[in_order], kind="stable")]
    lengths = np.bincount(number)
    starts = np.cumsum(lengths) - lengths
    first = rows[starts]

    X = np.split(_numbers(frame, features)[rows], starts[1:])
    keys = [*frame[by].iloc[first]]
    if isinstance(by, list):
        keys = [*frame[by].iloc[first].itertuples(index=False, name=None)]
    if target is None:
        return TableSequences(X, None, keys)
    if target_per_step:
        return TableSequences(X, np.split(frame[target].to_numpy()[rows], starts[1:]), keys)
    for name in targets:
        differs = (grouped[name].nunique(dropna=False) > 1).to_numpy()
        if differs.any():
            key = keys[int(differs.argmax())]
            msg = f"target {name!r} differs within sequence {key!r}, expected one value (or target_per_step=True)"
            raise ValueError(msg)
    return TableSequences(X, frame[target].to_numpy()[first], keys)


def _labels(value: Hashable | list[Hashable] | None) -> list[Hashable]:
    """Return the columns that an argument names; a tuple is one label, as in pandas."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _check_columns(frame: Any, names: list[Hashable]) -> None:
    """Raise ValueError unless there is a row, and every name is that of one column."""
    for name in names:
        n_columns = int((frame.columns == name).sum())
        if n_columns != 1:
            msg = f"frame has {n_columns or 'no'} column{'s' * (n_columns > 1)} {name!r}, expected one"
            raise ValueError(msg)
    if len(frame) == 0:
        msg = "frame has no row, expected at least one"
        raise ValueError(msg)


def _check_keys(frame: Any, groups: list[Hashable], order: Hashable) -> None:
    """Raise ValueError unless every row has its place in a sequence."""
    for name in (*groups, order):
        missing = frame[name].isna().to_numpy()
        if missing.any():
            msg = f"column {name!r} is missing a value in row {int(missing.argmax())}, expected one in every row"
            raise ValueError(msg)
    repeated = frame.duplicated([*groups, order]).to_numpy()
    if repeated.any():
        row = int(repeated.argmax())
        place = ", ".join(f"{name!r} {frame[name].iloc[row]}" for name in (*groups, order))
        msg = f"row {row} has the same place as one before ({place}), expected one row for each step of a sequence"
        raise ValueError(msg)


def _numbers(frame: Any, names: list[Hashable]) -> FloatArray:
    """Return columns as (n_rows, n_columns) of float32 if all of them are, otherwise float64; missing values as NaN."""
    types = [frame[name].dtype for name in names]
    for name, dtype in zip(names, types, strict=True):
        if dtype.kind not in "fiub":
            msg = f"feature {name!r} has dtype {dtype}, expected real numbers"
            raise TypeError(msg)
    single = all(dtype.kind == "f" and dtype.itemsize == 4 for dtype in types)
    numbers: FloatArray = frame[names].to_numpy(dtype=np.float32 if single else np.float64, na_value=np.nan)
    return numbers
