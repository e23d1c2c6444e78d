"""What training does with samples, weights, validation data and earlier weights."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import mean_squared_error

from pylstm import LSTMClassifier, LSTMRegressor
from pylstm.estimators import _samples

from .data import same_bits, waves

SOLVERS = ["adam", "adamw", "sgd", "rmsprop"]


def regressor(**parameters):
    return LSTMRegressor(**{"hidden_size": 6, "max_iter": 6, "random_state": 0, "tol": None} | parameters)


def classifier(**parameters):
    return LSTMClassifier(**{"hidden_size": 6, "random_state": 0} | parameters)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_learns_a_wave(solver):
    X, y = waves(300)
    rate = {"sgd": 0.05}.get(solver, 0.01)
    model = regressor(solver=solver, learning_rate_init=rate, max_iter=60).fit(X[:200], y[:200])
    assert model.score(X[200:], y[200:]) > 0.9


def test_several_outputs_and_layers_learn():
    X, y = waves(300, n_features=2, n_outputs=3)
    model = regressor(num_layers=2, dropout=0.1, hidden_size=16, max_iter=60).fit(X, y)
    assert model.n_outputs_ == 3
    assert model.predict(X).shape == y.shape
    assert model.score(X, y) > 0.8


def test_predictions_have_the_shape_of_y():
    X, y = waves(50)
    assert regressor().fit(X, y).predict(X).shape == (50,)
    assert regressor().fit(X, y[:, np.newaxis]).predict(X).shape == (50, 1)


def test_parameters_have_public_names_and_shapes_and_are_read_only():
    X, y = waves(50, n_features=3)
    parameters = regressor(num_layers=2, max_iter=1).fit(X, y).parameters_
    assert {name: array.shape for name, array in parameters.items()} == {
        "layers.0.weight_ih": (24, 3),
        "layers.0.weight_hh": (24, 6),
        "layers.0.bias": (24,),
        "layers.1.weight_ih": (24, 6),
        "layers.1.weight_hh": (24, 6),
        "layers.1.bias": (24,),
        "head.weight": (1, 6),
        "head.bias": (1,),
    }
    assert not any(array.flags.writeable for array in parameters.values())


def test_loss_curve_counts_epochs():
    model = regressor(max_iter=7).fit(*waves(50))
    assert model.n_iter_ == len(model.loss_curve_) == 7
    assert model.best_loss_ == min(model.loss_curve_)
    assert model.validation_scores_ is None
    assert model.validation_loss_curve_ is None


def test_weight_decay_makes_weights_smaller():
    X, y = waves(100)
    for solver in SOLVERS:
        free, held = (regressor(solver=solver, alpha=alpha).fit(X, y).parameters_ for alpha in (0.0, 1.0))
        assert np.square(held["layers.0.weight_hh"]).sum() < np.square(free["layers.0.weight_hh"]).sum()


PENALTY = 5  # "auto", before anything is learnt, of all samples together


@pytest.mark.parametrize(
    ("estimator", "weight", "expected"),
    [
        (regressor, None, PENALTY / 50),
        (regressor, np.full(50, 4.0), PENALTY / 200),  # weights are repetitions
        (regressor, np.full(50, 0.02), PENALTY / 50),  # or a distribution
        (regressor, np.arange(50) % 2.0, PENALTY / 25),  # weight zero is absence
        (partial(regressor, solver="adamw"), None, 0.0),
        (classifier, None, 0.0),
    ],
    ids=["samples", "repetitions", "distribution", "absence", "adamw", "classifier"],
)
def test_the_default_penalty_counts_samples(estimator, weight, expected):
    X, y = waves(50)
    y = y if estimator is not classifier else y > 0
    auto, explicit = (estimator(alpha=alpha, max_iter=1).fit(X, y, weight) for alpha in ("auto", expected))
    assert same_bits(auto, explicit)


def test_the_default_penalty_counts_steps_where_these_have_targets():
    X = np.random.default_rng(0).normal(size=(20, 7, 2))
    auto, explicit = (regressor(alpha=alpha, max_iter=1).fit(X, X[:, :, :1]) for alpha in ("auto", PENALTY / 140))
    assert same_bits(auto, explicit)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_the_default_penalty_follows_what_is_left_to_learn(loss):
    X, y = waves(50)
    constant = np.var(y) if loss == "squared_error" else np.std(y)
    auto = regressor(loss=loss, max_iter=3).fit(X, y)
    byhand = regressor(loss=loss, max_iter=1, warm_start=True, alpha=PENALTY / 50).fit(X, y)
    for _ in range(2):
        left = min(1, byhand.loss_curve_[-1] / constant)
        byhand.set_params(alpha=PENALTY / 50 * left).fit(X, y)
    np.testing.assert_allclose(auto.predict(X), byhand.predict(X), rtol=1e-4)
    assert not same_bits(auto, regressor(loss=loss, max_iter=3, alpha=PENALTY / 50).fit(X, y))


def test_no_default_penalty_where_more_may_come():
    X, y = waves(50)
    auto, explicit = (regressor(alpha=alpha).partial_fit(X, y) for alpha in ("auto", 0.0))
    assert same_bits(auto, explicit)


# Weights


def test_weight_zero_is_absence():
    X, y = waves(150)
    weight = np.arange(150) % 3.0
    present = weight > 0
    assert same_bits(regressor().fit(X, y, weight), regressor().fit(X[present], y[present], weight[present]))


def test_an_absent_sample_may_hold_any_finite_value():
    X, y = waves(60)
    weight = np.where(np.arange(60) < 50, 1.0, 0.0)
    wild = np.where(weight > 0, y, 1e30)
    assert same_bits(regressor().fit(X, wild, weight), regressor().fit(X, y, weight))


def test_equal_weights_are_no_weights():
    X, y = waves(100)
    plain = regressor().fit(X, y)
    assert same_bits(regressor().fit(X, y, np.ones(100)), plain)
    assert same_bits(regressor().fit(X, y, np.full(100, 0.25)), plain)
    # More are more samples, beside which a penalty is small.
    free = regressor(alpha=0)
    assert same_bits(copy.copy(free).fit(X, y, np.full(100, 4.0)), free.fit(X, y))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_in_one_batch_weights_are_repetitions_in_any_order(dtype):
    X, y = waves(20, n_outputs=2)
    rng = np.random.RandomState(1)
    weight = rng.randint(0, 4, size=20)
    repeated = rng.permutation(np.repeat(np.arange(20), weight))
    assert len(repeated) <= LSTMRegressor().batch_size
    model = regressor(dtype=dtype, max_iter=100)
    first = model.fit(X, y, weight).parameters_
    second = model.fit(X[repeated], y[repeated]).parameters_
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_a_heavy_sample_pulls_the_prediction_towards_it():
    X, y = np.zeros((2, 3)), np.array([0.0, 1.0])
    model = regressor(max_iter=300, learning_rate_init=0.02)
    light, heavy = (model.fit(X, y, [1.0, weight]).predict(X[:1])[0] for weight in (1.0, 9.0))
    assert light == pytest.approx(0.5, abs=0.02)
    assert heavy == pytest.approx(0.9, abs=0.02)


def test_loss_is_the_weighted_mean_squared_error():
    X, y = waves(20)
    weight = np.linspace(0.1, 1, 20)
    model = regressor(max_iter=1, learning_rate_init=1e-12).fit(X, y, weight)  # so small that nothing moves
    assert model.loss_curve_[0] == pytest.approx(
        mean_squared_error(y, model.predict(X), sample_weight=weight), rel=1e-5
    )


# Order


def test_shuffling_draws_other_orders_from_other_seeds():
    X, y = waves(100)
    random = np.random.RandomState()
    one, other = (_samples.epoch_order(np.arange(100), random, seed=0, epoch=epoch).tolist() for epoch in (0, 1))
    assert one != other
    assert sorted(one) == sorted(other) == list(range(100))
    assert not same_bits(regressor(shuffle=False).fit(X, y), regressor().fit(X, y))


def test_without_shuffling_batches_are_neighbours():
    X, y = waves(64)
    y = np.round(y + 2)  # counts, which are learnt as they are: the mean of y is not that of its first half
    options = {"loss": "poisson", "standardize": False, "alpha": 0}
    whole = regressor(shuffle=False, max_iter=1, **options).fit(X, y)
    halves = regressor(**options).partial_fit(X[:32], y[:32]).partial_fit(X[32:], y[32:])
    difference = [np.abs(whole.parameters_[name] - halves.parameters_[name]).max() for name in whole.parameters_]
    assert max(difference) < 1e-5  # the same two updates, their sums in another order


# Going on


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_warm_start_goes_on_as_if_never_stopped(solver):
    X, y = waves(100)
    options = {"solver": solver, "num_layers": 2, "dropout": 0.2}
    whole = regressor(max_iter=6, **options).fit(X, y)
    parts = regressor(max_iter=2, warm_start=True, **options).fit(X, y)
    parts.set_params(max_iter=4).fit(X, y)
    assert same_bits(whole, parts)
    assert whole.loss_curve_ == parts.loss_curve_
    assert parts.n_iter_ == 6


def test_partial_fit_is_one_epoch_of_fit():
    X, y = waves(100)
    parts = regressor(alpha=1e-3)
    for _ in range(6):
        parts.partial_fit(X, y)
    assert same_bits(parts, regressor(alpha=1e-3, max_iter=6).fit(X, y))
    assert parts.n_iter_ == 6


def test_partial_fit_goes_on_after_fit():
    X, y = waves(100)
    first = regressor(max_iter=5, alpha=0).fit(X, y)
    assert same_bits(first.partial_fit(X, y), regressor(max_iter=6, alpha=0).fit(X, y))


def test_partial_fit_learns_from_a_stream_of_single_samples():
    X, y = waves(400)
    model = regressor(learning_rate_init=0.01)
    for i in range(400):
        model.partial_fit(X[i : i + 1], y[i : i + 1])
    assert model.score(X, y) > 0.5


def test_partial_fit_does_not_stop_early():
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        regressor(early_stopping=True).partial_fit(*waves(20))


def test_without_warm_start_fit_begins_anew():
    X, y = waves(50)
    model = regressor().fit(X, y)
    once = model.parameters_
    assert all(once[name].tobytes() == array.tobytes() for name, array in model.fit(X, y).parameters_.items())
    assert model.n_iter_ == 6


def test_another_solver_goes_on_from_the_weights_alone():
    X, y = waves(50)
    model = regressor(learning_rate_init=0.01).fit(X, y)
    forgetful = copy.deepcopy(model)
    forgetful._model.snapshot = replace(model._model.snapshot, solver="", solver_state={})
    model.set_params(solver="sgd").partial_fit(X, y)
    forgetful.set_params(solver="sgd").partial_fit(X, y)
    assert same_bits(model, forgetful)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 7}, r"hidden_sizes is \(7,\), expected \(6,\)"),
        ({"num_layers": 2}, r"hidden_sizes is \(6, 6\), expected \(6,\)"),
        ({"hidden_size": [6, 6]}, r"hidden_sizes is \(6, 6\), expected \(6,\)"),
        ({"bidirectional": True}, "bidirectional is True, expected False"),
        ({"pooling": "mean"}, "pooling is mean, expected last"),
        ({"dtype": "float64"}, "dtype is float64, expected float32"),
    ],
)
def test_what_shapes_the_weights_cannot_change_on_the_way(change, message):
    X, y = waves(50)
    model = regressor(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=message):
        model.set_params(**change).fit(X, y)


def test_the_number_of_outputs_cannot_change_on_the_way():
    X, y = waves(50)
    with pytest.raises(ValueError, match="n_outputs is 2, expected 1"):
        regressor().fit(X, y).partial_fit(X, np.stack([y, y], axis=1))


# Stopping


def test_training_stops_when_the_loss_does():
    X, y = waves(100)
    model = regressor(max_iter=500, tol=0.05, n_iter_no_change=3).fit(X, y)
    assert 3 < model.n_iter_ < 500
    assert regressor(max_iter=60, tol=None, learning_rate_init=1e-12).fit(X, y).n_iter_ == 60
    assert regressor(max_iter=60, tol=1e-4, learning_rate_init=1e-12, n_iter_no_change=10).fit(X, y).n_iter_ == 11


@pytest.mark.parametrize(("n_samples", "n_epochs"), [(32, 100), (96, 34), (320, 10), (640, 10)])
def test_training_goes_on_for_ten_epochs_or_a_hundred_updates(n_samples, n_epochs):
    X, y = waves(n_samples)
    stuck = {"max_iter": 500, "tol": 1e9}  # only the first epoch improves
    assert regressor(**stuck).fit(X, y).n_iter_ == n_epochs + 1
    assert regressor(n_iter_no_change=10, **stuck).fit(X, y).n_iter_ == 11
    classifier = LSTMClassifier(4, random_state=0, **stuck).fit(X, y > 0)
    assert classifier.n_iter_ == max(10, np.ceil(300 / np.ceil(n_samples / 32))) + 1


def test_a_small_unit_of_y_does_not_end_training_early():
    X, y = waves(100)
    model = regressor(max_iter=40, tol=1e-4).fit(X, 1e-2 * y)
    assert np.var(1e-2 * y) < 1e-4  # in the unit of the loss nothing would ever be an improvement
    assert model.n_iter_ == 40


def overfitting():
    """Return data whose noise is learnt by heart."""
    X, y = waves(60)
    rng = np.random.RandomState(3)
    return X, y + rng.normal(size=60)


def test_early_stopping_returns_the_best_weights():
    X, y = overfitting()
    X_val, y_val = waves(40)
    options = {"hidden_size": 32, "learning_rate_init": 0.02, "max_iter": 200}
    model = regressor(early_stopping=True, tol=0.0, n_iter_no_change=5, **options)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    best = int(np.argmin(model.validation_loss_curve_))
    assert best + 1 + 5 == model.n_iter_ < 200
    assert model.score(X_val, y_val) == pytest.approx(model.validation_scores_[best], abs=1e-6)
    assert model.best_loss_ == model.validation_loss_curve_[best]
    assert same_bits(model, regressor(**options | {"max_iter": best + 1}).fit(X, y))


def test_validation_data_alone_are_only_watched():
    X, y = overfitting()
    X_val, y_val = waves(40)
    watched = regressor(max_iter=30).fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=np.arange(40))
    assert same_bits(watched, regressor(max_iter=30).fit(X, y))
    assert len(watched.validation_scores_) == 30
    assert watched.validation_scores_[-1] == pytest.approx(watched.score(X_val, y_val, np.arange(40)), abs=1e-6)
    assert watched.validation_loss_curve_[-1] == pytest.approx(
        mean_squared_error(y_val, watched.predict(X_val), sample_weight=np.arange(40)), rel=1e-5
    )


@pytest.mark.parametrize("shuffle", [True, False])
def test_early_stopping_holds_out_a_part_of_its_own(shuffle):
    X, y = waves(100)
    model = regressor(early_stopping=True, validation_fraction=0.25, shuffle=shuffle).fit(X, y)
    assert len(model.validation_scores_) == model.n_iter_ == 6
    assert same_bits(model, regressor(early_stopping=True, validation_fraction=0.25, shuffle=shuffle).fit(X, y))


def test_without_shuffling_the_last_samples_are_held_out():
    X, y = waves(100)
    own = regressor(early_stopping=True, validation_fraction=0.3, shuffle=False).fit(X, y)
    given = regressor(early_stopping=True, shuffle=False).fit(X[:70], y[:70], X_val=X[70:], y_val=y[70:])
    assert same_bits(own, given)
    assert own.validation_scores_ == given.validation_scores_


def test_samples_of_weight_zero_are_not_held_out_either():
    X, y = waves(100)
    weight = np.where(np.arange(100) < 80, 1.0, 0.0)
    model = regressor(early_stopping=True)
    first = model.fit(X, y, weight).parameters_
    second = model.fit(X[:80], y[:80], weight[:80]).parameters_
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_too_few_samples_to_hold_any_out_is_an_error():
    with pytest.raises(ValueError, match="n_samples=1 of positive weight, too few to hold out"):
        regressor(early_stopping=True).fit(*waves(1))


def test_a_warm_start_never_returns_worse_than_it_was_given():
    X, y = waves(100)
    model = regressor(early_stopping=True, max_iter=100, learning_rate_init=0.01, warm_start=True).fit(X, y)
    best = model.best_loss_
    model.set_params(solver="sgd", learning_rate_init=10.0, max_grad_norm=None, max_iter=1)
    again = model.fit(X, y)
    assert again.best_loss_ == pytest.approx(best, rel=1e-6)


# Rows


def test_a_random_split_holds_out_every_row_once_or_not():
    samples = _samples.Samples.of(np.zeros((50, 1, 1)), np.zeros((50, 1)), None, None)
    training, validation = _samples.hold_out(samples, 0.21, seed=5)
    assert len(validation.rows) == 11
    assert sorted([*training.rows, *validation.rows]) == list(range(50))


def held_out_labels(labels, fraction, sample_weight=None, **options):
    """Return the labels that a classifier learns from and those that it validates on."""
    seen = {}

    def scorer(estimator, X, y):
        seen["held out"] = y
        return 0.0

    X = np.arange(len(labels), dtype=float).reshape(-1, 1, 1)
    model = LSTMClassifier(2, early_stopping=True, validation_fraction=fraction, scoring=scorer, max_iter=1, **options)
    model.fit(X, labels, sample_weight)
    return seen["held out"]


@pytest.mark.parametrize("seed", range(5))
def test_validation_samples_have_their_share_of_every_class(seed):
    labels = np.repeat(["common", "rare", "rarer", "once"], [80, 39, 10, 1])
    found = held_out_labels(labels, 0.2, random_state=seed)
    names, counts = np.unique(found, return_counts=True)
    assert names.tolist() == ["common", "rare", "rarer"]
    assert np.abs(counts - [16, 8, 2]).max() <= 1
    assert len(found) == 26


def test_a_class_of_one_is_learnt_from():
    labels = np.array([0] * 20 + [1])
    for seed in range(10):
        assert 1 not in held_out_labels(labels, 0.3, random_state=seed)


def test_the_last_samples_are_held_out_whatever_their_class():
    labels = np.array([0] * 20 + [1] * 4)
    assert held_out_labels(labels, 4 / 24, shuffle=False).tolist() == [1] * 4


@pytest.mark.parametrize("hold", [np.array, list], ids=["array", "list"])
def test_sequences_with_a_rare_label_among_their_steps_are_shared_out(hold):
    labels = [["a", "a", "b"]] * 30 + [["a", "a", "c"]] * 10
    X = np.random.RandomState(0).normal(size=(40, 3, 1))
    y = hold(labels) if hold is np.array else [np.array(steps) for steps in labels]
    for seed in range(5):
        seen = {}
        model = LSTMClassifier(2, early_stopping=True, validation_fraction=0.2, max_iter=1, random_state=seed)
        model.set_params(scoring=lambda _, X, y, seen=seen: seen.update(y=y) or 0.0)
        model.fit(X if hold is np.array else list(X), y)
        assert sorted(seen["y"]) == ["a"] * 16 + ["b"] * 6 + ["c"] * 2


def test_several_labels_at_once_are_shared_out():
    X = np.random.RandomState(0).normal(size=(40, 3, 1))
    y = np.zeros((40, 2), int)
    y[:, 0], y[30:, 1] = 1, 1
    seen = {}
    model = LSTMClassifier(2, early_stopping=True, validation_fraction=0.2, max_iter=1, random_state=0)
    model.set_params(scoring=lambda _, X, y: seen.update(y=y) or 0.0).fit(X, y)
    assert seen["y"].sum(axis=0).tolist() == [8, 2]
