"""The one door from the estimators to the compiled engine.

`Session` is a network in training and lives in the engine; `Model` is what is left of it, arrays that can be pickled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pylstm import _core
from pylstm.model._model import by_sequence, network_outputs
from pylstm.model._readout import Sequences
from pylstm.typing import FloatArray

from ._loss import Loss
from ._samples import Samples
from ._scale import Scale


@dataclass(frozen=True)
class Architecture:
    """What fixes the parameters' shapes, and what they mean."""

    cell: str
    dtype: str
    n_features: int
    hidden_sizes: tuple[int, ...]
    n_outputs: int
    bidirectional: bool
    merge: str
    residual: bool
    pooling: str
    proj_size: int
    vocabulary_size: int
    padding_tokens: tuple[int, ...]
    zoneout: float  # prediction takes its expectation

    @classmethod
    def of(cls, described: dict[str, Any], *, dtype: str) -> Architecture:
        """Return that of a model file, checked by its reader; fields that it leaves out are as by default."""
        known = _core.Network(dtype=dtype, **described).architecture
        chosen = {field.name: known[field.name] for field in fields(cls) if field.name != "dtype"}
        for name in ("hidden_sizes", "padding_tokens"):
            chosen[name] = tuple(chosen[name])
        return cls(dtype=dtype, **chosen)

    def build(self, **dropout: Any) -> _core.Network:
        """Return a compiled network, its parameters not yet set; `dropout`: what it does in training only."""
        return _core.Network(**vars(self), **dropout)


@dataclass(frozen=True)
class Dropout:
    """What is dropped in training; arguments of the engine's network."""

    dropout: float
    input_dropout: float
    recurrent_dropout: float
    variational: bool


@dataclass(frozen=True)
class Solver:
    """How parameters are updated; arguments of the engine's trainer."""

    solver: str
    learning_rate: float
    momentum: float
    nesterov: bool
    beta_1: float
    beta_2: float
    epsilon: float
    rho: float
    max_grad_norm: float | None
    max_grad_value: float | None
    averaging: float


@dataclass(frozen=True)
class LongSequences:
    """What becomes of sequences of many steps in training; arguments of the engine's trainer."""

    checkpoint: bool | int
    tbptt_steps: int  # 0: all


@dataclass(frozen=True)
class Snapshot:
    """What training changes, at one moment."""

    learnt: dict[str, FloatArray]  # parameters of the network that was trained, on samples in this scale
    solver: str
    solver_state: dict[str, Any]
    scale: Scale | None = None  # None, as of a file: `learnt` take X and give y as they are

    @cached_property
    def parameters(self) -> dict[str, FloatArray]:
        """Parameters (read-only) of the network that takes X and gives y as they are."""
        parameters = self.learnt if self.scale is None else self.scale.outside(self.learnt)
        _make_read_only(parameters)
        return parameters

    # Sums in `parameters` need not have the same bits elsewhere, so what differs from `learnt` goes with the rest.
    def __getstate__(self) -> dict[str, Any]:
        differing = {name: array for name, array in self.parameters.items() if array is not self.learnt[name]}
        return {**vars(self), "parameters": differing}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, parameters=state["learnt"] | state["parameters"])
        _make_read_only(self.parameters)  # pickle forgets it

    @property
    def learnt_is_finite(self) -> bool:
        """Whether every number that was learnt is finite."""
        return _is_finite(self.learnt)

    @property
    def is_finite(self) -> bool:
        """Whether every parameter is a finite number."""
        return _is_finite(self.parameters)


def _make_read_only(parameters: dict[str, FloatArray]) -> None:
    for array in parameters.values():
        array.flags.writeable = False


def _is_finite(parameters: dict[str, FloatArray]) -> bool:
    return all(bool(np.isfinite(array).all()) for array in parameters.values())


class Model:
    """A trained network as plain arrays; its compiled form is built when first needed and is never pickled."""

    def __init__(self, architecture: Architecture, snapshot: Snapshot, seed: int) -> None:
        self.architecture = architecture
        self.snapshot = snapshot
        self.seed = seed
        self._network: _core.Network | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_network": None}

    def predict(self, X: Sequences) -> Sequences:
        """Return outputs of shape (n_samples, n_outputs), or one per step as X, for sequences X."""
        return network_outputs(self._compiled(), X)

    def _open_stream(self, rows: int) -> object:
        """Return what `pylstm.Stream` drives."""
        return _core.open_stream(self._compiled(), rows)

    def _compiled(self) -> _core.Network:
        # Two threads may both build it; either result serves.
        network = self._network
        if network is None:
            network = self.architecture.build()
            network.set_parameters(self.snapshot.parameters)
            self._network = network
        return network


class Session:
    """A network in training.

    Parameters
    ----------
    architecture : Architecture
        Shapes and type.
    solver : Solver
        How to update.
    loss : Loss
        What to minimise.
    dropout : Dropout
        What to drop.
    long_sequences : LongSequences
        What to keep of long sequences, and how far gradients go back.
    seed : int
        Of the initial parameters and the dropout masks.
    start : Snapshot or None
        Where to go on from. The solver's state is taken over only if it is the same solver's.
    scale : Scale
        Targets come scaled, features are scaled as they are read; losses and predictions leave in the units of y.
    """

    def __init__(
        self,
        architecture: Architecture,
        solver: Solver,
        loss: Loss,
        dropout: Dropout,
        long_sequences: LongSequences,
        seed: int,
        start: Snapshot | None,
        scale: Scale,
    ) -> None:
        self.architecture = architecture
        self.seed = seed
        self._solver = solver.solver
        self._network = architecture.build(**vars(dropout))
        self._scale, self._loss_unit = scale, scale.targets.loss_unit(loss)
        if start is None:
            self._network.initialize(seed)
        else:
            self._network.set_parameters(scale.inside(start.learnt) if start.scale is None else start.learnt)
        self._trainer = _core.Trainer(
            self._network,
            seed=seed,
            **vars(solver),
            **vars(scale.targets.loss(loss)),
            **vars(long_sequences),
            **scale.features.units(),
        )
        if start is not None and start.solver == solver.solver:
            self._trainer.set_state(start.solver_state)

    def run_epoch(
        self,
        samples: Samples,
        *,
        order: NDArray[np.int64],
        batch_size: int,
        epoch: int,
        progress: Callable[[int], None] | None,
    ) -> float:
        """Update once per batch of `order` and return the mean loss; NaN as soon as a batch's loss is not finite."""
        loss = self._trainer.run_epoch(samples.X, samples.y, samples.weight, order, batch_size, epoch, progress)
        return loss * self._loss_unit

    def loss(self, samples: Samples) -> float:
        """Return the mean loss of the samples' rows without dropout."""
        return self._trainer.loss(samples.X, samples.y, samples.weight, samples.rows) * self._loss_unit

    def loss_under(self, snapshot: Snapshot, samples: Samples) -> float:
        """Go back to what `snapshot` had learnt, and return `loss`."""
        self._network.set_parameters(snapshot.learnt)
        return self.loss(samples)

    def predict(self, samples: Samples) -> Sequences:
        """Return the outputs of the samples' rows without dropout."""
        outputs = self._trainer.predict(samples.X, samples.rows)
        return self._scale.targets.outside(
            by_sequence(outputs, samples.X, pooling=self._network.pooling, rows=samples.rows)
        )

    def seen(self, x: FloatArray) -> FloatArray:
        """Return one sequence as the network sees it."""
        return self._scale.features.seen(x, self.architecture.dtype)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update."""
        return self._trainer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._trainer.learning_rate = value

    def set_alpha(self, value: float) -> None:
        """Choose the L2 penalty of the next updates."""
        self._trainer.alpha = value

    def snapshot(self) -> Snapshot:
        """Return a copy of everything that training changes."""
        return Snapshot(self._network.get_parameters(), self._solver, self._trainer.get_state(), self._scale)
