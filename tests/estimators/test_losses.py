"""What is minimised, compared with scikit-learn's metrics and by central differences; and what is predicted."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import (
    log_loss,
    mean_absolute_error,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_squared_error,
    r2_score,
)
from sklearn.preprocessing import StandardScaler

from pylstm import LSTMClassifier, LSTMRegressor

from .data import ragged, waves

N_TRAIN, N_VAL = 60, 30
CLOSE = {"rel": 1e-12}  # float64 both times, and sums of 30 numbers


def weights(n):
    return np.linspace(0.1, 2, n)


def labels(y, kind):
    if kind == "binary":
        return (y > 0.2).astype(int)
    if kind == "classes":
        return np.digitize(y, [-0.5, 0.5])
    return np.stack([y > 0, y > 0.5, y < -0.3], axis=1).astype(int)


def huber(y, p, delta, sample_weight):
    error = np.abs(y - p)
    each = np.where(error <= delta, error**2 / 2, delta * (error - delta / 2))
    return np.average(each, weights=sample_weight)


def poisson(y, p, sample_weight):
    """Half the deviance, but for what does not depend on the prediction."""
    constant = np.average(np.where(y > 0, y * np.log(np.where(y > 0, y, 1)) - y, 0), weights=sample_weight)
    return mean_poisson_deviance(y, p, sample_weight=sample_weight) / 2 - constant


LEVELS = [0.9, 0.1, 0.5]
REGRESSION = {
    "squared_error": ({}, mean_squared_error),
    "absolute_error": ({}, mean_absolute_error),
    "huber": ({"huber_delta": 0.3}, partial(huber, delta=0.3)),
    "quantile": ({"quantile": 0.8}, partial(mean_pinball_loss, alpha=0.8)),
    "poisson": ({}, poisson),
}


def one_epoch(model, X, y, **fit):
    model.set_params(max_iter=1, dtype="float64", random_state=0)
    return model.fit(X[:N_TRAIN], y[:N_TRAIN], X_val=X[N_TRAIN:], y_val=y[N_TRAIN:], **fit)


@pytest.mark.parametrize("loss", REGRESSION)
def test_losses_of_regression_are_the_metrics_of_scikit_learn(loss):
    parameters, metric = REGRESSION[loss]
    X, y = waves(N_TRAIN + N_VAL)
    if loss == "poisson":
        y = np.round(3 * (y + 1.2))
    model = one_epoch(LSTMRegressor(5, loss=loss, **parameters), X, y, sample_weight_val=weights(N_VAL))
    expected = metric(y[N_TRAIN:], model.predict(X[N_TRAIN:]), sample_weight=weights(N_VAL))
    assert model.validation_loss_curve_[0] == pytest.approx(expected, **CLOSE)
    assert model.best_loss_ == model.validation_loss_curve_[0]


def test_the_loss_of_several_quantiles_is_the_mean_over_them():
    X, y = waves(N_TRAIN + N_VAL, n_outputs=2)
    model = one_epoch(LSTMRegressor(5, loss="quantile", quantile=LEVELS), X, y)
    # At once they are the network's own, unsorted outputs: read them in an order in which they do not cross.
    predicted = model._outputs(X[N_TRAIN:]).reshape(N_VAL, 2, 3)
    expected = [mean_pinball_loss(y[N_TRAIN:], predicted[..., k], alpha=level) for k, level in enumerate(LEVELS)]
    assert model.validation_loss_curve_[0] == pytest.approx(np.mean(expected), **CLOSE)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["binary", "classes", "several"])
def test_losses_of_classification_are_the_log_loss(kind, smoothing):
    X, y = waves(N_TRAIN + N_VAL)
    y = labels(y, kind)
    model = one_epoch(LSTMClassifier(5, label_smoothing=smoothing), X, y, sample_weight_val=weights(N_VAL))
    p, expected = model.predict_proba(X[N_TRAIN:]), y[N_TRAIN:]
    if kind == "several":  # every label is a task of two classes
        each = -np.where(expected, 1 - smoothing / 2, smoothing / 2) * np.log(p)
        each = (each - np.where(expected, smoothing / 2, 1 - smoothing / 2) * np.log(1 - p)).mean(axis=1)
    else:
        wanted = np.eye(p.shape[1])[expected] * (1 - smoothing) + smoothing / p.shape[1]
        each = -(wanted * np.log(p)).sum(axis=1)
    assert model.validation_loss_curve_[0] == pytest.approx(np.average(each, weights=weights(N_VAL)), **CLOSE)
    if kind != "several" and smoothing == 0:
        assert np.mean(each) == pytest.approx(log_loss(expected, p), **CLOSE)


def test_weights_of_classes_come_from_training_and_count_in_validation_too():
    X, y = waves(N_TRAIN + N_VAL)
    y = labels(y, "classes")
    model = one_epoch(LSTMClassifier(5, class_weight="balanced"), X, y, sample_weight_val=weights(N_VAL))
    of_class = N_TRAIN / (3 * np.bincount(y[:N_TRAIN]))
    own = weights(N_VAL) * of_class[y[N_TRAIN:]]
    assert model.validation_loss_curve_[0] == pytest.approx(
        log_loss(y[N_TRAIN:], model.predict_proba(X[N_TRAIN:]), sample_weight=own), **CLOSE
    )
    score = model.score(X[N_TRAIN:], y[N_TRAIN:], weights(N_VAL))
    assert model.validation_scores_[0] == pytest.approx(score, **CLOSE)


def test_the_loss_of_steps_is_the_mean_over_all_of_them():
    X, y = ragged()
    model = LSTMClassifier(4, max_iter=1, dtype="float64", random_state=0).fit(X, y, X_val=X, y_val=y)
    p = np.concatenate(model.predict_proba(X))
    assert model.validation_loss_curve_[0] == pytest.approx(log_loss(np.concatenate(y), p), **CLOSE)


# One step of plain gradient descent moves the head's bias by the learning rate times the mean slope of the loss.

RATE, STEP = 1e-3, 1e-5
# Central differences: STEP**2 of the third derivative, and rounding of about 1e-16 / STEP.
SLOPE = {"rel": 1e-6, "abs": 1e-9}


def moved_bias(model, X, y, weight):
    """The slope of the loss by the head's bias at the start, and a network at the start."""
    plain = {"solver": "sgd", "momentum": 0.0, "max_grad_norm": None, "max_iter": 1, "batch_size": len(y)}
    model.set_params(random_state=0, dtype="float64", tol=None, **plain)
    bias = [
        model.set_params(learning_rate_init=rate).fit(X, y, weight).parameters_["head.bias"].copy()
        for rate in (RATE, 1e-300)
    ]
    return (bias[1] - bias[0]) / RATE, model


def by_differences(loss, outputs):
    slopes = []
    for o in range(outputs.shape[1]):
        shift = STEP * np.eye(outputs.shape[1])[o]
        slopes.append((loss(outputs + shift) - loss(outputs - shift)) / (2 * STEP))
    return slopes


@pytest.mark.parametrize("loss", REGRESSION)
def test_slopes_of_regression_are_those_by_central_differences(loss):
    parameters, metric = REGRESSION[loss]
    X, y = waves(20)
    y = np.round(3 * (y + 1.2)) if loss == "poisson" else y
    slope, model = moved_bias(LSTMRegressor(5, loss=loss, **parameters), X, y, weights(20))
    link = np.exp if loss == "poisson" else np.asarray
    outputs = np.log(model.predict(X)) if loss == "poisson" else model.predict(X)
    expected = by_differences(lambda o: metric(y, link(o[:, 0]), sample_weight=weights(20)), outputs[:, np.newaxis])
    if loss in {"absolute_error", "quantile"}:
        # Descent is in units of the targets' spread: for a loss of the first degree its steps are as much larger.
        variance = np.average((y - np.average(y, weights=weights(20))) ** 2, weights=weights(20))
        expected = np.multiply(expected, 2.0 ** round(np.log2(variance) / 2))
    np.testing.assert_allclose(slope, expected, rtol=SLOPE["rel"], atol=SLOPE["abs"])


@pytest.mark.parametrize(("mean", "scale"), [(0, 1e-3), (-5, 1), (1e4, 80), (-1e6, 1e5), (0.1, 1e-2)])
def test_the_units_of_targets_do_not_matter(mean, scale):
    X, y = waves(150)
    model = LSTMRegressor(8, max_iter=30, random_state=0)
    plain, other = model.fit(X, y).predict(X), clone(model).fit(X, mean + scale * y)
    # Not the same bits: the spread is a power of two, the rest of the factor is left to the network.
    assert r2_score(plain, (other.predict(X) - mean) / scale) > 0.99
    expected = mean_squared_error(mean + scale * y, other.predict(X))
    assert other.loss_curve_[-1] == pytest.approx(expected, rel=0.5)


def test_scaling_by_a_power_of_two_changes_no_bit():
    X, y = waves(150)
    y = np.round(y * 2**10) / 2**10
    model = LSTMRegressor(8, max_iter=3, random_state=0)
    plain = model.fit(X, y).predict(X)
    assert (clone(model).fit(X, 64 * y).predict(X) == 64 * plain).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["binary", "classes", "several"])
def test_slopes_of_classification_are_those_by_central_differences(kind, smoothing):
    X, y = waves(20)
    y = labels(y, kind)
    slope, model = moved_bias(LSTMClassifier(5, label_smoothing=smoothing), X, y, weights(20))
    outputs = model.decision_function(X)

    def loss(o):
        if kind == "classes":
            log_p = o - np.log(np.exp(o).sum(axis=1, keepdims=True))
            wanted = np.eye(3)[y] * (1 - smoothing) + smoothing / 3
            return np.average(-(wanted * log_p).sum(axis=1), weights=weights(20))
        wanted = (y if kind == "several" else y[:, np.newaxis]) * (1 - smoothing) + smoothing / 2
        each = wanted * np.logaddexp(0, -o) + (1 - wanted) * np.logaddexp(0, o)
        return np.average(each.mean(axis=1), weights=weights(20))

    expected = by_differences(loss, outputs.reshape(20, -1))
    np.testing.assert_allclose(slope, expected, rtol=SLOPE["rel"], atol=SLOPE["abs"])


# What is predicted


def noise(n=600):
    rng = np.random.RandomState(0)
    return np.zeros((n, 3, 1)), rng.exponential(size=n)


def test_quantiles_never_cross_and_predict_gives_the_median():
    X, y = waves(100, n_outputs=2)
    levels = [0.9, 0.05, 0.45, 0.7]  # in no order; 0.45 is nearest to the median
    model = LSTMRegressor(5, loss="quantile", quantile=levels, max_iter=2, random_state=0).fit(X, y)
    quantiles = model.predict_quantiles(X)
    assert quantiles.shape == (100, 2, 4)
    assert (np.diff(quantiles[..., np.argsort(levels)], axis=-1) >= 0).all()
    np.testing.assert_array_equal(model.predict(X), quantiles[..., 2])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ({"loss": "squared_error"}, np.mean),
        ({"loss": "absolute_error"}, np.median),
        ({"loss": "quantile", "quantile": 0.8}, lambda y: np.quantile(y, 0.8)),
        ({"loss": "poisson"}, np.mean),
    ],
    ids=["squared_error", "absolute_error", "quantile", "poisson"],
)
def test_of_noise_what_minimises_the_loss_is_predicted(loss, expected):
    X, y = noise()
    model = LSTMRegressor(2, learning_rate="cosine", learning_rate_init=0.02, max_iter=60, tol=None, random_state=0)
    assert model.set_params(**loss).fit(X, y).predict(X[:1])[0] == pytest.approx(expected(y), abs=0.05)


def test_several_quantiles_are_learnt_at_once():
    X, y = noise()
    model = LSTMRegressor(2, loss="quantile", quantile=[0.1, 0.5, 0.9], learning_rate="cosine", max_iter=150, tol=None)
    quantiles = model.set_params(learning_rate_init=0.02, random_state=0).fit(X, y).predict_quantiles(X[:1])[0]
    np.testing.assert_allclose(quantiles, np.quantile(y, [0.1, 0.5, 0.9]), atol=0.1)


def test_quantiles_of_steps_have_the_form_of_the_targets():
    X, y = ragged()
    model = LSTMRegressor(3, loss="quantile", quantile=[0.2, 0.8], max_iter=1).fit(X, y)
    assert [q.shape for q in model.predict_quantiles(X)] == [(len(x), 2) for x in X]


def test_probabilities_of_extreme_outputs_have_finite_logarithms():
    X, y = waves(40)
    model = LSTMClassifier(4, max_iter=3, learning_rate_init=1.0, random_state=0).fit(1e3 * X, labels(y, "classes"))
    assert np.isfinite(model.predict_log_proba(1e6 * X)).all()


def test_smoothed_labels_are_predicted_with_less_confidence():
    X, y = waves(100)
    sharp, smooth = (
        LSTMClassifier(8, label_smoothing=smoothing, max_iter=60, random_state=0).fit(X, labels(y, "binary"))
        for smoothing in (0.0, 0.3)
    )
    assert smooth.predict_proba(X).max() < 0.95 < sharp.predict_proba(X).max()
    assert smooth.score(X, labels(y, "binary")) > 0.9


@pytest.mark.parametrize("loss", ["poisson", "quantile"])
def test_training_goes_on_with_what_outputs_mean(loss):
    X, y = waves(20)
    y = np.round(y + 2)
    model = LSTMRegressor(4, max_iter=1, random_state=0, warm_start=True).fit(X, y)
    before = model.predict(X)
    with pytest.raises(ValueError, match=r"expected \(.squared_error.*as in the network to go on from"):
        model.set_params(loss=loss).fit(X, y)
    assert (model.set_params(loss="huber").predict(X) == before).all()
    model.fit(X, y)
    assert model.n_iter_ == 2


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile"])
def test_outputs_of_very_different_spread_are_warned_of(loss):
    X, y = waves(60, n_outputs=2)
    model = LSTMRegressor(4, loss=loss, max_iter=1)
    with pytest.warns(UserWarning, match=r"y has outputs of standard deviations from .* to .*Scale them") as caught:
        model.fit(X, y * [1, 0.001])
    assert caught[0].filename == __file__
    model.fit(X, y * [1, 0.1])
    model.fit(X, y * [1, 0] + [0, 0.1])  # of a constant nothing is to be learnt
    TransformedTargetRegressor(model, transformer=StandardScaler()).fit(X, y * [1, 0.001])


def test_counts_of_different_size_are_no_reason_to_warn():
    X, y = waves(60, n_outputs=2)
    LSTMRegressor(4, loss="poisson", max_iter=1).fit(X, np.exp(y) * [1, 1000])
