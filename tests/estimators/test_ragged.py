"""Unequally long sequences are what they are alone: nothing is padded, and no company changes a bit."""

from __future__ import annotations

import numpy as np
import pytest

from pylstm import GRURegressor, LSTMClassifier, LSTMRegressor
from pylstm.estimators._parameters import CELLS, POOLINGS

from .data import objects, ragged, same_bits

ESTIMATORS = [
    *(LSTMRegressor(5, cell=cell) for cell in CELLS),
    *(LSTMRegressor([5, 4], pooling=pooling, bidirectional=True) for pooling in POOLINGS),
    LSTMRegressor(19, dtype="float64"),
    LSTMRegressor(6, proj_size=3),
    LSTMClassifier(5),
]


def targets(X):
    """The sign of the mean, which takes the whole of a sequence."""
    return np.array([x[:, 0].mean() > 0 for x in X]).astype(int)


def small(model, **parameters):
    return model.set_params(max_iter=2, random_state=0, tol=None, **parameters)


@pytest.mark.parametrize("model", ESTIMATORS, ids=str)
@pytest.mark.parametrize("of_steps", [False, True], ids=["sequences", "steps"])
def test_predictions_are_those_of_each_sequence_alone(model, of_steps):
    X, y = ragged()
    small(model).fit(X, y if of_steps else targets(X))
    method = "predict" if isinstance(model, LSTMRegressor) else "predict_proba"
    together = getattr(model, method)(X)
    for x, found in zip(X, together, strict=True):
        for alone in ([x], x[np.newaxis]):
            np.testing.assert_array_equal(getattr(model, method)(alone)[0], found)


@pytest.mark.parametrize("of_steps", [False, True], ids=["sequences", "steps"])
@pytest.mark.parametrize("model", ESTIMATORS[-6:], ids=str)
def test_equal_lengths_are_an_array(model, of_steps):
    X, y = ragged(200)
    chosen = [i for i, x in enumerate(X) if len(x) == 7]
    X, y = [X[i] for i in chosen], [y[i] for i in chosen]
    y = y if of_steps else targets(X)
    listed = small(model, targets="per_step" if of_steps else "auto").fit(X, y)
    parameters, predicted = listed.parameters_, listed.predict(X)
    array = small(model).fit(np.stack(X), np.stack(y))
    assert all(parameters[name].tobytes() == value.tobytes() for name, value in array.parameters_.items())
    np.testing.assert_array_equal(np.stack(predicted), array.predict(np.stack(X)))


def test_tables_of_real_columns_are_sequences():
    pd = pytest.importorskip("pandas")
    X, _ = ragged(6)
    X = [np.column_stack([x[:, 0], x[:, 1] > 0]) for x in X]
    tables = [pd.DataFrame({"load": x[:, 0], "weekend": x[:, 1] > 0}) for x in X]
    nullable = [table.astype({"load": "Float64", "weekend": "boolean"}) for table in tables]
    expected = small(LSTMRegressor(4)).fit(X, targets(X)).predict(X)
    for held in (tables, nullable):
        np.testing.assert_array_equal(small(LSTMRegressor(4)).fit(held, targets(X)).predict(held), expected)


@pytest.mark.parametrize(
    ("of_steps", "weight"), [(False, None), (False, "sequences"), (True, None), (True, "sequences"), (True, "steps")]
)
def test_the_order_in_one_batch_does_not_matter(of_steps, weight):
    X, y = ragged(30)
    y = y if of_steps else targets(X).tolist()
    if weight is not None:
        weight = np.linspace(1, 2, 30) if weight == "sequences" else [np.linspace(1, 2, len(x)) for x in X]
    order = np.random.RandomState(0).permutation(30)
    model = small(LSTMRegressor(4))
    first = model.fit(X, y, weight).parameters_
    second = model.fit(
        [X[i] for i in order], [y[i] for i in order], None if weight is None else [weight[i] for i in order]
    ).parameters_
    assert all(first[name].tobytes() == array.tobytes() for name, array in second.items())


def test_the_container_does_not_matter():
    X, y = ragged()
    model = small(LSTMClassifier(4)).fit(X, y)
    for other in (tuple(X), objects(X), [x.tolist() for x in X], objects([x.tolist() for x in X])):
        assert same_bits(small(LSTMClassifier(4)).fit(other, y), model)
    for other in (tuple(y), objects(y), [labels.tolist() for labels in y]):
        assert same_bits(small(LSTMClassifier(4)).fit(X, other), model)
    assert model.predict(objects(X)).dtype == object


def test_nothing_is_written_to():
    X, y = ragged()
    before = [x.copy() for x in X]
    for x in (*X, *y):
        x.flags.writeable = False
    small(LSTMClassifier(4, early_stopping=True)).fit(X, y).predict(X)
    assert all((x == copy).all() for x, copy in zip(X, before, strict=True))


def test_types_may_differ_from_sequence_to_sequence():
    X, _ = ragged()
    mixed = [np.round(x).astype((np.float32, np.float64, np.int8)[i % 3]) for i, x in enumerate(X)]
    rounded = [np.round(x) for x in X]
    assert same_bits(small(GRURegressor(4)).fit(mixed, targets(X)), small(GRURegressor(4)).fit(rounded, targets(X)))


def test_a_sequence_of_one_step_will_do():
    X, y = ragged()
    X, y = [x[:1] if i % 2 else x for i, x in enumerate(X)], [t[:1] if i % 2 else t for i, t in enumerate(y)]
    predicted = small(LSTMClassifier(4, bidirectional=True)).fit(X, y).predict(X)
    assert [len(p) for p in predicted] == [len(x) for x in X]


def test_early_stopping_holds_out_whole_sequences():
    X, y = ragged()
    options = {"early_stopping": True, "validation_fraction": 0.25, "shuffle": False}
    own = small(LSTMClassifier(4, **options)).fit(X, y)
    given = small(LSTMClassifier(4, **options)).fit(X[:30], y[:30], X_val=X[30:], y_val=y[30:])
    assert same_bits(own, given)
    assert own.validation_scores_ == given.validation_scores_
    assert own.validation_scores_[int(np.argmin(own.validation_loss_curve_))] == own.score(X[30:], y[30:])
