"""From a series to what an estimator learns from."""

from ._windows import make_windows

__all__ = ["make_windows"]
