"""Checks of arguments that are not data."""

from __future__ import annotations

import operator
from collections.abc import Collection


def check_positive(name: str, value: int) -> int:
    """Return `value`, an integer of at least 1, as an int."""
    try:
        number = operator.index(value)
    except TypeError:
        msg = f"{name} is {value!r}, expected an integer"
        raise TypeError(msg) from None
    if number < 1:
        msg = f"{name} is {number}, expected at least 1"
        raise ValueError(msg)
    return number


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        msg = f"{name} is {value!r}, expected one of {', '.join(map(repr, choices))}"
        raise ValueError(msg)
