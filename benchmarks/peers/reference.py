"""The LSTM layer and its BPTT in float64 NumPy: what every contender's results are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.peers.problems import FloatArray, ForecasterWeights, GRUProblem, SequenceProblem

    Array = NDArray[np.float64]


def reference_results(problem: SequenceProblem, *, backward: bool) -> dict[str, Array]:
    """Compute outputs and, if ``backward``, gradients of ``problem``.

    Returns
    -------
    results : dict
        ``y`` (N, T, H), ``h_n`` and ``c_n`` (N, H); with ``backward`` the gradients of ``sum(y * dy)``:
        ``dx`` (N, T, I), ``dweight_ih`` (4H, I), ``dweight_hh`` (4H, H), ``dbias`` (4H,), ``dh0`` and ``dc0`` (N, H).
        Past the end of a row ``y`` and ``dx`` are 0; ``h_n`` and ``c_n`` are the states after its last real step.
    """
    x = problem.x.astype(np.float64)
    weight_ih = problem.weight_ih.astype(np.float64)
    weight_hh = problem.weight_hh.astype(np.float64)
    n_samples, n_steps, _ = x.shape
    hidden = weight_hh.shape[1]
    lengths = np.full(n_samples, n_steps) if problem.lengths is None else problem.lengths
    real = np.arange(n_steps)[:, None, None] < lengths[:, None]  # (T, N, 1)

    y = np.zeros((n_samples, n_steps, hidden))
    h = np.empty((n_steps + 1, n_samples, hidden))
    c = np.empty((n_steps + 1, n_samples, hidden))
    gates = np.empty((n_steps, 4, n_samples, hidden))  # activations, order i, f, g, o
    h[0], c[0] = problem.h0, problem.c0
    for t in range(n_steps):
        z = x[:, t] @ weight_ih.T + h[t] @ weight_hh.T + problem.bias
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
        i, f, g, o = _sigmoid(z_i), _sigmoid(z_f), np.tanh(z_g), _sigmoid(z_o)
        gates[t] = i, f, g, o
        c[t + 1] = np.where(real[t], f * c[t] + i * g, c[t])
        h[t + 1] = np.where(real[t], o * np.tanh(c[t + 1]), h[t])
        y[:, t] = np.where(real[t], h[t + 1], 0)
    results = {"y": y, "h_n": h[-1].copy(), "c_n": c[-1].copy()}
    if not backward:
        return results

    dx = np.empty_like(x)
    dweight_ih = np.zeros_like(weight_ih)
    dweight_hh = np.zeros_like(weight_hh)
    dbias = np.zeros(4 * hidden)
    dh = np.zeros((n_samples, hidden))
    dc = np.zeros((n_samples, hidden))
    for t in reversed(range(n_steps)):
        i, f, g, o = gates[t]
        tanh_c = np.tanh(c[t + 1])
        dh += np.where(real[t], problem.dy[:, t], 0)  # past the end of a row all gradients stay 0
        dc += dh * o * (1 - tanh_c**2)
        dz = np.concatenate(
            [dc * g * i * (1 - i), dc * c[t] * f * (1 - f), dc * i * (1 - g**2), dh * tanh_c * o * (1 - o)], axis=1
        )
        dx[:, t] = dz @ weight_ih
        dweight_ih += dz.T @ x[:, t]
        dweight_hh += dz.T @ h[t]
        dbias += dz.sum(axis=0)
        dh = dz @ weight_hh
        dc *= f
    gradients = {"dx": dx, "dweight_ih": dweight_ih, "dweight_hh": dweight_hh, "dbias": dbias, "dh0": dh, "dc0": dc}
    return results | gradients


def reference_prediction(x: FloatArray, weights: ForecasterWeights) -> Array:
    """Compute the prediction (N,) from windows ``x`` (N, T, I): a linear head on the state after the last step."""
    weight_ih, weight_hh, bias = (w.astype(np.float64) for w in (weights.weight_ih, weights.weight_hh, weights.bias))
    h = c = np.zeros((len(x), weight_hh.shape[1]))
    for x_t in x.astype(np.float64).transpose(1, 0, 2):
        i, f, g, o = np.split(x_t @ weight_ih.T + h @ weight_hh.T + bias, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
    return h @ weights.head_weight[0].astype(np.float64) + weights.head_bias[0]


def gru_reference_results(problem: GRUProblem, *, backward: bool) -> dict[str, Array]:
    """Compute outputs and, if ``backward``, gradients of a GRU: those of `reference_results`, and ``dbias_hn`` (H,)."""
    p = {name: array.astype(np.float64) for name, array in vars(problem).items()}
    x, weight_ih, weight_hh = p["x"], p["weight_ih"], p["weight_hh"]
    n_samples, n_steps, _ = x.shape
    hidden = weight_hh.shape[1]
    h = np.empty((n_steps + 1, n_samples, hidden))
    kept = np.empty((n_steps, 4, n_samples, hidden))  # r, z, n, and the recurrent half of n
    h[0] = p["h0"]
    for t in range(n_steps):
        x_r, x_z, x_n = np.split(x[:, t] @ weight_ih.T + p["bias"], 3, axis=1)
        h_r, h_z, h_n = np.split(h[t] @ weight_hh.T, 3, axis=1)
        r, z, recurrent = _sigmoid(x_r + h_r), _sigmoid(x_z + h_z), h_n + p["bias_hn"]
        n = np.tanh(x_n + r * recurrent)
        kept[t] = r, z, n, recurrent
        h[t + 1] = (1 - z) * n + z * h[t]
    results = {"y": h[1:].transpose(1, 0, 2).copy(), "h_n": h[-1].copy()}
    if not backward:
        return results

    gradients = {name: np.zeros_like(p[name]) for name in ("x", "weight_ih", "weight_hh", "bias", "bias_hn")}
    dh = np.zeros((n_samples, hidden))
    for t in reversed(range(n_steps)):
        r, z, n, recurrent = kept[t]
        dh += p["dy"][:, t]
        dn = dh * (1 - z) * (1 - n**2)
        dz = dh * (h[t] - n) * z * (1 - z)
        dr = dn * recurrent * r * (1 - r)
        of_x, of_h = np.concatenate([dr, dz, dn], axis=1), np.concatenate([dr, dz, dn * r], axis=1)
        gradients["x"][:, t] = of_x @ weight_ih
        gradients["weight_ih"] += of_x.T @ x[:, t]
        gradients["weight_hh"] += of_h.T @ h[t]
        gradients["bias"] += of_x.sum(axis=0)
        gradients["bias_hn"] += (dn * r).sum(axis=0)
        dh = dh * z + of_h @ weight_hh
    return results | {f"d{name}": gradient for name, gradient in gradients.items()} | {"dh0": dh}


def _sigmoid(z: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * z)
