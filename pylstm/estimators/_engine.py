"""The one door from the estimators to the compiled engine.

`Session` is a network in training and lives in the engine; `Model` is what is left of it, arrays that can be pickled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pylstm import _core
from pylstm.typing import FloatArray


@dataclass(frozen=True)
class Architecture:
    """What fixes the parameters' shapes, and what they mean."""

    cell: str
    dtype: str
    n_features: int
    hidden_sizes: tuple[int, ...]
    n_outputs: int
    bidirectional: bool
    pooling: str
    proj_size: int

    def build(self, dropout: float = 0.0) -> _core.Network:
        """Return a compiled network, its parameters not yet set."""
        return _core.Network(
            cell=self.cell,
            dtype=self.dtype,
            n_features=self.n_features,
            hidden_sizes=self.hidden_sizes,
            n_outputs=self.n_outputs,
            bidirectional=self.bidirectional,
            pooling=self.pooling,
            proj_size=self.proj_size,
            dropout=dropout,
        )


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
    alpha: float
    max_grad_norm: float | None


@dataclass(frozen=True)
class Snapshot:
    """Parameters (read-only) and the solver's state at one moment."""

    parameters: dict[str, FloatArray]
    solver: str
    solver_state: dict[str, Any]

    def __post_init__(self) -> None:
        for array in self.parameters.values():
            array.flags.writeable = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.__post_init__()  # pickle forgets that an array is read-only

    @property
    def is_finite(self) -> bool:
        """Whether every parameter is a finite number."""
        return all(bool(np.isfinite(array).all()) for array in self.parameters.values())


class Model:
    """A trained network as plain arrays; its compiled form is built when first needed and is never pickled."""

    def __init__(self, architecture: Architecture, snapshot: Snapshot, seed: int) -> None:
        self.architecture = architecture
        self.snapshot = snapshot
        self.seed = seed
        self._network: _core.Network | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_network": None}

    def predict(self, X: FloatArray) -> FloatArray:
        """Return predictions of shape (n_samples, n_outputs) for X of shape (n_samples, n_steps, n_features)."""
        return self._compiled().predict(X)

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
    dropout : float
        Share of the outputs dropped between layers.
    seed : int
        Of the initial parameters and the dropout masks.
    start : Snapshot or None
        Where to go on from. The solver's state is taken over only if it is the same solver's.
    """

    def __init__(
        self, architecture: Architecture, solver: Solver, dropout: float, seed: int, start: Snapshot | None
    ) -> None:
        self.architecture = architecture
        self._solver = solver.solver
        self._network = architecture.build(dropout)
        if start is None:
            self._network.initialize(seed)
        else:
            self._network.set_parameters(start.parameters)
        self._trainer = _core.Trainer(self._network, seed=seed, **vars(solver))
        if start is not None and start.solver == solver.solver:
            self._trainer.set_state(start.solver_state)

    def run_epoch(
        self,
        X: FloatArray,
        y: FloatArray,
        *,
        weight: NDArray[np.float64] | None,
        order: NDArray[np.int64],
        batch_size: int,
        epoch: int,
        progress: Callable[[int], None] | None,
    ) -> float:
        """Update once per batch of `order` and return the mean loss; NaN as soon as a batch's loss is not finite."""
        return self._trainer.run_epoch(X, y, weight, order, batch_size, epoch, progress)

    def predict(self, X: FloatArray) -> FloatArray:
        """Return predictions of shape (n_samples, n_outputs) without dropout."""
        return self._network.predict(X)

    def snapshot(self) -> Snapshot:
        """Return a copy of everything that training changes."""
        return Snapshot(self._network.get_parameters(), self._solver, self._trainer.get_state())
