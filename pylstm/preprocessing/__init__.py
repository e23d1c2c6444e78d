"""From series, tables and sequences to what an estimator learns from."""

from ._windows import make_windows

__all__ = [
    "make_windows",
]
