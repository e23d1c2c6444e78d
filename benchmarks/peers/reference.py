"""The LSTM layer and its BPTT in float64 NumPy: what every contender's results are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.peers.cases import SequenceProblem

    Array = NDArray[np.float64]


def reference_results(problem: SequenceProblem, *, backward: bool) -> dict[str, Array]:
    """Compute outputs and, if ``backward``, gradients of ``problem``.

    Returns
    -------
    results : dict
        ``y`` (N, T, H), ``h_n`` and ``c_n`` (N, H); with ``backward`` the gradients of ``sum(y * dy)``:
        ``dx`` (N, T, I), ``dweight_ih`` (4H, I), ``dweight_hh`` (4H, H), ``dbias`` (4H,), ``dh0`` and ``dc0`` (N, H).
    """
    x = problem.x.astype(np.float64)
    weight_ih = problem.weight_ih.astype(np.float64)
    weight_hh = problem.weight_hh.astype(np.float64)
    n_samples, n_steps, _ = x.shape
    hidden = weight_hh.shape[1]

    h = np.empty((n_steps + 1, n_samples, hidden))
    c = np.empty((n_steps + 1, n_samples, hidden))
    gates = np.empty((n_steps, 4, n_samples, hidden))  # activations, order i, f, g, o
    h[0], c[0] = problem.h0, problem.c0
    for t in range(n_steps):
        z = x[:, t] @ weight_ih.T + h[t] @ weight_hh.T + problem.bias
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
        i, f, g, o = _sigmoid(z_i), _sigmoid(z_f), np.tanh(z_g), _sigmoid(z_o)
        gates[t] = i, f, g, o
        c[t + 1] = f * c[t] + i * g
        h[t + 1] = o * np.tanh(c[t + 1])
    results = {"y": h[1:].transpose(1, 0, 2).copy(), "h_n": h[-1].copy(), "c_n": c[-1].copy()}
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
        dh += problem.dy[:, t]
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


def _sigmoid(z: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * z)
