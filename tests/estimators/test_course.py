"""The course of a training: learning rates, callbacks, scorers, interruption, and going on, of classifiers too."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score, make_scorer, mean_absolute_error

from pylstm import GRUClassifier, LSTMClassifier, LSTMRegressor
from pylstm.estimators._engine import Session

from .data import ragged, same_bits, waves

RATE = 0.01


def regressor(**parameters):
    return LSTMRegressor(**{"hidden_size": 6, "max_iter": 6, "random_state": 0, "tol": None} | parameters)


def classifier(**parameters):
    return LSTMClassifier(**{"hidden_size": 6, "max_iter": 6, "random_state": 0, "tol": None} | parameters)


def labelled(n_samples=90):
    X, y = waves(n_samples)
    return X, np.array(["low", "middle", "high"])[np.digitize(y, [-0.5, 0.5])]


class Listener:
    """A callback that takes down what it is told."""

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.epochs = []
        self.copies = []

    def __call__(self, estimator, epoch):
        self.epochs.append(epoch)
        self.copies.append(estimator)
        return epoch.epoch == self.stop_at

    def __deepcopy__(self, memo):
        return self


# Learning rates


def rates(name, n_epochs, **parameters):
    listener = Listener()
    regressor(learning_rate=name, learning_rate_init=RATE, max_iter=n_epochs, callbacks=[listener], **parameters).fit(
        *waves(40)
    )
    return np.array([epoch.learning_rate for epoch in listener.epochs]) / RATE


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant", np.ones(9)),
        ("cosine", 0.01 + 0.99 * (1 + np.cos(np.pi * np.arange(9) / 9)) / 2),
        ("step", np.repeat([1, 0.1, 0.01], 3)),
        ("exponential", 0.01 ** (np.arange(9) / 9)),
    ],
)
def test_rates_follow_their_schedule(name, expected):
    np.testing.assert_allclose(rates(name, 9), expected, rtol=1e-12)


def test_one_cycle_climbs_and_falls():
    found = rates("one_cycle", 20)
    assert found[0] == pytest.approx(1 / 25)
    assert np.argmax(found) == 6  # 30 % of 20
    assert found[6] == pytest.approx(1)
    assert (np.diff(found[:7]) > 0).all()
    assert (np.diff(found[6:]) < 0).all()
    assert found[-1] < 0.05


def test_a_plateau_halves_the_rate():
    X, y = waves(40)
    listener = Listener()
    model = regressor(learning_rate="plateau", max_iter=20, tol=1e9, n_iter_no_change=4, callbacks=[listener])
    model.set_params(learning_rate_init=RATE).fit(X, y)  # with that tol only the first epoch is an improvement
    assert [epoch.learning_rate / RATE for epoch in listener.epochs] == [1, 1, 1, 0.5, 0.5]


@pytest.mark.parametrize("name", ["cosine", "step", "exponential", "one_cycle"])
def test_a_schedule_learns(name):
    X, y = waves(300)
    model = regressor(learning_rate=name, learning_rate_init=0.02, max_iter=40).fit(X[:200], y[:200])
    assert model.score(X[200:], y[200:]) > 0.9


def test_partial_fit_knows_no_schedule():
    X, y = waves(40)
    assert same_bits(regressor(learning_rate="one_cycle").partial_fit(X, y), regressor().partial_fit(X, y))


# Callbacks


def test_callbacks_are_told_what_the_curves_say():
    X, y = waves(80)
    listener = Listener()
    model = regressor(callbacks=[listener]).fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    assert [epoch.epoch for epoch in listener.epochs] == [1, 2, 3, 4, 5, 6]
    assert [epoch.loss for epoch in listener.epochs] == model.loss_curve_
    assert [epoch.validation_loss for epoch in listener.epochs] == model.validation_loss_curve_
    assert [epoch.validation_score for epoch in listener.epochs] == model.validation_scores_
    plain = Listener()
    regressor(callbacks=[plain]).fit(X, y)
    assert {epoch.validation_loss for epoch in plain.epochs} == {None}


@pytest.mark.parametrize("make", [regressor, classifier])
def test_callbacks_see_fitted_copies_of_each_moment(make):
    X, y = labelled() if make is classifier else waves(90)
    listener = Listener()
    model = make(alpha=0, callbacks=[listener]).fit(X, y)
    for n_epochs, seen in enumerate(listener.copies, start=1):
        alone = make(alpha=0, max_iter=n_epochs).fit(X, y)
        assert same_bits(seen, alone)
        assert (seen.n_iter_, seen.loss_curve_, seen.best_loss_) == (n_epochs, alone.loss_curve_, alone.best_loss_)
        assert seen.n_outputs_ == 1
        np.testing.assert_array_equal(seen.predict(X), alone.predict(X))
    saved = listener.copies[2].set_params(callbacks=None)
    for _ in range(3):
        saved.partial_fit(X, y)
    assert same_bits(saved, model)  # it goes on as if never stopped, seed and all


def test_a_callback_stops_the_training_and_all_hear_of_it():
    X, y = waves(40)
    listeners = [Listener(stop_at=3), Listener()]
    model = regressor(callbacks=listeners).fit(X, y)
    assert same_bits(model, regressor(max_iter=3).fit(X, y))
    assert [len(listener.epochs) for listener in listeners] == [3, 3]


def test_what_a_callback_does_to_its_copy_changes_nothing():
    X, y = waves(40)

    def meddle(estimator, epoch):
        estimator.partial_fit(X, -y)
        estimator.loss_curve_.append(0.0)

    model = regressor(callbacks=[meddle]).fit(X, y)
    plain = regressor().fit(X, y)
    assert same_bits(model, plain)
    assert model.loss_curve_ == plain.loss_curve_


def test_an_error_in_a_callback_leaves_the_estimator_as_it_was():
    X, y = labelled()
    model = classifier().fit(X, y)
    before, predicted = dict(vars(model)), model.predict(X)

    def fail(estimator, epoch):
        raise MemoryError

    model.set_params(callbacks=[fail])
    with pytest.raises(MemoryError):
        model.fit(X, np.where(y == "low", "lower", y))
    assert vars(model) == before | {"callbacks": [fail]}
    np.testing.assert_array_equal(model.predict(X), predicted)


def test_callbacks_and_scoring_survive_clone():
    model = clone(regressor(callbacks=[print], scoring="r2"))
    assert (model.callbacks, model.scoring) == ([print], "r2")


# Scorers


@pytest.mark.parametrize(
    "scoring", ["neg_mean_absolute_error", make_scorer(mean_absolute_error, greater_is_better=False)]
)
def test_early_stopping_by_a_scorer_keeps_the_epoch_with_the_best_score(scoring):
    X, y = waves(60)
    y = y + np.random.RandomState(3).normal(size=60)
    X_val, y_val = waves(40)
    options = {"hidden_size": 32, "learning_rate_init": 0.02, "max_iter": 60}
    model = regressor(early_stopping=True, scoring=scoring, **options).fit(X, y, X_val=X_val, y_val=y_val)
    best = int(np.argmax(model.validation_scores_))
    assert best < len(model.validation_scores_) - 1
    assert model.best_loss_ == -model.validation_scores_[best]
    assert model.validation_scores_[best] == pytest.approx(-mean_absolute_error(y_val, model.predict(X_val)), rel=1e-5)
    assert same_bits(model, regressor(**options | {"max_iter": best + 1}).fit(X, y))


def test_a_score_is_watched_in_its_own_unit():
    X, y = waves(60)
    X_val, y_val = waves(40)
    options = {"early_stopping": True, "scoring": "r2", "max_iter": 40, "tol": 1e-3, "n_iter_no_change": 3}
    model, scaled = (regressor(**options).fit(X, c * y, X_val=X_val, y_val=c * y_val) for c in (1.0, 2.0**13))
    assert scaled.n_iter_ == model.n_iter_
    np.testing.assert_allclose(scaled.validation_scores_, model.validation_scores_, rtol=1e-6)


@pytest.mark.parametrize("scoring", ["balanced_accuracy", "neg_log_loss", "roc_auc_ovr", "f1_macro"])
def test_scorers_of_classification_watch_classifiers(scoring):
    X, y = labelled()
    model = classifier(early_stopping=True, scoring=scoring, validation_fraction=0.4).fit(X, y)
    assert np.isfinite(model.validation_scores_).all()
    assert model.best_loss_ == -max(model.validation_scores_)


@pytest.mark.parametrize("scoring", ["balanced_accuracy", "neg_log_loss", "roc_auc"])
def test_scorers_see_the_steps_of_all_sequences(scoring):
    X, y = ragged()
    model = classifier(scoring=scoring).fit(X, y, X_val=X, y_val=y)
    assert np.isfinite(model.validation_scores_).all()
    if scoring == "balanced_accuracy":
        expected = balanced_accuracy_score(np.concatenate(y), np.concatenate(model.predict(X)))
        assert model.validation_scores_[-1] == expected
    assert len(model.predict(X)) == len(X)  # the fitted estimator itself gives sequences


def test_a_scorer_that_calls_score_sees_what_score_says():
    X, y = ragged()
    model = classifier(scoring=lambda estimator, X, y: estimator.score(X, y)).fit(X, y, X_val=X, y_val=y)
    assert model.validation_scores_[-1] == model.score(X, y)


@pytest.mark.parametrize("held_out", ["by early stopping", "by the user"])
def test_a_scorer_sees_missing_values_as_they_were_given(held_out):
    X, y = waves(60)
    X = np.where(np.arange(12)[:, np.newaxis] == 4, np.nan, X)
    model = regressor(missing="mask", early_stopping=True, scoring="r2", shuffle=False, validation_fraction=0.25)
    if held_out == "by the user":
        model.fit(X[:45], y[:45], X_val=X[45:], y_val=y[45:])
    else:
        model.fit(X, y)
    assert max(model.validation_scores_) == pytest.approx(model.score(X[45:], y[45:]), abs=1e-5)


@pytest.mark.parametrize("lay_out", [lambda X: X, np.ndarray.tolist, "frame"])
def test_a_scorer_sees_a_table_as_it_was_given(lay_out):
    if lay_out == "frame":
        lay_out = pytest.importorskip("pandas").DataFrame
    X, y = waves(60)
    table, seen = lay_out(X[:, :, 0]), []

    def scorer(estimator, X, y):
        seen.append((type(X), np.shape(X)))
        return estimator.score(X, y)

    regressor(early_stopping=True, scoring=scorer, max_iter=1).fit(table, y)
    assert seen == [(type(table), (6, 12))]


def test_scoring_with_a_data_frame_is_silent():
    pd = pytest.importorskip("pandas")
    X, y = waves(60)
    frame = pd.DataFrame(X[:, :, 0], columns=[f"t{i}" for i in range(12)])
    model = regressor(early_stopping=True, scoring="r2").fit(frame, y)
    assert model.feature_names_in_[0] == "t0"


@pytest.mark.parametrize("named", ["X", "X_val"])
def test_names_of_one_table_alone_are_no_warning_after_every_epoch(named):
    pd = pytest.importorskip("pandas")
    tables = {name: x[:, :, 0] for name, x in (("X", waves(45)[0]), ("X_val", waves(15)[0]))}
    y, y_val = waves(45)[1], waves(15)[1]
    tables[named] = pd.DataFrame(tables[named], columns=[f"t{i}" for i in range(12)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        regressor(scoring="r2", max_iter=4).fit(tables["X"], y, X_val=tables["X_val"], y_val=y_val)
    assert len([one for one in caught if "feature names" in str(one.message)]) <= 1


def test_what_numpy_reads_as_an_array_can_be_scored():
    class Holder:
        def __init__(self, values):
            self.values = values

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.values, dtype)

        def __len__(self):
            return len(self.values)

    X, y = waves(60)
    model = regressor(early_stopping=True, scoring="r2").fit(Holder(X), y)
    assert model.validation_scores_ == regressor(early_stopping=True, scoring="r2").fit(X, y).validation_scores_


def test_validation_scores_of_classifiers_are_what_score_says():
    X, y = labelled()
    model = classifier(class_weight="balanced").fit(
        X[:60], y[:60], X_val=X[60:], y_val=y[60:], sample_weight_val=np.arange(30)
    )
    assert model.validation_scores_[-1] == model.score(X[60:], y[60:], np.arange(30))


# Interruption


def press_ctrl_c_in(monkeypatch, number):
    run_epoch = Session.run_epoch

    def run_or_press(self, samples, *, epoch, **options):
        if epoch + 1 == number:
            raise KeyboardInterrupt
        return run_epoch(self, samples, epoch=epoch, **options)

    monkeypatch.setattr(Session, "run_epoch", run_or_press)


def test_ctrl_c_leaves_a_fitted_classifier(monkeypatch):
    X, y = ragged()
    press_ctrl_c_in(monkeypatch, 4)
    with pytest.warns(ConvergenceWarning, match=r"interrupted in epoch 4. The weights are those of epoch 3, the best"):
        model = classifier().fit(X, y)
    assert same_bits(model, classifier(max_iter=3).fit(X, y))
    assert model.classes_.tolist() == [0, 1]
    assert model.n_iter_ == 3


def test_ctrl_c_in_the_first_partial_fit_leaves_a_fitted_classifier(monkeypatch):
    X, y = labelled()
    press_ctrl_c_in(monkeypatch, 1)
    model = classifier()
    with pytest.warns(ConvergenceWarning, match="interrupted in epoch 1"):
        model.partial_fit(X, y, classes=["high", "low", "middle", "top"])
    assert model.predict_proba(X).shape == (90, 4)


def test_ctrl_c_in_a_callback_ends_the_training_too():
    X, y = labelled()

    def press(estimator, epoch):
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="interrupted in epoch 2"):
        model = classifier(callbacks=[press]).fit(X, y)
    assert same_bits(model, classifier(max_iter=2).fit(X, y))


def test_advice_to_a_classifier_does_not_speak_of_scaling_y(monkeypatch):
    X, y = labelled()
    monkeypatch.setattr(Session, "run_epoch", lambda *args, **options: np.nan)
    with pytest.warns(ConvergenceWarning, match="Try .*, X scaled to unit variance"):
        model = classifier().fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()


# Going on


@pytest.mark.parametrize("make", [classifier, lambda **p: GRUClassifier(6, random_state=0, tol=None, **p)])
@pytest.mark.parametrize("of_steps", [False, True], ids=["sequences", "steps"])
def test_classifiers_go_on_as_if_never_stopped(make, of_steps):
    X, y = ragged() if of_steps else labelled()
    whole = make(max_iter=4).fit(X, y)
    parts = make(max_iter=2, warm_start=True).fit(X, y)
    assert same_bits(parts.set_params(max_iter=1).fit(X, y).partial_fit(X, y), whole)
    assert parts.loss_curve_ == whole.loss_curve_
    again = make(max_iter=4)
    for _ in range(4):
        again.partial_fit(X, y, classes=np.unique(np.concatenate(y) if of_steps else y))
    assert same_bits(again, whole)


def test_classes_that_come_later_are_announced():
    X, y = labelled()
    first, later = y != "middle", y == "middle"
    model = classifier().partial_fit(X[first], y[first], classes=["low", "middle", "high"])
    assert model.classes_.tolist() == ["high", "low", "middle"]
    model.partial_fit(X[later], y[later])
    model.partial_fit(X[:1], y[:1])  # a part may have one class
    with pytest.raises(ValueError, match=r"classes is \['low', 'high'\], expected"):
        model.partial_fit(X, y, classes=["low", "high"])
    with pytest.raises(ValueError, match=r"y has the label 'middle', expected one of \['high', 'low'\]"):
        classifier().partial_fit(X, y, classes=["low", "high"])


def test_a_first_partial_fit_that_fails_leaves_nothing_behind():
    X, y = labelled()
    model = classifier()
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.partial_fit(X * np.nan, y, classes=["low", "middle", "high"])
    assert vars(model).keys() == model.get_params().keys()
    assert same_bits(model.partial_fit(X, y), classifier().partial_fit(X, y))


def test_several_labels_go_on_too():
    X, y = waves(40)
    y = np.stack([y > 0, y > 0.5], axis=1).astype(int)
    model = classifier().partial_fit(X, y).partial_fit(X, y)
    assert same_bits(model, classifier(max_iter=2).fit(X, y))
    announced = classifier().partial_fit(X, y, classes=[0, 1]).partial_fit(X, y, classes=[0, 1])
    assert same_bits(model, announced)
    with pytest.raises(ValueError, match=r"y has several labels at once, expected one \(as in the first fit, or as"):
        classifier().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="y has several labels at once, expected one"):
        classifier().partial_fit(X, y[:, 0]).partial_fit(X, y)
    with pytest.raises(ValueError, match="y has one label at once, expected several"):
        model.partial_fit(X, y[:, 0])


def test_a_fit_anew_may_have_other_classes_and_other_targets():
    X, y = labelled()
    model = classifier().fit(X, y)
    sequences, steps = ragged()
    assert same_bits(model.fit(sequences, steps), classifier().fit(sequences, steps))
    assert model.classes_.tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"y has shape \(40,\), one target per sequence, expected one per step"):
        model.partial_fit(sequences, np.arange(40) % 2)


# What the gradient is cut down to


def test_elements_of_the_gradient_are_cut_off():
    X, y = waves(20)
    plain = {"solver": "sgd", "momentum": 0.0, "max_grad_norm": None, "max_iter": 1, "dtype": "float64", "alpha": 0}
    start = regressor(**plain, learning_rate_init=1e-300).fit(X, 100 + y).parameters_
    moved = regressor(**plain, learning_rate_init=1.0, max_grad_value=0.25).fit(X, 100 + y).parameters_
    change = np.concatenate([(moved[name] - start[name]).ravel() for name in start])
    assert np.abs(change).max() == pytest.approx(0.25)
    free = regressor(**plain, learning_rate_init=1.0).fit(X, 100 + y).parameters_
    gradient = np.concatenate([(free[name] - start[name]).ravel() for name in start])
    np.testing.assert_allclose(change, np.clip(gradient, -0.25, 0.25), atol=1e-12)


@pytest.mark.parametrize(
    "options", [{"input_dropout": 0.5}, {"dropout": 0.5}, {"dropout": 0.5, "variational_dropout": True}]
)
def test_dropout_is_of_training_only(options):
    X, y = waves(60, n_features=3)
    model, plain = regressor(num_layers=2, **options).fit(X, y), regressor(num_layers=2).fit(X, y)
    assert not same_bits(model, plain)
    assert same_bits(model, regressor(num_layers=2, **options).fit(X, y))
    np.testing.assert_array_equal(model.predict(X), np.concatenate([model.predict(X[i : i + 1]) for i in range(60)]))
