"""The same seed gives the same bits."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone

import pylstm
from pylstm import LSTMRegressor

from .data import same_bits, waves


@pytest.fixture
def threads():
    before = pylstm.get_num_threads()
    yield pylstm.set_num_threads
    pylstm.set_num_threads(before)


OPTIONS = [
    {},
    {"dtype": "float64"},
    {"num_layers": 3, "dropout": 0.3},
    {"batch_size": 100, "hidden_size": 40},
    {"early_stopping": True, "solver": "sgd"},
    {"hidden_size": [19, 8], "bidirectional": True, "pooling": "max", "dropout": 0.3},
    {"cell": "gru", "bidirectional": True, "pooling": "mean"},
]


def fit(parameters, **more):
    X, y = waves(200, n_steps=20, n_features=3, n_outputs=2)
    model = LSTMRegressor(**{"hidden_size": 19, "max_iter": 3} | parameters | more).fit(X, y)
    return model, model.predict(X)


@pytest.mark.parametrize("parameters", OPTIONS)
def test_the_number_of_threads_does_not_change_a_bit(threads, parameters):
    threads(1)
    model, predicted = fit(parameters, random_state=0)
    for n_threads in (2, 3, 7):
        threads(n_threads)
        other, other_predicted = fit(parameters, random_state=0)
        assert same_bits(model, other)
        assert model.loss_curve_ == other.loss_curve_
        np.testing.assert_array_equal(predicted, other_predicted)


@pytest.mark.parametrize("parameters", OPTIONS)
def test_another_seed_is_another_network(parameters):
    assert not same_bits(fit(parameters, random_state=0)[0], fit(parameters, random_state=1)[0])


def test_no_seed_is_another_network_each_time():
    assert not same_bits(fit({})[0], fit({})[0])


def test_another_process_gives_the_same_bits(run_python, tmp_path):
    X, y = waves(30)  # one batch: rows are ordered by content, and not by Python's seeded hash
    np.savez(tmp_path / "data.npz", X=X, y=y)
    code = (
        "import numpy as np\n"
        "from pylstm import LSTMRegressor\n"
        "data = np.load('data.npz')\n"
        "model = LSTMRegressor(8, max_iter=5, random_state=0).fit(data['X'], data['y'])\n"
        "np.save('predicted.npy', model.predict(data['X']))\n"
    )
    predicted = LSTMRegressor(8, max_iter=5, random_state=0).fit(X, y).predict(X)
    for seed in ("1", "2"):
        run_python(code, env={"PYTHONHASHSEED": seed})
        np.testing.assert_array_equal(np.load(tmp_path / "predicted.npy"), predicted)


def test_fits_and_predictions_in_parallel_threads_give_the_same_bits():
    X, y = waves(200, n_features=3)
    model = LSTMRegressor(19, max_iter=2, random_state=0).fit(X, y)
    predicted = model.predict(X)
    restored = pickle.loads(pickle.dumps(model))  # builds its network on the first prediction

    def fit_and_predict(_):
        return clone(model).fit(X, y), restored.predict(X)

    with ThreadPoolExecutor(4) as pool:
        for other, other_predicted in pool.map(fit_and_predict, range(16)):
            assert same_bits(other, model)
            np.testing.assert_array_equal(other_predicted, predicted)


def test_predictions_do_not_depend_on_their_company():
    X, y = waves(100, n_features=3)
    model = LSTMRegressor(19, max_iter=2, random_state=0).fit(X, y)
    predicted = model.predict(X)
    np.testing.assert_array_equal(np.concatenate([model.predict(X[i : i + 1]) for i in range(100)]), predicted)
    np.testing.assert_array_equal(model.predict(X[::-3]), predicted[::-3])
