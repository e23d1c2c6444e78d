"""Small data sets, and ways of comparing fitted estimators."""

from __future__ import annotations

import numpy as np

from pylstm import make_windows


def waves(n_samples=150, n_steps=12, n_features=1, n_outputs=None):
    """Windows over noisy sine waves, and the value (or values) that follow each of them."""
    rng = np.random.RandomState(0)
    time = np.arange(n_samples + n_steps)[:, np.newaxis]
    series = np.sin(time * (0.3 + 0.1 * np.arange(n_features))) + 0.05 * rng.normal(size=(len(time), n_features))
    X, following = make_windows(series, n_steps)
    return X, following[:, 0] if n_outputs is None else np.stack(
        [following[:, 0] * (k + 1) for k in range(n_outputs)], axis=1
    )


def ragged(n_samples=40, n_features=2, longest=9):
    """Unequally long walks, and for each step whether the walk has been above zero more often than below."""
    rng = np.random.RandomState(1)
    X = [np.cumsum(rng.normal(size=(rng.randint(2, longest + 1), n_features)), axis=0) for _ in range(n_samples)]
    return X, [(np.cumsum(np.sign(x[:, 0])) > 0).astype(int) for x in X]


def objects(items):
    """An array of objects, as scikit-learn's tools index lists."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def same_bits(first, second):
    """Whether two fitted estimators have bit-equal weights."""
    one, other = first.parameters_, second.parameters_
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)
