"""Keras 3 on TensorFlow: ``keras.layers.LSTM`` under ``tf.function``, ``Model.fit`` and ``Model.predict``."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.peers.problems import PREDICT_BATCH
from benchmarks.peers.registry import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.peers.problems import FitProblem, ForecasterWeights, PredictProblem, SequenceProblem


class Adapter:
    """Arrays batch first, the layout that the layer takes; weights are variables, so that none is folded."""

    def __init__(self, n_threads: int) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(n_threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.set_visible_devices([], "GPU")

    def versions(self) -> dict[str, str]:
        """Versions of Keras and TensorFlow."""
        return {"keras": keras.__version__, "tensorflow": tf.__version__}

    def forward(self, problem: SequenceProblem) -> Action:
        """One call of the layer, compiled by XLA or not, whichever is faster in this case."""
        layer, arguments = _layer_and_inputs(problem)

        def run(x: Any, h0: Any, c0: Any) -> Any:
            return layer(x, initial_state=[h0, c0])

        call = _faster(run, arguments)
        return Action(call, lambda: _outputs(*call()))

    def training(self, problem: SequenceProblem) -> Action:
        """One call of a function of layer and ``GradientTape``, compiled by XLA or not, whichever is faster."""
        layer, arguments = _layer_and_inputs(problem)

        def run(dy: Any, x: Any, h0: Any, c0: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([x, h0, c0])
                y, h_n, c_n = layer(x, initial_state=[h0, c0], training=True)
            wanted = [x, h0, c0, *layer.trainable_variables]
            return (y, h_n, c_n), tape.gradient(y, wanted, output_gradients=dy)

        call = _faster(run, [tf.constant(problem.dy), *arguments])

        def results() -> dict[str, np.ndarray]:
            outputs, (dx, dh0, dc0, dweight_ih, dweight_hh, dbias) = call()
            return _outputs(*outputs) | {
                "dx": dx.numpy(),
                "dweight_ih": dweight_ih.numpy().T,
                "dweight_hh": dweight_hh.numpy().T,
                "dbias": dbias.numpy(),
                "dh0": dh0.numpy(),
                "dc0": dc0.numpy(),
            }

        return Action(call, results)

    def step(self, problem: SequenceProblem) -> Action:
        """One call of ``keras.layers.LSTMCell`` under ``tf.function`` for each step."""
        layer, (x, h0, c0) = _layer_and_inputs(problem)
        inputs = list(tf.unstack(x, axis=1))  # x_t (1, I)

        @tf.function
        def run(x_t: Any, h: Any, c: Any) -> Any:
            _, state = layer.cell(x_t, [h, c])
            return state

        def call() -> Any:
            h, c, y = h0, c0, []
            for x_t in inputs:
                h, c = run(x_t, h, c)
                y.append(h)
            return y, h, c

        def results() -> dict[str, np.ndarray]:
            y, h_n, c_n = call()
            return _outputs(tf.stack(y, axis=1), h_n, c_n)

        return Action(call, results, n_operations=len(inputs))

    def fit(self, problem: FitProblem) -> Action:
        """``Model.fit`` from the same start each time; the model is made and traced once, outside the timed calls."""
        case = problem.case
        keras.utils.set_random_seed(0)
        model = _forecaster(case.n_features, case.hidden_size, problem.x.dtype)
        model.compile(optimizer=keras.optimizers.Adam(case.learning_rate), loss="mse")
        model.optimizer.build(model.trainable_variables)
        changing = [*model.variables, *model.optimizer.variables]
        start = [variable.numpy() for variable in changing]

        def call() -> Any:
            for variable, value in zip(changing, start, strict=True):
                variable.assign(value)
            model.fit(problem.x, problem.y, batch_size=case.batch_size, epochs=case.n_epochs, verbose=0)

        def results() -> dict[str, np.ndarray]:
            call()
            prediction = model.predict(problem.x, batch_size=PREDICT_BATCH, verbose=0)
            return {"mse": np.mean((prediction[:, 0] - problem.y) ** 2)}

        return Action(call, results)

    def predict(self, problem: PredictProblem) -> Action:
        """``Model.predict``."""
        p = problem.weights
        model = _forecaster(p.weight_ih.shape[1], p.weight_hh.shape[1], problem.x.dtype)
        model.set_weights([*_layer_weights(p), p.head_weight.T, p.head_bias])

        def call() -> np.ndarray:
            prediction: np.ndarray = model.predict(problem.x, batch_size=PREDICT_BATCH, verbose=0)
            return prediction[:, 0]

        return Action(call, lambda: {"prediction": call(), **asdict(p)})


def _faster(run: Callable[..., Any], arguments: list[Any]) -> Callable[[], Any]:
    """Compile ``run`` with XLA and without, and return a call of the faster one: neither is it everywhere."""
    seconds = {}
    for compiled in (tf.function(run, jit_compile=use_xla) for use_xla in (True, False)):
        compiled(*arguments)  # traces
        began = time.perf_counter()
        compiled(*arguments)
        seconds[compiled] = time.perf_counter() - began
    fastest = min(seconds, key=seconds.__getitem__)
    return lambda: fastest(*arguments)


def _layer_and_inputs(problem: SequenceProblem) -> tuple[Any, list[Any]]:
    """Return the layer with the weights of ``problem``, and x (N, T, I), h0 and c0 (N, H)."""
    _use(problem.x.dtype)
    layer = keras.layers.LSTM(problem.weight_hh.shape[1], return_sequences=True, return_state=True)
    layer.build(problem.x.shape)
    layer.set_weights(_layer_weights(problem))
    return layer, [tf.constant(array) for array in (problem.x, problem.h0, problem.c0)]


def _layer_weights(source: SequenceProblem | ForecasterWeights) -> list[np.ndarray]:
    """Return the weights in the layout of Keras; its gates have our order."""
    return [source.weight_ih.T, source.weight_hh.T, source.bias]


def _forecaster(n_features: int, hidden_size: int, dtype: np.dtype) -> Any:
    _use(dtype)
    return keras.Sequential([keras.Input((None, n_features)), keras.layers.LSTM(hidden_size), keras.layers.Dense(1)])


def _use(dtype: np.dtype) -> None:
    """Make ``dtype`` the type of new layers, and the one that ``fit`` and ``predict`` cast what they are given to."""
    keras.config.set_dtype_policy(str(dtype))
    keras.config.set_floatx(str(dtype))


def _outputs(y: Any, h_n: Any, c_n: Any) -> dict[str, np.ndarray]:
    return {"y": y.numpy(), "h_n": h_n.numpy(), "c_n": c_n.numpy()}
