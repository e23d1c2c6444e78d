"""Fitted models to stream, with arbitrary weights."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pylstm import LSTMRegressor
from pylstm.estimators._parameters import CELLS

COMBINATIONS = [
    *({"cell": cell, "dtype": dtype} for cell, dtype in product(CELLS, ("float32", "float64"))),
    *({"pooling": pooling, "hidden_size": (9, 5)} for pooling in ("mean", "max")),
    {"proj_size": 3, "num_layers": 2},
    {"cell": "layernorm_lstm", "proj_size": 3, "dtype": "float64", "pooling": "max"},
]
"""Options of the estimator."""


def name_of(options: dict[str, Any]) -> str:
    return "-".join(str(value) for value in options.values())


def sequences(
    n: int, n_steps: int = 9, n_features: int = 3, dtype: str = "float32", seed: int = 0
) -> NDArray[np.floating[Any]]:
    return np.random.default_rng(seed).normal(size=(n, n_steps, n_features)).astype(dtype)


def fitted(n_features: int = 3, n_outputs: int = 2, **options: Any) -> LSTMRegressor:
    """Return a regressor after one epoch on noise."""
    X = sequences(8, n_features=n_features)
    y = np.random.default_rng(1).normal(size=(8, n_outputs))
    options = {"hidden_size": 11, "max_iter": 1, "random_state": 0, "tol": None, **options}
    return LSTMRegressor(**options).fit(X, y[:, 0] if n_outputs == 1 else y)
