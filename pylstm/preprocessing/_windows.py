"""Sliding windows over series, as views of their memory where there is only one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from pylstm.typing import FloatArray

from ._arguments import check_positive
from ._sequences import holds_arrays, read_real, require_same_columns


def make_windows(
    series: ArrayLike | Sequence[ArrayLike],
    n_timesteps: int,
    horizon: int | Sequence[int] = 1,
    stride: int = 1,
    exog: ArrayLike | Sequence[ArrayLike] | None = None,
    *,
    future_exog: ArrayLike | Sequence[ArrayLike] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Cut series into windows and the values that follow them.

    Parameters
    ----------
    series : array-like of shape (n,) or (n, n_features), or list of arrays
        One row per time step, oldest first. float32 and float64 are kept, other real types become float64. A list, a
        tuple or an object array of arrays is one series each; no window reaches from one into the next.
    n_timesteps : int
        Steps in a window.
    horizon : int or sequence of int, default=1
        The target lies this many steps after the last step of its window. A sequence asks for several targets.
    stride : int, default=1
        Steps from the start of one window to the start of the next.
    exog : array-like of shape (n,) or (n, n_exog), or list of arrays, optional
        Further inputs, row for row at the time of `series`. They become features of every window, in the type of
        `series`, and are not forecast. A list if `series` is one.
    future_exog : array-like of shape (n,) or (n, n_future), or list of arrays, optional
        Inputs that are known ahead (a calendar, a planned price), row for row at the time of `series`. Every step of a
        window shows them as they are `horizon` steps later: its last step, as they are at the time of the target. A
        list if `series` is one.

    Returns
    -------
    X : ndarray of shape (n_windows, n_timesteps, n_features + n_exog + n_horizons * n_future)
        ``X[i, t]`` is row ``i*stride + t`` of `series`, the same row of `exog`, and for each horizon h row
        ``i*stride + t + h`` of `future_exog`. Read-only, unless there are several series.
    y : ndarray of shape (n_windows,) or (n_windows, n_features)
        ``y[i]`` is row ``i*stride + n_timesteps - 1 + horizon`` of `series`; 1-D if `series` is. For a sequence of
        horizons (n_windows, n_horizons * n_features): all features at the first horizon, then all at the second.
        Read-only, unless there are several series or a sequence of horizons.

    Raises
    ------
    TypeError
        If an array is not real, an integer is not one, or there is a list of series and none of further inputs.
    ValueError
        If an integer is below 1, a shape is wrong, or a series is too short for one window.

    Notes
    -----
    ``n_windows = (n - n_timesteps - max(horizon)) // stride + 1`` of each series. Windows overlap, so X of one series
    takes no memory of its own: it and y are views of `series`, and follow it if it is written to. What is copied is the
    series (never its windows), and only where there is no other way: if its type has to change, or with `exog` or
    `future_exog`, whose rows must lie beside those of `series`. The windows of several series are new arrays, one
    below the other in the order of the series: nothing can be a view of them all.

    Windows that share steps are not independent. Split the series into training and test part first, then cut each.

    Examples
    --------
    >>> import numpy as np
    >>> from pylstm import make_windows
    >>> X, y = make_windows(np.arange(6.0), 3)
    >>> X[:, :, 0]
    array([[0., 1., 2.],
           [1., 2., 3.],
           [2., 3., 4.]])
    >>> y
    array([3., 4., 5.])

    Two series and two horizons:

    >>> X, y = make_windows([np.arange(6.0), np.arange(10.0, 15.0)], 3, horizon=[1, 2])
    >>> X[:, :, 0]
    array([[ 0.,  1.,  2.],
           [ 1.,  2.,  3.],
           [10., 11., 12.]])
    >>> y
    array([[ 3.,  4.],
           [ 4.,  5.],
           [13., 14.]])
    """
    places = [f"[{index}]" for index in range(len(series))] if holds_arrays(series) else [""]
    all_values = _read("series", series, places)
    all_past = _read("exog", exog, places) if exog is not None else [None] * len(places)
    all_future = _read("future_exog", future_exog, places) if future_exog is not None else [None] * len(places)
    n_timesteps = check_positive("n_timesteps", n_timesteps)
    horizons = _check_horizons(horizon)
    stride = check_positive("stride", stride)

    parts = []
    for place, values, past, future in zip(places, all_values, all_past, all_future, strict=True):
        n, last = len(values), max(horizons)
        if n < n_timesteps + last:
            msg = (
                f"series{place} has {n} steps, expected at least {n_timesteps + last} "
                f"(n_timesteps={n_timesteps} for the window, horizon={last} for its target)"
            )
            raise ValueError(msg)
        for name, others in (("exog", past), ("future_exog", future)):
            if others is not None and len(others) != n:
                msg = f"{name}{place} has shape {others.shape}, expected {n} rows (one per step of series{place})"
                raise ValueError(msg)
        inputs = _beside(values, past, future, horizons)
        # (n - last - n_timesteps + 1, n_features, n_timesteps) -> (n_windows, n_timesteps, n_features)
        X = sliding_window_view(inputs, n_timesteps, axis=0)[::stride].transpose(0, 2, 1)
        y = _targets(values, n_timesteps - 1, stride, len(X), horizons if np.ndim(horizon) else horizons[0])
        parts.append((X, y))
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([X for X, _ in parts]), np.concatenate([y for _, y in parts])


def _read(name: str, value: Any, places: list[str]) -> list[FloatArray]:
    """Return an array for each place: ``[""]`` is that of a single series, ``["[0]", "[1]", ...]`` those in a list."""
    if places == [""]:
        return [_real_array(name, value)]
    if not holds_arrays(value):
        msg = f"{name} is of type {type(value).__name__}, expected a list of arrays (as series)"
        raise TypeError(msg)
    if len(value) != len(places):
        msg = f"{name} holds {len(value)} arrays, expected {len(places)} (one for each series)"
        raise ValueError(msg)
    items = list(value)
    if np.shape(items[0])[1:] != (1,):  # of one column each series may have its own
        require_same_columns(items, name)
    arrays = [_real_array(f"{name}{place}", one) for place, one in zip(places, items, strict=True)]
    for place, one in zip(places, arrays, strict=True):
        if one.shape[1:] != arrays[0].shape[1:]:
            expected = "(n,)" if arrays[0].ndim == 1 else f"(n, {arrays[0].shape[1]})"
            msg = f"{name}{place} has shape {one.shape}, expected {expected} (as {name}[0])"
            raise ValueError(msg)
    return arrays


def _real_array(name: str, value: ArrayLike) -> FloatArray:
    array = read_real(name, value)
    if array.ndim not in {1, 2} or (array.ndim == 2 and array.shape[1] == 0):
        msg = f"{name} has shape {array.shape}, expected (n,) or (n, n_features) with at least one feature"
        raise ValueError(msg)
    # Converted here, once: an estimator would have to convert every window. np.array also brings byte-swapped floats
    # and float16 into a type that the engine reads in place.
    if array.dtype in {np.dtype(np.float32), np.dtype(np.float64)}:
        return array
    return np.array(array, dtype=np.float32 if array.dtype.newbyteorder("=") == np.float32 else np.float64)


def _beside(values: FloatArray, past: FloatArray | None, future: FloatArray | None, horizons: list[int]) -> FloatArray:
    """Return the inputs at the steps that a window can have: a view of `values` if there are no others."""
    n_steps = len(values) - max(horizons)
    columns = [_as_columns(values)[:n_steps]]
    if past is not None:
        columns.append(_as_columns(past)[:n_steps])
    if future is not None:
        columns += [_as_columns(future)[horizon : n_steps + horizon] for horizon in horizons]
    if len(columns) == 1:
        return columns[0]
    return np.concatenate(columns, axis=1, dtype=values.dtype, casting="same_kind")


def _targets(values: FloatArray, first: int, stride: int, n_windows: int, horizon: int | list[int]) -> FloatArray:
    """Return what lies `horizon` steps after row `first` and each row `stride` further."""
    if isinstance(horizon, int):
        y = values[first + horizon :: stride][:n_windows]
        y.flags.writeable = False
        return y
    rows: NDArray[np.intp] = first + stride * np.arange(n_windows)[:, np.newaxis] + horizon
    return values[rows].reshape(n_windows, -1)


def _as_columns(array: FloatArray) -> FloatArray:
    return array[:, np.newaxis] if array.ndim == 1 else array


def _check_horizons(horizon: int | Sequence[int]) -> list[int]:
    if np.ndim(horizon) == 0:
        return [check_positive("horizon", horizon)]  # type: ignore[arg-type]
    horizons = [check_positive(f"horizon[{index}]", one) for index, one in enumerate(horizon)]  # type: ignore[arg-type]
    if not horizons:
        msg = "horizon is empty, expected at least one integer"
        raise ValueError(msg)
    return horizons
