"""The constructor's parameters that all recurrent estimators have: checked, and as the engine takes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring

from ._engine import Architecture, Dropout, LongSequences, Solver
from ._parameters import (
    CELLS,
    MERGES,
    POOLINGS,
    check_boolean,
    check_choice,
    check_dtype,
    check_integer,
    check_integers,
    check_real,
    check_verbosity,
)
from ._rates import SCHEDULES

# No network is deeper; a file that says so lies.
MOST_LAYERS = 1000

# Epochs that training goes on without improvement by default.
PATIENCE = 10


# Dataclasses write the constructors, whose signatures scikit-learn reads as type checkers do. They do not inherit from
# BaseEstimator, which has no types: below it mypy would let a constructor take anything.
@dataclass(eq=False, repr=False)
class Parameters:
    """Parameters of all recurrent estimators, with their defaults; see `LSTMRegressor`."""

    hidden_size: int | Sequence[int] = 32
    _: KW_ONLY
    cell: str = "lstm"
    num_layers: int = 1
    proj_size: int | None = None
    bidirectional: bool = False
    merge: str = "concat"
    residual: bool = False
    pooling: str = "last"
    dropout: float = 0.0
    input_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0
    variational_dropout: bool = False
    targets: str = "auto"
    vocabulary_size: int | None = None
    embedding_size: int = 32
    padding_token: int | None = None
    missing: str = "error"
    standardize: bool = True
    n_timesteps: int | None = None
    solver: str = "adam"
    alpha: float | str = "auto"
    batch_size: int = 32
    learning_rate: str = "plateau"
    learning_rate_init: float = 3e-3
    max_iter: int = 200
    shuffle: bool = True
    bucket_by_length: bool = False
    random_state: int | np.random.RandomState | None = None
    tol: float | None = 1e-4
    n_iter_no_change: int | str = "auto"
    early_stopping: bool = False
    validation_fraction: float = 0.1
    scoring: Any = None
    callbacks: Sequence[Callable[..., Any]] | None = None
    max_grad_norm: float | None = 1.0
    max_grad_value: float | None = None
    weight_averaging: float = 0.0
    checkpoint: bool | int | None = None
    tbptt_steps: int | None = None
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    rho: float = 0.9
    dtype: str = "float32"
    warm_start: bool = False
    verbose: int = 0


@dataclass(kw_only=True, eq=False, repr=False)
class RegressorParameters(Parameters):
    """Those of `LSTMRegressor`."""

    loss: str = "squared_error"
    huber_delta: float = 1.0
    quantile: float | Sequence[float] = 0.5


@dataclass(kw_only=True, eq=False, repr=False)
class GRURegressorParameters(RegressorParameters):
    """Those of `GRURegressor`."""

    cell: str = "gru"


@dataclass(kw_only=True, eq=False, repr=False)
class ClassifierParameters(Parameters):
    """Those of `LSTMClassifier`."""

    learning_rate_init: float = 1e-2
    label_smoothing: float = 0.0
    class_weight: Mapping[Any, float] | str | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class GRUClassifierParameters(ClassifierParameters):
    """Those of `GRUClassifier`."""

    cell: str = "gru"


class Hyperparameters(Parameters, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Checks them, and hands them to the engine."""

    _PATIENCE_UPDATES: ClassVar[int] = 100
    """Updates that training goes on without improvement by default: few sequences make few updates an epoch."""
    _PENALTY: ClassVar[float] = 0.0
    """By default, of the weights beside the sum of all samples' losses."""

    def _check_parameters(self) -> None:
        """Raise TypeError or ValueError for the first parameter that is wrong."""
        self._check_network()
        self._check_input()
        self._check_training()

    def _check_network(self) -> None:
        sizes = self._hidden_sizes()
        check_choice("cell", self.cell, CELLS)
        if self.proj_size is not None:
            check_integer("proj_size", self.proj_size, minimum=1)
            if not self.cell.endswith("lstm"):
                msg = f"proj_size is {self.proj_size}, expected None: cell {self.cell!r} has no projection"
                raise ValueError(msg)
        check_boolean("bidirectional", self.bidirectional)
        check_choice("merge", self.merge, MERGES)
        if check_boolean("residual", self.residual) and self.proj_size is None and len(set(sizes)) > 1:
            msg = f"residual is True and hidden_size is {self.hidden_size!r}, expected layers of one width, to be added"
            raise ValueError(msg)
        check_choice("pooling", self.pooling, POOLINGS)
        check_real("dropout", self.dropout, "[0, 1)")
        for name in ("input_dropout", "recurrent_dropout", "zoneout"):
            check_real(name, getattr(self, name), "[0, 1)")
        if self.proj_size is not None and (self.recurrent_dropout or self.zoneout):
            msg = f"proj_size is {self.proj_size}, expected None with recurrent_dropout or zoneout"
            raise ValueError(msg)
        check_boolean("variational_dropout", self.variational_dropout)

    def _check_input(self) -> None:
        check_choice("targets", self.targets, ("auto", "per_sequence", "per_step"))
        check_integer("embedding_size", self.embedding_size, minimum=1)
        if self.vocabulary_size is not None:
            # X holds tokens as numbers of the network's type.
            most = 2 ** (np.finfo(check_dtype("dtype", self.dtype)).nmant + 1)
            check_integer("vocabulary_size", self.vocabulary_size, minimum=1, maximum=most)
        if self.padding_token is not None:
            check_integer("padding_token", self.padding_token, minimum=0)
            if self.vocabulary_size is None or self.padding_token >= self.vocabulary_size:
                msg = f"padding_token is {self.padding_token}, expected a token, below vocabulary_size"
                raise ValueError(msg)
        if self.n_timesteps is not None:
            check_integer("n_timesteps", self.n_timesteps, minimum=1)
        check_choice("missing", self.missing, ("error", "mask"))
        if self.missing == "mask" and self.vocabulary_size is not None:
            msg = "missing is 'mask', expected 'error': tokens are never missing (vocabulary_size is set)"
            raise ValueError(msg)
        check_boolean("standardize", self.standardize)

    def _check_training(self) -> None:
        check_choice("solver", self.solver, ("adam", "adamw", "sgd", "rmsprop"))
        if not isinstance(self.alpha, str) or self.alpha != "auto":
            check_real("alpha", self.alpha, "[0, inf)", otherwise="'auto'")
        check_integer("batch_size", self.batch_size, minimum=1)
        check_choice("learning_rate", self.learning_rate, SCHEDULES)
        check_real("learning_rate_init", self.learning_rate_init, "(0, inf)")
        check_integer("max_iter", self.max_iter, minimum=1)
        check_boolean("shuffle", self.shuffle)
        check_boolean("bucket_by_length", self.bucket_by_length)
        check_real("weight_averaging", self.weight_averaging, "[0, 1)")
        if self.checkpoint is not None and not isinstance(self.checkpoint, bool | np.bool_):
            check_integer("checkpoint", self.checkpoint, minimum=1)
        if self.tbptt_steps is not None:
            check_integer("tbptt_steps", self.tbptt_steps, minimum=1)
            if self.bidirectional:
                msg = (
                    f"tbptt_steps is {self.tbptt_steps}, expected None with bidirectional=True: "
                    "the state comes in from both ends"
                )
                raise ValueError(msg)
        if self.tol is not None:
            check_real("tol", self.tol, "[0, inf)")
        if not isinstance(self.n_iter_no_change, str) or self.n_iter_no_change != "auto":
            check_integer("n_iter_no_change", self.n_iter_no_change, minimum=1, otherwise="'auto'")
        check_boolean("early_stopping", self.early_stopping)
        check_real("validation_fraction", self.validation_fraction, "(0, 1)")
        if self.scoring is not None:
            if not isinstance(self.scoring, str) and not callable(self.scoring):
                msg = f"scoring is {self.scoring!r}, expected one scorer: a name or a function of (estimator, X, y)"
                raise TypeError(msg)
            check_scoring(self, self.scoring)
        if not isinstance(self.callbacks, Sequence | None):
            msg = f"callbacks is {self.callbacks!r}, expected a sequence of functions of (estimator, epoch)"
            raise TypeError(msg)
        for callback in self.callbacks or ():
            if not callable(callback):
                msg = f"callbacks holds {callback!r}, expected functions of (estimator, epoch)"
                raise TypeError(msg)
        if self.max_grad_norm is not None:
            check_real("max_grad_norm", self.max_grad_norm, "(0, inf)")
        if self.max_grad_value is not None:
            check_real("max_grad_value", self.max_grad_value, "(0, inf)")
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
        num_layers = check_integer("num_layers", self.num_layers, minimum=1, maximum=MOST_LAYERS)
        if isinstance(sizes, int):
            return (sizes,) * num_layers
        if num_layers not in {1, len(sizes)}:
            msg = f"num_layers is {num_layers}, expected 1 or {len(sizes)} (hidden_size has {len(sizes)} layers)"
            raise ValueError(msg)
        return sizes

    def _patience(self, n_rows: int) -> int:
        """Return how many epochs without improvement end the training on so many sequences."""
        if self.n_iter_no_change != "auto":
            return int(self.n_iter_no_change)
        return max(PATIENCE, math.ceil(self._PATIENCE_UPDATES / math.ceil(n_rows / int(self.batch_size))))

    def _architecture(self, n_features: int, n_outputs: int, *, per_step: bool) -> Architecture:
        """Return the network that reads so many numbers of a step and gives so many, at every step or once."""
        return Architecture(
            cell=self.cell,
            dtype=check_dtype("dtype", self.dtype),
            n_features=n_features,
            hidden_sizes=self._hidden_sizes(),
            n_outputs=n_outputs,
            bidirectional=bool(self.bidirectional),
            merge=self.merge,
            residual=bool(self.residual),
            pooling="none" if per_step else self.pooling,
            proj_size=0 if self.proj_size is None else int(self.proj_size),
            vocabulary_size=int(self.vocabulary_size or 0),
            padding_tokens=() if self.padding_token is None else (int(self.padding_token),),
            zoneout=float(self.zoneout),
        )

    def _dropout(self) -> Dropout:
        """Return what is dropped in training."""
        return Dropout(
            dropout=float(self.dropout),
            input_dropout=float(self.input_dropout),
            recurrent_dropout=float(self.recurrent_dropout),
            variational=bool(self.variational_dropout),
        )

    def _long_sequences(self) -> LongSequences:
        if self.checkpoint is None or isinstance(self.checkpoint, bool | np.bool_):
            return LongSequences(bool(self.checkpoint), int(self.tbptt_steps or 0))
        return LongSequences(int(self.checkpoint), int(self.tbptt_steps or 0))

    def _penalty(self, n_observations: float) -> float:
        """Return `alpha` where so much is learnt from."""
        if self.alpha != "auto":
            return float(self.alpha)
        return 0.0 if self.solver == "adamw" else self._PENALTY / n_observations

    def _solver(self) -> Solver:
        """Return how parameters are updated."""
        return Solver(
            solver=self.solver,
            learning_rate=float(self.learning_rate_init),
            momentum=float(self.momentum),
            nesterov=bool(self.nesterovs_momentum),
            beta_1=float(self.beta_1),
            beta_2=float(self.beta_2),
            epsilon=float(self.epsilon),
            rho=float(self.rho),
            max_grad_norm=None if self.max_grad_norm is None else float(self.max_grad_norm),
            max_grad_value=None if self.max_grad_value is None else float(self.max_grad_value),
            averaging=float(self.weight_averaging),
        )
