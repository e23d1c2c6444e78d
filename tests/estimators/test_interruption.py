"""Ctrl-C and losses that are not finite leave a fitted estimator with its best weights."""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from pylstm import LSTMRegressor
from pylstm.estimators._engine import Session
from pylstm.estimators._scale import Scale

from .data import same_bits, waves


def regressor(**parameters):
    return LSTMRegressor(**{"hidden_size": 6, "max_iter": 6, "random_state": 0, "tol": None} | parameters)


@pytest.fixture
def in_epoch(monkeypatch):
    """Let something happen instead of an epoch (counted from 1)."""

    def arrange(number, happening):
        run_epoch = Session.run_epoch

        def run_or_happen(self, samples, *, epoch, **options):
            if epoch + 1 == number:
                return happening(self, samples, epoch=epoch, **options)
            return run_epoch(self, samples, epoch=epoch, **options)

        monkeypatch.setattr(Session, "run_epoch", run_or_happen)

    return arrange


def press_ctrl_c(*args, **options):
    raise KeyboardInterrupt


def lose_the_loss(*args, **options):
    return float("nan")


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill with SIGINT ends the process there")
@pytest.mark.parametrize("n_samples", [200, 20_000], ids=["between epochs", "inside an epoch"])
def test_ctrl_c_leaves_a_fitted_estimator(run_python, n_samples):
    code = f"""
    import os, signal, threading, time, warnings
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from pylstm import LSTMRegressor

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it
    rng = np.random.RandomState(0)
    X = rng.normal(size=({n_samples}, 50, 4)).astype(np.float32)
    model = LSTMRegressor(64, max_iter=10**6, tol=None, random_state=0)
    sent = []

    def press():
        time.sleep(1.0)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, X[:, -1, 0])
    latency = time.monotonic() - sent[0]
    assert [warning.category for warning in caught] == [ConvergenceWarning]
    assert "interrupted" in str(caught[0].message)
    assert np.isfinite(model.predict(X[:10])).all()
    print(f"{{latency * 1000:.0f}} ms from Ctrl-C to the fitted estimator, epoch {{model.n_iter_ + 1}}")
    """
    print(run_python(textwrap.dedent(code)).stdout.decode())


def test_ctrl_c_keeps_the_weights_of_the_best_epoch(in_epoch):
    X, y = waves()
    in_epoch(4, press_ctrl_c)
    with pytest.warns(ConvergenceWarning, match=r"interrupted in epoch 4. The weights are those of epoch 3, the best"):
        model = regressor().fit(X, y)
    assert model.loss_curve_ == sorted(model.loss_curve_, reverse=True)  # so the last one was the best
    assert same_bits(model, regressor(max_iter=3).fit(X, y))
    assert model.n_iter_ == 3


def test_ctrl_c_in_the_first_epoch_keeps_what_was_learnt(in_epoch):
    X, y = waves()
    learnt = []

    def learn_and_press(session, *args, **options):
        session._trainer.run_epoch(
            X, y[:, np.newaxis].astype(np.float32), None, np.arange(64), options["batch_size"], options["epoch"], None
        )
        learnt.append(session.snapshot().parameters)
        raise KeyboardInterrupt

    in_epoch(1, learn_and_press)
    with pytest.warns(ConvergenceWarning, match=r"in epoch 1. The weights are those after the last complete batch"):
        model = regressor().fit(X, y)
    assert all(learnt[0][name].tobytes() == array.tobytes() for name, array in model.parameters_.items())
    assert model.predict(X).shape == y.shape


def test_an_interrupted_fit_can_go_on(in_epoch, monkeypatch):
    X, y = waves()
    in_epoch(4, press_ctrl_c)
    model = regressor(warm_start=True)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    monkeypatch.undo()
    assert same_bits(model.set_params(max_iter=3).fit(X, y), regressor(max_iter=6).fit(X, y))


def test_ctrl_c_in_partial_fit_keeps_the_estimator(in_epoch):
    X, y = waves()
    model = regressor().fit(X, y)
    in_epoch(7, press_ctrl_c)
    with pytest.warns(ConvergenceWarning, match="interrupted in epoch 7"):
        assert model.partial_fit(X, y) is model
    assert model.n_iter_ == 6


@pytest.mark.parametrize("happening", [press_ctrl_c, lose_the_loss])
def test_a_refit_that_comes_to_nothing_leaves_the_earlier_model(in_epoch, happening):
    X, y = waves()
    model = regressor().fit(X, y)
    before, state = regressor().fit(X, y), dict(vars(model))
    in_epoch(1, happening)
    with pytest.warns(ConvergenceWarning, match=r"in epoch 1. The weights are those of the earlier fit."):
        assert model.fit(X[:, :, :1], y[:, np.newaxis]) is model
    assert vars(model) == state
    assert same_bits(model, before)


@pytest.mark.parametrize("rate", [3.0, 100.0, 1e6])
@pytest.mark.parametrize(("batch_size", "ending"), [(16, "diverges"), (200, "diverges"), (200, "Ctrl-C")])
def test_the_best_weights_are_no_worse_than_those_it_began_with(in_epoch, rate, batch_size, ending):
    X, y = waves()
    model = regressor(max_iter=30, warm_start=True, batch_size=batch_size).fit(X, y)
    error = np.mean((model.predict(X) - y) ** 2)
    model.set_params(solver="sgd", learning_rate_init=rate, max_grad_norm=None)
    if ending == "Ctrl-C":
        in_epoch(33, press_ctrl_c)
    else:
        in_epoch(45, lose_the_loss)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    found = np.mean((model.predict(X) - y) ** 2)
    assert found <= error * 1.001
    if model.n_iter_ == 30:  # within the first epoch
        assert np.isnan(model.best_loss_)
    else:
        assert model.best_loss_ == pytest.approx(found, rel=1e-3)


@pytest.mark.parametrize("ending", [press_ctrl_c, lose_the_loss])
def test_the_weights_of_the_lowest_loss_are_kept_whatever_comes_after(in_epoch, monkeypatch, ending):
    """The loss of an epoch of one batch is that of the weights before it."""
    X, y = waves()
    losses = [5.0, 4.0, 6.0, 1.0, 50.0]
    true = {}  # by the weights
    run_epoch, loss_under = Session.run_epoch, Session.loss_under

    def key(snapshot):
        return snapshot.learnt["head.bias"].tobytes()

    def run(self, samples, *, epoch, **options):
        true.setdefault(key(self.snapshot()), losses[epoch])
        run_epoch(self, samples, epoch=epoch, **options)
        return losses[epoch]

    monkeypatch.setattr(Session, "run_epoch", run)
    monkeypatch.setattr(Session, "loss_under", lambda _, snapshot, samples: true.get(key(snapshot), 99.0))
    in_epoch(6, ending)
    with pytest.warns(ConvergenceWarning, match=r"in epoch 6. The weights are those of epoch 3, the best so far"):
        model = regressor(batch_size=200, max_iter=9).fit(X, y)
    assert model.best_loss_ == 1.0
    monkeypatch.setattr(Session, "run_epoch", run_epoch)
    monkeypatch.setattr(Session, "loss_under", loss_under)
    assert model.n_iter_ == 5


def test_a_second_ctrl_c_ends_the_look_at_the_samples(in_epoch, monkeypatch):
    X, y = waves()
    in_epoch(4, lose_the_loss)
    monkeypatch.setattr(Session, "loss_under", press_ctrl_c)
    with pytest.warns(ConvergenceWarning, match="those of epoch 3, the best so far"):
        model = regressor().fit(X, y)
    assert same_bits(model, regressor(max_iter=3).fit(X, y))


def test_the_loss_of_no_epoch_is_nan_here_and_in_a_file(in_epoch, tmp_path):
    X, y = waves()
    in_epoch(1, press_ctrl_c)
    with pytest.warns(ConvergenceWarning):
        model = regressor().fit(X, y)
    assert np.isnan(model.best_loss_)
    model.save_model(tmp_path / "model.safetensors")
    assert np.isnan(LSTMRegressor.load_model(tmp_path / "model.safetensors").best_loss_)


def test_a_lost_loss_keeps_the_weights_of_the_best_epoch(in_epoch):
    X, y = waves()
    in_epoch(4, lose_the_loss)
    with pytest.warns(ConvergenceWarning, match=r"NaN or infinite in epoch 4. The weights are those of epoch 3"):
        model = regressor().fit(X, y)
    assert same_bits(model, regressor(max_iter=3).fit(X, y))


def test_a_lost_loss_with_validation_keeps_the_best_validated_weights(in_epoch):
    X, y = waves()
    in_epoch(4, lose_the_loss)
    with pytest.warns(ConvergenceWarning):
        model = regressor(early_stopping=True).fit(X, y)
    best = int(np.argmin(model.validation_loss_curve_))
    assert same_bits(model, regressor(early_stopping=True, max_iter=best + 1).fit(X, y))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_exploding_first_fit_ends_with_finite_weights_and_advice(dtype):
    X, y = waves()
    model = regressor(solver="sgd", learning_rate_init=1e300 if dtype == "float64" else 1e30, max_grad_norm=None)
    with pytest.warns(ConvergenceWarning) as caught:
        model.set_params(dtype=dtype).fit(X, y)
    (warning,) = caught
    message = str(warning.message)
    assert warning.filename == __file__
    assert "The loss became NaN or infinite in epoch 1. The weights are those from before this call." in message
    for advice in ("a smaller learning_rate_init (now 1e+30", "max_grad_norm=1.0", "X and y scaled to unit variance"):
        assert advice.replace("1e+30", "1e+300" if dtype == "float64" else "1e+30") in message
    assert ('dtype="float64"' in message) == (dtype == "float32")
    assert all(np.isfinite(array).all() for array in model.parameters_.values())
    assert np.isfinite(model.predict(X)).all()


def test_an_explosion_in_the_very_last_update_is_noticed():
    X, y = waves(20)  # one batch: its loss is measured before the update that ruins the weights
    model = regressor(solver="sgd", learning_rate_init=1e30, max_grad_norm=None, max_iter=1)
    with pytest.warns(ConvergenceWarning, match="NaN or infinite"):
        model.fit(X, 1e15 * y)
    assert all(np.isfinite(array).all() for array in model.parameters_.values())


def test_an_explosion_in_the_last_update_of_a_worse_epoch_is_noticed(in_epoch):
    X, y = waves()

    def ruin(session, *args, **options):
        ruined = {name: np.full_like(array, np.nan) for name, array in session.snapshot().parameters.items()}
        session._network.set_parameters(ruined)
        return 1e9

    in_epoch(3, ruin)
    with pytest.warns(ConvergenceWarning, match=r"NaN or infinite in epoch 3. The weights are those of epoch 2"):
        model = regressor(max_iter=3).fit(X, y)
    assert same_bits(model, regressor(max_iter=2).fit(X, y))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_weights_that_are_finite_only_while_scaled_are_not_kept(monkeypatch, early_stopping):
    X, y = waves()
    model = regressor(warm_start=True).fit(X, y)
    before = model.parameters_
    # The last, the best, and without samples to validate on the best before it.
    outside, overflows = Scale.outside, iter([not early_stopping, True, not early_stopping])

    def overflow(scale, learnt):
        parameters = outside(scale, learnt)
        return {name: array * np.inf for name, array in parameters.items()} if next(overflows, False) else parameters

    monkeypatch.setattr(Scale, "outside", overflow)
    with pytest.warns(ConvergenceWarning, match=r"NaN or infinite.*those from before this call"):
        model.set_params(early_stopping=early_stopping, random_state=1).fit(X, y)
    assert all(before[name].tobytes() == array.tobytes() for name, array in model.parameters_.items())


def test_an_exploding_partial_fit_keeps_the_weights():
    X, y = waves()
    model = regressor(max_grad_norm=None).fit(X, y)
    before = model.parameters_
    model.set_params(solver="sgd", learning_rate_init=1e30)
    with pytest.warns(ConvergenceWarning, match="those from before this call"):
        model.partial_fit(X, y)
    assert all(before[name].tobytes() == array.tobytes() for name, array in model.parameters_.items())


def test_an_error_inside_training_leaves_the_estimator_as_it_was(in_epoch):
    X, y = waves()
    model = regressor().fit(X, y)
    before = dict(vars(model))

    def fail(*args, **options):
        raise MemoryError

    in_epoch(3, fail)
    with pytest.raises(MemoryError):
        model.fit(X, y)
    assert vars(model) == before
