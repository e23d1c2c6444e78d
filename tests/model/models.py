"""Small fitted estimators of every kind, and inputs that C++ can make, too."""

from __future__ import annotations

import numpy as np

from pylstm import LSTMRegressor
from pylstm.estimators._parameters import CELLS

PARAMETERS = [
    parameters
    for cell in CELLS
    for parameters in (
        {"cell": cell, "hidden_size": 5},
        {"cell": cell, "hidden_size": [4, 3], "bidirectional": True, "pooling": "mean"},
        {"cell": cell, "hidden_size": 3, "num_layers": 2, "pooling": "max", "dropout": 0.25},
    )
] + [{"cell": cell, "hidden_size": [5, 4], "proj_size": 3} for cell in ("lstm", "layernorm_lstm")]


def inputs(n_samples=4, n_steps=6, n_features=2):
    """Exact numbers, of a formula without rounding."""
    n, t, k = np.ogrid[:n_samples, :n_steps, :n_features]
    return (((7 * n + 3 * t + k) % 11 - 5) / 8).astype(np.float32)


def fitted(*, n_outputs=None, **parameters):
    """Fit for an epoch or two; what is learnt does not matter."""
    X = inputs(16)
    y = X.sum(axis=(1, 2)) / 4
    y = y if n_outputs is None else np.stack([y * k for k in range(1, n_outputs + 1)], axis=1)
    return LSTMRegressor(**{"max_iter": 2, "random_state": 0} | parameters).fit(X, y)


def name_of(parameters):
    """Return an identifier for pytest, or a file."""
    return "-".join(str(value).replace(" ", "") for value in parameters.values())
