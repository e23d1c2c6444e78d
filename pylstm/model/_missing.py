"""Missing values as inputs: what is seen, whether it is, and how long ago it was."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from pylstm.typing import FloatArray

# Features that come of one: the value (0 where it is missing), 1 where it is missing, and log(1 + steps since it was
# last seen).
PER_FEATURE = 3


def with_mask(X: FloatArray) -> FloatArray:
    """Return (..., n_steps, 3 * n_features) for X (..., n_steps, n_features) with NaN where a value is missing.

    Steps are counted from the first of the sequence where nothing has been seen yet (Che et al. 2018, GRU-D).
    """
    missing = np.isnan(X)
    step = np.arange(X.shape[-2])[:, np.newaxis]
    last_seen: NDArray[np.int64] = np.maximum.accumulate(np.where(missing, -1, step), axis=-2)
    since = np.log1p(step - last_seen)
    return np.concatenate([np.where(missing, 0, X), missing, since], axis=-1).astype(X.dtype, copy=False)


def refuse_stream(what: str = "a stream") -> NoReturn:
    """Raise ValueError: `what` goes one step at a time, and reads what the network reads."""
    msg = f"missing is 'mask', expected 'error': {what} has no memory of when a feature was last seen"
    raise ValueError(msg)
