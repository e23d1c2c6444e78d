"""What is wrong with a model file."""

from __future__ import annotations


class ModelFormatError(ValueError):
    """A file is not a model that this version can read: truncated, corrupted, inconsistent, or written by a newer one.

    A file that cannot be opened or read raises `OSError` instead.
    """
