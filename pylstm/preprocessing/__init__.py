"""From series, tables and sequences to what an estimator learns from."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._channels import from_channels_first, to_channels_first
from ._long_table import TableSequences, to_sequences
from ._padding import pad_sequences, unpad
from ._windows import make_windows

if TYPE_CHECKING:
    from ._per_step import PerStep
    from ._scaler import SequenceScaler

__all__ = [
    "PerStep",
    "SequenceScaler",
    "TableSequences",
    "from_channels_first",
    "make_windows",
    "pad_sequences",
    "to_channels_first",
    "to_sequences",
    "unpad",
]

# Imported when first used: they need scikit-learn, the functions do not.
_LAZY = {"PerStep": "._per_step", "SequenceScaler": "._scaler"}


def __getattr__(name: str) -> Any:
    """Return a transformer, whose module is imported on first use."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name], __name__), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
