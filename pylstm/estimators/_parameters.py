"""Checks of constructor parameters; called by fit, never by the constructor (scikit-learn's contract)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

CELLS = (
    "lstm",
    "peephole_lstm",
    "coupled_lstm",
    "layernorm_lstm",
    "gru",
    "gru_reset_before",
    "layernorm_gru",
    "rnn",
)
MERGES = ("concat", "sum")
POOLINGS = ("last", "mean", "max", "attention")


def check_integer(name: str, value: Any, *, minimum: int, maximum: int = sys.maxsize, otherwise: str = "") -> int:
    """Return `value` as an int within bounds; `otherwise`: what else there may have been, for messages."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        msg = f"{name} is {value!r}, expected an integer{otherwise and ' or '}{otherwise}"
        raise TypeError(msg)
    number = int(value)
    if number < minimum:
        msg = f"{name} is {value}, expected at least {minimum}"
        raise ValueError(msg)
    if number > maximum:
        msg = f"{name} is {value}, expected at most {maximum}"
        raise ValueError(msg)
    return number


def check_integers(name: str, value: Any, *, minimum: int) -> tuple[int, ...] | int:
    """Return `value`, an int or a sequence of them, each at least `minimum`."""
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if listed or (isinstance(value, np.ndarray) and value.ndim == 1):
        if len(value) == 0:
            msg = f"{name} is {value!r}, expected an integer or a sequence of at least one"
            raise ValueError(msg)
        return tuple(check_integer(f"{name}[{index}]", one, minimum=minimum) for index, one in enumerate(value))
    if not isinstance(value, Integral) or isinstance(value, bool):
        msg = f"{name} is {value!r}, expected an integer or a sequence of integers"
        raise TypeError(msg)
    return check_integer(name, value, minimum=minimum)


def check_real(name: str, value: Any, interval: str, *, otherwise: str = "") -> float:
    """Return `value` as a float inside `interval`, written as in mathematics: ``"[0, 1)"``, ``"(0, inf)"``.

    `otherwise`: what else there may have been, for messages.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        msg = f"{name} is {value!r}, expected a real number in {interval}{otherwise and ' or '}{otherwise}"
        raise TypeError(msg)
    number = float(value)
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = number >= low if interval[0] == "[" else number > low
    below = number <= high if interval[-1] == "]" else number < high
    if not (above and below):
        msg = f"{name} is {value}, expected a real number in {interval}"
        raise ValueError(msg)
    return number


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return `value`, one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        msg = f"{name} is {value!r}, expected one of {', '.join(map(repr, choices))}"
        raise ValueError(msg)
    return value


def check_boolean(name: str, value: Any) -> bool:
    """Return `value` as a bool."""
    if not isinstance(value, bool | np.bool_):
        msg = f"{name} is {value!r}, expected True or False"
        raise TypeError(msg)
    return bool(value)


def check_dtype(name: str, value: Any) -> str:
    """Return ``"float32"`` or ``"float64"``, for anything that NumPy reads as one of them, in native byte order."""
    try:
        # None is float64 to NumPy, and an oversight here.
        dtype = np.dtype(np.void if value is None else value)
    except TypeError:
        dtype = np.dtype(np.void)
    if dtype.name not in {"float32", "float64"} or not dtype.isnative:
        msg = f"{name} is {value!r}, expected 'float32' or 'float64'"
        raise ValueError(msg)
    return dtype.name


def check_verbosity(name: str, value: Any) -> int:
    """Return `value`, a bool or a count, as an int."""
    return int(value) if isinstance(value, bool | np.bool_) else check_integer(name, value, minimum=0)
