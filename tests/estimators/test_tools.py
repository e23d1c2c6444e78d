"""scikit-learn's tools at work on sequences: tables, arrays, and unequally long ones."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, BaggingRegressor, StackingRegressor, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    TimeSeriesSplit,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    train_test_split,
)
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pylstm import GRUClassifier, GRURegressor, LSTMClassifier, LSTMRegressor

from .data import objects, ragged, same_bits, waves

SMALL = {"hidden_size": 4, "max_iter": 2, "random_state": 0}


def table(n_samples=60):
    X, y = waves(n_samples)
    return X[:, :, 0], y


def labelled(n_samples=60):
    X, y = table(n_samples)
    return X, np.where(y > 0, "up", "down")


def unequal(n_samples=40):
    """Unequally long sequences with a label each, as arrays of objects, and as lists."""
    X, y = ragged(n_samples)
    return X, np.array(["below", "above"])[[labels[-1] for labels in y]], y


# Lists of sequences


@pytest.mark.parametrize("hold", [list, objects], ids=["list", "objects"])
def test_unequally_long_sequences_are_cross_validated(hold):
    X, y, _ = unequal()
    model, folds = LSTMClassifier(**SMALL), StratifiedKFold(4)
    scores = cross_val_score(model, hold(X), y, cv=folds, error_score="raise")
    train, test = next(folds.split(X, y))
    alone = clone(model).fit([X[i] for i in train], y[train])
    assert scores[0] == alone.score([X[i] for i in test], y[test])
    predicted = cross_val_predict(model, hold(X), y, cv=folds)
    np.testing.assert_array_equal(predicted[test], alone.predict([X[i] for i in test]))
    assert cross_val_predict(model, hold(X), y, cv=folds, method="predict_proba").shape == (40, 2)


def test_unequally_long_sequences_with_labels_of_steps_are_cross_validated():
    X, _, y = unequal()
    scores = cross_val_score(GRUClassifier(**SMALL), X, objects(y), cv=4, error_score="raise")
    assert ((scores > 0) & (scores <= 1)).all()
    numbers = objects([labels.astype(float) for labels in y])
    predicted = cross_val_predict(GRURegressor(**SMALL), objects(X), numbers, cv=4)
    assert [len(p) for p in predicted] == [len(x) for x in X]


def test_folds_whose_sequences_happen_to_be_equally_long_are_cross_validated():
    X, _, y = unequal(200)
    chosen = [i for i, x in enumerate(X) if len(x) == 6]
    X, y = objects([X[i] for i in chosen]), objects([y[i] for i in chosen])
    predicted = cross_val_predict(LSTMRegressor(**SMALL), X, y, cv=3)
    assert [len(p) for p in predicted] == [6] * len(chosen)


def test_unequally_long_sequences_are_split_and_searched():
    X, y, _ = unequal()
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    search = GridSearchCV(LSTMClassifier(**SMALL), {"hidden_size": [2, 3]}, cv=2, error_score="raise")
    search.fit(X_train, y_train)
    assert search.score(X_test, y_test) == accuracy_score(y_test, search.predict(X_test))


def test_weights_go_along_in_cross_validation():
    X, y, _ = unequal()
    weight = np.arange(40) % 3
    scores = cross_validate(LSTMClassifier(**SMALL), X, y, cv=2, params={"sample_weight": weight}, error_score="raise")
    train, test = next(StratifiedKFold(2).split(X, y))
    model = LSTMClassifier(**SMALL).fit([X[i] for i in train], y[train], weight[train])
    assert scores["test_score"][0] == model.score([X[i] for i in test], y[test])


# Searches


@pytest.mark.parametrize(
    "search",
    [
        lambda model, grid: GridSearchCV(model, grid, cv=2, error_score="raise"),
        lambda model, grid: RandomizedSearchCV(model, grid, n_iter=2, cv=2, random_state=0, error_score="raise"),
        lambda model, grid: HalvingGridSearchCV(model, grid, cv=2, random_state=0, error_score="raise"),
        lambda model, grid: HalvingGridSearchCV(
            model,
            grid,
            cv=2,
            resource="max_iter",
            max_resources=6,
            min_resources=2,
            random_state=0,
            error_score="raise",
        ),
    ],
    ids=["grid", "random", "halving", "halving by epochs"],
)
@pytest.mark.parametrize(
    ("model", "data"), [(LSTMRegressor(**SMALL), waves), (LSTMClassifier(**SMALL), labelled)], ids=["numbers", "labels"]
)
def test_searches_find_parameters(search, model, data):
    X, y = data(60)
    found = search(model, {"hidden_size": [2, 4], "cell": ["lstm", "gru"], "learning_rate_init": [0.01]}).fit(X, y)
    assert found.best_params_.keys() == {"hidden_size", "cell", "learning_rate_init"} | (
        {"max_iter"} if getattr(found, "resource", "") == "max_iter" else set()
    )
    assert np.isfinite(found.score(X, y))


def test_learning_curves_follow_the_past():
    X, y = waves(80)
    sizes, train, test = learning_curve(
        LSTMRegressor(**SMALL), X, y, cv=TimeSeriesSplit(2), train_sizes=[0.5, 1.0], error_score="raise"
    )
    assert train.shape == test.shape == (2, 2)
    assert np.isfinite(test).all()
    assert sizes[-1] == 28


# Ensembles and wrappers


def test_ensembles_of_regressors_take_tables():
    X, y = table()
    for model in (
        BaggingRegressor(LSTMRegressor(**SMALL), n_estimators=2, random_state=0),
        StackingRegressor([("lstm", LSTMRegressor(**SMALL)), ("ridge", Ridge())], cv=2),
        MultiOutputRegressor(LSTMRegressor(**SMALL)),
    ):
        target = np.stack([y, -y], axis=1) if isinstance(model, MultiOutputRegressor) else y
        assert model.fit(X, target).predict(X).shape == target.shape


def test_ensembles_of_classifiers_take_tables():
    X, y = labelled()
    for model in (
        BaggingClassifier(LSTMClassifier(**SMALL), n_estimators=2, random_state=0),
        VotingClassifier([("lstm", LSTMClassifier(**SMALL)), ("gru", GRUClassifier(**SMALL))], voting="soft"),
        MultiOutputClassifier(LSTMClassifier(**SMALL)),
    ):
        target = np.stack([y, y[::-1]], axis=1) if isinstance(model, MultiOutputClassifier) else y
        assert model.fit(X, target).predict(X).shape == target.shape


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_probabilities_are_calibrated(method):
    X, y = labelled()
    model = CalibratedClassifierCV(LSTMClassifier(**SMALL), method=method, cv=2).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_calibration_takes_unequally_long_sequences():
    X, y, _ = unequal()
    model = CalibratedClassifierCV(LSTMClassifier(**SMALL), cv=2).fit(X, y)
    assert model.predict_proba(X).shape == (40, 2)


def test_importances_of_steps_are_those_of_columns():
    X = np.random.RandomState(0).normal(size=(100, 6))
    y = X[:, 3] > 0
    model = LSTMClassifier(16, max_iter=60, random_state=0).fit(X, y)
    importances = permutation_importance(model, X, y, n_repeats=3, random_state=0).importances_mean
    assert np.argmax(importances) == 3


def test_a_pipeline_of_labels_is_scored_by_probabilities():
    X, y = labelled()
    model = make_pipeline(StandardScaler(), GRUClassifier(**SMALL))
    assert (cross_val_score(model, X, y, cv=3, scoring="roc_auc", error_score="raise") > 0.5).all()
    assert (cross_val_score(model, X, y, cv=3, scoring="neg_log_loss", error_score="raise") < 0).all()


def test_several_labels_are_scored():
    X, y = waves(60)
    y = np.stack([y > 0, y > 0.5], axis=1).astype(int)
    scores = cross_val_score(LSTMClassifier(**SMALL), X, y, cv=3, scoring="f1_micro", error_score="raise")
    assert scores.shape == (3,)


# Processes


def test_searches_in_processes_find_the_same():
    X, y, _ = unequal()
    search = GridSearchCV(LSTMClassifier(**SMALL), {"hidden_size": [2, 4]}, cv=2, error_score="raise")
    searches = [clone(search).set_params(n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2)]
    alone, together = (search.cv_results_["mean_test_score"] for search in searches)
    np.testing.assert_array_equal(alone, together)
    assert same_bits(*(search.best_estimator_ for search in searches))


def test_processes_share_the_cores(run_python):
    run_python(
        """
import numpy as np
from joblib import Parallel, delayed
import pylstm

def threads():
    import pylstm
    return pylstm.get_num_threads()

before = pylstm.get_num_threads()
found = Parallel(n_jobs=2)(delayed(threads)() for _ in range(4))
assert max(found) <= max(1, before // 2), (before, found)
"""
    )
