"""Windows hold the right rows, share the series' memory, and say what is wrong with bad input."""

from __future__ import annotations

import doctest
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylstm import make_windows
from pylstm.preprocessing import _windows


def by_the_definition(series, n_timesteps, horizon, stride):
    starts = range(0, len(series) - n_timesteps - horizon + 1, stride)
    X = [series[start : start + n_timesteps].reshape(n_timesteps, -1) for start in starts]
    y = [series[start + n_timesteps - 1 + horizon] for start in starts]
    return np.array(X), np.array(y)


@given(
    n_timesteps=st.integers(1, 6),
    horizon=st.integers(1, 5),
    stride=st.integers(1, 7),
    surplus=st.integers(0, 20),
    features=st.sampled_from([(), (1,), (3,)]),
)
def test_windows_and_targets_are_those_of_the_definition(n_timesteps, horizon, stride, surplus, features):
    n = n_timesteps + horizon + surplus
    series = np.arange(n * int(np.prod(features)), dtype=float).reshape(n, *features)
    X, y = make_windows(series, n_timesteps, horizon, stride)
    X_expected, y_expected = by_the_definition(series, n_timesteps, horizon, stride)
    np.testing.assert_array_equal(X, X_expected)
    np.testing.assert_array_equal(y, y_expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(50,), (50, 2)])
def test_windows_are_views_of_the_series(dtype, shape):
    series = np.zeros(shape, dtype)
    X, y = make_windows(series, 7, horizon=2, stride=3)
    assert np.shares_memory(X, series)
    assert np.shares_memory(y, series)
    assert X.dtype == y.dtype == dtype


def test_a_strided_series_is_viewed_too():
    table = np.arange(60.0).reshape(30, 2)
    X, _ = make_windows(table[::-2, 1], 3)
    assert np.shares_memory(X, table)
    np.testing.assert_array_equal(X[0, :, 0], [59, 55, 51])


def test_windows_are_read_only_and_the_series_stays_writable():
    series = np.arange(20.0)
    X, y = make_windows(series, 4)
    assert not X.flags.writeable
    assert not y.flags.writeable
    assert series.flags.writeable


def test_a_memory_mapped_series_stays_on_disk(tmp_path):
    n = 1_000_000
    path = tmp_path / "series.bin"
    np.arange(n, dtype=np.float32).tofile(path)
    series = np.memmap(path, np.float32, "r")
    tracemalloc.start()
    try:
        X, _ = make_windows(series, 1000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert X.shape == (n - 1000, 1000, 1)
    assert X[-1, -1, 0] == n - 2
    assert peak < 100_000  # bytes; the series has 4 million, its windows 4000 million


def test_exog_becomes_the_last_features_at_the_same_time():
    series, exog = np.arange(20.0), 100 + np.arange(40.0).reshape(20, 2)
    X, y = make_windows(series, 3, horizon=2, exog=exog)
    np.testing.assert_array_equal(X[4, :, 0], series[4:7])
    np.testing.assert_array_equal(X[4, :, 1:], exog[4:7])
    assert y[4] == series[8]


def test_windows_with_exog_take_the_memory_of_one_table():
    series = np.zeros(10_000)
    tracemalloc.start()
    try:
        make_windows(series, 500, exog=series)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 2 * series.nbytes  # one table of two columns, and as much again to spare


def test_exog_takes_the_type_of_the_series():
    X, _ = make_windows(np.zeros(10, np.float32), 3, exog=np.arange(10))
    assert X.dtype == np.float32


@pytest.mark.parametrize("horizon", [1, 4])
def test_a_rolled_covariate_shows_the_time_of_the_target(horizon):
    n = 30
    time = np.arange(float(n))
    X, y = make_windows(time, 5, horizon=horizon, exog=np.roll(time, -horizon))
    np.testing.assert_array_equal(X[:, -1, 1], y)  # and so nothing that wrapped round is in any window


@pytest.mark.parametrize("dtype", [bool, np.int16, np.uint64, np.float16, np.longdouble])
def test_other_real_types_become_float64(dtype):
    X, y = make_windows(np.array([0, 1, 0, 1, 1], dtype), 2)
    assert X.dtype == y.dtype == np.float64
    np.testing.assert_array_equal(y, [0, 1, 1])


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">f8", "<f8"])
def test_byte_order_does_not_matter(dtype):
    X, _ = make_windows(np.arange(5, dtype=dtype), 2)
    assert X.dtype.isnative
    assert X.dtype.itemsize == np.dtype(dtype).itemsize
    np.testing.assert_array_equal(X[:, 0, 0], [0, 1, 2])


def test_a_series_of_exactly_one_window_is_enough():
    X, y = make_windows(np.arange(6.0), 4, horizon=2)
    assert X.shape == (1, 4, 1)
    assert y.tolist() == [5]


def test_nan_passes_through():
    X, _ = make_windows([1.0, np.nan, 3.0], 2)
    assert np.isnan(X[0, 1, 0])


@pytest.mark.parametrize("series", [np.zeros(9, complex), ["a", "b"] * 5, np.zeros(9, object), np.zeros(9, "M8[s]")])
def test_what_is_not_real_is_a_type_error(series):
    with pytest.raises(TypeError, match=r"series has dtype .*, expected real numbers"):
        make_windows(series, 2)


@pytest.mark.parametrize("shape", [(), (9, 0), (9, 2, 1)])
def test_a_wrong_shape_is_named(shape):
    with pytest.raises(ValueError, match=r"series has shape .*, expected \(n,\) or \(n, n_features\)"):
        make_windows(np.zeros(shape), 2)


def test_a_short_series_says_how_long_it_should_be():
    with pytest.raises(ValueError, match=r"series has 5 steps, expected at least 6 \(n_timesteps=4 .*horizon=2"):
        make_windows(np.zeros(5), 4, horizon=2)


@pytest.mark.parametrize("name", ["n_timesteps", "horizon", "stride"])
def test_integers_are_checked(name):
    arguments = {"n_timesteps": 2}
    with pytest.raises(ValueError, match=rf"{name} is 0, expected at least 1"):
        make_windows(np.zeros(9), **arguments | {name: 0})
    with pytest.raises(TypeError, match=rf"{name} is 1.5, expected an integer"):
        make_windows(np.zeros(9), **arguments | {name: 1.5})


def test_exog_of_another_length_is_named():
    with pytest.raises(ValueError, match=r"exog has shape \(8, 2\), expected 9 rows"):
        make_windows(np.zeros(9), 2, exog=np.zeros((8, 2)))


def test_huge_integers_are_a_clear_error():
    with pytest.raises(ValueError, match="series has 9 steps"):
        make_windows(np.zeros(9), 2**62, horizon=2**62)


def test_examples_in_the_documentation_hold():
    failures, tests = doctest.testmod(_windows)
    assert tests > 0
    assert failures == 0
