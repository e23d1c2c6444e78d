"""What untuned estimators make of real data as it comes, beside linear models: ``python -m benchmarks.defaults``.

From the project's root. Data sets are scikit-learn's and the package's own, and statsmodels' if that is installed.
Forecasts are of the last quarter of a series from windows of the first three; labels, and numbers of tables, of 30 %
that are drawn at random. Scores are R^2 or the share of labels that are right, means over the seeds.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pylstm import GRUClassifier, GRURegressor, LSTMClassifier, LSTMRegressor, make_windows
from pylstm.datasets import load_electrocardiogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ESTIMATORS: dict[bool, tuple[Any, ...]] = {
    False: (LSTMRegressor, GRURegressor),
    True: (LSTMClassifier, GRUClassifier),
}


class Task(NamedTuple):
    """Data to learn from and to be measured on."""

    name: str
    labels: bool
    X: Any
    y: Any
    X_test: Any
    y_test: Any


def forecast(name: str, series: Any, n_timesteps: int, horizon: int = 1) -> Task:
    """Forecast the first feature of the last quarter of a series."""
    values = np.asarray(series, float)
    values = values.reshape(len(values), -1)
    end = len(values) * 3 // 4
    parts = (values[:end], values[end - n_timesteps :])
    (X, y), (X_test, y_test) = (make_windows(part, n_timesteps, horizon=horizon) for part in parts)
    return Task(name, False, X, y.reshape(len(y), -1)[:, 0], X_test, y_test.reshape(len(y_test), -1)[:, 0])


def split(name: str, X: Any, y: Any, *, labels: bool) -> Task:
    """Hold out three in ten."""
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0)
    return Task(name, labels, X, y, X_test, y_test)


def tasks() -> Iterator[Task]:
    """Yield all that can be had."""
    images = datasets.load_digits()
    yield split("digits, 8 rows of 8", images.images, images.target, labels=True)
    yield split("breast cancer, 30 columns", *datasets.load_breast_cancer(return_X_y=True), labels=True)
    yield split("wine, 13 columns", *datasets.load_wine(return_X_y=True), labels=True)
    yield split("iris, 4 columns", *datasets.load_iris(return_X_y=True), labels=True)
    yield split("diabetes, 10 columns", *datasets.load_diabetes(return_X_y=True, scaled=False), labels=False)
    signal = load_electrocardiogram().signal[:36_000].reshape(-1, 4).mean(axis=1)
    yield forecast("electrocardiogram in uV, 40 steps", 1000 * signal, 40, horizon=5)
    try:
        from statsmodels import datasets as more
    except ImportError:
        sys.stderr.write("statsmodels is not installed: its series are left out\n")
        return
    frames = {name: getattr(more, name).load_pandas().data for name in ("sunspots", "co2", "elnino", "nile")}
    yield forecast("sunspots, 22 years", frames["sunspots"]["SUNACTIVITY"], 22)
    yield forecast("CO2, 26 months", frames["co2"]["co2"].interpolate()[::4], 26)
    yield forecast("El Nino, 24 months", frames["elnino"].drop(columns="YEAR").to_numpy().ravel(), 24)
    yield forecast("Nile, 10 years", frames["nile"]["volume"], 10)
    macro = more.macrodata.load_pandas().data[["unemp", "infl", "tbilrate", "realgdp", "cpi"]]
    yield forecast("US unemployment, 8 quarters of 5", macro, 8)


def linear_score(task: Task) -> float:
    """Return the score of a linear model of all steps at once."""
    model = LogisticRegression(max_iter=2000) if task.labels else RidgeCV(np.logspace(-3, 3, 13))
    X, X_test = (np.asarray(x).reshape(len(x), -1) for x in (task.X, task.X_test))
    return float(make_pipeline(StandardScaler(), model).fit(X, task.y).score(X_test, task.y_test))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.defaults", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=2, help="fits of each estimator")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="tasks whose names contain one of these")
    parser.add_argument("--early-stopping", action="store_true", help="with that")
    options = parser.parse_args(arguments)
    print("| task | n | linear | LSTM | GRU | epochs | s |\n| --- | --- | --- | --- | --- | --- | --- |")
    for task in tasks():
        if options.only and not any(text in task.name for text in options.only):
            continue
        scores, epochs, start = [], [], time.perf_counter()
        for estimator in ESTIMATORS[task.labels]:
            own = []
            for seed in range(options.seeds):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    model = estimator(random_state=seed, early_stopping=options.early_stopping).fit(task.X, task.y)
                own.append(model.score(task.X_test, task.y_test))
                epochs.append(model.n_iter_)
            scores.append(np.mean(own))
        linear, (lstm, gru) = linear_score(task), scores
        seconds = (time.perf_counter() - start) / len(epochs)
        print(f"| {task.name} | {len(task.y)} | {linear:.3f} | {lstm:.3f} | {gru:.3f} | {np.mean(epochs):.0f} ", end="")
        print(f"| {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
