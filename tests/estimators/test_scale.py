"""What `standardize` does: features are learnt in units of their own, and the fitted weights take X as it is."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
from sklearn.base import clone

from pylstm import LSTMClassifier, LSTMRegressor, Stream, load_model, make_windows

from .data import ragged, same_bits, waves

CELLS = ("lstm", "peephole_lstm", "coupled_lstm", "gru", "gru_reset_before", "rnn")


def far(n_samples=300):
    """Windows over features of very different sizes, far from 0."""
    X, y = waves(n_samples, n_features=2)
    return X * [50.0, 1e-3] + [1000.0, 0.02], y


def regressor(**parameters):
    return LSTMRegressor(8, **{"max_iter": 40, "learning_rate_init": 0.01, "random_state": 0} | parameters)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_features_of_any_size_are_learnt(cell, bidirectional):
    X, y = far()
    model = regressor(cell=cell, bidirectional=bidirectional).fit(X[:200], y[:200])
    assert model.score(X[200:], y[200:]) > 0.9
    assert clone(model).set_params(standardize=False).fit(X[:200], y[:200]).score(X[200:], y[200:]) < 0.8


@pytest.mark.parametrize("cell", ["layernorm_lstm", "layernorm_gru"])
def test_layer_normalisation_has_no_room_for_a_mean(cell):
    X, y = waves(100, n_features=2)
    model = regressor(cell=cell, max_iter=2).fit(X, y)
    large = clone(model).fit(X * 2.0**10, y)
    np.testing.assert_array_equal(
        large.parameters_["layers.0.weight_ih"] * 2**10, model.parameters_["layers.0.weight_ih"]
    )
    np.testing.assert_array_equal(large.predict(X * 2**10), model.predict(X))


@pytest.mark.parametrize("cell", [*CELLS, "layernorm_lstm"])
@pytest.mark.parametrize("missing", ["error", "mask"])
def test_the_fitted_network_is_the_one_that_was_trained(cell, missing):
    X, y = far(100)
    if missing == "mask":
        X = np.where(np.random.RandomState(0).uniform(size=X.shape) < 0.2, np.nan, X)
    model = regressor(cell=cell, missing=missing, dtype="float64", bidirectional=True, max_iter=5)
    model.fit(X[:70], y[:70], X_val=X[70:], y_val=y[70:])
    # Training measures with the network that reads scaled features, `score` with the one that reads X.
    assert model.score(X[70:], y[70:]) == pytest.approx(model.validation_scores_[-1], abs=1e-9)


@pytest.mark.parametrize("batch_size", [32, 100])  # several batches, and one
@pytest.mark.parametrize("missing", ["error", "mask"])
def test_powers_of_two_change_no_bit_of_a_prediction(missing, batch_size):
    X, y = waves(100)
    if missing == "mask":
        X = np.where(np.arange(X.shape[1])[:, np.newaxis] == 4, np.nan, X)
    model = regressor(max_iter=3, missing=missing, batch_size=batch_size)
    for factor in (2.0**-20, 8.0, 2.0**20):
        scaled = clone(model).fit(X * factor, y).predict(X * factor)
        np.testing.assert_array_equal(scaled, model.fit(X, y).predict(X))


def test_a_value_that_is_missing_stands_for_the_mean():
    X, y = far(100)
    X[:, ::3] = np.nan
    model = regressor(missing="mask", max_iter=2).fit(X, y)
    assert model._model.snapshot.scale.features.mean == pytest.approx([1000, 0.02], abs=10)
    filled = clone(model).fit(np.where(np.isnan(X), 0, X), y)  # where zeros are taken for values
    assert abs(filled._model.snapshot.scale.features.spread[0]) > 256


@pytest.mark.parametrize("missing", ["error", "mask"])
@pytest.mark.parametrize("constant", [1.0, 1000.0, 1e6, -1.7e9, 1e30])
def test_a_constant_feature_does_no_harm(constant, missing):
    X, y = waves(100)
    X = np.concatenate([X, np.full_like(X, constant)], axis=2)
    model = regressor(missing=missing).fit(X[:70], y[:70], X_val=X[70:], y_val=y[70:])
    assert model.score(X[70:], y[70:]) > 0.9
    # The network that was trained does as well as the one that reads X.
    assert model.score(X[70:], y[70:]) == pytest.approx(model.validation_scores_[-1], abs=1e-4)


def test_what_is_a_large_constant_in_the_first_part_may_vary_later():
    X, y = waves(400)
    on = np.random.RandomState(1).uniform(size=400) < 0.5
    X = np.concatenate([X, np.repeat(np.where(on, 1e6, 0), 12).reshape(400, 12, 1)], axis=2)
    y = np.where(on, y, -y)
    model = regressor().partial_fit(X[on], y[on])
    for _ in range(60):
        model.partial_fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > 0.9


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_training_goes_on_in_the_same_units(missing):
    X, y = far(100)
    whole = regressor(max_iter=4, missing=missing, tol=None, alpha=0).fit(X, y)
    parts = regressor(max_iter=2, missing=missing, tol=None, alpha=0, warm_start=True).fit(X, y)
    assert same_bits(parts.set_params(max_iter=1).fit(X, y).partial_fit(X, y), whole)


def test_a_file_a_stream_and_an_array_of_other_layout_see_the_same(tmp_path):
    X, y = far(100)
    model = regressor(max_iter=3).fit(X, y)
    model.save_model(tmp_path / "model")
    np.testing.assert_array_equal(load_model(tmp_path / "model").predict(X), model.predict(X).astype(np.float32))
    stream = Stream(model)
    for step in X[0]:
        output = stream.step(step)
    assert output == model.predict(X[:1]).astype(np.float32)
    for other in (np.asfortranarray(X), X[:, :, ::-1][:, :, ::-1], list(np.array(X))):
        assert same_bits(regressor(max_iter=3).fit(other, y), model)


def test_windows_and_copies_of_them_give_the_same_bits():
    series = 100 + 3 * np.random.RandomState(0).normal(size=(200, 2))
    X, y = make_windows(series, 12)
    X, y = X[::3], y[::3, 0]
    assert same_bits(regressor(max_iter=2).fit(X, y), regressor(max_iter=2).fit(X.copy(), y))


def test_what_is_held_out_or_weighs_nothing_is_not_looked_at():
    X, y = far(100)
    spoilt = X.copy()
    spoilt[70:] *= 1e6
    held = {"early_stopping": True, "shuffle": False, "validation_fraction": 0.3, "max_iter": 1}
    scales = [
        regressor(max_iter=1).fit(X[:70], y[:70]),
        regressor(**held).fit(spoilt, y),
        regressor(max_iter=1).fit(spoilt, y, np.repeat([1.0, 0.0], [70, 30])),
    ]
    means = [model._model.snapshot.scale.features.mean.tolist() for model in scales]
    assert means[0] == means[1] == means[2]


def test_lists_are_standardized_over_all_their_steps():
    X, y = ragged()
    X = [1000 + 50 * x for x in X]
    y = np.array([labels[-1] for labels in y])
    model = LSTMClassifier(8, max_iter=60, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.95
    features = model._model.snapshot.scale.features
    assert features.mean == pytest.approx(np.concatenate(X).mean(axis=0), abs=1)


@pytest.mark.parametrize("batch_size", [32, 100])
@pytest.mark.parametrize("missing", ["error", "mask"])
def test_features_are_scaled_as_they_are_read(missing, batch_size):
    X, y = far(100)
    if missing == "mask":
        X[::3, 4] = np.nan
    model = regressor(max_iter=2, missing=missing, batch_size=batch_size, dtype="float64").fit(X, y)
    features = model._model.snapshot.scale.features
    assert (features.mean != 0).any()
    by_hand = clone(model).set_params(standardize=False).fit((X - features.mean) / features.spread, y)
    for name, learnt in by_hand._model.snapshot.learnt.items():
        np.testing.assert_array_equal(model._model.snapshot.learnt[name], learnt, err_msg=name)


def test_windows_are_not_copied_to_be_standardized(run_python):
    run_python(
        textwrap.dedent("""
        import tracemalloc

        import numpy as np

        from pylstm import LSTMRegressor, make_windows

        signal = (1000 + np.random.RandomState(0).normal(size=(60_000, 64))).astype(np.float32)  # 15 MB
        X, y = make_windows(signal, n_timesteps=50)
        y = y[:, 0].copy()
        model = LSTMRegressor(2, max_iter=1, batch_size=500, random_state=0, warm_start=True)
        tracemalloc.start()
        model.fit(X, y)
        assert (model._model.snapshot.scale.features.mean != 0).all()
        model.fit(X, y)
        model.fit(X[:1000], y[:1000], X_val=X, y_val=y)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    """)
    )


def test_standardize_is_true_or_false():
    with pytest.raises(TypeError, match="standardize is 'no', expected True or False"):
        regressor(standardize="no").fit(*far(50))
