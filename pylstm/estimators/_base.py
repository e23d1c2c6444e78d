"""What every recurrent estimator does: check, train a draft of itself, and become the draft once that has succeeded."""

from __future__ import annotations

import copy
import warnings
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ._engine import Architecture, Model, Session, Solver
from ._parameters import check_boolean, check_choice, check_dtype, check_integer, check_real
from ._samples import Samples, hold_out
from ._training import Course, Ending, Schedule, train
from ._validation import check_sequences, check_targets, check_weights

Array: TypeAlias = NDArray[Any]


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
        hidden_size: int = 32,
        *,
        num_layers: int = 1,
        dropout: float = 0.0,
        n_timesteps: int | None = None,
        solver: str = "adam",
        alpha: float = 0.0,
        batch_size: int = 32,
        learning_rate_init: float = 1e-3,
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
        self.num_layers = num_layers
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
    def parameters_(self) -> dict[str, Array]:
        """The network's weights by name, read-only."""
        check_is_fitted(self)
        return dict(self._model.snapshot.parameters)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, validation_data: tuple[Any, Any, Any], *, resume: bool, partial: bool
    ) -> Self:
        """Train from new parameters, or with ``resume=True`` go on from those of an earlier fit if there are any."""
        self._check_parameters()
        dtype = check_dtype("dtype", self.dtype)
        resume = resume and hasattr(self, "_model")
        draft = self._draft(keep_state=resume)

        samples, draft._y_is_1d = draft._check_samples((X, y, sample_weight), dtype, reset=not resume)
        validation = draft._check_validation(validation_data, samples.y.shape[1], dtype)
        architecture = Architecture(
            dtype, draft.n_features_per_step_, (self.hidden_size,) * self.num_layers, samples.y.shape[1]
        )
        if resume:
            _require_same(architecture, self._model.architecture)
            seed, start = self._model.seed, self._model.snapshot
        else:
            seed, start = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max)), None
            draft._forget_course()
        if self.early_stopping and validation is None:
            samples, validation = hold_out(samples, self.validation_fraction, seed if self.shuffle else None)

        schedule = Schedule(
            batch_size=self.batch_size,
            max_iter=1 if partial else self.max_iter,
            shuffle=self.shuffle,
            seed=seed,
            first_epoch=draft.n_iter_,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            early_stopping=self.early_stopping,
            verbose=0 if partial else self.verbose,
        )
        session = Session(architecture, self._solver(), self.dropout, seed, start)
        snapshot, course = train(session, samples, validation, schedule)

        draft.n_outputs_ = architecture.n_outputs
        draft._model = Model(architecture, snapshot, seed)
        draft._extend_course(course, validated=validation is not None)
        self.__dict__ = draft.__dict__
        if course.ending is not Ending.COMPLETE:
            warnings.warn(self._describe(course), ConvergenceWarning, stacklevel=3)
        return self

    def _predict(self, X: Any) -> Array:
        """Return float predictions of shape (n_samples,) or (n_samples, n_outputs), as `y` was in fit."""
        check_is_fitted(self)
        engine_dtype = self._model.architecture.dtype
        sequences = check_sequences(self, X, dtype=engine_dtype, reset=False)
        predicted = self._model.predict(sequences)
        # As scikit-learn has it: single precision in, single precision out.
        single = engine_dtype == "float32" and getattr(X, "dtype", None) == np.float32
        predicted = predicted.astype(np.float32 if single else np.float64, copy=False)
        return predicted[:, 0] if self._y_is_1d else predicted

    def _check_parameters(self) -> None:
        check_integer("hidden_size", self.hidden_size, minimum=1)
        check_integer("num_layers", self.num_layers, minimum=1)
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

    def _check_samples(self, data: tuple[Any, Any, Any], dtype: str, *, reset: bool, suffix: str = "") -> Samples: ...
