"""The other layout of sequences: channels, then time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._sequences import RealArray, read_sequences


def from_channels_first(X: Any) -> RealArray | list[RealArray] | NDArray[np.object_]:
    """Turn sequences of shape (n_channels, n_steps), as in aeon and sktime, into (n_steps, n_features).

    Parameters
    ----------
    X : array-like of shape (n_sequences, n_channels, n_steps) or (n_sequences, n_steps), or list of array-like
        Sequences; in a list or an object array, one of shape (n_channels, n_steps) or (n_steps,) each.

    Returns
    -------
    X : ndarray of shape (n_sequences, n_steps, n_channels), or list (object array) of ndarray (n_steps, n_channels)
        A view of `X`, or views of its elements.

    Raises
    ------
    TypeError
        If something is not real numbers.
    ValueError
        If a shape is wrong, a sequence has no step, or numbers of channels differ.

    See Also
    --------
    to_channels_first : The way back.

    Notes
    -----
    Arrays of tslearn have the layout of pylstm already, (n_sequences, n_steps, n_features), shorter sequences padded
    with NaN: ``unpad(X, (~np.isnan(X[:, :, 0])).sum(axis=1))``.

    Examples
    --------
    >>> import numpy as np
    >>> from pylstm.preprocessing import from_channels_first
    >>> from_channels_first(np.zeros((10, 2, 50))).shape
    (10, 50, 2)
    """
    read = read_sequences(X, channels_first=True)
    return read.hold(read.values) if isinstance(read.values, list) else read.values


def to_channels_first(X: Any) -> RealArray | list[RealArray] | NDArray[np.object_]:
    """Turn sequences of shape (n_steps, n_features) into (n_channels, n_steps), as in aeon and sktime.

    Parameters
    ----------
    X : array-like of shape (n_sequences, n_steps, n_features) or (n_sequences, n_steps), or list of array-like
        Sequences; in a list or an object array, one of shape (n_steps, n_features) or (n_steps,) each.

    Returns
    -------
    X : ndarray of shape (n_sequences, n_features, n_steps), or list (object array) of ndarray (n_features, n_steps)
        A view of `X`, or views of its elements.

    Raises
    ------
    TypeError
        If something is not real numbers.
    ValueError
        If a shape is wrong, a sequence has no step, or numbers of features differ.

    See Also
    --------
    from_channels_first : The way back.

    Examples
    --------
    >>> import numpy as np
    >>> from pylstm.preprocessing import to_channels_first
    >>> [one.shape for one in to_channels_first([np.zeros((50, 2)), np.zeros((30, 2))])]
    [(2, 50), (2, 30)]
    """
    read = read_sequences(X)
    if isinstance(read.values, list):
        return read.hold([one.T for one in read.values])
    return read.values.transpose(0, 2, 1)
