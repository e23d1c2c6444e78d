"""Arguments that are true or false."""

from __future__ import annotations

import numpy as np


def checked_flag(name: str, value: object) -> bool:
    """Return `value` as a bool; 0 and 1 will do."""
    if not isinstance(value, int | np.integer | np.bool_) or value not in {0, 1}:
        msg = f"{name} is {value!r}, expected True, False, 0 or 1"
        raise TypeError(msg)
    return bool(value)
