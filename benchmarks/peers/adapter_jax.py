"""JAX: an LSTM of ``lax.scan``, compiled by ``jax.jit``; gradients by ``jax.vjp``.

JAX has neither layers nor optimisers of its own, hence no fit.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax import lax

from benchmarks.peers.problems import PREDICT_BATCH
from benchmarks.peers.registry import Action

if TYPE_CHECKING:
    from benchmarks.peers.problems import ForecasterWeights, PredictProblem, SequenceProblem

    #: input weights (I, 4H), recurrent weights (H, 4H), bias (4H,)
    Weights = tuple[jax.Array, jax.Array, jax.Array]
    State = tuple[jax.Array, jax.Array]


class Adapter:
    """Arrays time major, the axis that ``lax.scan`` runs along; weights are arguments, so that none is folded."""

    def __init__(self, n_threads: int) -> None:
        _limit_threads(n_threads)

    def versions(self) -> dict[str, str]:
        """Versions of JAX and of its compiled part."""
        return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}

    def forward(self, problem: SequenceProblem) -> Action:
        """One call of the compiled function."""
        weights, x, state = _arguments(problem)
        run = jax.jit(_run)

        def call() -> Any:
            return jax.block_until_ready(run(weights, x, state))

        return Action(call, lambda: _outputs(*call()))

    def training(self, problem: SequenceProblem) -> Action:
        """One call of a compiled function that returns outputs and all gradients."""
        arguments = _arguments(problem)
        dy = _time_major(problem.dy)

        @jax.jit
        def run(dy: jax.Array, *arguments: Any) -> Any:
            (y, h_n, c_n), pull_back = jax.vjp(_run, *arguments)
            return (y, h_n, c_n), pull_back((dy, jnp.zeros_like(h_n), jnp.zeros_like(c_n)))

        def call() -> Any:
            return jax.block_until_ready(run(dy, *arguments))

        def results() -> dict[str, np.ndarray]:
            outputs, ((dweight_ih, dweight_hh, dbias), dx, (dh0, dc0)) = call()
            return _outputs(*outputs) | {
                "dx": np.asarray(dx).transpose(1, 0, 2),
                "dweight_ih": np.asarray(dweight_ih).T,
                "dweight_hh": np.asarray(dweight_hh).T,
                "dbias": np.asarray(dbias),
                "dh0": np.asarray(dh0),
                "dc0": np.asarray(dc0),
            }

        return Action(call, results)

    def step(self, problem: SequenceProblem) -> Action:
        """One call of the compiled cell for each step."""
        weights, x, start = _arguments(problem)
        inputs = list(x)  # x_t (1, I)
        run = jax.jit(_cell)

        def call() -> Any:
            state, y = start, []
            for x_t in inputs:
                state = jax.block_until_ready(run(weights, state, x_t))
                y.append(state[0])
            return y, *state

        def results() -> dict[str, np.ndarray]:
            y, h_n, c_n = call()
            return _outputs(jnp.stack(y), h_n, c_n)

        return Action(call, results, n_operations=len(inputs))

    def predict(self, problem: PredictProblem) -> Action:
        """One call of a compiled function for each batch."""
        p = problem.weights
        _allow_float64(problem.x)
        arguments = _weights(p), jnp.asarray(p.head_weight.T), jnp.asarray(p.head_bias)
        starts = range(0, len(problem.x), PREDICT_BATCH)

        @jax.jit
        def run(weights: Weights, head_weight: jax.Array, head_bias: jax.Array, x: jax.Array) -> jax.Array:
            zeros = jnp.zeros((len(x), len(weights[1])), x.dtype)
            (h, _), _ = lax.scan(lambda s, x_t: (_cell(weights, s, x_t), None), (zeros, zeros), x.transpose(1, 0, 2))
            return (h @ head_weight + head_bias)[:, 0]

        def call() -> np.ndarray:
            return np.concatenate([run(*arguments, problem.x[start : start + PREDICT_BATCH]) for start in starts])

        return Action(call, lambda: {"prediction": call(), **asdict(p)})


def _limit_threads(n_threads: int) -> None:
    """Hold the process to as many CPUs as it may have threads: JAX has no setting, it takes what it finds."""
    if n_threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    try:
        cpus = sorted(os.sched_getaffinity(0))
        # The last ones: interrupts are mostly handled by the first.
        os.sched_setaffinity(0, cpus[-n_threads:])
    except AttributeError:
        if n_threads != os.cpu_count():
            msg = f"JAX cannot be held to {n_threads} of {os.cpu_count()} CPUs on this system"
            raise ImportError(msg) from None


def _cell(weights: Weights, state: State, x_t: jax.Array) -> State:
    """Do one step.  XLA makes slower code of it if the product with the inputs is taken out of the loop."""
    weight_ih, weight_hh, bias = weights
    h, c = state
    i, f, g, o = jnp.split(x_t @ weight_ih + h @ weight_hh + bias, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _run(weights: Weights, x: jax.Array, state: State) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return y (T, N, H), h_n and c_n (N, H) from x (T, N, I)."""

    def step(state: State, x_t: jax.Array) -> tuple[State, jax.Array]:
        h, c = _cell(weights, state, x_t)
        return (h, c), h

    (h_n, c_n), y = lax.scan(step, state, x)
    return y, h_n, c_n


def _arguments(problem: SequenceProblem) -> tuple[Weights, jax.Array, State]:
    """Return what `_run` takes."""
    _allow_float64(problem.x)
    return _weights(problem), _time_major(problem.x), (jnp.asarray(problem.h0), jnp.asarray(problem.c0))


def _allow_float64(x: np.ndarray) -> None:
    """Arrays of that type become single precision otherwise."""
    jax.config.update("jax_enable_x64", x.dtype == np.float64)


def _weights(source: SequenceProblem | ForecasterWeights) -> Weights:
    return (
        jnp.asarray(np.ascontiguousarray(source.weight_ih.T)),
        jnp.asarray(np.ascontiguousarray(source.weight_hh.T)),
        jnp.asarray(source.bias),
    )


def _time_major(array: np.ndarray) -> jax.Array:
    """Turn (N, T, .) into (T, N, .)."""
    return jnp.asarray(np.ascontiguousarray(array.transpose(1, 0, 2)))


def _outputs(y: jax.Array, h_n: jax.Array, c_n: jax.Array) -> dict[str, np.ndarray]:
    """Turn time-major arrays into the named arrays of the reference."""
    return {"y": np.asarray(y).transpose(1, 0, 2), "h_n": np.asarray(h_n), "c_n": np.asarray(c_n)}
