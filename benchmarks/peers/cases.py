"""What is measured: the grid of shapes, the arrays of each case, and its count of operations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32] | NDArray[np.float64]

Operation = Literal["forward", "training", "fit"]
Dtype = Literal["float32", "float64"]

OPERATIONS: tuple[Operation, ...] = ("forward", "training", "fit")


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


Case = SequenceCase | FitCase

SEQUENCE_GRID = (
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

FIT_GRID = (
    FitCase(10_000, 48, 1, hidden_size=32, batch_size=32, n_epochs=5),
    FitCase(10_000, 48, 1, hidden_size=128, batch_size=128, n_epochs=5),
)

QUICK_FIT_GRID = (FitCase(2_000, 48, 1, hidden_size=32, batch_size=32, n_epochs=2),)


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


@dataclass(frozen=True)
class SequenceProblem:
    """Arrays of a `SequenceCase`, batch first; gate order i, f, g, o.  N = B samples, T steps, I inputs, H hidden."""

    x: FloatArray  # (N, T, I)
    weight_ih: FloatArray  # (4H, I)
    weight_hh: FloatArray  # (4H, H)
    bias: FloatArray  # (4H,)
    h0: FloatArray  # (N, H)
    c0: FloatArray  # (N, H)
    dy: FloatArray  # (N, T, H), the gradient that BPTT starts from


@dataclass(frozen=True)
class FitProblem:
    """Windows of a noisy seasonal series and the value that follows each."""

    case: FitCase
    x: FloatArray  # (n_windows, n_timesteps, n_features)
    y: FloatArray  # (n_windows,)


def make_sequence_problem(case: SequenceCase, dtype: Dtype) -> SequenceProblem:
    """Make the arrays of ``case``; the same on every call.

    Weights are uniform in +-1/sqrt(H), the start that PyTorch gives them.
    """
    rng = np.random.default_rng([case.n_steps, case.n_samples, case.n_features, case.hidden_size])
    n, t, hidden = case.n_samples, case.n_steps, case.hidden_size
    bound = hidden**-0.5

    def uniform(*shape: int) -> FloatArray:
        return rng.uniform(-bound, bound, shape).astype(dtype)

    def normal(*shape: int) -> FloatArray:
        return rng.standard_normal(shape, dtype=np.float32).astype(dtype)

    return SequenceProblem(
        x=normal(n, t, case.n_features),
        weight_ih=uniform(4 * hidden, case.n_features),
        weight_hh=uniform(4 * hidden, hidden),
        bias=uniform(4 * hidden),
        h0=0.5 * normal(n, hidden),
        c0=0.5 * normal(n, hidden),
        dy=normal(n, t, hidden),
    )


def make_fit_problem(case: FitCase, dtype: Dtype) -> FitProblem:
    """Make the windows of ``case``; the same on every call.  Every feature is the series with another phase."""
    rng = np.random.default_rng(case.n_windows)
    n_values = case.n_windows + case.n_timesteps
    time = np.arange(n_values)[:, None] + 7.0 * np.arange(case.n_features)
    series = np.sin(2 * np.pi * time / 24) + 0.5 * np.sin(2 * np.pi * time / 9.7)
    series += 0.1 * rng.standard_normal(series.shape)
    windows = np.lib.stride_tricks.sliding_window_view(series, case.n_timesteps, axis=0)
    return FitProblem(
        case=case,
        x=np.ascontiguousarray(windows[: case.n_windows].transpose(0, 2, 1), dtype=dtype),
        y=series[case.n_timesteps :, 0].astype(dtype),
    )
