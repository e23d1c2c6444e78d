"""Windows hold the right rows, share the series' memory, and say what is wrong with bad input."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylstm import LSTMRegressor, make_windows

from .data import TABLES, real_tables


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


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_real_columns_are_series_and_further_inputs(kind):
    table = real_tables(9)[kind]
    dtype = np.float32 if kind == "single and bool" else np.float64
    values = np.column_stack([table[name].to_numpy(dtype, na_value=np.nan) for name in table])
    X, y = make_windows(table, 3)
    assert X.dtype == dtype
    np.testing.assert_array_equal(X, make_windows(values, 3)[0])
    np.testing.assert_array_equal(y, values[3:])
    beside = make_windows(np.arange(9.0), 3, exog=table, future_exog=table)
    np.testing.assert_array_equal(beside[0], make_windows(np.arange(9.0), 3, exog=values, future_exog=values)[0])


def test_a_table_with_another_column_is_a_type_error():
    table = real_tables(9)["float and bool"].assign(day=[*"mondaymon"])
    with pytest.raises(TypeError, match="series has dtype object, expected real numbers"):
        make_windows(table, 3)


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


@given(
    n_timesteps=st.integers(1, 5),
    horizons=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    stride=st.integers(1, 4),
    surplus=st.integers(0, 12),
    features=st.sampled_from([(), (1,), (3,)]),
)
def test_several_horizons_are_those_of_one_side_by_side(n_timesteps, horizons, stride, surplus, features):
    n = n_timesteps + max(horizons) + surplus
    series = np.arange(n * int(np.prod(features)), dtype=float).reshape(n, *features)
    X, y = make_windows(series, n_timesteps, horizons, stride)
    assert np.shares_memory(X, series)
    assert y.shape == (len(X), len(horizons) * int(np.prod(features)))
    apart = [make_windows(series, n_timesteps, horizon, stride) for horizon in horizons]
    expected = np.concatenate([y_one[: len(X)].reshape(len(X), -1) for _, y_one in apart], axis=1)
    np.testing.assert_array_equal(y, expected)
    shortest = min((X_one for X_one, _ in apart), key=len)  # the windows of the farthest target
    np.testing.assert_array_equal(X, shortest)


def test_a_sequence_of_one_horizon_has_two_dimensions():
    _, y = make_windows(np.arange(9.0), 3, horizon=[2])
    assert y.shape == (5, 1)


@pytest.mark.parametrize("horizons", [range(1, 4), (1, 2, 3), np.array([1, 2, 3])])
def test_any_sequence_of_integers_is_horizons(horizons):
    _, y = make_windows(np.arange(9.0), 3, horizon=horizons)
    assert y[0].tolist() == [3, 4, 5]


def test_the_network_forecasts_several_horizons():
    X, y = make_windows(np.sin(0.1 * np.arange(200, dtype=np.float32)), 10, horizon=range(1, 6))
    assert LSTMRegressor(4, max_iter=1).fit(X, y).predict(X).shape == (len(X), 5)


@pytest.mark.parametrize("several", [list, tuple, "objects"])
@pytest.mark.parametrize("horizon", [2, [1, 3]])
@pytest.mark.parametrize("features", [(), (2,)])
def test_several_series_give_their_windows_one_below_the_other(several, horizon, features):
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(n, *features)) for n in (9, 20, 9)]
    if several == "objects":
        held = np.empty(3, object)
        held[:] = series
    else:
        held = several(series)
    X, y = make_windows(held, 4, horizon, stride=2)
    apart = [make_windows(one, 4, horizon, stride=2) for one in series]
    np.testing.assert_array_equal(X, np.concatenate([X_one for X_one, _ in apart]))
    np.testing.assert_array_equal(y, np.concatenate([y_one for _, y_one in apart]))


def test_a_pandas_series_of_arrays_is_several_series():
    pd = pytest.importorskip("pandas")
    arrays = [np.arange(6.0), np.arange(10.0, 15.0)]
    X, y = make_windows(pd.Series(arrays, index=["a", "b"]), 3)
    np.testing.assert_array_equal(X, make_windows(arrays, 3)[0])
    np.testing.assert_array_equal(y, make_windows(arrays, 3)[1])


def test_the_windows_of_several_series_are_new_and_writable():
    series = [np.zeros(9), np.zeros(12)]
    X, y = make_windows(series, 3)
    assert X.flags.writeable
    assert y.flags.writeable
    assert not any(np.shares_memory(X, one) for one in series)


def test_a_list_of_one_series_is_viewed_like_the_series():
    series = np.zeros(1000)
    X, y = make_windows([series], 100)
    assert np.shares_memory(X, series)
    assert np.shares_memory(y, series)


def test_nested_lists_of_numbers_are_one_series():
    X, _ = make_windows([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], 2)
    np.testing.assert_array_equal(X, [[[1, 2], [3, 4]]])


def test_a_list_of_numpys_numbers_is_one_series():
    X, y = make_windows([*np.arange(4.0)], 2)
    assert X.shape == (2, 2, 1)
    assert y.tolist() == [2, 3]


def test_series_of_different_types_fit_in_one():
    X, y = make_windows([np.zeros(9, np.float32), np.zeros(9)], 2)
    assert X.dtype == y.dtype == np.float64


@pytest.mark.parametrize("horizon", [1, 4])
def test_what_is_known_ahead_is_what_rolling_did(horizon):
    rng = np.random.default_rng(0)
    series, known = rng.normal(size=(30, 2)), rng.normal(size=(30, 3))
    X, y = make_windows(series, 5, horizon=horizon, future_exog=known)
    X_rolled, y_rolled = make_windows(series, 5, horizon=horizon, exog=np.roll(known, -horizon, axis=0))
    np.testing.assert_array_equal(X, X_rolled)
    np.testing.assert_array_equal(y, y_rolled)


@pytest.mark.parametrize("stride", [1, 3])
def test_the_last_step_shows_what_is_known_of_every_target(stride):
    time = np.arange(40.0)
    X, y = make_windows(time, 6, horizon=[1, 5, 2], stride=stride, exog=-time, future_exog=np.c_[time, time + 100])
    assert X.shape[2] == 1 + 1 + 3 * 2
    np.testing.assert_array_equal(X[:, :, 1], -X[:, :, 0])
    np.testing.assert_array_equal(X[:, -1, 2::2], y)
    np.testing.assert_array_equal(X[:, -1, 3::2], y + 100)


def test_further_inputs_of_several_series_are_lists():
    series = [np.arange(9.0), np.arange(100.0, 120.0)]
    X, y = make_windows(series, 3, horizon=2, exog=[-one for one in series], future_exog=series)
    np.testing.assert_array_equal(X[:, :, 1], -X[:, :, 0])
    np.testing.assert_array_equal(X[:, -1, 2], y)


def test_what_is_known_ahead_takes_the_type_of_the_series():
    X, _ = make_windows(np.zeros(10, np.float32), 3, future_exog=np.arange(10))
    assert X.dtype == np.float32


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, r"series\[1\] has 4 steps, expected at least 5", {"series": [np.zeros(9), np.zeros(4)]}),
        (ValueError, r"series\[1\] has shape \(9, 2\), expected \(n,\)", {"series": [np.zeros(9), np.zeros((9, 2))]}),
        (TypeError, r"series\[0\] has dtype <U1, expected real", {"series": [np.array(["a"]), np.zeros(9)]}),
        (TypeError, "exog is of type ndarray, expected a list of arrays", {"exog": np.zeros((2, 9))}),
        (ValueError, r"exog holds 1 arrays, expected 2", {"exog": [np.zeros(9)]}),
        (ValueError, r"exog\[1\] has shape \(8,\), expected 9 rows", {"exog": [np.zeros(9), np.zeros(8)]}),
        (
            ValueError,
            r"future_exog\[1\] has shape \(9, 1\), expected \(n, 2\)",
            {"future_exog": [np.zeros((9, 2)), np.zeros((9, 1))]},
        ),
        (
            ValueError,
            r"future_exog has shape \(8,\), expected 9 rows",
            {"series": np.zeros(9), "future_exog": np.ones(8)},
        ),
        (ValueError, "horizon is empty", {"horizon": []}),
        (ValueError, r"horizon\[1\] is 0, expected at least 1", {"horizon": [1, 0]}),
        (TypeError, r"horizon\[0\] is 1.5, expected an integer", {"horizon": [1.5]}),
    ],
)
def test_what_is_wrong_with_several_is_named(error, message, arguments):
    with pytest.raises(error, match=message):
        make_windows(**{"series": [np.zeros(9), np.zeros(9)], "n_timesteps": 4} | arguments)


def test_sparse_columns_beside_others_are_read():
    pd = pytest.importorskip("pandas")
    load = np.arange(9.0)
    sparse = pd.DataFrame({"load": pd.arrays.SparseArray(load), "weekend": load > 2})
    windows = make_windows(sparse, 3)
    for got, expected in zip(windows, make_windows(np.column_stack([load, load > 2]), 3), strict=True):
        np.testing.assert_array_equal(got, expected)
