"""Sequences of different lengths as one array, and back."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arguments import check_choice, check_positive
from ._sequences import RealArray, read_sequences


def pad_sequences(
    sequences: Any, *, value: float = 0.0, length: int | None = None, where: str = "end"
) -> tuple[RealArray, NDArray[np.intp]]:
    """Bring sequences to one length.

    Parameters
    ----------
    sequences : list of array-like of shape (n_steps, n_features) or (n_steps,), or array-like
        Sequences; an array holds sequences of one length.
    value : float, default=0.0
        What is put in place of missing steps.
    length : int, optional
        Steps to bring sequences to. Default: those of the longest.
    where : {"end", "start"}, default="end"
        Where steps are added.

    Returns
    -------
    padded : ndarray of shape (n_sequences, length, n_features), or (n_sequences, length) if steps are numbers
        New array in the type that all sequences fit in. Integers become float64, unless `value` is one too.
    lengths : ndarray of int of shape (n_sequences,)
        Steps that each sequence has, as for `lengths` of `pylstm.lstm_forward`.

    Raises
    ------
    TypeError
        If something is not real numbers, or `length` not an integer.
    ValueError
        If a shape or `where` is wrong, `length` is less than a sequence has (nothing is cut off), or the type cannot
        hold `value`.

    See Also
    --------
    unpad : The way back.

    Examples
    --------
    >>> from pylstm.preprocessing import pad_sequences
    >>> import numpy as np
    >>> padded, lengths = pad_sequences([np.array([1.0, 2.0, 3.0]), np.array([4.0])], value=-1)
    >>> padded
    array([[ 1.,  2.,  3.],
           [ 4., -1., -1.]])
    >>> lengths
    array([3, 1])
    """
    check_choice("where", where, ("end", "start"))
    if not isinstance(value, Real):
        msg = f"value is {value!r}, expected a real number"
        raise TypeError(msg)
    read = read_sequences(sequences, name="sequences")
    lengths = read.lengths
    longest = int(lengths.argmax())
    n_steps = int(lengths[longest]) if length is None else check_positive("length", length)
    if n_steps < lengths[longest]:
        msg = f"length is {n_steps}, expected at least {lengths[longest]} (the steps of sequences[{longest}])"
        raise ValueError(msg)

    dtype = read.dtype if read.dtype.kind == "f" or isinstance(value, Integral) else np.dtype(np.float64)
    _require_fits(value, dtype)
    padded = np.full((len(read), n_steps, read.n_features), value, dtype=dtype)
    for row, sequence in zip(padded, read.values, strict=True):
        row[_real_steps(len(sequence), n_steps, where)] = sequence
    return padded[:, :, 0] if read.bare else padded, lengths


def unpad(padded: ArrayLike, lengths: ArrayLike, *, where: str = "end") -> list[RealArray]:
    """Cut every row of an array to its length.

    Parameters
    ----------
    padded : array-like of shape (n_sequences, n_steps, ...)
        Padded sequences, or what was computed from them step by step.
    lengths : array-like of int of shape (n_sequences,)
        Steps to keep of each row.
    where : {"end", "start"}, default="end"
        Where steps were added.

    Returns
    -------
    sequences : list of ndarray of shape (length, ...)
        Views of `padded`.

    Raises
    ------
    TypeError
        If `lengths` are not integers.
    ValueError
        If a shape or `where` is wrong, or a length is below 0 or above n_steps.

    See Also
    --------
    pad_sequences : The way there.

    Examples
    --------
    >>> from pylstm.preprocessing import unpad
    >>> unpad([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]], [3, 1])
    [array([1., 2., 3.]), array([4.])]
    """
    check_choice("where", where, ("end", "start"))
    array, counts = np.asarray(padded), np.asarray(lengths)
    if array.ndim < 2:
        msg = f"padded has shape {array.shape}, expected (n_sequences, n_steps, ...)"
        raise ValueError(msg)
    n, n_steps = array.shape[:2]
    if counts.shape != (n,):
        msg = f"lengths has shape {counts.shape}, expected ({n},) (one for each row of padded)"
        raise ValueError(msg)
    if counts.dtype.kind not in "iu":
        msg = f"lengths has dtype {counts.dtype}, expected integers"
        raise TypeError(msg)
    wrong = (counts < 0) | (counts > n_steps)
    if wrong.any():
        row = int(wrong.argmax())
        msg = f"lengths[{row}] is {counts[row]}, expected 0 to {n_steps} (the steps of padded)"
        raise ValueError(msg)
    return [row[_real_steps(count, n_steps, where)] for row, count in zip(array, counts.tolist(), strict=True)]


def _require_fits(value: Real, dtype: np.dtype[Any]) -> None:
    """Raise ValueError unless `dtype` holds `value`, rounded where it is a type of floats."""
    number = int(value) if isinstance(value, Integral) else float(value)
    if dtype.kind == "f":
        low, high = -float(np.finfo(dtype).max), float(np.finfo(dtype).max)
    elif dtype.kind == "b":
        low, high = 0, 1
    else:
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if abs(number) < np.inf and not low <= _rounded(number, dtype) <= high:
        msg = f"value is {value}, expected a number that {dtype} can hold (the type of sequences)"
        raise ValueError(msg)


def _rounded(number: float, dtype: np.dtype[Any]) -> float:
    """Return the number of this type of floats next to `number`, which may be infinite; other types: `number`."""
    if dtype.kind != "f":
        return number
    try:
        with np.errstate(over="ignore"):
            return float(dtype.type(number))
    except OverflowError:  # an integer beyond all floats
        return np.inf


def _real_steps(count: int, n_steps: int, where: str) -> slice:
    return slice(count) if where == "end" else slice(n_steps - count, None)
