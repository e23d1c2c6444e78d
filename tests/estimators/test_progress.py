"""What `verbose` shows."""

from __future__ import annotations

import re
import sys

import pytest

from pylstm import LSTMRegressor
from pylstm.estimators import _progress

from .data import waves


def fit(**parameters):
    return LSTMRegressor(**{"hidden_size": 4, "max_iter": 3, "random_state": 0} | parameters).fit(*waves(50))


LINE = r"epoch {}/3: loss [0-9.e-]+, [0-9.]+ s"


def test_silence_is_the_default(capfd):
    fit()
    fit().partial_fit(*waves(50))
    assert capfd.readouterr() == ("", "")


def test_partial_fit_is_always_silent(capfd):
    LSTMRegressor(4, verbose=2).partial_fit(*waves(50))
    assert capfd.readouterr() == ("", "")


def test_plain_lines_tell_epoch_loss_and_time(capfd):
    fit(verbose=2)
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 3
    for number, line in enumerate(lines, start=1):
        assert re.fullmatch(LINE.format(number), line)


def test_plain_lines_tell_the_validation_loss(capfd):
    fit(verbose=2, early_stopping=True)
    assert re.search(r"loss [0-9.e-]+, validation [0-9.e-]+, ", capfd.readouterr().out)


def test_without_tqdm_there_are_plain_lines(capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    fit(verbose=1)
    out, err = capfd.readouterr()
    assert re.fullmatch(LINE.format(1), out.splitlines()[0])
    assert err == ""


@pytest.mark.filterwarnings("default")  # tqdm's own, about notebooks
def test_with_tqdm_there_is_a_bar(capfd):
    pytest.importorskip("tqdm")
    fit(verbose=True, early_stopping=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "3.0/3 epochs" in err
    assert re.search(r"loss [0-9.e-]+, validation [0-9.e-]+", err)


@pytest.mark.filterwarnings("default")
def test_the_bar_moves_inside_an_epoch(capfd):
    tqdm = pytest.importorskip("tqdm")
    progress = _progress._Bar(tqdm.tqdm, n_epochs=4, n_samples=100)
    progress.on_epoch(0.5, None)
    progress.on_samples(50)
    assert progress._bar.n == pytest.approx(1.5)
    progress.on_epoch(0.25, None)
    assert progress._bar.n == pytest.approx(2)
    progress.close()
    assert "2.0/4 epochs" in capfd.readouterr().err


def test_long_epochs_have_lines_of_their_own(capfd, monkeypatch):
    monkeypatch.setattr(_progress, "LINE_INTERVAL", 0.0)
    progress = _progress.make_progress(2, n_epochs=3, n_samples=200)
    progress.on_samples(50)
    assert capfd.readouterr().out == "epoch 1/3: 25%\n"
