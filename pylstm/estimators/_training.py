"""The loop over epochs: when to stop, and which parameters to keep."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from sklearn.metrics import mean_squared_error, r2_score

from pylstm.typing import FloatArray

from ._engine import Session, Snapshot
from ._progress import make_progress
from ._samples import Samples, epoch_order, merge_equal, target_variance

# Bytes of X gathered at once to predict rows that do not lie side by side.
GATHER_BYTES = 16 << 20


@dataclass(frozen=True)
class Schedule:
    """How long and in which order to train."""

    batch_size: int
    max_iter: int
    shuffle: bool
    seed: int
    first_epoch: int  # epochs that earlier calls have run
    tol: float | None  # in units of the targets' variance; None never stops early
    n_iter_no_change: int
    early_stopping: bool
    verbose: int


class Ending(Enum):
    """Why training ended."""

    COMPLETE = "all epochs run, or no more improvement"
    INTERRUPTED = "Ctrl-C"
    NOT_FINITE = "a loss or a parameter that is not finite"


@dataclass
class Course:
    """What happened, epoch by epoch."""

    epoch: int  # the last one begun, counted over all calls, from 0
    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    best: Snapshot | None = None
    best_loss: float = np.inf
    best_epoch: int | None = None  # counted over all calls; None with `best` set: what training began with
    ending: Ending = Ending.COMPLETE


def train(
    session: Session, samples: Samples, validation: Samples | None, schedule: Schedule
) -> tuple[Snapshot, Course]:
    """Train `session` and return the parameters to keep, with the course of the training.

    Kept are the parameters of the last epoch; those of the best epoch with early stopping, and whenever training is cut
    short by Ctrl-C or by a loss that is not finite. The best epoch is the one with the lowest loss on the validation
    samples, or on the training samples where there are none.
    """
    course = Course(epoch=schedule.first_epoch)
    start = session.snapshot()
    try:
        if validation is not None and schedule.first_epoch:
            # Early stopping must not return anything worse than what it was given.
            loss, _ = _measure(session, validation)
            if np.isfinite(loss):
                course.best, course.best_loss = start, loss
        _run_epochs(session, samples, validation, schedule, course)
    except KeyboardInterrupt:
        course.ending = Ending.INTERRUPTED

    last = session.snapshot()
    if not last.is_finite:
        course.ending = Ending.NOT_FINITE
    if course.ending is Ending.NOT_FINITE:
        return course.best or start, course
    if schedule.early_stopping or course.ending is Ending.INTERRUPTED:
        return course.best or last, course
    return last, course


def _run_epochs(
    session: Session, samples: Samples, validation: Samples | None, schedule: Schedule, course: Course
) -> None:
    one_batch = len(samples.rows) <= schedule.batch_size
    if one_batch:
        samples = merge_equal(samples)
    min_improvement = None if schedule.tol is None else schedule.tol * target_variance(samples)
    loss_to_beat = course.best_loss if schedule.early_stopping else np.inf
    n_unimproved = 0
    progress = make_progress(schedule.verbose, schedule.max_iter, len(samples.rows))
    try:
        for index in range(schedule.max_iter):
            course.epoch = epoch = schedule.first_epoch + index
            as_they_are = one_batch or not schedule.shuffle
            order = samples.rows if as_they_are else epoch_order(samples.rows, schedule.seed, epoch)
            loss = session.run_epoch(
                samples.X,
                samples.y,
                weight=samples.weight,
                order=order,
                batch_size=schedule.batch_size,
                epoch=epoch,
                progress=progress.on_samples,
            )
            validation_loss, score = (None, None) if validation is None else _measure(session, validation)
            watched = loss if validation_loss is None else validation_loss
            if not (np.isfinite(loss) and np.isfinite(watched)):
                course.ending = Ending.NOT_FINITE
                return
            if watched < course.best_loss:
                snapshot = session.snapshot()
                if not snapshot.is_finite:  # the last update of the epoch did it, after the last loss
                    course.ending = Ending.NOT_FINITE
                    return
                course.best, course.best_loss = snapshot, watched
                course.best_epoch = epoch
            course.losses.append(loss)
            if validation_loss is not None and score is not None:
                course.validation_losses.append(validation_loss)
                course.validation_scores.append(score)
            progress.on_epoch(loss, validation_loss)

            if min_improvement is None:
                continue
            stopping_loss = watched if schedule.early_stopping else loss
            improved = stopping_loss < loss_to_beat - min_improvement
            n_unimproved = 0 if improved else n_unimproved + 1
            loss_to_beat = min(loss_to_beat, stopping_loss)
            if n_unimproved >= schedule.n_iter_no_change:
                return
    finally:
        progress.close()


def _measure(session: Session, samples: Samples) -> tuple[float, float]:
    """Return the mean squared error and R^2 of the samples' rows; NaN for R^2 of a single row."""
    predicted = _predict_rows(session, samples).astype(np.float64)
    if not np.isfinite(predicted).all():
        return np.nan, np.nan
    y = samples.y[samples.rows].astype(np.float64)
    with np.errstate(over="ignore"):  # an infinite error is an answer
        loss = float(mean_squared_error(y, predicted, sample_weight=samples.row_weight))
        if len(y) == 1 or not np.isfinite(loss):
            return loss, np.nan
        return loss, float(r2_score(y, predicted, sample_weight=samples.row_weight))


def _predict_rows(session: Session, samples: Samples) -> FloatArray:
    X, rows = samples.X, samples.rows
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == len(rows):
        return session.predict(X[first : last + 1])
    n_gather = max(1, GATHER_BYTES // (X[:1].size * X.itemsize))
    pieces = [session.predict(X[rows[i : i + n_gather]]) for i in range(0, len(rows), n_gather)]
    return np.concatenate(pieces)
