"""What the options of the network do: cells, widths, directions, read-outs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from pylstm import GRURegressor, LSTMRegressor, _core, load_model, lstm_forward
from pylstm.estimators._parameters import CELLS, POOLINGS

from .data import same_bits, waves

OPTIONS = [
    *({"cell": cell} for cell in CELLS),
    *({"pooling": pooling} for pooling in POOLINGS),
    *({"bidirectional": True, "pooling": pooling} for pooling in POOLINGS),
    {"hidden_size": [16, 8]},
    {"hidden_size": (8, 8), "num_layers": 2, "bidirectional": True, "dropout": 0.1},
    {"bidirectional": True, "merge": "sum", "num_layers": 2},
    {"bidirectional": True, "merge": "sum", "pooling": "mean", "residual": True, "num_layers": 2},
    {"num_layers": 3, "residual": True},
    {"hidden_size": [8, 4], "proj_size": 6, "residual": True},
]


def regressor(**parameters):
    return LSTMRegressor(**{"hidden_size": 12, "max_iter": 6, "random_state": 0, "tol": None} | parameters)


def shapes(model):
    return {name: array.shape for name, array in model.parameters_.items()}


def marked(n_samples=300, n_steps=12):
    """Noise of which only the sign of a mark early in the sequence matters."""
    rng = np.random.RandomState(0)
    X = 0.1 * rng.normal(size=(n_samples, n_steps, 1))
    mark = rng.choice([-1.0, 1.0], size=n_samples)
    X[np.arange(n_samples), rng.randint(0, 4, size=n_samples), 0] += 2 * mark
    return X, mark


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_learns_a_wave(options):
    X, y = waves(300)
    model = regressor(learning_rate_init=0.01, max_iter=60, **options).fit(X[:200], y[:200])
    assert model.loss_curve_[-1] < 0.1 * model.loss_curve_[0]
    assert model.score(X[200:], y[200:]) > 0.8


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_goes_on_where_it_stopped(options):
    X, y = waves(100)
    options = {"alpha": 1e-3} | options
    whole = regressor(**options).fit(X, y)
    parts = regressor(max_iter=2, warm_start=True, **options).fit(X, y)
    parts.set_params(max_iter=3).fit(X, y)
    assert same_bits(parts.partial_fit(X, y), whole)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_mark_early_in_the_sequence_is_found(pooling):
    X, y = marked()
    model = regressor(bidirectional=True, pooling=pooling, learning_rate_init=0.01, max_iter=40).fit(X[:200], y[:200])
    assert model.score(X[200:], y[200:]) > 0.9


def test_hidden_sizes_are_given_layer_by_layer():
    model = regressor(hidden_size=[5, 3], max_iter=1).fit(*waves(40, n_features=2))
    assert shapes(model) == {
        "layers.0.weight_ih": (20, 2),
        "layers.0.weight_hh": (20, 5),
        "layers.0.bias": (20,),
        "layers.1.weight_ih": (12, 5),
        "layers.1.weight_hh": (12, 3),
        "layers.1.bias": (12,),
        "head.weight": (1, 3),
        "head.bias": (1,),
    }


def test_a_second_direction_has_weights_of_its_own():
    model = regressor(hidden_size=[5, 3], cell="gru", bidirectional=True, max_iter=1).fit(*waves(40, n_features=2))
    expected = {}
    for direction in ("", "reverse."):
        expected[f"layers.0.{direction}weight_ih"] = (15, 2)
        expected[f"layers.0.{direction}weight_hh"] = (15, 5)
        expected[f"layers.0.{direction}bias"] = (15,)
        expected[f"layers.0.{direction}bias_hn"] = (5,)
        expected[f"layers.1.{direction}weight_ih"] = (9, 10)
        expected[f"layers.1.{direction}weight_hh"] = (9, 3)
        expected[f"layers.1.{direction}bias"] = (9,)
        expected[f"layers.1.{direction}bias_hn"] = (3,)
    assert shapes(model) == expected | {"head.weight": (1, 6), "head.bias": (1,)}
    parameters = model.parameters_
    assert not np.array_equal(parameters["layers.0.weight_ih"], parameters["layers.0.reverse.weight_ih"])


@pytest.mark.parametrize("sizes", [[6, 6], (6, 6), np.array([6, 6])])
def test_a_sequence_of_equal_sizes_is_num_layers(sizes):
    X, y = waves(60)
    listed = regressor(hidden_size=sizes).fit(X, y)
    assert same_bits(listed, regressor(hidden_size=6, num_layers=2).fit(X, y))
    assert same_bits(clone(listed).set_params(num_layers=2).fit(X, y), listed)


def test_num_layers_agrees_with_a_sequence_of_sizes():
    with pytest.raises(ValueError, match=r"num_layers is 3, expected 1 or 2 \(hidden_size has 2 layers\)"):
        regressor(hidden_size=[4, 4], num_layers=3).fit(*waves(40))


def test_gru_regressor_is_the_regressor_with_that_cell():
    X, y = waves(60)
    model = GRURegressor(6, max_iter=3, random_state=0)
    assert model.get_params()["cell"] == "gru"
    assert model.get_params().keys() == LSTMRegressor().get_params().keys()
    assert repr(model) == "GRURegressor(hidden_size=6, max_iter=3, random_state=0)"
    assert repr(GRURegressor(cell="lstm")) == "GRURegressor(cell='lstm')"
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(bidirectional=True).bidirectional
    model.set_params(bidirectional=False)
    assert same_bits(model.fit(X, y), regressor(hidden_size=6, cell="gru", max_iter=3, tol=1e-4).fit(X, y))


def test_directions_that_are_summed_are_half_as_wide():
    options = {"hidden_size": [5, 3], "bidirectional": True, "max_iter": 1}
    side_by_side, summed = (regressor(merge=merge, **options).fit(*waves(40)) for merge in ("concat", "sum"))
    assert shapes(side_by_side) | {
        "layers.1.weight_ih": (12, 5),
        "layers.1.reverse.weight_ih": (12, 5),
        "head.weight": (1, 3),
    } == shapes(summed)


def test_a_residual_layer_adds_what_it_reads():
    X, y = waves(40)
    model = regressor(num_layers=2, residual=True, targets="per_step", dtype="float64", max_iter=1)
    model.fit(X, np.repeat(y[:, np.newaxis], 12, axis=1))
    weights = model.parameters_
    below, _, _ = lstm_forward(X, *(weights[f"layers.0.{name}"] for name in ("weight_ih", "weight_hh", "bias")))[:3]
    above, _, _ = lstm_forward(below, *(weights[f"layers.1.{name}"] for name in ("weight_ih", "weight_hh", "bias")))[:3]
    expected = (below + above) @ weights["head.weight"][0] + weights["head.bias"]
    np.testing.assert_allclose(model.predict(X), expected, rtol=0, atol=1e-12)


def test_a_residual_layer_is_as_wide_as_the_one_below():
    message = r"residual is True and hidden_size is \[4, 3\], expected layers of one width"
    with pytest.raises(ValueError, match=message):
        regressor(hidden_size=[4, 3], residual=True).fit(*waves(40))
    with pytest.raises(TypeError, match="residual is 1, expected True or False"):
        regressor(residual=1).fit(*waves(40))
    with pytest.raises(ValueError, match="merge is 'mean', expected one of 'concat', 'sum'"):
        regressor(merge="mean").fit(*waves(40))


@pytest.mark.parametrize("options", [{"num_layers": 2, "residual": True}, {"bidirectional": True, "merge": "sum"}])
def test_sums_come_out_of_files_and_fits_go_on_from_them(options, tmp_path):
    X, y = waves(40)
    model = regressor(**options).fit(X, y)
    model.save_model(tmp_path / "model")
    loaded = LSTMRegressor.load_model(tmp_path / "model")
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    np.testing.assert_array_equal(load_model(tmp_path / "model").predict(X), model.predict(X).astype(np.float32))
    other = {"residual": False} if "residual" in options else {"merge": "concat"}
    with pytest.raises(ValueError, match=f"{next(iter(other))} is "):
        model.set_params(warm_start=True, **other).fit(X, y)


def test_the_engine_sums_directions_and_adds_what_layers_read():
    options = {"dtype": "float64", "n_features": 2, "hidden_sizes": [4, 4], "n_outputs": 1, "bidirectional": True}
    network = _core.Network(**options, merge="sum", residual=True)
    chosen = {"bidirectional": True, "merge": "sum", "residual": True}
    assert network.architecture.items() >= chosen.items()
    assert network.get_parameters()["layers.1.reverse.weight_ih"].shape == (16, 4)
    plain = _core.Network(**options, merge="sum")
    X = np.random.RandomState(0).normal(size=(3, 5, 2))
    for each in (network, plain):
        each.initialize(0)
    assert not np.allclose(network.predict(X), plain.predict(X))
    with pytest.raises(ValueError, match='merge is "mean", expected one of "concat", "sum"'):
        _core.Network(**options, merge="mean")
