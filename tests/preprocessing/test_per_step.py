"""A transformer applied per step gives what it gives for the table of all steps, and is a transformer itself."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from pylstm import LSTMRegressor, PerStep

from .data import HELD, assert_held_alike, held, objects, steps_of


@parametrize_with_checks(
    [
        PerStep(StandardScaler()),
        PerStep(StandardScaler(), n_timesteps=1),
        PerStep(MinMaxScaler()),
        PerStep(PCA()),
        PerStep(PolynomialFeatures()),
        PerStep(KBinsDiscretizer(strategy="uniform")),
        PerStep(SelectKBest(k=1)),
    ]
)
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


def n_features_of(how):
    return 1 if how == "numbers" else 2


def n_timesteps_of(how):
    return 5 if how == "table" else None


@pytest.mark.parametrize("how", HELD)
@pytest.mark.parametrize("transformer", [StandardScaler(), MinMaxScaler(), QuantileTransformer(n_quantiles=5)])
def test_steps_are_transformed_as_rows(how, transformer):
    X, X_new = held(how), held(how, seed=1)
    per_step = PerStep(transformer, n_timesteps=n_timesteps_of(how)).fit(X)
    alone = clone(transformer).fit(steps_of(X, n_features_of(how)))
    result = per_step.transform(X_new)
    assert_held_alike(result, X_new)
    expected = alone.transform(steps_of(X_new, n_features_of(how)))
    np.testing.assert_array_equal(steps_of(result, n_features_of(how)), expected)


@pytest.mark.parametrize("how", HELD)
def test_fit_transform_is_fit_and_transform(how):
    X = held(how)
    per_step = PerStep(StandardScaler(), n_timesteps=n_timesteps_of(how))
    result = per_step.fit_transform(X)
    assert_held_alike(result, X)
    for one, other in zip(result, clone(per_step).fit(X).transform(X), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("how", HELD)
def test_the_inverse_leads_back(how):
    X = held(how)
    per_step = PerStep(StandardScaler(), n_timesteps=n_timesteps_of(how)).fit(X)
    back = per_step.inverse_transform(per_step.transform(X))
    assert_held_alike(back, X)
    for one, other in zip(back, X, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_the_number_of_features_may_change():
    X = held("list")
    result = PerStep(PolynomialFeatures(2)).fit_transform(X)
    assert [one.shape for one in result] == [(len(one), 6) for one in X]
    assert PerStep(PolynomialFeatures(2), n_timesteps=5).fit_transform(held("table")).shape == (8, 5 * 6)


def test_the_inverse_of_columns_knows_their_steps():
    X = held("table")
    per_step = PerStep(PCA(1), n_timesteps=5).fit(X)
    assert per_step.transform(X).shape == (8, 5)
    assert per_step.inverse_transform(per_step.transform(X)).shape == X.shape
    bins = PerStep(KBinsDiscretizer(3, encode="onehot-dense", strategy="uniform")).fit(X)
    assert bins.transform(X).shape == (8, 10 * 3)
    assert bins.inverse_transform(bins.transform(X)).shape == X.shape


def test_numbers_stay_numbers_while_there_is_one_feature():
    X = held("numbers")
    assert {one.ndim for one in PerStep(StandardScaler()).fit_transform(X)} == {1}
    assert {one.ndim for one in PerStep(PolynomialFeatures()).fit_transform(X)} == {2}


def test_sparse_results_are_made_dense():
    X = np.arange(6).reshape(2, 3, 1) % 2
    result = PerStep(OneHotEncoder()).fit_transform(X)
    np.testing.assert_array_equal(result, np.concatenate([1 - X, X], axis=2))


def test_what_holds_sequences_may_differ_between_fit_and_transform():
    X = held("array")
    per_step = PerStep(StandardScaler()).fit(X)
    for one, other in zip(per_step.transform(list(X)), per_step.transform(X), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_type_is_that_of_the_transformer(dtype):
    assert PerStep(StandardScaler()).fit_transform(held("array", dtype)).dtype == dtype


def test_integers_reach_the_transformer_as_they_are():
    seen = PerStep(FunctionTransformer(lambda steps: steps // 2)).fit_transform(np.arange(12).reshape(2, 3, 2))
    assert seen.dtype == np.arange(1).dtype


def test_x_is_not_changed():
    X = held("list")
    before = copy.deepcopy(X)
    PerStep(StandardScaler()).fit_transform(X)
    assert all((one == other).all() for one, other in zip(X, before, strict=True))


def test_a_transformer_that_is_set_after_fit_is_for_the_next_fit():
    per_step = (
        PerStep(QuantileTransformer(n_quantiles=2)).fit([[[0.0], [1.0]]]).set_params(transformer=StandardScaler())
    )
    assert not hasattr(per_step, "partial_fit")
    assert hasattr(per_step.fit([[[0.0], [1.0]]]), "partial_fit")


def test_a_copy_is_fitted_further_alone():
    per_step = PerStep(StandardScaler()).fit([[[0.0], [1.0]]])
    copy.copy(per_step).partial_fit([[[100.0], [200.0]]])
    assert per_step.transformer_.mean_ == [0.5]


def test_partial_fit_adds_sequences():
    X = held("list")
    per_step = PerStep(StandardScaler())
    for one in X:
        per_step.partial_fit([one])
    np.testing.assert_allclose(per_step.transformer_.mean_, steps_of(X).mean(axis=0))
    assert per_step.transformer_.n_samples_seen_ == 19


def test_methods_are_those_of_the_transformer():
    assert not hasattr(PerStep(QuantileTransformer()), "partial_fit")
    assert not hasattr(PerStep(PolynomialFeatures()), "inverse_transform")
    assert hasattr(PerStep(StandardScaler()), "partial_fit")
    assert not hasattr(PerStep(StandardScaler()), "set_output")


def test_tags_are_those_of_the_transformer():
    assert get_tags(PerStep(SimpleImputer())).input_tags.allow_nan
    assert not get_tags(PerStep(PCA())).input_tags.allow_nan
    assert get_tags(PerStep(TargetEncoder())).target_tags.required
    assert get_tags(PerStep(PCA())).input_tags.three_d_array
    assert get_tags(PerStep(StandardScaler())).transformer_tags == get_tags(StandardScaler()).transformer_tags
    assert get_tags(PerStep(OneHotEncoder())).transformer_tags == get_tags(OneHotEncoder()).transformer_tags


class Plain(BaseEstimator):
    """Has nothing but fit and transform."""

    def fit(self, X, y=None):
        self.seen_ = X, y
        return self

    def transform(self, X):
        return X[: len(X) - getattr(self, "lost", 0)]


@pytest.mark.parametrize(
    ("how", "y", "expected"),
    [
        ("list", [1, 2, 3, 4], [1] * 3 + [2] * 9 + [3] + [4] * 6),
        ("list", np.eye(4), np.repeat(np.eye(4), [3, 9, 1, 6], axis=0)),
        ("list", [np.full(length, length) for length in (3, 9, 1, 6)], [3] * 3 + [9] * 9 + [1] + [6] * 6),
        ("list", objects([np.arange(length) for length in (3, 9, 1, 6)]), [*range(3), *range(9), 0, *range(6)]),
        ("array", np.arange(8), np.repeat(np.arange(8), 5)),
        ("array", np.arange(24).reshape(8, 3), np.repeat(np.arange(24).reshape(8, 3), 5, axis=0)),
        ("array", np.arange(40).reshape(8, 5), np.arange(40)),
        ("array", np.arange(80).reshape(8, 5, 2), np.arange(80).reshape(40, 2)),
    ],
)
def test_every_step_gets_its_target(how, y, expected):
    _, seen = PerStep(Plain()).fit(held(how), y).transformer_.seen_
    np.testing.assert_array_equal(seen, expected)


def test_a_transformer_without_fit_transform_will_do():
    X = held("array")
    np.testing.assert_array_equal(PerStep(Plain()).fit_transform(X), X)


def test_a_selector_learns_from_targets():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 4, 3))
    y = X[:, :, 2] + 0.1 * X[:, :, 0]
    per_step = PerStep(SelectKBest(f_regression, k=1)).fit(X, y)
    np.testing.assert_array_equal(per_step.transform(X), X[:, :, 2:])
    assert per_step.get_feature_names_out(["a", "b", "c"]).tolist() == ["c"]


def test_names_of_features_are_those_of_the_transformer():
    assert PerStep(StandardScaler()).fit(held("array")).get_feature_names_out().tolist() == ["x0", "x1"]
    assert PerStep(PCA()).fit(held("list")).get_feature_names_out().tolist() == ["pca0", "pca1"]
    names = PerStep(PolynomialFeatures(include_bias=False)).fit(held("numbers")).get_feature_names_out(["a"])
    assert names.tolist() == ["a", "a^2"]


def test_columns_have_names_of_their_own():
    pd = pytest.importorskip("pandas")
    names = ["a0", "b0", "a1", "b1"]
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(9, 4)), columns=names)
    scaled = PerStep(StandardScaler(), n_timesteps=2).fit(frame)
    assert scaled.feature_names_in_.tolist() == names
    assert scaled.get_feature_names_out().tolist() == names
    reduced = PerStep(PCA(1), n_timesteps=2).fit(frame)
    assert reduced.get_feature_names_out().tolist() == ["pca0_0", "pca0_1"]
    with pytest.raises(ValueError, match="feature names should match"):
        scaled.transform(frame[names[::-1]])


def test_a_clone_has_the_parameters_and_is_not_fitted():
    per_step = PerStep(PCA(1), n_timesteps=5).fit(held("table"))
    twin = clone(per_step)
    assert twin.get_params()["transformer__n_components"] == 1
    assert twin.n_timesteps == 5
    assert not hasattr(twin, "transformer_")
    assert not hasattr(per_step.transformer, "components_")


def test_it_survives_pickling():
    X = held("list")
    per_step = PerStep(StandardScaler()).fit(X)
    same = pickle.loads(pickle.dumps(per_step))
    for one, other in zip(same.transform(X), per_step.transform(X), strict=True):
        np.testing.assert_array_equal(one, other)


def forecasts():
    rng = np.random.default_rng(0)
    X = 100 + 10 * rng.normal(size=(60, 6, 2))
    return X, X[:, -1, 0] / 100


def test_it_works_in_a_pipeline():
    X, y = forecasts()
    lstm = LSTMRegressor(4, max_iter=3, random_state=0)
    pipeline = make_pipeline(PerStep(StandardScaler()), clone(lstm)).fit(X, y)
    scaled = StandardScaler().fit_transform(X.reshape(-1, 2)).reshape(X.shape)
    np.testing.assert_array_equal(pipeline.predict(X), lstm.fit(scaled, y).predict(scaled))


def test_flat_sequences_go_through_a_pipeline_as_they_are():
    X, y = forecasts()
    steps = [PerStep(StandardScaler(), n_timesteps=6), LSTMRegressor(4, n_timesteps=6, max_iter=3, random_state=0)]
    flat = make_pipeline(*steps).fit(X.reshape(60, 12), y).predict(X.reshape(60, 12))
    np.testing.assert_array_equal(flat, make_pipeline(*map(clone, steps)).fit(X, y).predict(X))


def test_it_is_searched_and_cross_validated():
    X, y = forecasts()
    pipeline = Pipeline([("reduce", PerStep(PCA())), ("lstm", LSTMRegressor(4, max_iter=3, random_state=0))])
    grid = {"reduce__transformer__n_components": [1, 2], "reduce__transformer": [PCA()]}
    search = GridSearchCV(pipeline, grid, cv=KFold(2), error_score="raise").fit(X, y)
    assert search.best_estimator_.predict(X).shape == y.shape
    assert np.isfinite(cross_val_score(pipeline, X, y, cv=3, error_score="raise")).all()


def test_scikit_learns_output_setting_does_not_reach_sequences():
    pytest.importorskip("pandas")
    X = held("array")
    with sklearn.config_context(transform_output="pandas"):
        result = PerStep(StandardScaler()).fit_transform(X)
    np.testing.assert_array_equal(result, PerStep(StandardScaler()).fit_transform(X))


@pytest.mark.parametrize("transformer", [None, "scale", LSTMRegressor(), StandardScaler])
def test_what_is_no_transformer_is_named(transformer):
    error = TypeError
    with pytest.raises(error, match=r"transformer is .*, expected a scikit-learn transformer|Cannot clone object"):
        PerStep(transformer).fit(held("array"))


def test_lost_rows_are_named():
    per_step = PerStep(Plain()).fit(held("array"))
    per_step.transformer_.lost = 1
    with pytest.raises(ValueError, match=r"transformer gave an array of shape \(39, 2\), expected \(40, n_features\)"):
        per_step.transform(held("array"))


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
@pytest.mark.parametrize("before", [PerStep(StandardScaler()), PerStep(StandardScaler()).fit(held("array"))])
def test_a_fit_that_fails_leaves_everything_as_it_was(method, before):
    per_step = copy.copy(before)
    with pytest.raises(ValueError, match="infinity"):
        getattr(per_step, method)(np.full((3, 4, 3), np.inf))  # another number of features, too
    assert vars(per_step) == vars(before)


@pytest.mark.parametrize(
    ("error", "message", "per_step", "X"),
    [
        (ValueError, "X has 3 features per step, but PerStep is expecting 2", PerStep(PCA()), np.zeros((2, 5, 3))),
        (ValueError, "X has 1 features per step, but PerStep is expecting 2", PerStep(PCA()), np.zeros((2, 5))),
        (ValueError, r"X\[1\] has 3 features, expected 2", PerStep(PCA()), [np.zeros((2, 2)), np.zeros((2, 3))]),
    ],
)
def test_sequences_that_do_not_match_are_named(error, message, per_step, X):
    per_step.fit(held("array"))
    with pytest.raises(error, match=message):
        per_step.transform(X)


@pytest.mark.parametrize(
    ("error", "message", "n_timesteps"),
    [
        (ValueError, "n_timesteps is 0, expected at least 1", 0),
        (TypeError, "n_timesteps is 2.5, expected an integer", 2.5),
        (ValueError, "expected a multiple of 3 columns", 3),
    ],
)
def test_n_timesteps_is_checked(error, message, n_timesteps):
    with pytest.raises(error, match=message):
        PerStep(StandardScaler(), n_timesteps=n_timesteps).fit(held("table"))


def test_targets_of_another_number_are_named():
    with pytest.raises(ValueError, match=r"y has 3 rows, expected 4 \(one for each sequence of X\)"):
        PerStep(StandardScaler()).fit(held("list"), [1, 2, 3])


def test_targets_of_steps_belong_to_their_sequences():
    X = [np.arange(12.0).reshape(6, 2), np.ones((3, 2))]
    y = [np.arange(6), np.arange(3)]
    PerStep(SelectKBest(f_regression, k=1)).fit(X, y)
    with pytest.raises(ValueError, match=r"y\[0\] has 3 rows, expected 6 \(one for each step of X\[0\]\)"):
        PerStep(SelectKBest(f_regression, k=1)).fit(X, y[::-1])


@pytest.mark.parametrize("as_list", [False, True])
def test_targets_of_steps_may_be_an_array_for_a_list_of_equally_long_sequences(as_list):
    X = np.random.default_rng(0).normal(size=(20, 6, 3))
    y = X[:, :, 2] * 2
    fitted = PerStep(SelectKBest(f_regression, k=1)).fit(list(X) if as_list else X, y)
    assert fitted.transformer_.get_support().tolist() == [False, False, True]
