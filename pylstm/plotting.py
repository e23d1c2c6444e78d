"""Pictures of a training and of its forecasts. Needs matplotlib, which is imported when the first picture is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_forecast", "plot_loss_curve"]

LOSSES = {
    "squared_error": "Mean squared error",
    "absolute_error": "Mean absolute error",
    "huber": "Mean Huber loss",
    "quantile": "Mean quantile loss",
    "poisson": "Mean Poisson loss",
    "log_loss": "Mean log loss",
}

# Told apart with every kind of colour vision: Okabe & Ito 2008, without black and the pale yellow.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")


def plot_loss_curve(estimator: Any, ax: Axes | None = None) -> Axes:
    """Plot the training loss epoch by epoch, and the validation loss where there is one.

    Parameters
    ----------
    estimator : LSTMRegressor, GRURegressor, LSTMClassifier or GRUClassifier
        Fitted; of a pipeline, its last step.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure of pyplot.

    Returns
    -------
    matplotlib.axes.Axes
        Mean loss (of squared errors in the unit of y squared) over epochs, counted from 1. A dot marks the lowest
        validation loss, or with `scoring` that of the best score.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If `estimator` has no loss curve.

    Examples
    --------
    >>> import numpy as np
    >>> from pylstm import LSTMRegressor, make_windows
    >>> from pylstm.plotting import plot_loss_curve
    >>> X, y = make_windows(np.sin(0.3 * np.arange(100)), n_timesteps=10)
    >>> ax = plot_loss_curve(LSTMRegressor(4, max_iter=5, random_state=0).fit(X, y))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('Epoch', 'Mean squared error')
    """
    if not hasattr(estimator, "loss_curve_"):
        msg = f"estimator is {type(estimator).__name__} without loss_curve_, expected a fitted estimator of pylstm"
        raise TypeError(msg)
    ax = _axes(ax)
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 (optional)

    training, validation = estimator.loss_curve_, estimator.validation_loss_curve_
    epochs = np.arange(1, len(training) + 1)
    marker = "o" if len(training) == 1 else None  # there is no line through one point
    ax.plot(epochs, training, color=COLOURS[1], marker=marker, markersize=5, label="Training")
    if validation and np.isfinite(validation).any():
        by_score = getattr(estimator, "scoring", None) is not None and np.isfinite(estimator.validation_scores_).any()
        watched = np.negative(estimator.validation_scores_) if by_score else validation
        what = "best score" if by_score else "lowest"
        epochs = epochs[-len(validation) :]  # in older files validation that began later has fewer
        (line,) = ax.plot(epochs, validation, color=COLOURS[0], label=f"Validation (dot: {what})")
        best = int(np.nanargmin(watched))
        ax.plot(epochs[best], validation[best], "o", color=line.get_color(), markersize=5)
    if len(training) == 1:
        ax.set_xlim(0.5, 1.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    ax.set_xlabel("Epoch")
    ax.set_ylabel(LOSSES[getattr(estimator, "loss", "log_loss")])
    _finish(ax)
    return ax


def plot_forecast(
    y_true: ArrayLike,
    forecasts: Mapping[str, ArrayLike] | ArrayLike,
    times: ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot what happened and what was forecast.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        What happened.
    forecasts : dict of str to array-like of shape (n,), or array-like of shape (n,)
        Forecasts by name, the most important one first: it is drawn last and widest.
    times : array-like of shape (n,), optional
        When: numbers or dates. Default: 0, 1, ..., n - 1.
    ax : matplotlib.axes.Axes, optional
        Where to draw. Default: a new figure of pyplot.

    Returns
    -------
    matplotlib.axes.Axes
        With a legend above it; the labels of its axes are for the caller to set.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If shapes disagree.

    Examples
    --------
    >>> from pylstm.plotting import plot_forecast
    >>> ax = plot_forecast([1.0, 2.0, 3.0], {"LSTM": [1.1, 2.1, 2.8], "Last value": [0.9, 1.0, 2.0]})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['Truth', 'LSTM', 'Last value']
    """
    truth = np.asarray(y_true)
    if truth.ndim != 1:
        msg = f"y_true has shape {truth.shape}, expected (n,)"
        raise ValueError(msg)
    when = np.arange(len(truth)) if times is None else _same_length("times", times, len(truth))
    named = forecasts if isinstance(forecasts, Mapping) else {"Forecast": forecasts}
    curves = {name: _same_length(f"forecasts[{name!r}]", values, len(truth)) for name, values in named.items()}
    ax = _axes(ax)
    ax.plot(when, truth, color="0.72", linewidth=3.5, label="Truth")
    for place, (name, values) in enumerate(curves.items()):
        width = 0.9 if place else 1.6
        ax.plot(when, values, color=COLOURS[place % len(COLOURS)], linewidth=width, label=name, zorder=3 - 0.01 * place)
    ax.margins(x=0)
    _finish(ax)
    return ax


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot  # noqa: PLC0415 (optional)
    except ImportError as error:
        msg = 'plotting needs matplotlib, which is not installed: pip install "pylstm[demo]"'
        raise ImportError(msg) from error
    return pyplot.subplots(layout="constrained")[1]


def _same_length(name: str, value: ArrayLike, n: int) -> Any:
    array = np.asarray(value)
    if array.shape != (n,):
        msg = f"{name} has shape {array.shape}, expected ({n},) (one value for each of y_true)"
        raise ValueError(msg)
    return array


def _finish(ax: Axes) -> None:
    """Frame on two sides only; the legend above, where there are no data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, borderaxespad=0.3, borderpad=0)
