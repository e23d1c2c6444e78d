"""What the pictures show."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from pylstm import LSTMClassifier, LSTMRegressor
from pylstm.plotting import plot_forecast, plot_loss_curve


@pytest.fixture
def waves() -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(60, 5))
    return X, X[:, -1]


def labels(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_loss_curve_is_that_of_the_estimator(waves) -> None:
    model = LSTMRegressor(4, max_iter=6, random_state=0).fit(*waves)
    ax = plot_loss_curve(model)
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert line.get_ydata().tolist() == model.loss_curve_
    assert labels(ax) == ["Training"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Epoch", "Mean squared error")


def test_the_lowest_validation_loss_is_marked(waves) -> None:
    model = LSTMRegressor(4, max_iter=6, early_stopping=True, random_state=0).fit(*waves)
    _, validation, dot = plot_loss_curve(model).lines
    assert validation.get_ydata().tolist() == model.validation_loss_curve_
    assert dot.get_ydata().tolist() == [min(model.validation_loss_curve_)]
    assert dot.get_xdata().tolist() == [1 + int(np.argmin(model.validation_loss_curve_))]


def test_validation_that_began_later_stands_at_its_epochs(waves) -> None:
    X, y = waves
    model = LSTMRegressor(4, max_iter=3, warm_start=True, random_state=0).fit(X, y)
    model.fit(X, y, X_val=X, y_val=y)
    training, validation, _ = plot_loss_curve(model).lines
    assert training.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert validation.get_xdata()[np.isfinite(validation.get_ydata())].tolist() == [4, 5, 6]
    model.fit(X, y)
    _, validation, _ = plot_loss_curve(model).lines
    assert validation.get_xdata()[np.isfinite(validation.get_ydata())].tolist() == [4, 5, 6]
    assert len(model.validation_loss_curve_) == len(model.validation_scores_) == model.n_iter_ == 9


@pytest.mark.parametrize(
    ("loss", "label"),
    [("absolute_error", "Mean absolute error"), ("quantile", "Mean quantile loss"), ("poisson", "Mean Poisson loss")],
)
def test_the_loss_is_named(waves, loss, label) -> None:
    X, y = waves
    assert plot_loss_curve(LSTMRegressor(4, max_iter=1, loss=loss).fit(X, abs(y))).get_ylabel() == label
    assert plot_loss_curve(LSTMClassifier(4, max_iter=1).fit(X, y > 0)).get_ylabel() == "Mean log loss"


def test_the_epoch_of_the_best_score_is_marked_where_that_is_watched(waves) -> None:
    X, y = waves
    model = LSTMClassifier(4, max_iter=9, scoring="balanced_accuracy", early_stopping=True, random_state=0)
    ax = plot_loss_curve(model.fit(X, y > 0))
    assert ax.lines[2].get_xdata().tolist() == [1 + int(np.argmax(model.validation_scores_))]
    assert labels(ax) == ["Training", "Validation (dot: best score)"]


def test_scores_that_are_no_numbers_and_curves_of_older_files_are_drawn(waves) -> None:
    model = LSTMRegressor(4, max_iter=6, early_stopping=True, scoring="r2", random_state=0).fit(*waves)
    model.validation_scores_ = [np.nan] * 6
    assert plot_loss_curve(model).lines[2].get_xdata().tolist() == [1 + int(np.argmin(model.validation_loss_curve_))]
    model.validation_loss_curve_ = model.validation_loss_curve_[3:]
    assert plot_loss_curve(model).lines[1].get_xdata().tolist() == [4, 5, 6]


def test_one_epoch_is_a_dot(waves) -> None:
    ax = plot_loss_curve(LSTMRegressor(4, max_iter=1, early_stopping=True).fit(*waves))
    assert [line.get_marker() for line in ax.lines] == ["o", "None", "o"]
    assert [tick for tick in ax.get_xticks() if 0.5 <= tick <= 1.5] == [1]


def test_epochs_are_whole_numbers(waves) -> None:
    ax = plot_loss_curve(LSTMRegressor(4, max_iter=2, random_state=0).fit(*waves))
    assert all(tick == int(tick) for tick in ax.get_xticks())


def test_a_training_without_a_complete_epoch_can_be_drawn(waves) -> None:
    model = LSTMRegressor(4, max_iter=1, random_state=0).fit(*waves)
    model.loss_curve_ = []
    figure = plot_loss_curve(model).figure
    figure.canvas.draw()


@pytest.mark.parametrize("estimator", [LSTMRegressor(), object()])
def test_what_has_no_loss_curve_is_refused(estimator) -> None:
    with pytest.raises(TypeError, match="expected a fitted estimator of pylstm"):
        plot_loss_curve(estimator)


def test_forecasts_are_drawn_by_name_over_time() -> None:
    truth, times = np.array([1.0, 3.0, 2.0]), np.array([0.5, 1.0, 1.5])
    curves = {"a": np.array([1.1, 2.9, 2.2]), "b": np.array([0.0, 1.0, 3.0])}
    ax = plot_forecast(truth, curves, times)
    for line, values in zip(ax.lines, [truth, *curves.values()], strict=True):
        assert line.get_xdata().tolist() == times.tolist()
        assert line.get_ydata().tolist() == values.tolist()
    assert labels(ax) == ["Truth", "a", "b"]
    assert len({line.get_color() for line in ax.lines}) == 3


def test_the_first_forecast_lies_on_top() -> None:
    truth, first, second = plot_forecast([1, 2], {"a": [1, 2], "b": [2, 1]}).lines
    assert truth.get_zorder() < second.get_zorder() < first.get_zorder()


def test_one_forecast_needs_no_name() -> None:
    ax = plot_forecast([1, 2, 3], [1, 2, 4])
    assert labels(ax) == ["Truth", "Forecast"]
    assert ax.lines[1].get_xdata().tolist() == [0, 1, 2]


def test_times_may_be_dates() -> None:
    times = np.arange("2026-01-01", "2026-01-05", dtype="datetime64[D]")
    plot_forecast(np.arange(4), np.arange(4), times).figure.canvas.draw()


def test_the_legend_covers_no_data() -> None:
    ax = plot_forecast(np.full(50, 9.0), {"a": np.full(50, 10.0), "b": np.zeros(50)})
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1


def test_drawing_on_given_axes_opens_no_figure(waves) -> None:
    ax = Figure().add_subplot()
    assert plot_forecast([1, 2], [1, 2], ax=ax) is ax
    assert plot_loss_curve(LSTMRegressor(4, max_iter=1, random_state=0).fit(*waves), ax) is ax
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 2]], [1, 2]), r"y_true has shape \(1, 2\), expected \(n,\)"),
        (([1, 2], [1, 2, 3]), r"forecasts\['Forecast'\] has shape \(3,\), expected \(2,\)"),
        (([1, 2], {"a": [[1], [2]]}), r"forecasts\['a'\] has shape \(2, 1\), expected \(2,\)"),
        (([1, 2], [1, 2], [1]), r"times has shape \(1,\), expected \(2,\)"),
    ],
)
def test_shapes_that_disagree_are_named(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        plot_forecast(*arguments)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch, waves) -> None:
    model = LSTMRegressor(4, max_iter=1, random_state=0).fit(*waves)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot")
    for draw in (lambda: plot_loss_curve(model), lambda: plot_forecast([1], [1])):
        with pytest.raises(ImportError, match=r'pip install "pylstm\[demo\]"'):
            draw()
