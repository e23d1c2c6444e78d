"""What is measured: the operations, the shapes of each, and their counts of floating-point operations."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Operation = Literal["forward", "training", "ragged", "gru_forward", "gru_training", "step", "fit", "predict"]
Dtype = Literal["float32", "float64"]

OPERATIONS: tuple[Operation, ...] = (
    "forward",
    "training",
    "ragged",
    "gru_forward",
    "gru_training",
    "step",
    "fit",
    "predict",
)


@dataclass(frozen=True)
class SequenceCase:
    """Shape of one LSTM layer run over whole sequences, for "forward" and "training"."""

    n_steps: int
    n_samples: int
    n_features: int
    hidden_size: int

    @property
    def name(self) -> str:
        """The shape as "T, B, I, H"."""
        return f"{self.n_steps}, {self.n_samples}, {self.n_features}, {self.hidden_size}"

    def n_flops(self, operation: Operation) -> float:
        """Floating-point operations of the matrix products: 2*T*B*4H*(I+H), three times that with BPTT."""
        forward = 2.0 * self.n_steps * self.n_samples * 4 * self.hidden_size * (self.n_features + self.hidden_size)
        return forward if operation == "forward" else 3 * forward


@dataclass(frozen=True)
class RaggedCase(SequenceCase):
    """A training step on sequences of different lengths, padded to ``n_steps``."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Real steps of each sequence, uniform in [1, T]; the same on every call."""
        return np.random.default_rng([self.n_steps, self.n_samples]).integers(1, self.n_steps + 1, self.n_samples)

    @property
    def real_share(self) -> float:
        """Real steps over padded steps."""
        return float(self.lengths.mean()) / self.n_steps

    def n_flops(self, operation: Operation) -> float:
        """Floating-point operations of the real steps."""
        return super().n_flops(operation) * self.real_share


@dataclass(frozen=True)
class GRUCase(SequenceCase):
    """Shape of one GRU layer, reset gate after the product, for "gru_forward" and "gru_training"."""

    def n_flops(self, operation: Operation) -> float:
        """Floating-point operations of three gates instead of four."""
        return 0.75 * super().n_flops("forward" if operation == "gru_forward" else "training")


@dataclass(frozen=True)
class StepCase:
    """Shape of one LSTM layer that meets one sequence step by step, one call from Python for each step."""

    n_features: int
    hidden_size: int

    @property
    def name(self) -> str:
        """The shape as "I, H"."""
        return f"{self.n_features}, {self.hidden_size}"

    def n_flops(self, operation: Operation) -> float:
        """Floating-point operations of one step's matrix products."""
        return SequenceCase(1, 1, self.n_features, self.hidden_size).n_flops("forward")


@dataclass(frozen=True)
class FitCase:
    """One estimator fit: one LSTM layer, a linear head on the last step, squared error, Adam.

    ``max_error`` is the largest mean squared error after the fit, in units of the variance of y, at which
    a contender counts as having trained the same model.
    """

    n_windows: int
    n_timesteps: int
    n_features: int
    hidden_size: int
    batch_size: int
    n_epochs: int
    learning_rate: float = 1e-3
    max_error: float = 0.5

    @property
    def name(self) -> str:
        """The size in words."""
        return (
            f"{self.n_windows} windows of {self.n_timesteps} x {self.n_features}, "
            f"hidden {self.hidden_size}, batch {self.batch_size}, {self.n_epochs} epochs"
        )

    def n_flops(self, operation: Operation) -> float:
        """Floating-point operations of the LSTM's matrix products over all epochs."""
        one_pass = SequenceCase(self.n_timesteps, self.n_windows, self.n_features, self.hidden_size)
        return self.n_epochs * one_pass.n_flops("training")


@dataclass(frozen=True)
class PredictCase:
    """Predictions of a fitted network as in `FitCase`, for all windows in one call."""

    n_windows: int
    n_timesteps: int
    n_features: int
    hidden_size: int

    @property
    def name(self) -> str:
        """The size in words."""
        return f"{self.n_windows} windows of {self.n_timesteps} x {self.n_features}, hidden {self.hidden_size}"

    def n_flops(self, operation: Operation) -> float:
        """Floating-point operations of the LSTM's matrix products."""
        return SequenceCase(self.n_timesteps, self.n_windows, self.n_features, self.hidden_size).n_flops("forward")


Case = SequenceCase | StepCase | FitCase | PredictCase

CASE_TYPES: dict[Operation, type[Case]] = {
    "forward": SequenceCase,
    "training": SequenceCase,
    "ragged": RaggedCase,
    "gru_forward": GRUCase,
    "gru_training": GRUCase,
    "step": StepCase,
    "fit": FitCase,
    "predict": PredictCase,
}

_SEQUENCES = (
    SequenceCase(32, 1, 8, 16),
    SequenceCase(32, 32, 1, 32),
    SequenceCase(50, 32, 8, 64),
    SequenceCase(100, 64, 16, 128),
    SequenceCase(100, 32, 64, 256),
    SequenceCase(64, 128, 128, 512),
    SequenceCase(35, 20, 650, 650),
    SequenceCase(35, 20, 1500, 1500),
    SequenceCase(784, 64, 1, 128),
    SequenceCase(24, 256, 32, 64),
)
_QUICK_SEQUENCES = (SequenceCase(50, 32, 8, 64), SequenceCase(100, 64, 16, 128))
_GRUS = tuple(GRUCase(**asdict(case)) for case in _SEQUENCES)

#: The cases of each operation; every ragged one is among those of "training", which it is compared with.
GRIDS: dict[Operation, tuple[Case, ...]] = {
    "forward": _SEQUENCES,
    "training": _SEQUENCES,
    "ragged": (RaggedCase(50, 32, 8, 64), RaggedCase(100, 64, 16, 128), RaggedCase(100, 32, 64, 256)),
    "gru_forward": _GRUS,
    "gru_training": _GRUS,
    "step": tuple(StepCase(n_features, hidden) for n_features in (1, 8) for hidden in (8, 16, 32, 64, 128, 256)),
    "fit": (
        FitCase(10_000, 48, 1, hidden_size=32, batch_size=32, n_epochs=5),
        FitCase(10_000, 48, 1, hidden_size=128, batch_size=128, n_epochs=5),
    ),
    "predict": (PredictCase(10_000, 48, 1, hidden_size=32), PredictCase(10_000, 48, 1, hidden_size=128)),
}
QUICK_GRIDS: dict[Operation, tuple[Case, ...]] = {
    "forward": _QUICK_SEQUENCES,
    "training": _QUICK_SEQUENCES,
    "ragged": (RaggedCase(50, 32, 8, 64),),
    "gru_forward": (GRUCase(50, 32, 8, 64),),
    "gru_training": (GRUCase(50, 32, 8, 64),),
    "step": (StepCase(8, 16), StepCase(8, 128)),
    "fit": (FitCase(1_000, 48, 1, hidden_size=32, batch_size=32, n_epochs=2, learning_rate=3e-3),),
    "predict": (PredictCase(2_000, 48, 1, hidden_size=32),),
}


def parse_sequence_case(text: str) -> SequenceCase:
    """Read a case written as ``T,B,I,H``.

    Raises
    ------
    ValueError
        If ``text`` is not four positive integers.
    """
    parts = re.split(r"\s*,\s*", text.strip())
    if len(parts) != len("TBIH") or not all(part.isdecimal() and int(part) > 0 for part in parts):
        msg = f"grid cell is {text!r}, expected four positive integers T,B,I,H (steps, batch, inputs, hidden)"
        raise ValueError(msg)
    return SequenceCase(*(int(part) for part in parts))
