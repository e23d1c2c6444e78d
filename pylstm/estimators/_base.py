"""What every recurrent estimator does: check, train a draft of itself, and become the draft once that has succeeded."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.utils import Tags, _safe_indexing, check_random_state
from sklearn.utils.validation import check_is_fitted

from pylstm.model import Model as ModelOfFile
from pylstm.model._missing import refuse_stream
from pylstm.model._readout import Readout, Sequences, TargetForm, for_each
from pylstm.preprocessing._sequences import hold
from pylstm.typing import FloatArray

from ._engine import Architecture, Model, Session
from ._hyperparameters import Hyperparameters
from ._loss import Loss
from ._parameters import check_dtype
from ._persistence import document_of, load_estimator, save_estimator
from ._samples import Rows, Samples, hold_out, n_observations, take, weights_of_items
from ._scale import FeatureScale, Scale, TargetScale
from ._targets import check_weights
from ._training import Course, Ending, Epoch, Schedule, Validation, train
from ._validation import InputForm, check_sequences


class RecurrentEstimator(Hyperparameters):
    """Training and prediction that do not depend on the task."""

    n_features_in_: int
    n_features_per_step_: int
    n_outputs_: int
    n_iter_: int
    best_loss_: float
    loss_curve_: list[float]
    validation_loss_curve_: list[float] | None
    validation_scores_: list[float] | None
    _model: Model
    _input: InputForm
    _readout: Readout

    _by_item: bool = False  # predictions for steps come one after the other, as scorers know them

    _KIND: ClassVar[str]
    """Of the task, in model files."""

    _SCALING_ADVICE: str = "X and y scaled to unit variance"
    _PRIVATE_STATE: tuple[str, ...] = ("_model", "_input", "_readout")

    @property
    def parameters_(self) -> dict[str, FloatArray]:
        """The network's weights by name, read-only."""
        check_is_fitted(self)
        return dict(self._model.snapshot.parameters)

    def save_model(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a model file, which `load_model` reads and so do C++ programs.

        Parameters
        ----------
        path : path-like
            The file is replaced as a whole, or left as it is if writing fails.

        Raises
        ------
        OSError
            If it cannot be written.
        TypeError
            If labels are no numbers or strings, such as dates: pickle keeps them.
        TypeError, ValueError
            If a parameter has become wrong since fit.

        Notes
        -----
        The file is safetensors: weights, the description of the network, the constructor's parameters and the fitted
        attributes. What was set since fit is saved as a parameter; how the network takes X is what it was in fit.
        Parameters that are not plain data (a RandomState) and the solver's state are left out; pickle keeps
        them.
        """
        check_is_fitted(self)
        save_estimator(self._as_it_is(), path)

    def export_header(self, path: str | os.PathLike[str], *, name: str = "model") -> None:
        """Write the fitted network as a C++ header that needs no file system. See `pylstm.Model.export_header`.

        Parameters
        ----------
        path : path-like
            The header.
        name : str
            Namespace of everything in it.
        """
        check_is_fitted(self)
        ModelOfFile(document_of(self._as_it_is(), training=False)).export_header(path, name=name)

    @classmethod
    def load_model(cls, path: str | os.PathLike[str]) -> Self:
        """Return the fitted estimator that `save_model` wrote. Nothing in the file is executed.

        Parameters
        ----------
        path : path-like
            A model file.

        Returns
        -------
        estimator : object
            Predicts the same bits. Training goes on from the weights, with a new solver.

        Raises
        ------
        ModelFormatError
            If the file is truncated, corrupted, inconsistent, of another kind, or written by a newer version.
        OSError
            If it cannot be read.
        """
        return load_estimator(cls, path)

    # What depends on the task.

    def _loss(self) -> Loss:
        """Return what is minimised."""
        raise NotImplementedError

    def _encode_targets(
        self, y: Any, X: Sequences, *, is_table: bool, targets: str, reset: bool, name: str
    ) -> tuple[Sequences, TargetForm]:
        """Return targets as the engine takes them and what they look like; with `reset`, learn from them."""
        raise NotImplementedError

    def _loss_weights(self, weight: Sequences | None, y: Sequences, *, learn: bool) -> Sequences | None:
        """Return weights for the checked targets `y`, those of their classes included; `learn` the latter from `y`."""
        return weight

    def _kinds(self, samples: Samples) -> NDArray[np.int64] | None:
        """Return the kind of each meant row, of all of which validation samples are to have their share, or None."""
        return None

    def _score_items(self, y: Any, predicted: Any, weight: Any) -> float:
        """Return the score of predictions for sequences, or for the steps of all of them."""
        raise NotImplementedError

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        held_out_data: tuple[Any, Any, Any] = (None, None, None),
        *,
        resume: bool,
        partial: bool,
    ) -> Self:
        """Train from new parameters; with ``resume=True`` go on from those of an earlier fit, if there was one.

        `held_out_data` are X_val, y_val and sample_weight_val. With ``partial=True`` it is one epoch, and no warning of
        how it ended.
        """
        self._check_parameters()
        resume = resume and hasattr(self, "_model")
        draft = self._draft(keep_state=resume)
        samples = draft._check_samples(X, y, sample_weight, reset=not resume)
        held_out = draft._check_validation(*held_out_data, n_targets=samples.n_targets)
        architecture = draft._architecture(
            draft._n_network_features(), draft._readout.n_outputs(samples.n_targets), per_step=samples.per_step
        )
        if resume:
            _require_same(self._input.now(self), InputForm.of(self, self._input.n_columns))
            _require_same(self._model.architecture, architecture)
            seed, start = self._model.seed, self._model.snapshot
        else:
            seed, start = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max)), None
            draft.n_iter_ = 0
            draft.loss_curve_ = []
            draft.validation_loss_curve_ = draft.validation_scores_ = None
        draft.n_outputs_ = samples.n_targets
        if self.early_stopping and held_out is None:
            kinds = draft._kinds(samples) if self.shuffle else None
            samples, held_out = hold_out(samples, self.validation_fraction, seed if self.shuffle else None, kinds)

        loss = draft._loss()
        schedule = Schedule(
            batch_size=int(self.batch_size),
            max_iter=1 if partial else int(self.max_iter),
            shuffle=bool(self.shuffle),
            bucket_by_length=bool(self.bucket_by_length),
            seed=seed,
            first_epoch=draft.n_iter_,
            tol=self.tol,
            loss_unit=loss.unit(samples),
            n_iter_no_change=self._patience(len(samples.rows)),
            early_stopping=bool(self.early_stopping),
            learning_rate="constant" if partial else self.learning_rate,
            learning_rate_init=float(self.learning_rate_init),
            # A part says nothing of how much there is in all.
            alpha=self._penalty(np.inf if partial else n_observations(samples)),
            alpha_follows=self.alpha == "auto" and loss.is_homogeneous,
            last_loss=draft.loss_curve_[-1] if draft.loss_curve_ else None,
            verbose=0 if partial else int(self.verbose),
        )
        scale = draft._scale(samples, loss) if start is None or start.scale is None else start.scale
        session = Session(
            architecture, self._solver(), loss, self._dropout(), self._long_sequences(), seed, start, scale
        )
        validation = None
        if held_out is not None:
            own = held_out_data[0] is None
            scored = held_out if own else held_out.scored()
            scaled_held_out = scale.targets.scaled(held_out)
            validation = draft._validation(scaled_held_out, scored, X if own else held_out_data[0])
            none = [np.nan] * draft.n_iter_
            draft.validation_loss_curve_ = draft.validation_loss_curve_ or none
            draft.validation_scores_ = draft.validation_scores_ or none
        callback = None if partial or not self.callbacks else draft._call_back
        snapshot, course = train(session, scale.targets.scaled(samples), validation, schedule, callback)

        if course.came_to_nothing and not resume and hasattr(self, "_model"):  # the earlier model stays
            warnings.warn(self._describe(course, earlier=True), ConvergenceWarning, stacklevel=3)
            return self
        draft._model = Model(architecture, snapshot, seed)
        draft._record(course)
        self._become(draft)
        if course.ending is not Ending.COMPLETE:
            warnings.warn(self._describe(course), ConvergenceWarning, stacklevel=3)
        return self

    def _n_network_features(self) -> int:
        """Return how many numbers the first layer reads of a step."""
        if self._input.vocabulary_size is not None:
            return int(self.embedding_size)
        return self._input.n_network_features(self.n_features_per_step_)

    def _with_model_of(self, session: Session) -> Self:
        """Return a fitted copy with the session's present parameters."""
        fitted = copy.copy(self)
        fitted._model = Model(session.architecture, session.snapshot(), session.seed)
        return fitted

    def _record(self, course: Course) -> None:
        """Add a course of training to those of earlier calls."""
        self.n_iter_ += len(course.losses)
        self.best_loss_ = course.best_loss if np.isfinite(course.best_loss) else np.nan
        self.loss_curve_ = self.loss_curve_ + course.losses
        if self.validation_loss_curve_ is not None and self.validation_scores_ is not None:
            n, none = len(course.losses), [np.nan] * len(course.losses)
            self.validation_loss_curve_ = self.validation_loss_curve_ + (course.validation_losses + none)[:n]
            self.validation_scores_ = self.validation_scores_ + (course.validation_scores + none)[:n]

    def _scale(self, samples: Samples, loss: Loss) -> Scale:
        """Return how a network is to see samples like these."""
        features = FeatureScale.none(self._n_network_features())
        if self.standardize and self.vocabulary_size is None:
            # No bias takes in a shift that layer normalisation takes away.
            shift = not self.cell.startswith("layernorm")
            features = FeatureScale.of(samples, self.dtype, masks=self.missing == "mask", shift=shift)
        return Scale(features, TargetScale.of(samples, loss))

    def _validation(self, samples: Samples, scored: Samples, given: Any) -> Validation:
        """Return how to measure: the loss on `samples`, and by `scoring`, or as `score` does, on `scored`.

        `given` is the X that `scored` are rows of, as the user gave it: that is what scorers know.
        """
        targets = take(scored.y, scored.rows)
        y = self._readout.targets(targets)
        if self.scoring is None:
            weight = None
            if scored.sample_weight is not None:
                weight = weights_of_items(take(scored.sample_weight, scored.rows), targets)

            def score(session: Session) -> float:
                return self._score_items(
                    self._items(y), self._items(self._readout.predictions(session.predict(scored))), weight
                )

        else:
            scorer, items = check_scoring(self, self.scoring), self._items(y)
            X = _rows_of(given, scored.rows)

            def score(session: Session) -> float:
                fitted = self._with_model_of(session)
                fitted._by_item = True
                return float(scorer(fitted, X, items))

        return Validation(samples, score, watch_score=self.scoring is not None)

    def _call_back(self, session: Session, epoch: Epoch, course: Course) -> bool:
        """Show a fitted copy to all callbacks; return whether one of them wants to end the training."""
        fitted = self._with_model_of(session)
        fitted._record(course)
        return any([callback(fitted, epoch) for callback in self.callbacks or ()])  # all of them hear of it

    def _outputs(self, X: Any) -> Sequences:
        """Return what the network gives for `X`, as float64, or float32 if X and the network are."""
        check_is_fitted(self)
        engine_dtype = self._model.architecture.dtype
        sequences, _ = check_sequences(self, X, dtype=engine_dtype, reset=False)
        outputs = self._model.predict(sequences)
        # As scikit-learn has it: single precision in, single precision out.
        single = engine_dtype == "float32" and getattr(X, "dtype", None) == np.float32
        dtype = np.float32 if single else np.float64
        return for_each(outputs, lambda o: o.astype(dtype, copy=False))  # type: ignore[no-any-return]

    def _predicted(self, X: Any, read: Callable[[Readout, Sequences], Any]) -> Any:
        """Return what `read` makes of the network's outputs for `X`."""
        now = self._as_it_is()
        outputs = now._outputs(X)
        return now._shaped(X, read(now._readout, outputs))

    def _items(self, values: Any) -> Any:
        """Return targets or predictions item by item: of sequences, or of the steps of all of them."""
        if self._by_item or not self._readout.form.per_step:
            return values
        return np.concatenate([np.asarray(value) for value in values])

    def _paired(self, y: Any, predicted: Any, weight: Any) -> tuple[Any, Any, Any]:
        """Return targets, predictions and weights for `score`, item by item."""
        if self._by_item or not self._readout.form.per_step:
            return y, predicted, weight
        y = y.to_numpy() if hasattr(y, "to_numpy") else y
        if not np.iterable(y) or not all(np.iterable(item) for item in y):
            msg = f"y {'is None' if y is None else 'has one target per sequence'}, expected one per step of X"
            raise ValueError(msg)
        n_steps, found = [len(item) for item in predicted], [np.size(item) and len(item) for item in y]
        if found != n_steps:
            msg = f"y has sequences of {_few(found)} steps, expected {_few(n_steps)} (as X)"
            raise ValueError(msg)
        steps = [np.reshape(item, (len(item), -1)) for item in predicted]
        weights = check_weights(weight, steps, per_step=True)
        return self._items(y), self._items(predicted), None if weights is None else weights_of_items(weights, steps)

    def _shaped(self, X: Any, predicted: Any) -> Any:
        """Return predictions for `X`: an array of objects where X is one, as scikit-learn's tools can index it."""
        if self._by_item and self._readout.form.per_step:
            return np.concatenate(list(predicted))
        return hold(predicted, as_objects=isinstance(X, np.ndarray)) if isinstance(predicted, list) else predicted

    def _open_stream(self, rows: int) -> object:
        """Return what `pylstm.Stream` drives."""
        check_is_fitted(self)
        now = self._as_it_is()
        if now._input.missing == "mask":
            refuse_stream()
        return now._model._open_stream(rows)

    def _draft(self, *, keep_state: bool) -> Self:
        """Return a shallow copy to work on, so that a fit that fails leaves `self` as it was."""
        draft = copy.copy(self)
        if not keep_state:
            for name in filter(self._is_fitted, list(vars(draft))):
                delattr(draft, name)
        return draft

    def _become(self, draft: Self) -> None:
        """Take over what `draft` has learnt, in one step; parameters may have been set since it was made."""
        present = vars(self).copy()  # in one step: another thread may be setting something
        own = {name: value for name, value in present.items() if not self._is_fitted(name)}
        self.__dict__ = own | {name: value for name, value in vars(draft).items() if self._is_fitted(name)}

    def _as_it_is(self) -> Self:
        """Return this estimator as it is now: a fit in another thread makes `self` another one between two looks."""
        now = object.__new__(type(self))
        now.__dict__ = self.__dict__
        return now

    @classmethod
    def _is_fitted(cls, name: str) -> bool:
        """Whether it names what fit has learnt."""
        return name.endswith("_") or name in cls._PRIVATE_STATE

    def _check_samples(self, X: Any, y: Any, sample_weight: Any, *, reset: bool, suffix: str = "") -> Samples:
        """Return the checked samples; with `reset`, learn from them what fixes the network's shape."""
        dtype = check_dtype("dtype", self.dtype)
        sequences, is_table = check_sequences(self, X, dtype=dtype, reset=reset, name=f"X{suffix}")
        # Once fitted there is nothing to guess.
        targets = self.targets if reset else ("per_sequence", "per_step")[self._readout.form.per_step]
        encoded, form = self._encode_targets(
            y, sequences, is_table=is_table, targets=targets, reset=reset, name=f"y{suffix}"
        )
        own = check_weights(sample_weight, sequences, per_step=form.per_step, name=f"sample_weight{suffix}")
        samples = Samples.of(sequences, encoded, self._loss_weights(own, encoded, learn=suffix == ""), own)
        if len(samples.rows) == 0:
            msg = f"sample_weight{suffix} and class_weight leave no sample of positive weight"
            raise ValueError(msg)
        return samples

    def _check_validation(self, X: Any, y: Any, sample_weight: Any, *, n_targets: int) -> Samples | None:
        if X is None and y is None and sample_weight is None:
            return None
        if X is None or y is None:
            msg = f"{'X_val' if X is None else 'y_val'} is None, expected X_val and y_val together"
            raise ValueError(msg)
        samples = self._check_samples(X, y, sample_weight, reset=False, suffix="_val")
        if samples.n_targets != n_targets:
            msg = f"y_val has {samples.n_targets} outputs, expected {n_targets} (as y)"
            raise ValueError(msg)
        return samples

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.missing == "mask"
        return tags

    def _describe(self, course: Course, *, earlier: bool = False) -> str:
        """Return what a warning says about a training that was cut short; `earlier`: before there was a new model."""
        if earlier:
            kept = "those of the earlier fit"
        elif course.best_epoch is not None:
            kept = f"those of epoch {course.best_epoch + 1}, the best so far"
        elif course.best is not None or course.ending is Ending.NOT_FINITE:
            kept = "those from before this call"
        else:
            kept = "those after the last complete batch"
        during = f"in epoch {course.epoch + 1}"
        if course.ending is Ending.INTERRUPTED:
            return f"Training was interrupted {during}. The weights are {kept}."
        advice = [f"a smaller learning_rate_init (now {self.learning_rate_init:g})"]
        if self.max_grad_norm is None:
            advice.append("max_grad_norm=1.0")
        advice.append(self._SCALING_ADVICE)
        if check_dtype("dtype", self.dtype) == "float32":
            advice.append('dtype="float64"')
        return f"The loss became NaN or infinite {during}. The weights are {kept}. Try {', '.join(advice)}."


def _require_same(fitted: Architecture | InputForm, asked: Architecture | InputForm) -> None:
    """Raise ValueError if training cannot go on from what was fitted."""
    for field in fields(fitted):
        old, new = getattr(fitted, field.name), getattr(asked, field.name)
        if old != new:
            msg = f"{field.name} is {new}, expected {old} (as in the network to go on from)"
            raise ValueError(msg)


def _rows_of(X: Any, rows: Rows) -> Any:
    """Return rows of X as a user gave it: tables of pandas and polars, lists and arrays stay what they are."""
    if hasattr(X, "iloc") or hasattr(X, "columns"):
        return _safe_indexing(X, rows)
    return take(list(X) if isinstance(X, list | tuple) else np.asarray(X), rows)


def _few(numbers: list[int]) -> str:
    """Return the first of many numbers as text."""
    return ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
