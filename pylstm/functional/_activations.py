"""Other activations than a cell's own: the functions of the ONNX operators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

Activation: TypeAlias = "str | tuple[str, float] | tuple[str, float, float]"
"""A name, and alpha and beta where they are not the standard's."""


def checked_activations(
    activations: Iterable[Activation] | None, roles: tuple[str, ...]
) -> list[tuple[str, float | None, float | None]] | None:
    """Name, alpha and beta of the function in each role; the engine knows the names."""
    if activations is None:
        return None
    form = "a name, (name, alpha) or (name, alpha, beta)"
    expected = f"expected None or {len(roles)} functions, {', '.join(roles)}, each {form}"
    if isinstance(activations, str) or not isinstance(activations, Iterable):
        msg = f"activations is {activations!r}, {expected}"
        raise TypeError(msg)
    given = list(activations)
    if len(given) != len(roles):
        msg = f"activations has {len(given)} functions, {expected}"
        raise ValueError(msg)
    checked = []
    for role, function in zip(roles, given, strict=True):
        parts: tuple[Any, ...] = tuple(function) if isinstance(function, tuple | list) else (function,)
        numbers = all(
            isinstance(one, int | float | np.integer | np.floating) and not isinstance(one, bool) for one in parts[1:]
        )
        msg = f"activation {role} is {function!r:.100}, expected {form}"
        if not 1 <= len(parts) <= 3 or not isinstance(parts[0], str) or not numbers:
            raise TypeError(msg)
        try:
            alpha, beta = (*(float(parameter) for parameter in parts[1:]), None, None)[:2]
        except OverflowError:
            raise ValueError(msg) from None
        if not parts[0].isidentifier():  # what is none, the engine need not spell
            raise ValueError(msg)
        checked.append((parts[0], alpha, beta))
    return checked
