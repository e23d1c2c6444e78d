"""scikit-learn's own checks, and its tools at work on sequences."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from pylstm import GRUClassifier, GRURegressor, LSTMClassifier, LSTMRegressor
from pylstm.estimators._parameters import CELLS

from .data import same_bits, waves


@parametrize_with_checks(
    [
        LSTMRegressor(),
        LSTMRegressor(dtype="float64"),
        LSTMRegressor(num_layers=2, solver="adamw"),
        LSTMRegressor(solver="sgd", learning_rate_init=0.1),
        LSTMRegressor(n_timesteps=1),
        *(LSTMRegressor(16, cell=cell) for cell in CELLS),
        LSTMRegressor([16, 8], bidirectional=True, learning_rate_init=0.03),
        LSTMRegressor(pooling="mean", learning_rate_init=0.03),
        LSTMRegressor(16, pooling="max", learning_rate_init=0.03),
        GRURegressor(),
        *(LSTMClassifier(16, cell=cell) for cell in CELLS),
        LSTMClassifier([16, 8], bidirectional=True, pooling="attention", learning_rate_init=0.03),
        LSTMClassifier(label_smoothing=0.1, dtype="float64"),
        GRUClassifier(),
    ]
)
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


def test_scikit_learns_checks_pass_without_one_skipped(run_python):
    pytest.importorskip("pandas")
    run_python(
        """
        from sklearn.utils.estimator_checks import check_estimator
        from pylstm import LSTMClassifier, LSTMRegressor

        for estimator in (LSTMClassifier(), LSTMRegressor()):
            results = check_estimator(estimator, on_skip=None)
            print([(result["check_name"], result["exception"]) for result in results if result["status"] != "passed"])
            assert {result["status"] for result in results} == {"passed"}
        """.replace("\n        ", "\n"),
        env={"SCIPY_ARRAY_API": "1"},
    )


def test_tags_say_what_is_accepted():
    tags = get_tags(LSTMRegressor())
    assert tags.input_tags.three_d_array
    assert tags.input_tags.two_d_array
    assert tags.target_tags.multi_output
    assert not tags.input_tags.sparse
    assert not tags.input_tags.allow_nan
    tags = get_tags(GRUClassifier())
    assert tags.input_tags.three_d_array
    assert tags.classifier_tags.multi_class
    assert tags.classifier_tags.multi_label


def test_a_clone_has_the_parameters_and_not_the_weights():
    X, y = waves(40)
    model = LSTMRegressor(5, max_iter=1, random_state=3).fit(X, y)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert not hasattr(twin, "n_iter_")
    assert not hasattr(twin, "parameters_")


def test_a_pipeline_scales_the_columns_of_flat_sequences():
    X, y = waves(n_features=2)
    flat = X.reshape(len(X), -1)
    scaled = StandardScaler().fit_transform(flat)
    model = LSTMRegressor(n_timesteps=12, max_iter=3, random_state=0)
    pipeline = make_pipeline(StandardScaler(), clone(model)).fit(flat, y)
    np.testing.assert_array_equal(pipeline.predict(flat), model.fit(scaled, y).predict(scaled))


def test_grid_search_runs_over_sequences():
    X, y = waves(90)
    search = GridSearchCV(
        LSTMRegressor(max_iter=3, random_state=0),
        {"hidden_size": [2, 4], "learning_rate_init": [0.01, 0.03]},
        cv=TimeSeriesSplit(2),
        error_score="raise",
    )
    assert search.fit(X, y).best_estimator_.predict(X).shape == y.shape


def test_cross_validation_in_processes_gives_the_same_scores():
    X, y = waves(90)
    model = LSTMRegressor(4, max_iter=5, random_state=0)
    alone, together = (cross_val_score(model, X, y, cv=3, n_jobs=n_jobs, error_score="raise") for n_jobs in (1, 2))
    np.testing.assert_array_equal(alone, together)


def test_a_target_transformer_scales_y_around_it():
    X, y = waves()
    model = LSTMRegressor(max_iter=60, random_state=0)
    wrapped = TransformedTargetRegressor(model, transformer=StandardScaler()).fit(X, 1e6 * y)
    assert wrapped.score(X, 1e6 * y) > 0.8


def test_an_ensemble_takes_flat_sequences():
    X, y = waves(60)
    model = BaggingRegressor(LSTMRegressor(4, max_iter=2), n_estimators=3, random_state=0).fit(X[:, :, 0], y)
    assert model.predict(X[:, :, 0]).shape == y.shape


def test_permutation_importance_takes_flat_sequences():
    X, y = waves(60)
    model = LSTMRegressor(max_iter=60, random_state=0).fit(X[:, :, 0], y)
    importances = permutation_importance(model, X[:, :, 0], y, n_repeats=2, random_state=0).importances_mean
    assert importances[-1] > importances[0]  # the last step tells more about the next than the first one does


def test_validation_data_goes_through_a_pipeline():
    X, y = waves(n_features=1)
    flat = X[:, :, 0]
    with sklearn.config_context(enable_metadata_routing=True):
        model = LSTMRegressor(max_iter=4, random_state=0).set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
        pipeline.fit(flat[:100], y[:100], X_val=flat[100:], y_val=y[100:])
        score = pipeline.score(flat[100:], y[100:])
    assert pipeline[-1].validation_scores_[-1] == pytest.approx(score, abs=1e-6)  # targets are float32 in training


def test_names_of_columns_are_kept_and_compared():
    pd = pytest.importorskip("pandas")
    X, y = waves(40, n_steps=3)
    frame = pd.DataFrame(X[:, :, 0], columns=["before", "then", "now"])
    model = LSTMRegressor(4, max_iter=1).fit(frame, y)
    assert model.feature_names_in_.tolist() == ["before", "then", "now"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["now", "then", "before"]])


def test_names_are_forgotten_by_a_fit_without_names():
    pd = pytest.importorskip("pandas")
    X, y = waves(40, n_steps=2)
    model = LSTMRegressor(4, max_iter=1).fit(pd.DataFrame(X[:, :, 0], columns=["a", "b"]), y)
    model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 1


def test_set_config_of_an_instance_survives_fit():
    X, y = waves(40)
    with sklearn.config_context(enable_metadata_routing=True):
        model = LSTMRegressor(4, max_iter=1).set_fit_request(sample_weight=True)
        request = model.get_metadata_routing()
        assert str(model.fit(X, y).get_metadata_routing()) == str(request)


def test_a_random_state_instance_moves_on():
    X, y = waves(40)
    source = np.random.RandomState(0)
    model = LSTMRegressor(4, max_iter=1, random_state=source)
    first = clone(model).fit(X, y)
    assert same_bits(clone(model).fit(X, y), first)  # a clone copies the source
    model.fit(X, y)
    second = LSTMRegressor(4, max_iter=1, random_state=source).fit(X, y)
    assert not same_bits(model, second)
