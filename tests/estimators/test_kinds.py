"""Every kind of input with every kind of target and every estimator; and what is said about those that do not fit."""

from __future__ import annotations

import pickle
import re
from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_array

from pylstm import GRUClassifier, GRURegressor, LSTMClassifier, LSTMRegressor, make_windows

from .data import objects, same_bits

N, T, F, VOCABULARY = 20, 5, 2, 7
LENGTHS = 2 + np.arange(N) % 4
RNG = np.random.RandomState(0)
DENSE = RNG.normal(size=(N, T, F))
RAGGED = [RNG.normal(size=(length, F)) for length in LENGTHS]
TOKENS = RNG.randint(VOCABULARY, size=(N, T))
RAGGED_TOKENS = [RNG.randint(VOCABULARY, size=length) for length in LENGTHS]
TOKEN_OPTIONS = {"vocabulary_size": VOCABULARY, "embedding_size": 3}


def memory_mapped(tmp_path):
    array = np.memmap(tmp_path / "X.bin", np.float32, "w+", shape=DENSE.shape)
    array[:] = DENSE
    return array


def data_frame(_):
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(DENSE.reshape(N, -1), columns=[f"c{i}" for i in range(T * F)])


def series(_):
    return pytest.importorskip("pandas").Series(RAGGED)


# name: (X, parameters of the estimator, whether its sequences are unequally long)
INPUTS = {
    "array": (lambda _: DENSE, {}, False),
    "float32": (lambda _: DENSE.astype(np.float32), {}, False),
    "windows": (lambda _: make_windows(DENSE.reshape(-1, F), T)[0][:N], {}, False),
    "memmap": (memory_mapped, {}, False),
    "table": (lambda _: DENSE[:, :, 0], {}, False),
    "table of features": (lambda _: DENSE.reshape(N, -1), {"n_timesteps": T}, False),
    "data frame": (data_frame, {"n_timesteps": T}, False),
    "list": (lambda _: RAGGED, {}, True),
    "list of equal lengths": (lambda _: list(DENSE), {}, False),
    "list of 1-D": (lambda _: [x[:, 0] for x in RAGGED], {}, True),
    "list of equal 1-D": (lambda _: list(DENSE[:, :, 0]), {}, False),
    "lists of lists": (lambda _: [x.tolist() for x in RAGGED], {}, True),
    "objects": (lambda _: objects(RAGGED), {}, True),
    "objects of equal lengths": (lambda _: objects(list(DENSE)), {}, False),
    "series": (series, {}, True),
    "tokens": (lambda _: TOKENS, TOKEN_OPTIONS, False),
    "list of tokens": (lambda _: RAGGED_TOKENS, TOKEN_OPTIONS, True),
}


def per_step(array, width, *, as_list):
    """Cut (N * T, width) into targets of steps; without an axis for width 0."""
    rows = [array[i * T : i * T + (LENGTHS[i] if as_list == "ragged" else T)] for i in range(N)]
    rows = [row[:, :width] if width else row[:, 0] for row in rows]
    return rows if as_list else np.stack(rows)


REAL = RNG.normal(size=(N * T, 3))
CLASSES = {
    "int": RNG.randint(3, size=(N * T, 1)) - 1,
    "str": np.array(["walk", "run", "rest"])[RNG.randint(3, size=(N * T, 1))],
    "bool": RNG.randint(2, size=(N * T, 1)).astype(bool),
}
SEVERAL = RNG.randint(2, size=(N * T, 3))

# name: (y, or what makes it for the steps of X; the shape of a target)
REGRESSION = {
    "number": (REAL[:N, 0], ()),
    "numbers": (REAL[:N], (3,)),
    "number per step": (partial(per_step, REAL, 0), ()),
    "numbers per step": (partial(per_step, REAL, 3), (3,)),
}
CLASSIFICATION = {
    **{kind: (labels[:N, 0], ()) for kind, labels in CLASSES.items()},
    "several": (SEVERAL[:N], (3,)),
    **{f"{kind} per step": (partial(per_step, labels, 0), ()) for kind, labels in CLASSES.items()},
    "several per step": (partial(per_step, SEVERAL, 3), (3,)),
}
TABLE = [
    pytest.param(estimator, X, y, id=f"{estimator.__name__}-{X}-{y}")
    for estimators, targets in [
        ((LSTMRegressor, GRURegressor), REGRESSION),
        ((LSTMClassifier, GRUClassifier), CLASSIFICATION),
    ]
    for estimator in estimators
    for X in INPUTS
    for y in targets
]


def steps_of(X, *, is_ragged):
    return LENGTHS.tolist() if is_ragged else [T] * len(X)


def as_rows(predicted):
    """The list of what belongs to each sequence."""
    return [np.asarray(item) for item in predicted]


@pytest.mark.parametrize(("estimator", "kind_of_X", "kind_of_y"), TABLE)
def test_every_input_goes_with_every_target(estimator, kind_of_X, kind_of_y, tmp_path):
    make_X, parameters, is_ragged = INPUTS[kind_of_X]
    y, shape = (REGRESSION | CLASSIFICATION)[kind_of_y]
    X = make_X(tmp_path)
    of_steps = callable(y)
    is_list = isinstance(X, list) or getattr(X, "dtype", None) == np.dtype(object)
    if of_steps:
        y = y(as_list="ragged" if is_ragged else "equal" if is_list else "")
        parameters = parameters | {"targets": "per_step"}
    model = estimator(**{"hidden_size": 3, "max_iter": 2, "random_state": 0} | parameters).fit(X, y)

    predicted = model.predict(X)
    if of_steps and is_list:
        assert isinstance(predicted, np.ndarray if isinstance(X, np.ndarray) else list)
    else:
        assert isinstance(predicted, np.ndarray)
        assert predicted.dtype != object
    items = as_rows(predicted)
    lengths = [(n,) for n in steps_of(X, is_ragged=is_ragged)] if of_steps else [()] * N
    assert [item.shape for item in items] == [length + shape for length in lengths]

    if estimator in {LSTMRegressor, GRURegressor}:
        single = getattr(X, "dtype", None) == np.float32
        assert {item.dtype for item in items} == {np.dtype("float32" if single else "float64")}
    else:
        known = np.unique(np.concatenate([np.ravel(item) for item in y]))
        assert np.isin(np.concatenate([item.ravel() for item in items]), known).all()
        assert np.concatenate([item.ravel() for item in items]).dtype == known.dtype
        width = shape or (len(known),)
        assert model.classes_.tolist() == (list(range(3)) if shape else known.tolist())
        probabilities = as_rows(model.predict_proba(X))
        assert [p.shape for p in probabilities] == [length + width for length in lengths]
        for p, log_p in zip(probabilities, as_rows(model.predict_log_proba(X)), strict=True):
            assert ((p >= 0) & (p <= 1)).all()
            if not shape:
                np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=1e-6)
            np.testing.assert_allclose(np.log(p), log_p, rtol=1e-5)
        decisions = as_rows(model.decision_function(X))
        one = not shape and len(known) == 2
        assert [d.shape for d in decisions] == [length + (() if one else width) for length in lengths]

    assert np.isfinite(model.score(X, y))
    twin = pickle.loads(pickle.dumps(model))
    for item, restored in zip(items, as_rows(twin.predict(X)), strict=True):
        np.testing.assert_array_equal(item, restored)
    assert same_bits(twin, model.fit(X, y))


# What is understood without being told.


def fit(y, X=DENSE, estimator=LSTMRegressor, **parameters):
    return estimator(**{"hidden_size": 3, "max_iter": 1, "random_state": 0} | parameters).fit(X, y)


NUMBERS_OF_STEPS, LABELS_OF_STEPS = per_step(REAL, 0, as_list=""), per_step(CLASSES["str"], 0, as_list="")
ONES_OF_STEPS = per_step(SEVERAL, 0, as_list="")


@pytest.mark.parametrize(
    ("estimator", "y"), [(LSTMRegressor, NUMBERS_OF_STEPS), (LSTMClassifier, ONES_OF_STEPS)], ids=["numbers", "0 and 1"]
)
@pytest.mark.parametrize("X", [DENSE, list(DENSE)], ids=["array", "list"])
def test_as_many_columns_as_steps_are_targets_of_steps_and_a_warning_says_so(estimator, X, y):
    with pytest.warns(
        UserWarning, match=r"y has shape \(20, 5\), and X has 5 steps: it is taken as one target per"
    ) as w:
        guessed = fit(y, X, estimator)
    assert [warning.filename for warning in w] == [__file__]
    assert same_bits(guessed, fit(y, X, estimator, targets="per_step"))
    assert len(fit(y, X, estimator, targets="per_sequence").parameters_["head.bias"]) == T


def test_labels_that_can_only_be_of_steps_need_no_warning():
    assert fit(LABELS_OF_STEPS, estimator=LSTMClassifier).predict(DENSE).shape == (N, T)


def test_a_table_has_targets_of_steps_only_if_told():
    table = DENSE[:, :, 0]
    assert fit(NUMBERS_OF_STEPS, table).n_outputs_ == T
    assert fit(NUMBERS_OF_STEPS, table, targets="per_step").n_outputs_ == 1
    assert len(fit(ONES_OF_STEPS, table, LSTMClassifier).classes_) == T
    with pytest.raises(ValueError, match="with targets='per_step' if X is a table"):
        fit(LABELS_OF_STEPS, table, LSTMClassifier)


def test_what_is_fitted_is_not_guessed_again():
    with pytest.warns(UserWarning, match="y has shape") as caught:
        model = fit(NUMBERS_OF_STEPS)
    model.partial_fit(DENSE, NUMBERS_OF_STEPS)
    assert len(caught) == 1
    outputs = RNG.normal(size=(N, 3))
    model = fit(outputs)  # five steps, three outputs
    model.partial_fit(DENSE[:, :3], outputs)
    assert model.n_outputs_ == 3


def test_classes_found_once_stay():
    three, two = CLASSES["str"][:N, 0], np.where(CLASSES["str"][:N, 0] == "run", "walk", CLASSES["str"][:N, 0])
    model = fit(three, estimator=LSTMClassifier).partial_fit(DENSE, two)
    assert model.classes_.tolist() == ["rest", "run", "walk"]


# What is refused, and how.


@pytest.mark.parametrize(
    ("X", "y", "parameters", "message"),
    [
        (DENSE, REAL[:7], {}, "y has shape (7, 3), expected (20,) or (20, n_outputs)"),
        (
            DENSE,
            REAL[: N * 4].reshape(N, 4, 3),
            {},
            "expected (20,) or (20, n_outputs), or for one target per step (20, 5)",
        ),
        (RAGGED, per_step(REAL, 3, as_list=""), {}, "one target per step (20, n_steps) or (20, n_steps, n_outputs)"),
        (
            RAGGED,
            per_step(REAL, 0, as_list="equal"),
            {},
            "y[0] has shape (5,), expected (2,) (one target for each step of X[0])",
        ),
        (RAGGED, per_step(REAL, 0, as_list="ragged")[1:], {}, "y has 19 sequences, expected 20 (one for each of X)"),
        (
            DENSE,
            REAL[:N, 0],
            {"targets": "per_step"},
            "y has shape (20,), one target per sequence, expected one per step",
        ),
        (
            RAGGED,
            per_step(REAL, 0, as_list="ragged"),
            {"targets": "per_sequence"},
            "y has one target per step, expected one per",
        ),
        ([*RAGGED[:-1], RAGGED[-1][:, :1]], REAL[:N, 0], {}, "X[19] has 1 features, expected 2 (as X[0])"),
        ([*RAGGED[:-1], RAGGED[-1][:0]], REAL[:N, 0], {}, "X[19] has shape (0, 2), expected (n_steps, n_features)"),
        (
            [*RAGGED[:-1], RAGGED[-1][np.newaxis]],
            REAL[:N, 0],
            {},
            "X[19] has shape (1, 5, 2), expected (n_steps, n_feat",
        ),
        ([*RAGGED[:-1], RAGGED[-1] * np.nan], REAL[:N, 0], {}, "Input X contains NaN: row 19, step 0, feature 0"),
        ([*RAGGED[:-1], RAGGED[-1].astype(str)], REAL[:N, 0], {}, "X[19] has dtype <U32, expected real numbers"),
        (DENSE, REAL[:N, 0], {"vocabulary_size": 9}, "X has 2 features per step, expected 1: vocabulary_size is 9"),
        (
            TOKENS,
            REAL[:N, 0],
            {"vocabulary_size": 3},
            "expected a token: a whole number from 0 to 2 (vocabulary_size - 1)",
        ),
        (TOKENS + 0.5, REAL[:N, 0], TOKEN_OPTIONS, "expected a token: a whole number from 0 to 6"),
        (TOKENS, REAL[:N, 0], {"padding_token": 1}, "padding_token is 1, expected a token, below vocabulary_size"),
    ],
)
def test_what_does_not_fit_is_named_by_a_regressor(X, y, parameters, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        fit(y, X, **parameters)


@pytest.mark.parametrize(
    ("X", "y", "parameters", "message"),
    [
        (DENSE, REAL[:N, 0], {}, "y is continuous, expected classes; LSTMRegressor is for numbers"),
        (DENSE, np.zeros(N), {}, "y has one class, 0.0, expected at least 2 classes"),
        (DENSE, 2 * SEVERAL[:N], {}, "y has shape (20, 3), expected (20,), one label for each step of X"),
        (
            DENSE,
            CLASSES["str"][:N, 0],
            {"targets": "per_step"},
            "y has shape (20,), one target per sequence, expected one",
        ),
        (
            DENSE,
            LABELS_OF_STEPS,
            {"targets": "per_sequence"},
            "y has shape (20, 5), expected (20,), one label for each step",
        ),
        (DENSE, CLASSES["int"][:7, 0], {}, "y has shape (7,), expected (20,)"),
        (RAGGED, per_step(CLASSES["int"], 0, as_list="equal"), {}, "y[0] has shape (5,), expected (2,)"),
        (RAGGED, per_step(2 * SEVERAL, 3, as_list="ragged"), {}, "y has several labels at once, expected 0 and 1 only"),
        (
            DENSE,
            SEVERAL[:N],
            {"class_weight": "balanced"},
            "class_weight is set, expected None for several labels at once",
        ),
        (
            DENSE,
            CLASSES["int"][:N, 0],
            {"class_weight": {7: 1.0}},
            "class_weight has ['7'], expected labels of [-1, 0, 1]",
        ),
        (
            DENSE,
            CLASSES["int"][:N, 0],
            {"class_weight": {1: -1.0}},
            "class_weight[1] is -1.0, expected a real number in [0",
        ),
        (DENSE, CLASSES["int"][:N, 0], {"class_weight": {-1: 0, 0: 0, 1: 0}}, "leave no sample of positive weight"),
        (
            DENSE,
            CLASSES["int"][:N, 0],
            {"class_weight": "even"},
            "class_weight is 'even', expected None, 'balanced' or a",
        ),
        (
            DENSE,
            CLASSES["int"][:N, 0],
            {"class_weight": np.array(["balanced"])},
            "class_weight is array(['balanced'], dtype='<U8'), expected None, 'balanced' or a",
        ),
        (DENSE, CLASSES["int"][:N, 0], {"class_weight": 3}, "class_weight is 3, expected None, 'balanced' or a"),
        (
            DENSE,
            CLASSES["int"][:N, 0],
            {"label_smoothing": 1.0},
            "label_smoothing is 1.0, expected a real number in [0, 1)",
        ),
    ],
)
def test_what_does_not_fit_is_named_by_a_classifier(X, y, parameters, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        fit(y, X, LSTMClassifier, **parameters)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        (
            "loss",
            "mse",
            "loss is 'mse', expected one of 'squared_error', 'absolute_error', 'huber', 'quantile', 'poisson'",
        ),
        ("huber_delta", 0.0, "huber_delta is 0.0"),
        ("quantile", 1.0, "quantile is 1.0, expected a real number in (0, 1)"),
        ("quantile", [], "quantile is empty, expected at least one level"),
        ("targets", "steps", "targets is 'steps', expected one of 'auto', 'per_sequence', 'per_step'"),
        ("vocabulary_size", 0, "vocabulary_size is 0, expected at least 1"),
        ("embedding_size", 0, "embedding_size is 0, expected at least 1"),
        ("input_dropout", 1.0, "input_dropout is 1.0, expected a real number in [0, 1)"),
        ("variational_dropout", 1, "variational_dropout is 1, expected True or False"),
        ("learning_rate", "adaptive", "learning_rate is 'adaptive', expected one of 'constant', 'cosine', 'step'"),
        ("max_grad_value", 0.0, "max_grad_value is 0.0, expected a real number in (0, inf)"),
        ("scoring", "r3", "r3"),
        ("callbacks", ["print"], "callbacks holds 'print', expected functions of (estimator, epoch)"),
        ("callbacks", print, "callbacks is <built-in function print>, expected a sequence of functions"),
    ],
)
def test_a_bad_parameter_is_named(parameter, value, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        fit(REAL[:N, 0], **{parameter: value})


def test_counts_are_not_negative():
    with pytest.raises(ValueError, match="y has negative values, expected none: loss='poisson' is for counts"):
        fit(REAL[:N, 0], loss="poisson")


def test_there_are_quantiles_only_of_that_loss():
    with pytest.raises(AttributeError, match="the loss is 'squared_error', and there are quantiles"):
        fit(REAL[:N, 0]).predict_quantiles(DENSE)


def test_labels_and_weights_of_other_lengths_are_refused_by_score():
    y = per_step(CLASSES["int"], 0, as_list="ragged")
    model = fit(y, RAGGED, LSTMClassifier)
    with pytest.raises(ValueError, match=r"y has sequences of 5, 4, 3, 2, 5, ... steps, expected 2, 3, 4, 5, 2, ..."):
        model.score(RAGGED, y[::-1])


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (np.array(["no", "yes"], dtype=object), [0, 1]),
        (np.array(["2020-01-01", "2021-01-01"], "M8[ns]"), ["no", "yes"]),
    ],
)
def test_labels_of_another_type_are_named(first, then):
    model = LSTMClassifier(4, max_iter=1, random_state=0).fit(DENSE, np.asarray(first)[np.arange(N) % 2])
    with pytest.raises((TypeError, ValueError), match=r"y has (labels of types|the label)"):
        model.partial_fit(DENSE, np.asarray(then)[np.arange(N) % 2])


def test_classes_that_cannot_be_put_in_order_are_refused():
    model = LSTMClassifier(4, max_iter=1, random_state=0)
    with pytest.raises(TypeError, match="classes has labels of types NoneType, int, expected labels that can be put"):
        model.partial_fit(DENSE, np.arange(N) % 2, classes=[0, None])
    with pytest.raises(ValueError, match="Input classes contains NaN"):
        model.partial_fit(DENSE, np.arange(N) % 2, classes=[0, 1, np.nan])


def test_labels_never_seen_are_refused():
    y = CLASSES["str"][:N, 0]
    model = fit(y, estimator=LSTMClassifier)
    with pytest.raises(ValueError, match=r"y has the label 'swim', expected one of \['rest', 'run', 'walk'\]"):
        model.partial_fit(DENSE, np.where(y == "run", "swim", y))
    with pytest.raises(ValueError, match="y_val has the label 'swim'"):
        model.fit(DENSE, y, X_val=DENSE[:1], y_val=["swim"])


def test_labels_that_cannot_be_ordered_are_named():
    with pytest.raises(
        TypeError, match="y has labels of types NoneType, str, expected labels that can be put in order"
    ):
        fit(np.array([None, "a"] * 10, object), estimator=LSTMClassifier)


@pytest.mark.parametrize(
    "hold", [lambda y: y.astype(object), lambda y: pytest.importorskip("pandas").Series(y, dtype="Int64")]
)
def test_numbers_held_as_objects_are_labels(hold):
    y = CLASSES["int"][:N, 0]
    model = fit(hold(y), estimator=LSTMClassifier, early_stopping=True)
    assert model.score(DENSE, hold(y)) == model.score(DENSE, y)
    assert model.classes_.tolist() == [-1, 0, 1]


def test_sparse_labels_are_named():
    with pytest.raises(TypeError, match="y is sparse, expected a dense array"):
        fit(csr_array(SEVERAL[:N]), estimator=LSTMClassifier)


def test_weights_of_steps_go_with_targets_of_steps():
    with pytest.raises(ValueError, match=r"sample_weight has shape \(20, 5\), expected \(20,\)"):
        LSTMRegressor(3).fit(DENSE, REAL[:N, 0], np.ones((N, T)))
    y = per_step(REAL, 0, as_list="ragged")
    with pytest.raises(ValueError, match=r"sample_weight\[0\] has shape \(3,\), expected \(2,\)"):
        LSTMRegressor(3).fit(RAGGED, y, [np.ones(len(x) + 1) for x in RAGGED])
    with pytest.raises(ValueError, match=r"sample_weight\[0\] has shape \(2, 2\), expected \(2,\)"):
        LSTMRegressor(3).fit(RAGGED, y, RAGGED)
    with pytest.raises(
        ValueError, match=r"shape \(20, 4\), expected \(20,\) \(one weight for each sample of X, or one"
    ):
        LSTMRegressor(3, targets="per_step").fit(DENSE, NUMBERS_OF_STEPS, np.ones((N, 4)))
