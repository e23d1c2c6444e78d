"""The LSTM in plain NumPy: one row, one step at a time, forward and back through time, in float64.

Independent of the engine: it shares no code and no order of operations with it.
Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000; gate order i, f, g, o.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Forward(NamedTuple):
    """Outputs of the forward pass, shaped as those of ``pylstm.lstm_forward``."""

    y: np.ndarray
    h_n: np.ndarray
    c_n: np.ndarray


class Gradients(NamedTuple):
    """Derivatives of the loss, named as the arguments they belong to."""

    x: np.ndarray
    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias: np.ndarray
    h0: np.ndarray
    c0: np.ndarray


@dataclass
class Step:
    """What one step of one row leaves for the way back; every array is (H,) but x (I,)."""

    x: np.ndarray
    h_prev: np.ndarray
    c_prev: np.ndarray
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    tanh_c: np.ndarray


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)), through tanh so that nothing overflows."""
    return 0.5 * (1 + np.tanh(0.5 * z))


def visited_steps(length: int, *, reverse: bool) -> list[int]:
    """Time indices of the real steps in the order in which the LSTM sees them."""
    return list(reversed(range(length))) if reverse else list(range(length))


def lstm(
    x: np.ndarray,
    weight_ih: np.ndarray,
    weight_hh: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    h0: np.ndarray | None = None,
    c0: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    reverse: bool = False,
    dy: np.ndarray | None = None,
    dh_n: np.ndarray | None = None,
    dc_n: np.ndarray | None = None,
) -> tuple[Forward, Gradients]:
    """Return the outputs, and the gradients of the loss sum(dy*y) + sum(dh_n*h_n) + sum(dc_n*c_n)."""
    N, T, _ = x.shape
    H = weight_hh.shape[1]

    def given(array: np.ndarray | None, *shape: int) -> np.ndarray:
        return np.zeros(shape) if array is None else array.astype(np.float64)

    x, weight_ih, weight_hh = (array.astype(np.float64) for array in (x, weight_ih, weight_hh))
    bias, h0, c0 = given(bias, 4 * H), given(h0, N, H), given(c0, N, H)
    dy, dh_n, dc_n = given(dy, N, T, H), given(dh_n, N, H), given(dc_n, N, H)
    lengths = np.full(N, T) if lengths is None else lengths

    out = Forward(np.zeros((N, T, H)), np.zeros((N, H)), np.zeros((N, H)))
    d = Gradients(*(np.zeros_like(array) for array in (x, weight_ih, weight_hh, bias, h0, c0)))
    for n in range(N):
        order = visited_steps(int(lengths[n]), reverse=reverse)
        steps: dict[int, Step] = {}
        h, c = h0[n], c0[n]
        for t in order:
            i, f, g, o = np.split(weight_ih @ x[n, t] + weight_hh @ h + bias, 4)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            h_prev, c_prev = h, c
            c = f * c_prev + i * g
            h = o * np.tanh(c)
            out.y[n, t] = h
            steps[t] = Step(x[n, t], h_prev, c_prev, i, f, g, o, np.tanh(c))
        out.h_n[n], out.c_n[n] = h, c

        dh, dc = dh_n[n], dc_n[n]
        for t in reversed(order):
            s = steps[t]
            dh = dh + dy[n, t]
            dc = dc + dh * s.o * (1 - s.tanh_c**2)
            dgates = np.concatenate(
                [
                    dc * s.g * s.i * (1 - s.i),
                    dc * s.c_prev * s.f * (1 - s.f),
                    dc * s.i * (1 - s.g**2),
                    dh * s.tanh_c * s.o * (1 - s.o),
                ]
            )
            d.weight_ih[...] += np.outer(dgates, s.x)
            d.weight_hh[...] += np.outer(dgates, s.h_prev)
            d.bias[...] += dgates
            d.x[n, t] = weight_ih.T @ dgates
            dh = weight_hh.T @ dgates
            dc = dc * s.f
        d.h0[n], d.c0[n] = dh, dc
    return out, d
