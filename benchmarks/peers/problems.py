"""The arrays of each case, the same in every process and on every call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers.cases import FitCase, GRUCase, PredictCase, RaggedCase, SequenceCase, StepCase

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.peers.cases import Case, Dtype

    FloatArray = NDArray[np.float32] | NDArray[np.float64]

#: Steps of a streamed sequence, one call from Python each: enough of them to hide the clock.
N_STREAMED_STEPS = 64
#: Windows predicted at a time by libraries that leave it to the caller: faster than all at once, for each of them.
PREDICT_BATCH = 500


@dataclass(frozen=True)
class SequenceProblem:
    """Arrays of a layer over sequences, batch first; gate order i, f, g, o.

    N = B samples, T steps, I inputs, H hidden.  Of a `StepCase` N is 1 and T is `N_STREAMED_STEPS`.
    """

    x: FloatArray  # (N, T, I)
    weight_ih: FloatArray  # (4H, I)
    weight_hh: FloatArray  # (4H, H)
    bias: FloatArray  # (4H,)
    h0: FloatArray  # (N, H)
    c0: FloatArray  # (N, H)
    dy: FloatArray  # (N, T, H), the gradient that BPTT starts from
    lengths: NDArray[np.int64] | None = None  # (N,), real steps of each row; None: all T


@dataclass(frozen=True)
class GRUProblem:
    """Arrays of a GRU over sequences, batch first; gate order r, z, n; h = (1 - z) n + z h_prev."""

    x: FloatArray  # (N, T, I)
    weight_ih: FloatArray  # (3H, I)
    weight_hh: FloatArray  # (3H, H)
    bias: FloatArray  # (3H,)
    bias_hn: FloatArray  # (H,), inside the reset gate
    h0: FloatArray  # (N, H)
    dy: FloatArray  # (N, T, H)


@dataclass(frozen=True)
class FitProblem:
    """Windows of a noisy seasonal series and the value that follows each."""

    case: FitCase
    x: FloatArray  # (n_windows, n_timesteps, n_features)
    y: FloatArray  # (n_windows,)


@dataclass(frozen=True)
class ForecasterWeights:
    """One LSTM layer, and a linear head on its state at the last step."""

    weight_ih: FloatArray  # (4H, I)
    weight_hh: FloatArray  # (4H, H)
    bias: FloatArray  # (4H,)
    head_weight: FloatArray  # (1, H)
    head_bias: FloatArray  # (1,)


@dataclass(frozen=True)
class PredictProblem:
    """Windows as in `FitProblem`, and weights for those libraries that can be given any."""

    x: FloatArray  # (n_windows, n_timesteps, n_features)
    weights: ForecasterWeights


Problem = SequenceProblem | GRUProblem | FitProblem | PredictProblem


def make_problem(case: Case, dtype: Dtype) -> Problem:
    """Make the arrays of ``case``."""
    match case:
        case FitCase():
            x, y = _windows(case.n_windows, case.n_timesteps, case.n_features)
            return FitProblem(case, x.astype(dtype), y.astype(dtype))
        case PredictCase():
            x, _ = _windows(case.n_windows, case.n_timesteps, case.n_features)
            layer = _sequences(SequenceCase(1, 1, case.n_features, case.hidden_size), dtype)
            # The head gets some of the layer's numbers: any will do.
            head_weight, head_bias = layer.weight_hh[:1], layer.bias[:1]
            weights = ForecasterWeights(layer.weight_ih, layer.weight_hh, layer.bias, head_weight, head_bias)
            return PredictProblem(x.astype(dtype), weights)
        case StepCase():
            return _sequences(SequenceCase(N_STREAMED_STEPS, 1, case.n_features, case.hidden_size), dtype)
        case GRUCase():
            p, rows = _sequences(case, dtype), 3 * case.hidden_size
            return GRUProblem(p.x, p.weight_ih[:rows], p.weight_hh[:rows], p.bias[:rows], p.bias[rows:], p.h0, p.dy)
        case SequenceCase():
            return _sequences(case, dtype)


def _sequences(case: SequenceCase, dtype: Dtype) -> SequenceProblem:
    """Draw weights uniform in +-1/sqrt(H), the start that PyTorch gives them, and everything else normal."""
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
        lengths=case.lengths if isinstance(case, RaggedCase) else None,
    )


def _windows(n_windows: int, n_timesteps: int, n_features: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return windows (n_windows, n_timesteps, n_features) of a series and the value of its first feature after each.

    Every feature is the series with another phase.
    """
    rng = np.random.default_rng(n_windows)
    time = np.arange(n_windows + n_timesteps)[:, None] + 7.0 * np.arange(n_features)
    series = np.sin(2 * np.pi * time / 24) + 0.5 * np.sin(2 * np.pi * time / 9.7)
    series += 0.1 * rng.standard_normal(series.shape)
    windows = np.lib.stride_tricks.sliding_window_view(series, n_timesteps, axis=0)
    return np.ascontiguousarray(windows[:n_windows].transpose(0, 2, 1)), series[n_timesteps:, 0]
