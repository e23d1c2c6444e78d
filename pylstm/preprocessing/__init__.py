"""From series, tables and sequences to what an estimator learns from."""

from ._channels import from_channels_first, to_channels_first
from ._long_table import TableSequences, to_sequences
from ._padding import pad_sequences, unpad
from ._windows import make_windows

__all__ = [
    "TableSequences",
    "from_channels_first",
    "make_windows",
    "pad_sequences",
    "to_channels_first",
    "to_sequences",
    "unpad",
]
