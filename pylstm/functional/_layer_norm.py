"""Gains and biases of layer normalisation."""

from __future__ import annotations

from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from pylstm.typing import FloatArray


class LayerNorm(NamedTuple):
    """Layer normalisation (Ba, Kiros & Hinton 2016) of an LSTM or a GRU: what it scales with.

    Attributes
    ----------
    gain_ih : array-like of shape (4H,), GRU: (3H,), optional
        Of the input product, gate by gate. Default: ones.
    gain_hh : array-like of shape (4H,), GRU: (3H,), optional
        Of the recurrent product. Default: ones.
    gain_c, bias_c : array-like of shape (H,), optional
        Of the cell state on its way to h; an LSTM's alone. Default: ones, zeros.

    Notes
    -----
    ::

        norm(s) = (s - mean(s)) / sqrt(var(s) + 1e-5)
        sums of the gates = gain_ih norm(W_ih x) + gain_hh norm(W_hh h) + b
        h = o tanh(gain_c norm(c) + bias_c)

    Means and variances are over all gates and units of a row; the GRU normalises r and z together and n alone. The
    biases of the paper's two norms add up to b.
    """

    gain_ih: ArrayLike | None = None
    gain_hh: ArrayLike | None = None
    gain_c: ArrayLike | None = None
    bias_c: ArrayLike | None = None


_OfCell = TypeVar("_OfCell", FloatArray, None)


class LayerNormGradients(LayerNorm, Generic[_OfCell]):
    """The gradients of gains and biases: arrays, and None for what a GRU does not have."""

    gain_ih: FloatArray
    gain_hh: FloatArray
    gain_c: _OfCell
    bias_c: _OfCell

    @classmethod
    def _of(cls, rows: FloatArray, gates: int, *, has_memory: bool) -> Self:
        """Return views of the engine's rows of H."""
        ends = [gates, 2 * gates, 2 * gates + 1] if has_memory else [gates]
        hidden_size = len(rows) // (2 * gates + 2 * has_memory)
        return cls(*np.split(rows, [end * hidden_size for end in ends]))
