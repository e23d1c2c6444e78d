"""The recurrent cells in plain NumPy: one row, one step at a time, forward and back through time, in float64.

Independent of the engine: it shares no code and no order of operations with it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Number = np.ndarray | float


class Results(NamedTuple):
    """What a layer gives.

    ``arrays`` are named as the outputs of ``pylstm``, gradients as the arguments they belong to with a ``d_`` before.
    ``kink_distance`` is how near a number came to where its function has no derivative: relu at 0, a bounded cell state
    at the bound.
    """

    arrays: dict[str, np.ndarray]
    kink_distance: float


class StepGradients(NamedTuple):
    """Derivatives of the loss by what entered one step, and by ``own``, weights of the cell beside W, U and b."""

    from_x: np.ndarray
    from_h: np.ndarray
    own: dict[str, np.ndarray]
    h_prev: Number = 0.0
    c_prev: Number = 0.0


class LSTMStep:
    """Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000; gate order i, f, g, o.

    Peepholes: Gers et al. 2002.  Coupled gates (f = 1 - i): Greff et al. 2017.  Bounded cell state: Sak et al. 2014.
    """

    kink_distance = np.inf

    def __init__(
        self,
        from_x: np.ndarray,
        from_h: np.ndarray,
        _h_prev: np.ndarray,
        c_prev: np.ndarray,
        *,
        peephole: np.ndarray | None = None,
        coupled: bool = False,
        cell_clip: float | None = None,
    ) -> None:
        self.coupled, self.clip, self.c_prev = coupled, cell_clip, c_prev
        self.has_peepholes = peephole is not None
        i, *f, g, o = (from_x + from_h).reshape(3 if coupled else 4, -1)
        n_peepholes = 2 if coupled else 3
        p: np.ndarray = np.zeros(n_peepholes) if peephole is None else peephole
        self.p_i, *self.p_f, self.p_o = p.reshape(n_peepholes, -1)

        self.i = sigmoid(i + self.p_i * c_prev)
        self.f = 1 - self.i if coupled else sigmoid(f[0] + self.p_f[0] * c_prev)
        self.g = np.tanh(g)
        self.c = self.f * c_prev + self.i * self.g
        if cell_clip is not None:
            self.kink_distance = float(np.abs(np.abs(self.c) - cell_clip).min())
            self.c = np.clip(self.c, -cell_clip, cell_clip)
        self.o = sigmoid(o + self.p_o * self.c)
        self.h = self.o * np.tanh(self.c)

    def backward(self, dh: np.ndarray, dc: Number) -> StepGradients:
        """From the gradients of h and c to those of what entered the step."""
        tanh_c = np.tanh(self.c)
        do = dh * tanh_c * self.o * (1 - self.o)
        dc = dc + dh * self.o * (1 - tanh_c**2) + do * self.p_o
        if self.clip is not None:
            dc = np.where(np.abs(self.c) < self.clip, dc, 0.0)
        dg = dc * self.i * (1 - self.g**2)
        if self.coupled:
            di = dc * (self.g - self.c_prev) * self.i * (1 - self.i)
            dsums = np.concatenate([di, dg, do])
            dc_prev = dc * self.f + di * self.p_i
            dpeephole = [di * self.c_prev, do * self.c]
        else:
            di = dc * self.g * self.i * (1 - self.i)
            df = dc * self.c_prev * self.f * (1 - self.f)
            dsums = np.concatenate([di, df, dg, do])
            dc_prev = dc * self.f + di * self.p_i + df * self.p_f[0]
            dpeephole = [di * self.c_prev, df * self.c_prev, do * self.c]
        own = {"peephole": np.concatenate(dpeephole)} if self.has_peepholes else {}
        return StepGradients(dsums, dsums, own, c_prev=dc_prev)


class GRUStep:
    """Cho et al. 2014, the reset gate after the recurrent product, or before it; gate order r, z, n."""

    c = 0.0
    kink_distance = np.inf

    def __init__(
        self,
        from_x: np.ndarray,
        from_h: np.ndarray,
        h_prev: np.ndarray,
        _c_prev: Number,
        *,
        weight_hh: np.ndarray,
        bias_hn: np.ndarray | None,
        reset_after: bool = True,
    ) -> None:
        (x_r, x_z, x_n), (h_r, h_z, h_n) = from_x.reshape(3, -1), from_h.reshape(3, -1)
        self.h_prev = h_prev
        self.r = sigmoid(x_r + h_r)
        self.z = sigmoid(x_z + h_z)
        self.weight_hn = None if reset_after else weight_hh[2 * len(h_prev) :]
        if self.weight_hn is None:
            self.recurrent = h_n + bias_hn
            self.n = np.tanh(x_n + self.r * self.recurrent)
        else:
            self.n = np.tanh(x_n + self.weight_hn @ (self.r * h_prev))
        self.h = (1 - self.z) * self.n + self.z * h_prev

    def backward(self, dh: np.ndarray, _dc: Number) -> StepGradients:
        """From the gradient of h to those of what entered the step."""
        dn = dh * (1 - self.z) * (1 - self.n**2)
        dz = dh * (self.h_prev - self.n) * self.z * (1 - self.z)
        if self.weight_hn is not None:
            dreset = self.weight_hn.T @ dn
            dr = dreset * self.h_prev * self.r * (1 - self.r)
            dweight_hh = np.zeros((3 * len(dh), len(dh)))
            dweight_hh[2 * len(dh) :] = np.outer(dn, self.r * self.h_prev)
            return StepGradients(
                np.concatenate([dr, dz, dn]),
                np.concatenate([dr, dz, np.zeros_like(dn)]),
                {"weight_hh": dweight_hh},
                h_prev=dh * self.z + dreset * self.r,
            )
        dr = dn * self.recurrent * self.r * (1 - self.r)
        from_x, from_h = np.concatenate([dr, dz, dn]), np.concatenate([dr, dz, dn * self.r])
        return StepGradients(from_x, from_h, {"bias_hn": dn * self.r}, h_prev=dh * self.z)


class RNNStep:
    """Elman 1990."""

    c = 0.0
    kink_distance = np.inf

    def __init__(
        self,
        from_x: np.ndarray,
        from_h: np.ndarray,
        _h_prev: np.ndarray,
        _c_prev: Number,
        *,
        nonlinearity: str = "tanh",
    ) -> None:
        sums = from_x + from_h
        self.relu = nonlinearity == "relu"
        self.h = np.where(sums > 0, sums, 0.0) if self.relu else np.tanh(sums)
        if self.relu:
            self.kink_distance = float(np.abs(sums).min())

    def backward(self, dh: np.ndarray, _dc: Number) -> StepGradients:
        """From the gradient of h to that of the sums."""
        dsums = dh * (self.h > 0) if self.relu else dh * (1 - self.h**2)
        return StepGradients(dsums, dsums, {})


STEPS: dict[str, Any] = {"lstm": LSTMStep, "gru": GRUStep, "rnn": RNNStep}


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)), through tanh so that nothing overflows."""
    return 0.5 * (1 + np.tanh(0.5 * z))


def visited_steps(length: int, *, reverse: bool) -> list[int]:
    """Time indices of the real steps in the order in which the layer sees them."""
    return list(reversed(range(length))) if reverse else list(range(length))


def layer(
    cell: str,
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
    **options: Any,
) -> Results:
    """Outputs, and gradients of the loss sum(dy*y) + sum(dh_n*h_n) + sum(dc_n*c_n).

    ``options`` are those of the cell's step.
    """
    N, T, _ = x.shape
    H = weight_hh.shape[1]

    def given(array: np.ndarray | None, *shape: int) -> np.ndarray:
        return np.zeros(shape) if array is None else array.astype(np.float64)

    x, weight_ih, weight_hh = (array.astype(np.float64) for array in (x, weight_ih, weight_hh))
    bias, h0, c0 = given(bias, len(weight_ih)), given(h0, N, H), given(c0, N, H)
    dy, dh_n, dc_n = given(dy, N, T, H), given(dh_n, N, H), given(dc_n, N, H)
    lengths = np.full(N, T) if lengths is None else lengths
    if cell == "gru" and options.get("reset_after", True):
        options["bias_hn"] = given(options["bias_hn"], H)
    own = {name: value.astype(np.float64) for name, value in options.items() if isinstance(value, np.ndarray)}
    options |= own
    if cell == "gru":
        options |= {"weight_hh": weight_hh, "bias_hn": options.get("bias_hn")}

    y, h_n, c_n = np.zeros((N, T, H)), np.zeros((N, H)), np.zeros((N, H))
    arguments = {"x": x, "weight_ih": weight_ih, "weight_hh": weight_hh, "bias": bias, "h0": h0, "c0": c0, **own}
    d = {name: np.zeros_like(array) for name, array in arguments.items()}
    kink_distance = np.inf
    for n in range(N):
        order = visited_steps(int(lengths[n]), reverse=reverse)
        steps: dict[int, Any] = {}
        h_before: dict[int, np.ndarray] = {}
        h, c = h0[n], c0[n]
        for t in order:
            h_before[t] = h
            steps[t] = STEPS[cell](weight_ih @ x[n, t] + bias, weight_hh @ h, h, c, **options)
            h, c = steps[t].h, steps[t].c
            y[n, t] = h
            kink_distance = min(kink_distance, steps[t].kink_distance)
        h_n[n], c_n[n] = h, c

        dh, dc = dh_n[n], dc_n[n]
        for t in reversed(order):
            step = steps[t].backward(dh + dy[n, t], dc)
            d["weight_ih"] += np.outer(step.from_x, x[n, t])
            d["weight_hh"] += np.outer(step.from_h, h_before[t])
            d["bias"] += step.from_x
            for name, gradient in step.own.items():
                d[name] += gradient
            d["x"][n, t] = weight_ih.T @ step.from_x
            dh = weight_hh.T @ step.from_h + step.h_prev
            dc = step.c_prev
        d["h0"][n], d["c0"][n] = dh, dc

    results = {"y": y, "h_n": h_n, "c_n": c_n, **{f"d_{name}": gradient for name, gradient in d.items()}}
    if cell != "lstm":
        del results["c_n"], results["d_c0"]
    return Results(results, kink_distance)
