"""Sliding windows over a series, as views of its memory."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from pylstm.typing import FloatArray


def make_windows(
    series: ArrayLike,
    n_timesteps: int,
    horizon: int = 1,
    stride: int = 1,
    exog: ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Cut a series into windows and the values that follow them.

    Parameters
    ----------
    series : array-like of shape (n,) or (n, n_features)
        One row per time step, oldest first. float32 and float64 are kept, other real types become float64.
    n_timesteps : int
        Steps in a window.
    horizon : int, default=1
        The target lies this many steps after the last step of its window.
    stride : int, default=1
        Steps from the start of one window to the start of the next.
    exog : array-like of shape (n,) or (n, n_exog), optional
        Further inputs, row for row at the time of `series`. They become the last features of every window, in the type
        of `series`, and are not forecast.

    Returns
    -------
    X : ndarray of shape (n_windows, n_timesteps, n_features + n_exog)
        ``X[i, t]`` is row ``i*stride + t``. Read-only.
    y : ndarray of shape (n_windows,) or (n_windows, n_features)
        ``y[i]`` is row ``i*stride + n_timesteps - 1 + horizon`` of `series`; 1-D if `series` is. Read-only.

    Raises
    ------
    TypeError
        If an array is not real, or an integer is not one.
    ValueError
        If an integer is below 1, a shape is wrong, or the series is too short for one window.

    Notes
    -----
    ``n_windows = (n - n_timesteps - horizon) // stride + 1``. Windows overlap, so X takes no memory of its own: it and
    y are views of `series`, and follow it if it is written to. What is copied is the series (never its windows), and
    only where there is no other way: if its type has to change, or with `exog`, whose rows must lie beside those of
    `series`.

    The last `horizon` rows of `exog` are never read. A covariate that is known ahead (a calendar, a planned price) can
    therefore be shown to the network at the time of the target by ``exog=np.roll(covariate, -horizon, axis=0)``: what
    wraps round lands in rows that are not used.

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
    """
    values = _real_array("series", series)
    n_timesteps = _positive("n_timesteps", n_timesteps)
    horizon = _positive("horizon", horizon)
    stride = _positive("stride", stride)
    n = len(values)
    if n < n_timesteps + horizon:
        msg = (
            f"series has {n} steps, expected at least {n_timesteps + horizon} "
            f"(n_timesteps={n_timesteps} for the window, horizon={horizon} for its target)"
        )
        raise ValueError(msg)

    columns = _as_columns(values)
    inputs = columns if exog is None else _beside(columns, exog)
    n_windows = (n - n_timesteps - horizon) // stride + 1
    # (n - n_timesteps + 1, n_features, n_timesteps) -> (n_windows, n_timesteps, n_features)
    X = sliding_window_view(inputs, n_timesteps, axis=0)[::stride][:n_windows].transpose(0, 2, 1)
    y = values[n_timesteps - 1 + horizon :: stride][:n_windows]
    y.flags.writeable = False
    return X, y


def _real_array(name: str, value: ArrayLike) -> FloatArray:
    array: NDArray[Any] = np.asarray(value)
    if array.dtype.kind not in "fiub":
        msg = f"{name} has dtype {array.dtype}, expected real numbers"
        raise TypeError(msg)
    if array.ndim not in {1, 2} or (array.ndim == 2 and array.shape[1] == 0):
        msg = f"{name} has shape {array.shape}, expected (n,) or (n, n_features) with at least one feature"
        raise ValueError(msg)
    # Converted here, once: an estimator would have to convert every window. np.array also brings byte-swapped floats
    # and float16 into a type that the engine reads in place.
    if array.dtype in {np.dtype(np.float32), np.dtype(np.float64)}:
        return array
    return np.array(array, dtype=np.float32 if array.dtype.newbyteorder("=") == np.float32 else np.float64)


def _as_columns(array: FloatArray) -> FloatArray:
    return array[:, np.newaxis] if array.ndim == 1 else array


def _beside(columns: FloatArray, exog: ArrayLike) -> FloatArray:
    """Return a new array of shape (n, n_features + n_exog)."""
    further = _real_array("exog", exog)
    if len(further) != len(columns):
        msg = f"exog has shape {further.shape}, expected {len(columns)} rows (one per step of series)"
        raise ValueError(msg)
    return np.concatenate([columns, _as_columns(further)], axis=1, dtype=columns.dtype, casting="same_kind")


def _positive(name: str, value: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        msg = f"{name} is {value!r}, expected an integer"
        raise TypeError(msg) from None
    if number < 1:
        msg = f"{name} is {number}, expected at least 1"
        raise ValueError(msg)
    return number
