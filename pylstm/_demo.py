"""The demonstration: an electrocardiogram forecast 100 ms ahead, by a network and by two simpler means.

The settings were chosen on the training part, and fixed before the held-out minute was looked at.
"""

from __future__ import annotations

import errno
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
from sklearn import config_context
from sklearn.linear_model import Ridge
from sklearn.metrics import root_mean_squared_error
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from pylstm._config import show_config
from pylstm.datasets import load_electrocardiogram
from pylstm.estimators import LSTMRegressor
from pylstm.plotting import plot_forecast, plot_loss_curve
from pylstm.preprocessing import make_windows
from pylstm.typing import FloatArray

N_AVERAGED = 4
"""Values of the recording in one step: 90 Hz."""

N_TIMESTEPS = 60
"""Steps in a window: 0.67 s."""

HORIZON = 9
"""Steps ahead: 100 ms."""

SHOWN = slice(832, 1283)
"""Forecasts in the picture: those of second 10 to 15 of the held-out minute."""


MODEL = "model.joblib"

PICTURES = ("forecast.png", "loss.png")


@dataclass(frozen=True)
class Result:
    """One forecaster on the held-out part."""

    name: str
    forecast: FloatArray  # mV
    seconds: float | None = None  # to fit


def run(output: Path, *, max_iter: int, seed: int, plot: bool) -> bool:
    """Train, compare, and write ``forecast.png``, ``loss.png`` and ``model.joblib`` to a folder.

    Returns
    -------
    bool
        False if Ctrl-C cut the training short; everything is written all the same.

    Raises
    ------
    OSError
        If a file cannot be written; its name is that of the file. All are tried before the training.
    """
    output.mkdir(parents=True, exist_ok=True)
    for name in (MODEL, *PICTURES) if plot else (MODEL,):
        with _replacing(output / name, keep=False):
            pass
    recording = load_electrocardiogram()
    signal = recording.signal.reshape(-1, N_AVERAGED).mean(axis=1)
    rate = recording.sampling_rate / N_AVERAGED
    n_training = len(signal) * 4 // 5
    n_fitting = n_training * 4 // 5
    X, y = _windows(signal[:n_fitting])
    X_val, y_val = _windows(signal[n_fitting:n_training])
    X_training, y_training = _windows(signal[:n_training])
    X_test, y_test = _windows(signal[n_training:])

    config = show_config(mode="dicts")
    print(
        f"Electrocardiogram at {rate:g} Hz: {N_TIMESTEPS} steps in, {HORIZON / rate * 1000:.0f} ms ahead. "
        f"{len(X)} windows to fit, {len(X_val)} to validate, {len(X_test)} held out.\n"
        f"pylstm {config['version']}, {config['isa']}, threads: {config['num_threads']}.",
        flush=True,
    )
    start = time.perf_counter()
    model, notes = _fit_network(X, y, X_val, y_val, max_iter=max_iter, seed=seed)
    seconds = time.perf_counter() - start
    with _replacing(output / MODEL) as path:
        joblib.dump(model, path)

    start = time.perf_counter()
    ridge = make_pipeline(StandardScaler(), Ridge()).fit(X_training, y_training)  # it needs no validation
    ridge_seconds = time.perf_counter() - start
    results = [
        Result("LSTM", model.predict(X_test), seconds),
        Result("Ridge", ridge.predict(X_test), ridge_seconds),
        Result("Last value", X_test[:, -1]),
    ]

    written = [MODEL]
    if plot:
        try:
            _draw(output, model, results, y_test, rate)
            written += PICTURES
        except ImportError as error:
            notes.append(str(error))
    print(_table(results, y_test), *notes, sep="\n")
    print(f"Written to {output}: {', '.join(written)}. To forecast from windows in mV, of shape (n, {N_TIMESTEPS}):\n")
    print(f"    import joblib\n    joblib.load({str(output / 'model.joblib')!r}).predict(X)")
    return not any("interrupted" in note for note in notes)


def _windows(signal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return X of shape (n, N_TIMESTEPS) and y of shape (n,), in mV."""
    X, y = make_windows(signal, N_TIMESTEPS, horizon=HORIZON)
    return X[:, :, 0], y


def _fit_network(
    X: FloatArray, y: FloatArray, X_val: FloatArray, y_val: FloatArray, *, max_iter: int, seed: int
) -> tuple[Pipeline, list[str]]:
    """Return the fitted pipeline and the warnings."""
    network = LSTMRegressor(hidden_size=32, max_iter=max_iter, early_stopping=True, random_state=seed, verbose=1)
    with warnings.catch_warnings(record=True) as caught, config_context(enable_metadata_routing=True):
        warnings.simplefilter("always")
        network.set_fit_request(X_val=True, y_val=True)
        model = Pipeline([("scale", StandardScaler()), ("lstm", network)], transform_input=["X_val"])
        model.fit(X, y, X_val=X_val, y_val=y_val)
    return model, [str(warning.message) for warning in caught]


def _table(results: list[Result], y_test: FloatArray) -> str:
    """Errors on the held-out part; skill is 1 - MSE / MSE of the last value (Murphy 1988)."""
    errors = [root_mean_squared_error(y_test, result.forecast) for result in results]
    lines = [f"\n{'Held-out minute':<16}{'RMSE (mV)':>11}{'skill':>9}{'fit (s)':>10}"]
    for result, error in zip(results, errors, strict=True):
        seconds = "-" if result.seconds is None else f"{result.seconds:.2f}"
        lines.append(f"{result.name:<16}{error:>11.3f}{1 - (error / errors[-1]) ** 2:>9.1%}{seconds:>10}")
    return "\n".join([*lines, "skill: 1 - MSE / MSE of the last value\n"])


def _draw(output: Path, model: Pipeline, results: list[Result], y_test: FloatArray, rate: float) -> None:
    """Draw both pictures."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 (optional; without pyplot no screen is needed)
    except ImportError as error:
        msg = 'No pictures: matplotlib is not installed. pip install "pylstm[demo]" brings it.'
        raise ImportError(msg) from error

    times = (np.arange(len(y_test)) + N_TIMESTEPS - 1 + HORIZON) / rate  # of the targets
    curves = {result.name: result.forecast[SHOWN] for result in results}
    forecast = Figure(figsize=(9, 3.6), dpi=150, layout="constrained")
    ax = plot_forecast(y_test[SHOWN], curves, times[SHOWN], ax=forecast.add_subplot())
    ax.set_xlabel("Time in the held-out minute (s)")
    ax.set_ylabel("Electrocardiogram (mV)")

    loss = Figure(figsize=(6, 3.6), dpi=150, layout="constrained")
    plot_loss_curve(model[-1], loss.add_subplot()).set_ylabel("Mean squared error (mV²)")

    for name, figure in zip(PICTURES, (forecast, loss), strict=True):
        with _replacing(output / name) as path:
            figure.savefig(path)


@contextmanager
def _replacing(path: Path, *, keep: bool = True) -> Iterator[Path]:
    """Yield the path of a file that takes the place of `path` at the end, if all went well: never half a file.

    An OSError on the way gets the name of `path`.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        temporary.touch()
        yield temporary
        if keep:
            temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
