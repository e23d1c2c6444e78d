"""Sequences to transform, the same numbers held in different ways."""

from __future__ import annotations

import numpy as np
import pytest

HELD = ("array", "table", "list", "tuple", "objects", "numbers")
"""Ways in which `held` can hold sequences; only an array and a table are of one length, only numbers are 1-D."""


def held(how, dtype=np.float64, seed=0):
    """Sequences with a mean of 5 and a standard deviation of 3."""
    rng = np.random.default_rng(seed)
    if how in {"array", "table"}:
        X = 5 + 3 * rng.normal(size=(8, 5, 2))
        return (X if how == "array" else X.reshape(8, 10)).astype(dtype)
    shape = () if how == "numbers" else (2,)
    sequences = [(5 + 3 * rng.normal(size=(length, *shape))).astype(dtype) for length in (3, 9, 1, 6)]
    if how == "objects":
        return objects(sequences)
    return tuple(sequences) if how == "tuple" else sequences


def objects(arrays):
    """Return arrays as an object array."""
    result = np.empty(len(arrays), dtype=object)
    for index, one in enumerate(arrays):
        result[index] = one
    return result


def steps_of(X, n_features=2):
    """All steps of sequences, one below the other."""
    return np.concatenate([np.asarray(one).reshape(-1, n_features) for one in X])


def assert_held_alike(result, X):
    """Fail unless both hold sequences of the same shapes in the same way; a list counts as a tuple."""
    assert type(result) is (list if isinstance(X, tuple) else type(X))
    assert [one.shape for one in result] == [one.shape for one in X]


def real_tables(n):
    """Data frames of n rows whose columns are real, though NumPy sees objects in some, and a column that has a NaN."""
    pd = pytest.importorskip("pandas")
    y = np.arange(float(n))
    plain = pd.DataFrame({"load": y, "weekend": y > 2})
    return {
        "float and bool": plain,
        "single and bool": plain.astype({"load": np.float32}),
        "nullable": plain.astype({"load": "Float64", "weekend": "boolean"}),
        "integers": pd.DataFrame({"load": y.astype(int), "weekend": y > 2}),
        "missing": pd.DataFrame({"load": pd.array([None, *range(1, n)], "Int64"), "weekend": y > 2}),
    }


TABLES = ("float and bool", "single and bool", "nullable", "integers", "missing")
