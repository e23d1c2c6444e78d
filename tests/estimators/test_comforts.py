"""Missing values, averaged weights, batches of like lengths."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

import pylstm
from pylstm import LSTMClassifier, LSTMRegressor
from pylstm.estimators import _samples

from .data import same_bits, waves


def with_holes(X, share=0.3, seed=1):
    holes = np.random.RandomState(seed).uniform(size=X.shape) < share
    return np.where(holes, np.nan, X)


# Missing values


def test_a_feature_becomes_its_value_its_mask_and_the_time_since_it_was_seen():
    model = LSTMRegressor(4, max_iter=1, standardize=False, missing="mask", random_state=0)
    X = np.array([[[1.0, np.nan], [np.nan, np.nan], [np.nan, 5.0], [2.0, np.nan]]] * 4)
    model.fit(X, np.arange(4.0))
    assert model.n_features_per_step_ == model.n_features_in_ == 2
    assert model.parameters_["layers.0.weight_ih"].shape == (16, 6)
    spelled_out = np.array(
        [
            [1, 0, 0, 1, 0, np.log(2)],
            [0, 0, 1, 1, np.log(2), np.log(3)],
            [0, 5, 1, 0, np.log(3), 0],
            [2, 0, 0, 1, 0, np.log(2)],
        ]
    )
    same = LSTMRegressor(4, max_iter=1, standardize=False, random_state=0).fit(
        np.array([spelled_out] * 4), np.arange(4.0)
    )
    assert same_bits(model, same)
    np.testing.assert_array_equal(model.predict(X), same.predict(np.array([spelled_out] * 4)))


def test_missing_values_are_an_error_that_says_where_unless_asked_for():
    X, y = waves(20)
    holes = X.copy()
    holes[3, 5, 0] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN: row 3, step 5, feature 0"):
        LSTMRegressor(4, max_iter=1).fit(holes, y)
    holes[3, 5, 0] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity: row 3, step 5, feature 0"):
        LSTMRegressor(4, max_iter=1, missing="mask").fit(holes, y)


def test_it_learns_from_what_is_there():
    X, y = waves(600)
    model = LSTMRegressor(16, max_iter=60, missing="mask", random_state=0).fit(with_holes(X[:500]), y[:500])
    assert model.score(with_holes(X[500:], seed=2), y[500:]) > 0.6


@pytest.mark.parametrize("ragged", [False, True])
def test_models_out_of_files_know_what_is_missing(tmp_path, ragged):
    X, y = waves(30)
    X = with_holes(X)
    X = [x[: 3 + i % 5] for i, x in enumerate(X)] if ragged else X
    model = LSTMClassifier(4, max_iter=2, missing="mask", random_state=0).fit(X, y > 0)
    model.save_model(tmp_path / "model")
    same, light = LSTMClassifier.load_model(tmp_path / "model"), pylstm.load_model(tmp_path / "model")
    np.testing.assert_array_equal(same.predict_proba(X), model.predict_proba(X))
    np.testing.assert_allclose(light.predict_proba(X), model.predict_proba(X), rtol=1e-6)  # in float32
    for refused in (model, light):
        with pytest.raises(ValueError, match="a stream has no memory of when a feature was last seen"):
            pylstm.Stream(refused)
    assert (pickle.loads(pickle.dumps(model)).predict(X) == model.predict(X)).all()


def test_tokens_are_never_missing():
    with pytest.raises(ValueError, match="missing is 'mask', expected 'error': tokens are never missing"):
        LSTMRegressor(missing="mask", vocabulary_size=3).fit(np.zeros((4, 3)), np.zeros(4))


def test_scikit_learns_checks_pass_with_missing_values():
    check_estimator(LSTMRegressor(missing="mask"), on_skip=None)


# Averaged weights


def test_averages_are_those_of_the_updates():
    X, y = waves(60)
    decay = 0.75
    options = {"hidden_size": 4, "batch_size": 60, "tol": None, "random_state": 0, "dtype": "float64"}
    each = []
    for n in range(1, 5):
        each.append(LSTMRegressor(max_iter=n, **options).fit(X, y).parameters_)
    start = LSTMRegressor(max_iter=1, learning_rate_init=1e-300, **options).fit(X, y).parameters_
    averaged = LSTMRegressor(max_iter=4, weight_averaging=decay, **options).fit(X, y).parameters_
    for name, initial in start.items():
        expected = initial
        for latest in each:
            expected = decay * expected + (1 - decay) * latest[name]
        np.testing.assert_allclose(averaged[name], expected, rtol=1e-12, atol=1e-14)


def test_averaged_training_goes_on_as_if_never_stopped():
    X, y = waves(100)
    model = LSTMRegressor(6, max_iter=6, weight_averaging=0.9, tol=None, random_state=0)
    whole = clone(model).fit(X, y)
    parts = clone(model).set_params(max_iter=2, warm_start=True).fit(X, y)
    parts = pickle.loads(pickle.dumps(parts)).set_params(max_iter=4).fit(X, y)
    assert same_bits(whole, parts)
    assert whole.loss_curve_ == parts.loss_curve_


def test_validation_is_of_the_averages():
    X, y = waves(200)
    model = LSTMRegressor(6, max_iter=3, weight_averaging=0.95, tol=None, random_state=0)
    model.fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    expected = np.mean((model.predict(X[150:]) - y[150:]) ** 2)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-5)


# Batches of like lengths


def test_batches_hold_like_lengths_and_every_sequence_once():
    random = np.random.RandomState(0)
    X = [np.zeros((length, 1)) for length in random.randint(1, 100, size=1000)]
    order = _samples.epoch_order(np.arange(1000), random, seed=3, epoch=2)
    bucketed = _samples.bucketed(order, X, 32, random, seed=3, epoch=2)
    assert sorted(bucketed) == list(range(1000))

    def spread(rows):
        return np.mean([np.ptp([len(X[row]) for row in rows[first : first + 32]]) for first in range(0, 1000, 32)])

    assert spread(bucketed) < 0.2 * spread(order)
    first_lengths = [len(X[row]) for row in bucketed[::32]]
    assert first_lengths != sorted(first_lengths)
    assert (bucketed == _samples.bucketed(order, X, 32, random, seed=3, epoch=2)).all()


def test_bucketing_changes_the_batches_alone():
    X, y = waves(100)
    ragged = [x[: 2 + i % 9] for i, x in enumerate(X)]
    model = LSTMRegressor(4, max_iter=3, bucket_by_length=True, random_state=0)
    assert same_bits(clone(model).fit(ragged, y), clone(model).fit(ragged, y))
    assert not same_bits(clone(model).fit(ragged, y), clone(model).set_params(bucket_by_length=False).fit(ragged, y))
