"""Weights of samples, of steps and of classes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils import compute_sample_weight

from pylstm import GRUClassifier, LSTMClassifier, LSTMRegressor

from .data import ragged, same_bits, waves

ONE_BATCH = {"hidden_size": 4, "max_iter": 5, "random_state": 0, "tol": None, "batch_size": 100}
BATCHES = ONE_BATCH | {"batch_size": 8}


def classes(n=40):
    X, y = waves(n)
    return X, np.array(["low", "middle", "high"])[np.digitize(y, [-0.7, 0.9])]


def dense(X, y):
    """The sequences of the commonest length, as arrays."""
    chosen = [i for i, x in enumerate(X) if len(x) == 9]
    return np.stack([X[i] for i in chosen]), np.stack([y[i] for i in chosen])


@pytest.mark.parametrize("options", [ONE_BATCH, BATCHES], ids=["one batch", "batches"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_weight_zero_is_absence(options, class_weight):
    X, y = classes()
    weight = np.arange(40) % 3
    present = weight > 0
    model = LSTMClassifier(class_weight=class_weight, **options).fit(X, y, weight)
    other = LSTMClassifier(class_weight=class_weight, **options).fit(X[present], y[present], weight[present])
    assert same_bits(model, other)


def test_a_sequence_whose_steps_all_weigh_nothing_is_absent():
    X, y = ragged()
    weight = [np.full(len(x), float(i % 3)) for i, x in enumerate(X)]
    present = [i for i in range(len(X)) if i % 3]
    model = LSTMClassifier(**BATCHES).fit(X, y, weight)
    other = LSTMClassifier(**BATCHES).fit(*([items[i] for i in present] for items in (X, y, weight)))
    assert same_bits(model, other)


def test_weights_of_classes_that_are_absent_do_no_harm():
    X, y = waves(30)
    y = np.where(y > 0, "high", "low")
    options = {**ONE_BATCH, "max_iter": 2}
    model = LSTMClassifier(class_weight={"low": 3.0, "high": 1.0, "none": 7.0}, **options).fit(X, y)
    assert same_bits(model, LSTMClassifier(class_weight={"low": 3.0, "high": 1.0}, **options).fit(X, y))
    with pytest.raises(ValueError, match=r"class_weight has \['none'\], expected labels of \['high', 'low'\]"):
        LSTMClassifier(class_weight={"low": 3.0, "none": 1.0}, **options).fit(X, y)


def test_a_class_of_no_weight_counts_in_scores():
    X, y = classes()
    seen = []

    def scorer(estimator, X, y):
        seen.append(len(y))
        return estimator.score(X, y)

    model = LSTMClassifier(class_weight={np.unique(y)[0]: 0}, **{**ONE_BATCH, "max_iter": 2})
    model.fit(X, y, X_val=X, y_val=y)
    assert model.validation_scores_[-1] == model.score(X, y)
    model.set_params(scoring=scorer).fit(X, y, X_val=X, y_val=y)
    assert seen == [len(y)] * 2


@pytest.mark.parametrize("class_weight", [None, {"low": 3.0}, "balanced"])
def test_weights_of_labelled_sequences_are_repetitions(class_weight):
    X, y = classes()
    weight = np.arange(40) % 3
    repeated = np.random.RandomState(0).permutation(np.repeat(np.arange(40), weight))
    model = LSTMClassifier(class_weight=class_weight, **ONE_BATCH)
    first, second = model.fit(X, y, weight).parameters_, model.fit(X[repeated], y[repeated]).parameters_
    # A sum of three equal weights and three times the weight of a class differ in the last bit.
    for name, array in first.items():
        np.testing.assert_allclose(array, second[name], rtol=0, atol=0 if class_weight is None else 1e-5)


def test_weights_of_ragged_sequences_with_labelled_steps_are_repetitions():
    X, y = ragged(20)
    weight = np.arange(20) % 4
    repeated = np.repeat(np.arange(20), weight)
    one = LSTMClassifier(**ONE_BATCH).fit(X, y, weight)
    other = LSTMClassifier(**ONE_BATCH).fit([X[i] for i in repeated], [y[i] for i in repeated])
    assert same_bits(one, other)


def test_a_weight_for_the_sequence_is_that_weight_for_each_step():
    X, y = ragged()
    weight = np.linspace(0.5, 2, len(X))
    of_steps = [np.full(len(x), w) for x, w in zip(X, weight, strict=True)]
    assert same_bits(LSTMClassifier(**BATCHES).fit(X, y, weight), LSTMClassifier(**BATCHES).fit(X, y, of_steps))


@pytest.mark.parametrize("lay_out", [lambda X, y: (X, y), dense], ids=["ragged", "array"])
def test_a_step_of_weight_zero_may_have_any_label(lay_out):
    X, y = lay_out(*ragged(200))
    rng = np.random.RandomState(0)
    weight = [(rng.uniform(size=len(x)) < 0.7).astype(float) for x in X]
    other = [np.where(w > 0, labels, 1 - labels) for labels, w in zip(y, weight, strict=True)]
    if not isinstance(X, list):
        weight, other = np.stack(weight), np.stack(other)
    options = BATCHES | {"targets": "per_step"}
    assert same_bits(LSTMClassifier(**options).fit(X, y, weight), LSTMClassifier(**options).fit(X, other, weight))
    assert not same_bits(LSTMClassifier(**options).fit(X, y, weight), LSTMClassifier(**options).fit(X, y))


def test_steps_after_the_last_weighted_one_may_as_well_be_missing():
    X, y = ragged()
    weight = [np.arange(len(x)) < len(x) - 1 for x in X]
    cut = LSTMRegressor(**ONE_BATCH).fit([x[:-1] for x in X], [t[:-1] for t in y])
    masked = LSTMRegressor(**ONE_BATCH).fit(X, y, weight)
    for name, array in cut.parameters_.items():
        np.testing.assert_allclose(array, masked.parameters_[name], rtol=0, atol=1e-5)  # sums in another order


@pytest.mark.parametrize("lay_out", [lambda X, y: (X, y), dense], ids=["ragged", "array"])
@pytest.mark.parametrize("estimator", [LSTMClassifier, GRUClassifier])
def test_balanced_classes_of_steps_are_the_sample_weights_they_stand_for(estimator, lay_out):
    X, y = lay_out(*ragged(60))
    options = BATCHES | {"targets": "per_step"}
    flat = compute_sample_weight("balanced", np.concatenate(y))
    weight = np.split(flat, np.cumsum([len(x) for x in X])[:-1])
    weight = weight if isinstance(X, list) else np.stack(weight)
    one, other = estimator(class_weight="balanced", **options).fit(X, y), estimator(**options).fit(X, y, weight)
    assert same_bits(one, other)
    assert one.loss_curve_ == other.loss_curve_


@pytest.mark.parametrize("class_weight", ["balanced", {"low": 4, "high": 0.25}])
@pytest.mark.parametrize("options", [ONE_BATCH, BATCHES], ids=["one batch", "batches"])
def test_class_weights_are_the_sample_weights_they_stand_for(options, class_weight):
    X, y = classes()
    weight = compute_sample_weight(class_weight, y)
    one = LSTMClassifier(class_weight=class_weight, **options).fit(X, y)
    assert same_bits(one, LSTMClassifier(**options).fit(X, y, weight))


def test_class_weights_multiply_sample_weights():
    X, y = classes()
    own = np.linspace(0.5, 1.5, 40)
    one = LSTMClassifier(class_weight={"low": 4.0}, **BATCHES).fit(X, y, own)
    assert same_bits(one, LSTMClassifier(**BATCHES).fit(X, y, own * np.where(y == "low", 4.0, 1.0)))


def test_balanced_classes_have_equal_weight_together_whatever_the_sample_weights():
    X, y = classes()
    own = np.linspace(0.5, 1.5, 40)
    one = LSTMClassifier(class_weight="balanced", **BATCHES).fit(X, y, own)
    share = {label: own.sum() / (3 * own[y == label].sum()) for label in np.unique(y)}
    other = LSTMClassifier(class_weight=share, **BATCHES).fit(X, y, own)
    for name, array in one.parameters_.items():
        np.testing.assert_allclose(array, other.parameters_[name], rtol=0, atol=1e-5)  # own.sum() in another order


def test_a_class_of_weight_zero_is_absent():
    X, y = classes()
    model = LSTMClassifier(class_weight={"middle": 0.0}, **BATCHES).fit(X, y)
    assert model.classes_.tolist() == ["high", "low", "middle"]
    assert same_bits(model, LSTMClassifier(**BATCHES).fit(X, y, y != "middle"))


def test_scores_are_weighted_by_steps():
    X, y = ragged()
    model = LSTMClassifier(**BATCHES).fit(X, y)
    right = [p == labels for p, labels in zip(model.predict(X), y, strict=True)]
    weight = [np.arange(len(x)) for x in X]
    assert model.score(X, y) == pytest.approx(np.mean(np.concatenate(right)))
    expected = np.average(np.concatenate(right), weights=np.concatenate(weight))
    assert model.score(X, y, weight) == pytest.approx(expected)
    of_sequences = np.arange(len(X))
    expected = np.average(np.concatenate(right), weights=np.repeat(of_sequences, [len(x) for x in X]))
    assert model.score(X, y, of_sequences) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("y", "weight", "message"),
    [
        (np.zeros(40), None, "y has one target per sequence, expected one per step of X"),
        (None, None, "y is None, expected one per step of X"),
        ("right", np.ones(39), r"sample_weight has shape \(39,\), expected \(40,\) \(one weight for each sample of X"),
        ("right", [np.ones(50)] * 40, r"sample_weight\[0\] has shape \(50,\), expected \(\d,\)"),
        ("right", [np.ones(2)] * 39, "sample_weight has 39 sequences, expected 40"),
        ("right", np.zeros(40), "sample_weight sums to zero"),
    ],
)
@pytest.mark.parametrize("estimator", [LSTMRegressor, LSTMClassifier])
def test_score_says_what_is_wrong_as_fit_does(estimator, y, weight, message):
    X, right = ragged()
    model = estimator(2, max_iter=1).fit(X, right)
    with pytest.raises(ValueError, match=message):
        model.score(X, right if isinstance(y, str) else y, weight)


def test_score_reads_targets_of_steps_from_a_table():
    pd = pytest.importorskip("pandas")
    X, y = np.random.default_rng(0).normal(size=(20, 6, 1)), np.arange(120.0).reshape(20, 6)
    model = LSTMRegressor(2, max_iter=1, targets="per_step").fit(X, y)
    assert model.score(X, pd.DataFrame(y)) == model.score(X, y)


def test_partial_fit_does_not_guess_what_is_balanced():
    with pytest.raises(ValueError, match="partial_fit does not support class_weight='balanced': it sees only some"):
        LSTMClassifier(class_weight="balanced").partial_fit(*classes())
