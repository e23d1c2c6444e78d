"""Fitted estimators survive pickle, joblib and copy with every bit, and go on learning afterwards."""

from __future__ import annotations

import copy
import io
import pickle

import joblib
import numpy as np
import pytest

from pylstm import LSTMRegressor

from .data import same_bits, waves


def by_pickle(model):
    return pickle.loads(pickle.dumps(model))


def by_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


WAYS = [by_pickle, by_joblib, copy.deepcopy, copy.copy]


def fitted(**parameters):
    X, y = waves(80, n_features=2)
    model = LSTMRegressor(**{"hidden_size": 5, "num_layers": 2, "dropout": 0.1, "max_iter": 3} | parameters)
    return model.fit(X, y), X, y


@pytest.mark.parametrize("parameters", [{}, {"hidden_size": [5, 3], "bidirectional": True, "pooling": "max"}])
@pytest.mark.parametrize("way", WAYS)
def test_predictions_are_the_same_bits(way, parameters):
    model, X, _ = fitted(**parameters)
    np.testing.assert_array_equal(way(model).predict(X), model.predict(X))


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("way", WAYS)
def test_training_goes_on_with_the_same_bits(way, solver):
    model, X, y = fitted(solver=solver, warm_start=True)
    twin = way(model)
    assert same_bits(twin.partial_fit(X, y), model.partial_fit(X, y))
    assert same_bits(twin.fit(X, y), model.fit(X, y))
    assert twin.loss_curve_ == model.loss_curve_


def test_a_copy_learns_alone():
    model, X, y = fitted()
    before = model.predict(X)
    copy.copy(model).partial_fit(X, y)
    np.testing.assert_array_equal(model.predict(X), before)


def test_a_memory_mapped_model_predicts_and_learns(tmp_path):
    model, X, y = fitted()
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    np.testing.assert_array_equal(mapped.predict(X), model.predict(X))
    assert same_bits(mapped.partial_fit(X, y), model.partial_fit(X, y))


def test_a_pickle_is_read_by_another_process(run_python, tmp_path):
    model, X, _ = fitted()
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "X.npy", X)
    run_python(
        "import pickle, numpy as np\n"
        "model = pickle.load(open('model.pickle', 'rb'))\n"
        "np.save('predicted.npy', model.predict(np.load('X.npy')))\n"
    )
    np.testing.assert_array_equal(np.load(tmp_path / "predicted.npy"), model.predict(X))


def test_a_pickle_is_the_size_of_its_arrays():
    model, _, _ = fitted(hidden_size=100)
    n_bytes = sum(array.nbytes for array in model.parameters_.values())
    file = io.BytesIO()
    joblib.dump(model, file)  # writes an array once for each place where it is
    for size in (len(pickle.dumps(model)), len(file.getvalue())):
        assert size < 3 * n_bytes + 10_000  # weights and two moments


def test_loading_does_not_build_the_network_and_predicting_does_not_change_the_estimator():
    model, X, _ = fitted()
    twin = by_pickle(model)
    before = dict(vars(twin))
    twin.predict(X)
    assert vars(twin) == before


def test_parameters_stay_read_only():
    model, _, _ = fitted()
    for way in WAYS:
        assert not any(array.flags.writeable for array in way(model).parameters_.values())


def test_an_unfitted_estimator_survives_too():
    for way in WAYS:
        assert way(LSTMRegressor(7)).get_params() == LSTMRegressor(7).get_params()
