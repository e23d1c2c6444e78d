"""Checkpoints and truncated backpropagation through time."""

from __future__ import annotations

import pickle
import re
import sys
import textwrap
from itertools import pairwise

import numpy as np
import pytest
from sklearn.base import clone

import pylstm
from pylstm import GRUClassifier, LSTMClassifier, LSTMRegressor, _core

from .data import ragged, same_bits, waves

NETWORKS = [
    {},
    {"cell": "layernorm_gru", "dtype": "float64"},
    {"num_layers": 2, "dropout": 0.3, "input_dropout": 0.2, "recurrent_dropout": 0.2, "zoneout": 0.1},
    {"num_layers": 2, "pooling": "mean"},
    {"cell": "peephole_lstm", "pooling": "max"},
    {"num_layers": 2, "pooling": "attention", "dropout": 0.3},
    {"num_layers": 2, "bidirectional": True, "dropout": 0.3, "recurrent_dropout": 0.2},
    {"proj_size": 3, "bidirectional": True, "pooling": "mean"},
]


@pytest.mark.parametrize("parameters", NETWORKS)
@pytest.mark.parametrize("checkpoint", [True, 1, 5])
def test_a_checkpoint_changes_no_bit(parameters, checkpoint):
    X, y = waves(60, n_steps=23, n_features=2)
    model = LSTMRegressor(6, max_iter=2, random_state=0).set_params(**parameters)
    plain = clone(model).fit(X, y)
    kept = clone(model).set_params(checkpoint=checkpoint).fit(X, y)
    assert same_bits(plain, kept)
    assert plain.loss_curve_ == kept.loss_curve_


@pytest.mark.parametrize("parameters", [{}, {"bidirectional": True}, {"num_layers": 2, "dropout": 0.3}])
def test_a_checkpoint_changes_no_bit_of_labels_of_unequal_steps(parameters):
    X, y = ragged(longest=40)
    model = LSTMClassifier(6, max_iter=2, random_state=0).set_params(**parameters)
    assert same_bits(clone(model).fit(X, y), clone(model).set_params(checkpoint=True).fit(X, y))


def gradient(parameters, X, y, **options):
    """Gradients of the mean squared error of a network with these parameters, from one step of gradient descent."""
    per_step = y.ndim == 3
    sizes = tuple(parameters[f"layers.{layer}.weight_hh"].shape[1] for layer in range(2))
    network = _core.Network(
        dtype="float64",
        n_features=X.shape[2],
        hidden_sizes=sizes,
        n_outputs=y.shape[-1],
        pooling="none" if per_step else "last",
    )
    network.set_parameters(parameters)
    trainer = _core.Trainer(network, solver="sgd", learning_rate=1.0, momentum=0.0, nesterov=False, **options)
    trainer.run_epoch(X, y if per_step else y[:, np.newaxis], None, np.arange(len(X)), len(X), 0)
    return {name: parameters[name] - after for name, after in network.get_parameters().items()}


def cut_gradient(parameters, X, y, borders):
    """The same by the functions, segment by segment; where a sequence has one target, that of the last segment."""
    per_step = y.ndim == 3
    head, bias = parameters["head.weight"], parameters["head.bias"]
    weights = [
        [parameters[f"layers.{layer}.{name}"] for name in ("weight_ih", "weight_hh", "bias")] for layer in range(2)
    ]
    total = {name: np.zeros_like(values) for name, values in parameters.items()}
    states = [(None, None)] * 2
    for begin, end in pairwise(borders):
        passes, x = [], X[:, begin:end]
        for layer, (h0, c0) in enumerate(states):
            passes.append(pylstm.lstm_forward(x, *weights[layer], h0=h0, c0=c0, training=True))
            x = passes[-1].y
        states = [(one.h_n, one.c_n) for one in passes]
        if per_step:
            d = 2 * (x @ head.T + bias - y[:, begin:end]) / y.size
            total["head.weight"] += np.einsum("nto,nth->oh", d, x)
            total["head.bias"] += d.sum((0, 1))
            dy, dh_n = d @ head, None
        elif end == X.shape[1]:
            d = 2 * (passes[-1].h_n @ head.T + bias - y) / y.size
            total["head.weight"] += d.T @ passes[-1].h_n
            total["head.bias"] += d.sum(0)
            dy, dh_n = None, d @ head
        else:
            continue
        for layer in (1, 0):
            g = pylstm.lstm_backward(passes[layer].tape, dy, dh_n=dh_n)
            for name in ("weight_ih", "weight_hh", "bias"):
                total[f"layers.{layer}.{name}"] += getattr(g, name)
            dy, dh_n = g.x, None
    return total


@pytest.mark.parametrize("checkpoint", [False, True, 3])
@pytest.mark.parametrize(
    ("per_step", "borders"),
    [
        (True, [0, 7, 14, 20]),
        (True, [0, 20]),
        (False, [0, 13, 20]),  # the last 7 steps
        (False, [0, 20]),
    ],
)
def test_gradients_are_cut_where_the_functions_cut(per_step, borders, checkpoint):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(5, 20, 3))
    y = rng.normal(size=(5, 20, 2) if per_step else (5, 2))
    network = _core.Network(dtype="float64", n_features=3, hidden_sizes=(6, 4), n_outputs=2)
    network.initialize(1)
    parameters = network.get_parameters()
    steps = max(np.diff(borders)) if per_step else borders[-1] - borders[-2]
    found = gradient(parameters, X, y, tbptt_steps=int(steps), checkpoint=checkpoint)
    expected = cut_gradient(parameters, X, y, borders)
    for name, values in expected.items():
        # One rounding of a number of about 1 where the step is subtracted, and some of sums of gradients below 1.
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-14, err_msg=name)
    # And the cut tells.
    whole = gradient(parameters, X, y)
    assert np.allclose(whole["layers.0.weight_hh"], found["layers.0.weight_hh"], atol=1e-9) == (len(borders) == 2)


def test_truncated_training_learns_what_lies_within_reach():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(64, 60, 1))
    y = X[:, :, 0].copy()
    y[:, 2:] += X[:, :-2, 0]  # two steps back
    model = LSTMRegressor(12, max_iter=60, learning_rate_init=1e-2, targets="per_step", tbptt_steps=10, random_state=0)
    assert model.fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("estimator", [LSTMRegressor, GRUClassifier])
def test_both_survive_clone_and_pickle_and_stay_out_of_the_network(estimator, tmp_path):
    X, y = waves(40)
    model = estimator(4, max_iter=1, random_state=0, checkpoint=4, tbptt_steps=6).fit(X, y > 0)
    for copy in (clone(model).fit(X, y > 0), pickle.loads(pickle.dumps(model))):
        assert same_bits(copy, model)
        assert (copy.checkpoint, copy.tbptt_steps) == (4, 6)
    model.save_model(tmp_path / "model.safetensors")
    loaded = estimator.load_model(tmp_path / "model.safetensors")
    assert (loaded.checkpoint, loaded.tbptt_steps) == (4, 6)
    architecture = _core.Network.fields()
    assert "checkpoint" not in architecture
    assert "tbptt_steps" not in architecture


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"checkpoint": 0}, "checkpoint is 0, expected at least 1"),
        ({"checkpoint": 2.0}, "checkpoint is 2.0, expected an integer"),
        ({"checkpoint": "sqrt"}, "checkpoint is 'sqrt', expected an integer"),
        ({"tbptt_steps": 0}, "tbptt_steps is 0, expected at least 1"),
        ({"tbptt_steps": True}, "tbptt_steps is True, expected an integer"),
        ({"tbptt_steps": 5, "bidirectional": True}, "tbptt_steps is 5, expected None with bidirectional=True"),
    ],
)
def test_what_cannot_be_is_named(parameters, message):
    X, y = waves(20)
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        LSTMRegressor(4, max_iter=1, **parameters).fit(X, y)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts what a process may write to on Linux only")
@pytest.mark.parametrize(
    ("options", "fits"),
    [("", False), ("checkpoint=True", True), ("tbptt_steps=64", True), ("tbptt_steps=64, targets='per_step'", True)],
)
def test_long_sequences_train_in_little_memory(run_python, options, fits):
    # Plain training keeps 6 x 64 numbers for each of 4096 steps of 32 sequences: 201 MB.
    code = f"""
    import resource
    import numpy as np
    from pylstm import LSTMRegressor

    options = dict({options})
    per_step = "targets" in options
    X = np.random.RandomState(0).normal(size=(32, 4096, 1)).astype(np.float32)
    y = X[:, :, 0] if per_step else X[:, -1, 0]
    small = LSTMRegressor(64, max_iter=1, random_state=0, **options)
    small.fit(X[:, :64], y[:, :64] if per_step else y)  # everything imported, every thread started

    with open("/proc/self/status") as status:
        in_use = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (in_use + (64 << 20),) * 2)
    try:
        small.fit(X, y)
    except MemoryError:
        fitted = False
    else:
        fitted = True
    assert fitted == {fits}, (fitted, options)
    """
    run_python(textwrap.dedent(code))
