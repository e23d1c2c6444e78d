"""One thing after another: settings that change between two fits, and a fit while something else is going on."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from pylstm import LSTMClassifier, LSTMRegressor

from .data import same_bits, waves


def regressor(**parameters):
    return LSTMRegressor(**{"hidden_size": 5, "max_iter": 3, "random_state": 0, "tol": None} | parameters)


# Settings between two fits


def test_without_averaging_training_goes_on_from_the_average():
    X, y = waves()
    model = regressor(weight_averaging=0.9, warm_start=True).fit(X, y)
    model.set_params(weight_averaging=0.0, max_iter=60).fit(X, y)
    learnt = model.score(X, y)
    model.set_params(weight_averaging=0.9, max_iter=1, learning_rate_init=1e-12).fit(X, y)
    assert model.loss_curve_[-1] < 1.5 * model.loss_curve_[-2]
    assert model.score(X, y) == pytest.approx(learnt, abs=1e-3)


def test_quantiles_of_another_loss_do_not_matter(tmp_path):
    X, y = waves()
    model = regressor(loss="poisson", quantile=[0.1, 0.5, 0.9]).fit(X, np.exp(y))
    model.save_model(tmp_path / "model")
    loaded = LSTMRegressor.load_model(tmp_path / "model")
    for one in (loaded, model, model.set_params(quantile=0.3)):
        one.partial_fit(X, np.exp(y))
    with pytest.raises(ValueError, match="loss and quantile are"):
        model.set_params(loss="quantile").partial_fit(X, y)


def test_a_header_needs_no_settings_of_training(tmp_path):
    X, y = waves()
    model = regressor(proj_size=3).fit(X, y)
    model.export_header(tmp_path / "before.hpp")
    model.set_params(proj_size=None, recurrent_dropout=0.5).export_header(tmp_path / "after.hpp")
    assert (tmp_path / "before.hpp").read_bytes() == (tmp_path / "after.hpp").read_bytes()


@pytest.mark.parametrize("n_timesteps", [0, -1, "a"])
def test_steps_of_a_table_are_checked_when_they_are_needed(n_timesteps):
    X, y = waves()
    model = regressor().fit(X, y).set_params(n_timesteps=n_timesteps)
    with pytest.raises((TypeError, ValueError), match=f"n_timesteps is {n_timesteps!r}, expected"):
        model.predict(X[:, :, 0])


# While a fit is going on


def test_what_is_set_during_a_fit_stays_set():
    X, y = waves()
    model = regressor()

    def callback(estimator, epoch):
        model.set_params(learning_rate_init=0.25)
        model.note = "seen"

    model.set_params(callbacks=[callback]).fit(X, y)
    assert (model.learning_rate_init, model.note, model.n_iter_) == (0.25, "seen", 3)


def test_a_prediction_is_of_one_model():
    X, _ = waves()
    few, many = np.arange(len(X)) % 2, np.arange(len(X)) % 5

    class Disturbed(LSTMClassifier):
        def _outputs(self, X):
            outputs = super()._outputs(X)
            victim.fit(X, many)  # as in another thread
            return outputs

    victim = Disturbed(4, max_iter=1, random_state=0).fit(X, few)
    assert victim.predict_proba(X).shape == (len(X), 2)
    assert victim.predict_proba(X).shape == (len(X), 5)
    victim.fit(X, few)
    assert 0 <= victim.score(X, few) <= 1
    assert len(victim.classes_) == 5


# Refits that are cut short


def stop_after(n_epochs):
    def callback(estimator, epoch):
        if epoch.epoch == n_epochs:
            raise KeyboardInterrupt

    return callback


def test_epochs_without_a_score_are_epochs():
    X, y = waves(n_features=2)
    parameters = {"early_stopping": True, "scoring": lambda *_: np.nan, "callbacks": [stop_after(2)]}
    models = [regressor(**parameters), regressor().fit(X[:, :, :1], y).set_params(**parameters)]
    for model in models:
        with pytest.warns(ConvergenceWarning, match="The weights are those after the last complete batch"):
            model.fit(X, y)
        assert (model.n_iter_, model.n_features_in_) == (2, 2)
    assert same_bits(*models)


def test_nothing_better_than_the_initial_weights_leaves_the_earlier_model():
    X, y = waves()
    model = regressor(max_iter=30).fit(X, y)
    score = model.score(X, y)
    model.set_params(solver="sgd", learning_rate_init=1e3, max_grad_norm=None, momentum=0.0, batch_size=len(X))
    with pytest.warns(ConvergenceWarning, match="The weights are those of the earlier fit"):
        model.set_params(callbacks=[stop_after(2)]).fit(X, y)
    assert model.score(X, y) == score
