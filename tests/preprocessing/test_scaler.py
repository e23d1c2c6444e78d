"""SequenceScaler standardises all real steps, in pieces, and takes targets back to their units."""

from __future__ import annotations

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from pylstm import LSTMRegressor, SequenceScaler, make_windows
from pylstm.preprocessing import _sequences
from pylstm.preprocessing._moments import merge, moments_of

from .data import HELD, TABLES, assert_held_alike, held, objects, real_tables, steps_of

ROUNDING = 1e-12
"""Relative: n * eps for a sum of n = 4000 float64, of values as large as their spread."""


@parametrize_with_checks(
    [SequenceScaler(), SequenceScaler(with_mean=False), SequenceScaler(with_std=False), SequenceScaler(n_timesteps=1)]
)
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize("how", HELD)
@pytest.mark.parametrize("options", [{}, {"with_mean": False}, {"with_std": False}])
def test_it_is_the_standard_scaler_of_all_steps(how, options):
    n_features = 1 if how == "numbers" else 2
    X, X_new = held(how), held(how, seed=1)
    scaler = SequenceScaler(**options, n_timesteps=5 if how == "table" else None).fit(X)
    theirs = StandardScaler(**options).fit(steps_of(X, n_features))
    result = scaler.transform(X_new)
    assert_held_alike(result, X_new)
    expected = theirs.transform(steps_of(X_new, n_features))
    np.testing.assert_allclose(steps_of(result, n_features), expected, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("how", HELD)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_inverse_leads_back(how, dtype):
    X = held(how, dtype)
    scaler = SequenceScaler(n_timesteps=5 if how == "table" else None)
    back = scaler.inverse_transform(scaler.fit_transform(X))
    assert_held_alike(back, X)
    for one, other in zip(back, X, strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(one, other, rtol=4 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float32, np.float32),
        (">f4", np.float32),
        (np.float64, np.float64),
        (np.float16, np.float64),
        (np.longdouble, np.float64),
        (np.int8, np.float64),
        (np.uint64, np.float64),
    ],
)
def test_float32_stays_float32_and_the_rest_becomes_float64(dtype, expected):
    scaler = SequenceScaler().fit(held("array", dtype))
    assert scaler.transform(held("array", dtype)).dtype == expected
    assert scaler.mean_.dtype == scaler.scale_.dtype == np.float64
    assert scaler.mean_ == pytest.approx(steps_of(held("array", dtype)).astype(float).mean(axis=0))


def test_booleans_are_numbers():
    X = np.array([[True, False], [True, True]])
    assert SequenceScaler().fit(X).mean_.tolist() == [0.75]


@pytest.mark.parametrize("kind", TABLES)
def test_lists_of_tables_are_scaled_as_one_table_is(kind):
    table = real_tables(9)[kind]
    expected = StandardScaler().fit_transform(table)
    first, second = SequenceScaler().fit_transform([table[:5], table[5:]])
    assert first.dtype == second.dtype == expected.dtype
    np.testing.assert_allclose(np.concatenate([first, second]), expected, rtol=1e-6)


def test_statistics_of_float32_are_those_of_float64():
    X = (1e4 + np.random.default_rng(0).normal(size=(100, 400, 1))).astype(np.float32)
    scaler = SequenceScaler().fit(X)
    exact = X.astype(np.float64)
    assert scaler.mean_[0] == pytest.approx(exact.mean(), rel=ROUNDING)
    assert scaler.scale_[0] == pytest.approx(exact.std(), rel=1e-10)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (0.1, np.float32),
        (-1e38, np.float32),
        (0.0, np.float64),
        (0.1, np.float64),
        (-1e300, np.float64),
        (5e-324, np.float64),
    ],
)
def test_a_constant_feature_is_centred_and_keeps_its_scale(value, dtype, monkeypatch):
    monkeypatch.setattr(_sequences.Sequences.pieces, "__defaults__", (50,))  # merged from 60 pieces
    X = np.full((10, 150, 2), value, dtype)
    X[:, :, 1] = np.arange(150)
    scaler = SequenceScaler().fit(X)
    assert scaler.scale_[0] == 1
    assert scaler.var_[0] == 0
    assert (scaler.transform(X)[:, :, 0] == 0).all()
    np.testing.assert_array_equal(scaler.inverse_transform(scaler.transform(X))[:, :, 0], X[:, :, 0])


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    n_features=st.integers(1, 3),
    offset=st.sampled_from([0.0, 1e3, -1e5]),
    missing=st.floats(0, 0.9),
    n_elements=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_pieces_make_no_difference(lengths, n_features, offset, missing, n_elements, seed):
    rng = np.random.default_rng(seed)
    X = [offset + rng.normal(size=(length, n_features)) for length in lengths]
    for one in X:
        one[rng.random(one.shape) < missing] = np.nan
    table = np.concatenate(X)
    moments = None
    for piece in _sequences.read_sequences(X).pieces(n_elements):
        moments = moments_of(piece) if moments is None else merge(moments, moments_of(piece))
    np.testing.assert_array_equal(moments.count, (~np.isnan(table)).sum(axis=0))
    for feature, column in enumerate(table.T):
        real = column[~np.isnan(column)]
        if len(real):
            assert moments.mean[feature] == pytest.approx(real.mean(), rel=ROUNDING, abs=ROUNDING)
            # Deviations carry the rounding of the offset: eps * |offset| each.
            tolerance = 1e-10 * max(1.0, abs(offset))
            assert moments.variance[feature] == pytest.approx(real.var(), rel=tolerance, abs=tolerance)
            assert moments.low[feature] == real.min()
            assert moments.high[feature] == real.max()
        else:
            assert moments.mean[feature] == moments.variance[feature] == 0


def test_partial_fit_adds_up_to_fit():
    X = held("list")
    scaler = SequenceScaler()
    for one in X:
        scaler.partial_fit([one])
    whole = SequenceScaler().fit(X)
    for name in ("mean_", "var_", "scale_", "n_steps_seen_", "data_min_", "data_max_"):
        np.testing.assert_allclose(getattr(scaler, name), getattr(whole, name), rtol=ROUNDING)


def test_fit_forgets_what_was_fitted_before():
    X = held("list")
    scaler = SequenceScaler().fit(held("array", seed=3)).fit(X)
    np.testing.assert_array_equal(scaler.mean_, SequenceScaler().fit(X).mean_)


def test_nan_is_left_out_and_stays():
    X = held("array")
    holed = X.copy()
    holed[0, :2, 0] = np.nan
    scaler = SequenceScaler().fit(holed)
    assert scaler.n_steps_seen_.tolist() == [38, 40]
    np.testing.assert_allclose(scaler.mean_, np.nanmean(holed, axis=(0, 1)))
    np.testing.assert_allclose(scaler.scale_, np.nanstd(holed, axis=(0, 1)))
    np.testing.assert_array_equal(np.isnan(scaler.transform(holed)), np.isnan(holed))


def test_a_sensor_that_starts_late_does_not_spoil_its_mean():
    late = np.full((5, 1), np.nan)
    scaler = SequenceScaler().partial_fit([late])
    assert scaler.scale_.tolist() == [1]
    scaler.partial_fit([np.array([[1.0], [3.0]])])
    assert scaler.mean_.tolist() == [2]
    assert scaler.scale_.tolist() == [1]


def test_infinity_is_an_error_and_nothing_is_forgotten():
    scaler = SequenceScaler().fit(held("array"))
    mean = scaler.mean_
    for fit in (scaler.fit, scaler.partial_fit):
        with pytest.raises(ValueError, match="X contains infinity"):
            fit(np.array([[[1.0, -np.inf]]]))
    assert scaler.mean_ is mean


@pytest.mark.parametrize("before", [SequenceScaler(), SequenceScaler().fit(held("array"))])
def test_a_fit_that_fails_leaves_everything_as_it_was(before):
    scaler = copy.deepcopy(before)
    with pytest.raises(ValueError, match="X contains infinity"):
        scaler.fit(np.full((3, 4, 3), np.inf))  # another number of features, too
    assert vars(scaler).keys() == vars(before).keys()
    if "mean_" in vars(before):
        assert np.array_equal(scaler.transform(held("array")), before.transform(held("array")))


MEGABYTES = 5e6
"""Room for a piece of 2**16 elements, gathered and as float64, and for the lengths of 50,000 sequences."""


def peak_of(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_windows_are_fitted_in_pieces():
    series = np.random.default_rng(0).normal(size=50_000).astype(np.float32)
    X, _ = make_windows(series, 200)  # 40 MB if they were spelled out
    scaler = SequenceScaler()
    assert peak_of(lambda: scaler.fit(X)) < MEGABYTES
    assert scaler.mean_[0] == pytest.approx(X.mean(dtype=np.float64), rel=1e-9)


@pytest.mark.parametrize("shape", [(4000, 500, 2), (1, 2_000_000, 2)])
def test_a_memory_mapped_array_is_fitted_in_pieces(tmp_path, shape):
    X = np.memmap(tmp_path / "X.bin", np.float64, "w+", shape=shape)  # 64 MB that are never written
    X[0, -1] = 1, 2
    X = np.memmap(tmp_path / "X.bin", np.float64, "r", shape=shape)
    scaler = SequenceScaler()
    assert peak_of(lambda: scaler.fit(X)) < MEGABYTES
    assert peak_of(lambda: SequenceScaler().fit([X[0], *X[:3]])) < MEGABYTES
    assert scaler.mean_ * X[:, :, 0].size == pytest.approx([1, 2])


def test_transforming_takes_the_memory_of_the_result():
    X, _ = make_windows(np.zeros(50_000, np.float32), 200)
    scaler = SequenceScaler().fit(X)
    assert peak_of(lambda: scaler.transform(X)) < X.size * 4 + MEGABYTES


def test_names_of_features_stay():
    pd = pytest.importorskip("pandas")
    assert SequenceScaler().fit(held("list")).get_feature_names_out().tolist() == ["x0", "x1"]
    frame = pd.DataFrame(np.zeros((3, 2)), columns=["then", "now"])
    assert SequenceScaler().fit(frame).get_feature_names_out().tolist() == ["then", "now"]


def test_a_data_frame_is_never_asked_to_hold_sequences():
    pytest.importorskip("pandas")
    X = held("array")
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(SequenceScaler().fit_transform(X), np.ndarray)
    assert not hasattr(SequenceScaler(), "set_output")


def test_it_is_cloned_and_pickled():
    X = held("list")
    scaler = SequenceScaler(with_mean=False).fit(X)
    assert clone(scaler).get_params() == {"n_timesteps": None, "with_mean": False, "with_std": True}
    same = pickle.loads(pickle.dumps(scaler))
    np.testing.assert_array_equal(steps_of(same.transform(X)), steps_of(scaler.transform(X)))


def test_another_number_of_features_is_named():
    scaler = SequenceScaler().fit(held("list"))
    for method in (scaler.transform, scaler.partial_fit, scaler.inverse_transform):
        with pytest.raises(ValueError, match="X has 3 features per step, but SequenceScaler is expecting 2"):
            method(np.zeros((2, 4, 3)))


# Targets

SERIES = np.array([[1.0, 500.0, 0.0], [3.0, 100.0, 4.0]])  # means 2, 300, 2; standard deviations 1, 200, 2


@pytest.mark.parametrize("shape", [(), (6,), (6, 4), (6, 4, 5)])
def test_one_feature_is_every_number_of_y(shape):
    scaler = SequenceScaler().fit([SERIES])
    y = np.random.default_rng(0).normal(size=shape)
    original = scaler.inverse_transform_target(y, features=1)
    np.testing.assert_allclose(original, 300 + 200 * y)
    np.testing.assert_allclose(scaler.transform_target(original, features=1), y, atol=ROUNDING)


@pytest.mark.parametrize("shape", [(2,), (6, 2), (6, 3, 2)])
def test_several_features_are_the_last_axis(shape):
    scaler = SequenceScaler().fit([SERIES])
    y = np.random.default_rng(0).normal(size=shape)
    original = scaler.inverse_transform_target(y, features=[2, 1])
    np.testing.assert_allclose(original, [2, 300] + [2, 200] * y)


def test_features_are_repeated_for_every_horizon():
    rng = np.random.default_rng(0)
    series = [3, 50, -2] + [1, 20, 0.1] * rng.normal(size=(40, 3))
    scaler = SequenceScaler().fit([series])
    _, y = make_windows(series, 5, horizon=[1, 4])
    _, y_scaled = make_windows(scaler.transform([series])[0], 5, horizon=[1, 4])
    np.testing.assert_allclose(scaler.inverse_transform_target(y_scaled, features=range(3)), y)
    np.testing.assert_allclose(scaler.transform_target(y, features=[0, 1, 2]), y_scaled)


@pytest.mark.parametrize("hold", [list, tuple, objects])
@pytest.mark.parametrize("features", [0, [0], [0, 2]])
def test_ragged_targets_are_held_alike(hold, features):
    scaler = SequenceScaler().fit([SERIES])
    y = hold([np.zeros((3, 2)), np.ones((1, 2))])
    original = scaler.inverse_transform_target(y, features=features)
    assert_held_alike(original, y)
    assert original[1][0, 0] == 2 + 1


@pytest.mark.parametrize(
    ("dtype", "expected"), [(np.float32, np.float32), (">f4", np.float32), (np.float64, np.float64), (int, np.float64)]
)
def test_targets_keep_single_precision(dtype, expected):
    scaler = SequenceScaler().fit([SERIES])
    y = np.ones((3, 2), dtype)
    assert scaler.transform_target(y, features=0).dtype == expected
    assert scaler.inverse_transform_target(y, features=[0, 1]).dtype == expected
    assert (y == 1).all()


def test_targets_are_left_where_the_features_are():
    y = np.array([1.0, 2.0])
    assert SequenceScaler(with_mean=False).fit([SERIES]).transform_target(y, features=1).tolist() == [1 / 200, 2 / 200]
    assert SequenceScaler(with_std=False).fit([SERIES]).transform_target(y, features=1).tolist() == [-299, -298]


@pytest.mark.parametrize(
    ("error", "message", "y", "features"),
    [
        (ValueError, "features is 3, expected numbers from 0 to 2", np.zeros(3), 3),
        (ValueError, r"features is \[0, -1\], expected numbers from 0 to 2", np.zeros(2), [0, -1]),
        (TypeError, "features is 1.0, expected an integer or a sequence", np.zeros(3), 1.0),
        (TypeError, r"features is \[\], expected an integer or a sequence", np.zeros(3), []),
        (ValueError, r"y has shape \(4, 3\), expected a multiple of 2 \(features\)", np.zeros((4, 3)), [0, 1]),
        (ValueError, r"y has shape \(\), expected a multiple of 2", 0.0, [0, 1]),
        (ValueError, r"y\[1\] has shape \(4,\), expected a multiple of 3", [np.zeros(3), np.zeros(4)], [0, 1, 2]),
        (TypeError, "y has dtype <U1, expected real numbers", ["a"], 0),
    ],
)
def test_what_is_wrong_with_targets_is_named(error, message, y, features):
    scaler = SequenceScaler().fit([SERIES])
    for method in (scaler.transform_target, scaler.inverse_transform_target):
        with pytest.raises(error, match=message):
            method(y, features=features)


def drifting_sine():
    return (1000 + 50 * np.sin(0.2 * np.arange(300))).astype(np.float32)


def test_a_network_forecasts_in_the_units_of_the_series():
    series = drifting_sine()
    scaler = SequenceScaler().fit([series[:200]])
    X, y = make_windows(scaler.transform([series[:200]])[0], 12)
    X_test, _ = make_windows(scaler.transform([series[200:]])[0], 12)
    model = LSTMRegressor(8, max_iter=60, random_state=0).fit(X, y)
    forecast = scaler.inverse_transform_target(model.predict(X_test), features=0)
    _, y_test = make_windows(series[200:], 12)
    assert np.sqrt(np.mean((forecast - y_test) ** 2)) < 10  # the sine's standard deviation is 35


@pytest.mark.parametrize("horizon", [1, [1, 2, 3]])
def test_it_scales_targets_around_an_estimator(horizon):
    X, y = make_windows(drifting_sine(), 12, horizon=horizon)
    lstm = LSTMRegressor(8, max_iter=60, random_state=0)
    model = TransformedTargetRegressor(make_pipeline(SequenceScaler(), lstm), transformer=SequenceScaler())
    assert model.fit(X, y).score(X, y) > 0.9
    assert np.isfinite(cross_val_score(model, X, y, cv=2, error_score="raise")).all()


def test_horizons_of_several_features_are_steps_to_it():
    series = np.c_[drifting_sine(), drifting_sine() / 1000]
    X, y = make_windows(series, 12, horizon=[1, 2, 3])
    scaler = SequenceScaler(n_timesteps=3).fit(y)
    model = TransformedTargetRegressor(LSTMRegressor(4, max_iter=1), transformer=scaler).fit(X / 1000, y)
    np.testing.assert_allclose(model.transformer_.mean_, [1000, 1], rtol=0.01)
    assert model.predict(X / 1000).shape == y.shape


def test_what_is_constant_but_for_rounding_is_constant():
    X = np.full((100, 5, 1), 0.3)
    X[::2] = 0.1 + 0.2
    scaler = SequenceScaler().fit(X)
    assert scaler.scale_.tolist() == StandardScaler().fit(X.reshape(-1, 1)).scale_.tolist() == [1.0]
    assert abs(scaler.transform(X)).max() < 1e-15
