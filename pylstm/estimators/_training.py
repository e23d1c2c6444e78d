"""The loop over epochs: when to stop, and which parameters to keep."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from ._engine import Session, Snapshot
from ._progress import make_progress
from ._rates import Plateau, fixed_schedule
from ._samples import Samples, bucketed, epoch_order, merge_equal


@dataclass(frozen=True)
class Schedule:
    """How long, in which order and how fast to train."""

    batch_size: int
    max_iter: int
    shuffle: bool
    bucket_by_length: bool
    seed: int
    first_epoch: int  # epochs that earlier calls have run
    tol: float | None  # in units of `loss_unit`, of a score its own; None never stops early
    loss_unit: float
    n_iter_no_change: int
    early_stopping: bool
    learning_rate: str
    learning_rate_init: float
    alpha: float
    alpha_follows: bool  # `alpha` is what it is while all is to be learnt, and falls with what is left
    last_loss: float | None  # of earlier calls
    verbose: int

    def penalty(self, last_loss: float | None) -> float:
        """Return the L2 penalty of the epoch after one of such a loss; None: it is the first."""
        if not self.alpha_follows or last_loss is None:
            return self.alpha
        # Rounded: the order in which a loss is summed is not to be heard.
        return self.alpha * round(min(1.0, last_loss / self.loss_unit), 6)


class Ending(Enum):
    """Why training ended."""

    COMPLETE = "all epochs run, no more improvement, or a callback's word"
    INTERRUPTED = "Ctrl-C"
    NOT_FINITE = "a loss or a parameter that is not finite"


@dataclass(frozen=True)
class Epoch:
    """What a callback is told of an epoch.

    Attributes
    ----------
    epoch : int
        Its number, counted over all calls of fit, from 1.
    loss : float
        Mean loss on the training samples, each batch measured before its update.
    validation_loss, validation_score : float or None
        Of the validation samples, if there are any.
    learning_rate : float
        What it was trained with.
    """

    epoch: int
    loss: float
    validation_loss: float | None
    validation_score: float | None
    learning_rate: float


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
    before_best: Snapshot | None = None  # of which the best epoch's loss is, at first; without validation samples
    ending: Ending = Ending.COMPLETE

    @property
    def came_to_nothing(self) -> bool:
        """Whether training was cut short before any epoch had made anything better than what it began with."""
        cut_short = self.ending is not Ending.COMPLETE
        return cut_short and self.best_epoch is None and (self.best is not None or not self.losses)


@dataclass(frozen=True)
class Validation:
    """Samples to measure on after every epoch, and how."""

    samples: Samples
    score: Callable[[Session], float]
    watch_score: bool  # the score decides which epoch is best, not the loss

    def measure(self, session: Session) -> tuple[float, float]:
        """Return loss and score; NaN for the score where there is none."""
        loss = session.loss(self.samples)
        return loss, self.score(session) if np.isfinite(loss) else np.nan

    def watched(self, loss: float, score: float) -> float:
        """Return what is to fall."""
        return -score if self.watch_score else loss


# Told of every epoch, and of all so far; True ends the training.
Callback = Callable[[Session, Epoch, Course], bool]


def train(
    session: Session,
    samples: Samples,
    validation: Validation | None,
    schedule: Schedule,
    callback: Callback | None = None,
) -> tuple[Snapshot, Course]:
    """Train `session` and return the parameters to keep, with the course of the training.

    Kept are the parameters of the last epoch; those of the best epoch with early stopping, and whenever training is cut
    short by Ctrl-C or by a loss that is not finite. The best epoch is the one with the lowest loss, or with the highest
    score where that is watched, on the validation samples, or on the training samples where there are none. A training
    loss is that from before the epoch's updates, the last of which may have led astray. So after a loss that is not
    finite, and after Ctrl-C where one batch is all that has to be measured, those from before the epoch, and those
    before the call, have their chance.
    """
    course = Course(epoch=schedule.first_epoch)
    start = session.snapshot()
    try:
        if validation is not None and schedule.first_epoch:
            # Early stopping must not return anything worse than what it was given.
            watched = validation.watched(*validation.measure(session))
            if np.isfinite(watched):
                course.best, course.best_loss = start, watched
        _run_epochs(session, samples, validation, schedule, course, start, callback)
    except KeyboardInterrupt:
        course.ending = Ending.INTERRUPTED

    last = session.snapshot()
    kept = (course.best or last) if schedule.early_stopping or course.ending is Ending.INTERRUPTED else last
    if course.ending is Ending.NOT_FINITE or not last.is_finite or not kept.is_finite:
        course.ending = Ending.NOT_FINITE
    one_batch = len(samples.rows) <= schedule.batch_size  # what it takes to measure is one step's time
    if validation is None and (
        course.ending is Ending.NOT_FINITE or (course.ending is Ending.INTERRUPTED and one_batch)
    ):
        with suppress(KeyboardInterrupt):  # once more
            _measure_best(session, samples, course, start)
        kept = course.best or last
    if course.ending is Ending.NOT_FINITE:
        if course.best is None or not course.best.is_finite:  # none, or finite only while scaled
            course.best, course.best_loss, course.best_epoch = start, np.nan, None
        kept = course.best
    return kept, course


def _measure_best(session: Session, samples: Samples, course: Course, start: Snapshot) -> None:
    """Choose again between the best, those before them and the first, by what each makes of the samples."""
    if course.best is None or course.best_epoch is None:
        return
    candidates: list[tuple[Snapshot, int | None]] = [(course.best, course.best_epoch), (start, None)]
    if course.before_best is not None and course.before_best is not start:
        candidates.insert(1, (course.before_best, course.best_epoch - 1))
    losses = [session.loss_under(snapshot, samples) if snapshot.is_finite else np.nan for snapshot, _ in candidates]
    if np.isfinite(losses).any():
        chosen = int(np.nanargmin(losses))
        (course.best, course.best_epoch), course.best_loss = candidates[chosen], losses[chosen]


def _run_epochs(
    session: Session,
    samples: Samples,
    validation: Validation | None,
    schedule: Schedule,
    course: Course,
    start: Snapshot,
    callback: Callback | None,
) -> None:
    one_batch = len(samples.rows) <= schedule.batch_size
    if one_batch:
        samples = merge_equal(samples, session.seen)
    by_score = schedule.early_stopping and validation is not None and validation.watch_score
    unit = 1.0 if by_score else schedule.loss_unit
    min_improvement = None if schedule.tol is None else schedule.tol * unit
    loss_to_beat = course.best_loss if schedule.early_stopping else np.inf
    n_unimproved = 0
    factor, plateau = fixed_schedule(schedule.learning_rate, schedule.max_iter), Plateau(schedule.n_iter_no_change)
    last_loss, last = schedule.last_loss, start
    random = np.random.RandomState()
    progress = make_progress(schedule.verbose, schedule.max_iter, len(samples.rows))
    try:
        for index in range(schedule.max_iter):
            course.epoch = epoch = schedule.first_epoch + index
            session.learning_rate = schedule.learning_rate_init * factor(index) * plateau.factor
            session.set_alpha(schedule.penalty(last_loss))
            as_they_are = one_batch or not schedule.shuffle
            order = samples.rows if as_they_are else epoch_order(samples.rows, random, schedule.seed, epoch)
            if schedule.bucket_by_length and not as_they_are:
                order = bucketed(order, samples.X, schedule.batch_size, random, schedule.seed, epoch)
            loss = session.run_epoch(
                samples, order=order, batch_size=schedule.batch_size, epoch=epoch, progress=progress.on_samples
            )
            validation_loss, score = (None, None) if validation is None else validation.measure(session)
            watched = loss
            if validation is not None and validation_loss is not None and score is not None:
                watched = validation.watched(validation_loss, score)
            if not (np.isfinite(loss) and np.isfinite(validation_loss or 0.0)):
                course.ending = Ending.NOT_FINITE
                return
            improves = watched < course.best_loss
            # Without validation samples a loss is that of the weights before: they may be the last good ones.
            snapshot = session.snapshot() if improves or validation is None else last
            if improves:
                if not snapshot.learnt_is_finite:  # the last update of the epoch did it, after the last loss
                    course.ending = Ending.NOT_FINITE
                    return
                course.best, course.best_loss, course.best_epoch = snapshot, watched, epoch
                course.before_best = last if validation is None else None
            last = snapshot
            course.losses.append(loss)
            last_loss = loss
            if validation_loss is not None and score is not None:
                course.validation_losses.append(validation_loss)
                course.validation_scores.append(score)
            progress.on_epoch(loss, validation_loss)
            told = Epoch(epoch + 1, loss, validation_loss, score, session.learning_rate)
            if callback is not None and callback(session, told, course):
                return

            stopping_loss = watched if schedule.early_stopping else loss
            improved = stopping_loss < loss_to_beat - (min_improvement or 0.0)
            loss_to_beat = min(loss_to_beat, stopping_loss)
            if schedule.learning_rate == "plateau":
                plateau.hear(improved=improved)
            n_unimproved = 0 if improved else n_unimproved + 1
            if min_improvement is not None and n_unimproved >= schedule.n_iter_no_change:
                return
    finally:
        progress.close()
