"""Types of the public functions."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
"""An array of float32 or float64."""

Flag: TypeAlias = bool | np.bool_
"""True or False, as Python or NumPy have it."""
