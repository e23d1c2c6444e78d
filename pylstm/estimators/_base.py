"""What every recurrent estimator does: check, train a draft of itself, and become the draft once that has succeeded."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from pylstm.typing import FloatArray

from ._engine import Architecture, Model, Session, Solver
from ._parameters import (
    check_boolean,
    check_choice,
    check_dtype,
    check_integer,
    check_integers,
    check_real,
    check_verbosity,
)
from ._samples import Samples, hold_out
from ._training import Course, Ending, Schedule, train
from ._validation import check_sequences, check_targets, check_weights

CELLS = ("lstm", "peephole_lstm", "coupled_lstm", "layernorm_lstm", "gru", "layernorm_gru", "rnn")
POOLINGS = ("last", "mean", "max")


class RecurrentEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Parameters, training and prediction that do not depend on the task. See `LSTMRegressor` for what they mean."""

    n_features_in_: int
    n_features_per_step_: int
    n_outputs_: int
    n_iter_: int
    best_loss_: float
    loss_curve_: list[float]
    validation_loss_curve_: list[float] | None
    validation_scores_: list[float] | None
    _model: Model
    _n_columns_in: int | None  # of a 2-D X in fit
    _y_is_1d: bool

    _PRIVATE_STATE = ("_model", "_n_columns_in", "_y_is_1d")

    def __init__(
        self,
        hidden_size: int | Sequence[int] = 32,
        *,
        cell: str = "lstm",
        num_layers: int = 1,
        proj_size: int | None = None,
        bidirectional: bool = False,
        pooling: str = "last",
        dropout: float = 0.0,
        n_timesteps: int | None = None,
        solver: str = "adam",
        alpha: float = 0.0,
        batch_size: int = 32,
        learning_rate_init: float = 3e-3,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float | None = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        max_grad_norm: float | None = 1.0,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        rho: float = 0.9,
        dtype: str = "float32",
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.hidden_size = hidden_size
        self.cell = cell
        self.num_layers = num_layers
        self.proj_size = proj_size
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.dropout = dropout
        self.n_timesteps = n_timesteps
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.max_grad_norm = max_grad_norm
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.rho = rho
        self.dtype = dtype
        self.warm_start = warm_start
        self.verbose = verbose

    @property
    def parameters_(self) -> dict[str, FloatArray]:
        """The network's weights by name, read-only."""
        check_is_fitted(self)
        return dict(self._model.snapshot.parameters)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, validation: tuple[Any, Any, Any], *, resume: bool, partial: bool
    ) -> Self:
        """Train from new parameters; with ``resume=True`` go on from those of an earlier fit, if there was one.

        `validation` holds X_val, y_val and sample_weight_val. With ``partial=True`` it is one epoch without a word.
        """
        self._check_parameters()
        resume = resume and hasattr(self, "_model")
        draft = self._draft(keep_state=resume)
        samples, draft._y_is_1d = draft._check_samples(X, y, sample_weight, reset=not resume)
        held_out = draft._check_validation(*validation, n_outputs=samples.y.shape[1])
        architecture = Architecture(
            cell=self.cell,
            dtype=check_dtype("dtype", self.dtype),
            n_features=draft.n_features_per_step_,
            hidden_sizes=self._hidden_sizes(),
            n_outputs=samples.y.shape[1],
            bidirectional=bool(self.bidirectional),
            pooling=self.pooling,
            proj_size=0 if self.proj_size is None else int(self.proj_size),
        )
        if resume:
            _require_same(self._model.architecture, architecture)
            seed, start = self._model.seed, self._model.snapshot
        else:
            seed, start = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max)), None
            draft.n_iter_ = 0
            draft.loss_curve_ = []
            draft.validation_loss_curve_ = draft.validation_scores_ = None
        if self.early_stopping and held_out is None:
            samples, held_out = hold_out(samples, self.validation_fraction, seed if self.shuffle else None)

        schedule = Schedule(
            batch_size=int(self.batch_size),
            max_iter=1 if partial else int(self.max_iter),
            shuffle=bool(self.shuffle),
            seed=seed,
            first_epoch=draft.n_iter_,
            tol=self.tol,
            n_iter_no_change=int(self.n_iter_no_change),
            early_stopping=bool(self.early_stopping),
            verbose=0 if partial else int(self.verbose),
        )
        session = Session(architecture, self._solver(), float(self.dropout), seed, start)
        snapshot, course = train(session, samples, held_out, schedule)

        draft._model = Model(architecture, snapshot, seed)
        draft.n_outputs_ = architecture.n_outputs
        draft.n_iter_ += len(course.losses)
        draft.best_loss_ = course.best_loss
        draft.loss_curve_ = draft.loss_curve_ + course.losses
        if held_out is not None:
            draft.validation_loss_curve_ = (draft.validation_loss_curve_ or []) + course.validation_losses
            draft.validation_scores_ = (draft.validation_scores_ or []) + course.validation_scores
        self.__dict__ = draft.__dict__
        if course.ending is not Ending.COMPLETE:
            warnings.warn(self._describe(course), ConvergenceWarning, stacklevel=3)
        return self

    def _predict(self, X: Any) -> FloatArray:
        """Return float predictions of shape (n_samples,) or (n_samples, n_outputs), as `y` was in fit."""
        check_is_fitted(self)
        engine_dtype = self._model.architecture.dtype
        sequences = check_sequences(self, X, dtype=engine_dtype, reset=False)
        predicted = self._model.predict(sequences)
        # As scikit-learn has it: single precision in, single precision out.
        single = engine_dtype == "float32" and getattr(X, "dtype", None) == np.float32
        predicted = predicted.astype(np.float32 if single else np.float64, copy=False)
        return predicted[:, 0] if self._y_is_1d else predicted

    def _open_stream(self, rows: int) -> object:
        """Return what `pylstm.Stream` drives."""
        check_is_fitted(self)
        return self._model._open_stream(rows)

    def _check_parameters(self) -> None:
        self._hidden_sizes()
        check_choice("cell", self.cell, CELLS)
        if self.proj_size is not None:
            check_integer("proj_size", self.proj_size, minimum=1)
            if not self.cell.endswith("lstm"):
                msg = f"proj_size is {self.proj_size}, expected None: cell {self.cell!r} has no projection"
                raise ValueError(msg)
        check_boolean("bidirectional", self.bidirectional)
        check_choice("pooling", self.pooling, POOLINGS)
        check_real("dropout", self.dropout, "[0, 1)")
        if self.n_timesteps is not None:
            check_integer("n_timesteps", self.n_timesteps, minimum=1)
        check_choice("solver", self.solver, ("adam", "adamw", "sgd", "rmsprop"))
        check_real("alpha", self.alpha, "[0, inf)")
        check_integer("batch_size", self.batch_size, minimum=1)
        check_real("learning_rate_init", self.learning_rate_init, "(0, inf)")
        check_integer("max_iter", self.max_iter, minimum=1)
        check_boolean("shuffle", self.shuffle)
        if self.tol is not None:
            check_real("tol", self.tol, "[0, inf)")
        check_integer("n_iter_no_change", self.n_iter_no_change, minimum=1)
        check_boolean("early_stopping", self.early_stopping)
        check_real("validation_fraction", self.validation_fraction, "(0, 1)")
        if self.max_grad_norm is not None:
            check_real("max_grad_norm", self.max_grad_norm, "(0, inf)")
        check_real("momentum", self.momentum, "[0, 1)")
        check_boolean("nesterovs_momentum", self.nesterovs_momentum)
        check_real("beta_1", self.beta_1, "[0, 1)")
        check_real("beta_2", self.beta_2, "[0, 1)")
        check_real("epsilon", self.epsilon, "(0, inf)")
        check_real("rho", self.rho, "[0, 1)")
        check_dtype("dtype", self.dtype)
        check_boolean("warm_start", self.warm_start)
        check_verbosity("verbose", self.verbose)

    def _hidden_sizes(self) -> tuple[int, ...]:
        """Return the checked number of units of each layer."""
        sizes = check_integers("hidden_size", self.hidden_size, minimum=1)
        num_layers = check_integer("num_layers", self.num_layers, minimum=1)
        if isinstance(sizes, int):
            return (sizes,) * num_layers
        if num_layers not in {1, len(sizes)}:
            msg = f"num_layers is {num_layers}, expected 1 or {len(sizes)} (hidden_size has {len(sizes)} layers)"
            raise ValueError(msg)
        return sizes

    def _solver(self) -> Solver:
        return Solver(
            solver=self.solver,
            learning_rate=float(self.learning_rate_init),
            momentum=float(self.momentum),
            nesterov=bool(self.nesterovs_momentum),
            beta_1=float(self.beta_1),
            beta_2=float(self.beta_2),
            epsilon=float(self.epsilon),
            rho=float(self.rho),
            alpha=float(self.alpha),
            max_grad_norm=None if self.max_grad_norm is None else float(self.max_grad_norm),
        )

    def _draft(self, *, keep_state: bool) -> Self:
        """Return a shallow copy to work on, so that a fit that fails leaves `self` as it was."""
        draft = copy.copy(self)
        if not keep_state:
            for name in list(vars(draft)):
                if name.endswith("_") or name in self._PRIVATE_STATE:
                    delattr(draft, name)
        return draft

    def _check_samples(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool, suffix: str = ""
    ) -> tuple[Samples, bool]:
        """Return the checked samples, and whether `y` was 1-D."""
        dtype = check_dtype("dtype", self.dtype)
        sequences = check_sequences(self, X, dtype=dtype, reset=reset, name=f"X{suffix}")
        targets, is_1d = check_targets(y, len(sequences), dtype=dtype, name=f"y{suffix}")
        weights = check_weights(sample_weight, len(sequences), name=f"sample_weight{suffix}")
        return Samples.of(sequences, targets, weights), is_1d

    def _check_validation(self, X: Any, y: Any, sample_weight: Any, *, n_outputs: int) -> Samples | None:
        if X is None and y is None and sample_weight is None:
            return None
        if X is None or y is None:
            msg = f"{'X_val' if X is None else 'y_val'} is None, expected X_val and y_val together"
            raise ValueError(msg)
        samples, _ = self._check_samples(X, y, sample_weight, reset=False, suffix="_val")
        if samples.y.shape[1] != n_outputs:
            msg = f"y_val has {samples.y.shape[1]} outputs, expected {n_outputs} (as y)"
            raise ValueError(msg)
        return samples

    def _describe(self, course: Course) -> str:
        """Return what a warning says about a training that was cut short."""
        if course.best_epoch is not None:
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
        advice.append("X and y scaled to unit variance")
        if self._model.architecture.dtype == "float32":
            advice.append('dtype="float64"')
        return f"The loss became NaN or infinite {during}. The weights are {kept}. Try {', '.join(advice)}."


def _require_same(fitted: Architecture, asked: Architecture) -> None:
    """Raise ValueError if training cannot go on from the fitted parameters."""
    for field in fields(Architecture):
        old, new = getattr(fitted, field.name), getattr(asked, field.name)
        if old != new:
            msg = f"{field.name} is {new}, expected {old} (as in the network to go on from)"
            raise ValueError(msg)
