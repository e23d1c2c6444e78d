"""X in pieces: of an array that is mapped from a file, what has been looked at need not stay in memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pylstm import _core
from pylstm.model._readout import Sequences
from pylstm.typing import FloatArray

from ._samples import Rows, take

# Elements looked at in one piece: 8 MiB of float64, small beside a training step and large beside a call of NumPy.
PIECE = 1 << 20


def pieces(data: Sequences) -> Iterator[tuple[int, FloatArray]]:
    """Yield (n, ...) pieces of data, and the row that each begins with."""
    if isinstance(data, list):
        yield from ((row, item[np.newaxis]) for row, item in enumerate(data))
        return
    rows = max(1, PIECE // max(1, data[:1].size))
    for start in range(0, len(data), rows):
        piece = data[start : start + rows]
        yield start, piece
        _core.let_go(piece)


def chosen_pieces(data: Sequences, rows: Rows, size: int) -> Iterator[tuple[Rows, Sequences]]:
    """Yield `size` of these rows at a time, which are in ascending order, and what data has there."""
    for start in range(0, len(rows), size):
        chosen = rows[start : start + size]
        yield chosen, take(data, chosen)
        if not isinstance(data, list):
            _core.let_go(data[int(chosen[0]) : int(chosen[-1]) + 1])
