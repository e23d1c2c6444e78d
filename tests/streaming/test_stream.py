"""`pylstm.Stream`: the bits of `predict`, states, resets, what it accepts and what it refuses."""

from __future__ import annotations

import copy
import gc
import pickle
import signal
import sys
import threading
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pylstm import Stream

from .models import COMBINATIONS, fitted, name_of, sequences


def same_bits(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("options", COMBINATIONS, ids=name_of)
@pytest.mark.parametrize("batch_size", [1, 5])
def test_every_step_has_the_bits_of_predict_on_the_steps_so_far(options: dict[str, Any], batch_size: int) -> None:
    model = fitted(**options)
    X = sequences(batch_size, dtype=options.get("dtype", "float32"))
    stream = Stream(model, batch_size)
    assert stream.dtype == X.dtype
    for t in range(X.shape[1]):
        assert same_bits(stream.step(X[:, t]), model.predict(X[:, : t + 1]))
    assert stream.n_steps.tolist() == [X.shape[1]] * batch_size


@pytest.mark.parametrize("options", COMBINATIONS, ids=name_of)
def test_a_state_leads_to_the_same_steps_again_through_pickle_too(options: dict[str, Any]) -> None:
    model = fitted(**options)
    X = sequences(4, dtype=options.get("dtype", "float32"))
    stream = Stream(model, 4)
    for t in range(4):
        stream.step(X[:, t])
    state = pickle.loads(pickle.dumps(stream.state))
    first = [stream.step(X[:, t]) for t in range(4, 9)]
    other = Stream(model, 4)
    for again in (stream, other):
        again.state = state
        assert again.n_steps.tolist() == [4] * 4
        assert all(same_bits(again.step(X[:, t]), first[t - 4]) for t in range(4, 9))


def test_a_state_names_its_arrays_and_is_a_copy() -> None:
    stream = Stream(fitted(hidden_size=(9, 5), pooling="mean"), 2)
    before = stream.state
    shapes = {name: array.shape for name, array in before.items()}
    assert shapes == {
        "layers.0.h": (2, 9),
        "layers.0.c": (2, 9),
        "layers.1.h": (2, 5),
        "layers.1.c": (2, 5),
        "pooled": (2, 5),
        "n_steps": (2,),
    }
    assert all(not array.any() for array in before.values())
    stream.step(np.ones((2, 3)))
    assert not before["layers.0.h"].any()
    assert stream.state["layers.0.h"].any()
    assert set(Stream(fitted(cell="gru")).state) == {"layers.0.h", "n_steps"}


@pytest.mark.parametrize("options", COMBINATIONS, ids=name_of)
@pytest.mark.parametrize("batch_size", [1, 5])
def test_a_run_has_the_bits_of_its_steps(options: dict[str, Any], batch_size: int) -> None:
    model = fitted(**options)
    X = np.ascontiguousarray(sequences(batch_size, dtype=options.get("dtype", "float32")).swapaxes(0, 1))
    stream, steps = Stream(model, batch_size), Stream(model, batch_size)
    expected = np.stack([steps.step(x) for x in X])
    assert same_bits(np.concatenate([stream.run(X[:4]), stream.run(X[4:4]), stream.run(X[4:])]), expected)
    assert stream.n_steps.tolist() == [len(X)] * batch_size
    assert all(same_bits(array, steps.state[name]) for name, array in stream.state.items())


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_a_run_of_one_row_may_have_fewer_dimensions(n_outputs: int) -> None:
    model = fitted(n_features=1, n_outputs=n_outputs)
    x = np.linspace(-1, 1, 9)
    expected = Stream(model).run(x[:, None, None])
    assert expected.shape == (9, 1, n_outputs)
    assert same_bits(Stream(model).run(x[:, None]), expected[:, 0])
    assert same_bits(Stream(model).run(x), expected[:, 0, 0] if n_outputs == 1 else expected[:, 0])


def test_a_run_reads_any_layout_and_type_and_fills_out() -> None:
    model = fitted(n_outputs=3)
    X = np.ascontiguousarray(sequences(2).swapaxes(0, 1))
    expected = Stream(model, 2).run(X)
    for given in (np.asfortranarray(X), X.astype(np.float64), X.astype(X.dtype.newbyteorder()), X.tolist()):
        assert same_bits(Stream(model, 2).run(given), expected)
    out = np.empty_like(expected)
    assert Stream(model, 2).run(X, out) is out
    assert same_bits(out, expected)
    assert same_bits(Stream(model, 2).run(X, X), expected)  # in place


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that interrupt")
def test_a_run_is_interrupted_between_two_steps() -> None:
    stream = Stream(fitted(n_features=1, n_outputs=1))
    values = np.zeros(60_000_000, np.float32)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            stream.run(values)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    (steps,) = stream.n_steps
    assert 0 < steps < len(values)
    stream.step(0.0)
    assert stream.n_steps == steps + 1


@pytest.mark.parametrize(
    ("x", "out", "error", "message"),
    [
        (np.zeros((4, 2, 4)), None, ValueError, r"x has shape \(4, 2, 4\), expected \(n_timesteps, 2, 3\): steps"),
        (np.zeros((2, 3)), None, ValueError, r"x has shape \(2, 3\)"),
        (np.zeros((4, 2, 3), complex), None, TypeError, "x has dtype complex128"),
        (np.zeros((4, 2, 3)), np.empty((4, 2, 2)), TypeError, "out is float64, expected an array of float32"),
        (
            np.zeros((4, 2, 3)),
            np.empty((4, 2), np.float32),
            ValueError,
            r"out has shape \(4, 2\), expected \(4, 2, 2\)",
        ),
        (np.zeros((4, 2, 3)), np.empty((4, 2, 4), np.float32)[..., ::2], ValueError, "C-contiguous"),
    ],
)
def test_an_unfit_run_is_an_error_and_no_step_is_taken(x: Any, out: Any, error: type[Exception], message: str) -> None:
    stream = Stream(fitted(), 2)
    with pytest.raises(error, match=message):
        stream.run(x, out)
    assert stream.n_steps.tolist() == [0, 0]


def test_the_layers_own_state_can_be_read_from_another_stream_row_by_row() -> None:
    model = fitted()
    X = sequences(3)
    batch, single = Stream(model, 3), Stream(model)
    for t in range(5):
        batch.step(X[:, t])
    single.state = {name: array[1:2] for name, array in batch.state.items()}
    assert same_bits(single.step(X[1, 5]), batch.step(X[:, 5])[1])


@pytest.mark.parametrize("rows", [2, [2], np.array([2]), np.arange(5) == 2])
def test_rows_that_are_reset_begin_anew_and_the_others_go_on(rows: Any) -> None:
    model = fitted(pooling="max")
    X = sequences(5)
    stream = Stream(model, 5)
    for t in range(3):
        stream.step(X[:, t])
    stream.reset(rows)
    assert stream.n_steps.tolist() == [3, 3, 0, 3, 3]
    for t in range(3, 6):
        outputs = stream.step(X[:, t])
    assert same_bits(outputs[2], model.predict(X[2:3, 3:6])[0])
    others = [0, 1, 3, 4]
    assert same_bits(outputs[others], model.predict(X[others, :6]))


def test_reset_without_rows_is_a_new_stream_and_with_none_of_them_nothing() -> None:
    model = fitted()
    X = sequences(2)
    stream = Stream(model, 2)
    stream.step(X[:, 0])
    stream.reset([])
    assert stream.n_steps.tolist() == [1, 1]
    stream.reset()
    assert same_bits(stream.step(X[:, 1]), model.predict(X[:, 1:2]))


@pytest.mark.parametrize("rows", [5, -1, [0, 7], np.ones(4, bool)])
def test_rows_that_are_not_there_are_an_error(rows: Any) -> None:
    with pytest.raises(IndexError, match="rows has"):
        Stream(fitted(), 5).reset(rows)


def test_rows_are_integers() -> None:
    with pytest.raises(TypeError, match="rows has dtype float64"):
        Stream(fitted(), 5).reset([1.0])


def test_any_layout_and_real_type_is_read_and_nothing_is_written() -> None:
    model = fitted()
    x = sequences(2)[:, 0]
    expected = Stream(model, 2).step(x)
    read_only = x.copy()
    read_only.flags.writeable = False
    strided = np.zeros((4, 6), np.float32)[::2, ::2]
    strided[:] = x
    for given in (
        read_only,
        strided,
        np.asfortranarray(x),
        x.astype(np.float64),
        x.astype(x.dtype.newbyteorder()),
        x.tolist(),
        memoryview(x.copy()),
    ):
        assert same_bits(Stream(model, 2).step(given), expected)
    moved = np.frombuffer(b"x" + x.tobytes(), x.dtype, offset=1).reshape(x.shape)
    assert not moved.flags.aligned
    assert same_bits(Stream(model, 2).step(moved), expected)
    assert same_bits(Stream(model, 2).run(moved[np.newaxis])[0], expected)
    integers = np.arange(6).reshape(2, 3)
    for given in (integers, integers.astype(np.float16), integers.astype(np.longdouble)):
        assert same_bits(Stream(model, 2).step(given), Stream(model, 2).step(integers.astype(np.float32)))


def test_one_row_may_be_one_dimensional() -> None:
    model = fitted()
    x = sequences(1)[:, 0]
    one, two = Stream(model).step(x[0]), Stream(model).step(x)
    assert one.shape == (2,)
    assert same_bits(two, one[None])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_one_feature_may_be_a_number(dtype: str, n_outputs: int) -> None:
    model = fitted(n_features=1, n_outputs=n_outputs, dtype=dtype)
    expected = Stream(model).step(np.array([0.3]))
    for number in (0.3, np.float64(0.3), np.array(0.3)):
        output = Stream(model).step(number)
        assert isinstance(output, float if n_outputs == 1 else np.ndarray)
        assert (output == expected).all()
    out = np.empty(n_outputs, dtype)
    assert Stream(model).step(0.3, out) is out
    assert same_bits(out, expected)


def test_out_is_filled_and_returned() -> None:
    model = fitted()
    x = sequences(2)[:, 0]
    out = np.full((2, 2), np.nan, np.float32)
    stream = Stream(model, 2)
    assert stream.step(x, out=out) is out
    assert same_bits(out, Stream(model, 2).step(x))


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty((2, 2)), TypeError, "out is float64, expected an array of float32"),
        ([[0.0, 0.0], [0.0, 0.0]], TypeError, "out is list"),
        (np.empty((2, 3), np.float32), ValueError, r"out has shape \(2, 3\), expected \(2, 2\)"),
        (np.empty((2, 4), np.float32)[:, ::2], ValueError, "C-contiguous"),
        (np.broadcast_to(np.float32(0), (2, 2)), ValueError, "writable"),
    ],
)
def test_an_unfit_out_is_an_error_and_no_step_is_taken(out: Any, error: type[Exception], message: str) -> None:
    stream = Stream(fitted(), 2)
    with pytest.raises(error, match=message):
        stream.step(np.zeros((2, 3), np.float32), out)
    assert stream.n_steps.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 4)), ValueError, r"x_t has shape \(2, 4\), expected \(2, 3\): batch_size, n_features"),
        (np.zeros(3), ValueError, r"x_t has shape \(3,\), expected \(2, 3\)"),
        (0.5, ValueError, r"x_t has shape \(\), expected \(2, 3\)"),
        (np.zeros((2, 3), complex), TypeError, "x_t has dtype complex128"),
        ([["a"] * 3] * 2, TypeError, "x_t has dtype <U1"),
        (None, TypeError, "x_t has dtype object"),
    ],
)
def test_an_unfit_step_is_an_error_and_is_not_taken(x: Any, error: type[Exception], message: str) -> None:
    stream = Stream(fitted(), 2)
    with pytest.raises(error, match=message):
        stream.step(x)
    assert stream.n_steps.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda state: state.pop("layers.0.c"), ValueError, "state has the names"),
        (lambda state: state.update(extra=0), ValueError, "state has the names"),
        (lambda state: state.update({"layers.0.h": np.zeros((2, 10))}), ValueError, r"expected \(2, 11\)"),
        (lambda state: state.update({"layers.0.h": np.zeros((2, 11), complex)}), TypeError, "complex128"),
        (lambda state: state.update(n_steps=np.array([1, -1])), ValueError, "none negative"),
        (lambda state: state.update(n_steps=np.array([1.0, 1.0])), ValueError, "expected 2 integers"),
    ],
)
def test_an_unfit_state_is_an_error_and_changes_nothing(change: Any, error: type[Exception], message: str) -> None:
    stream = Stream(fitted(), 2)
    stream.step(np.ones((2, 3)))
    before = stream.state
    state = stream.state
    change(state)
    with pytest.raises(error, match=message):
        stream.state = state
    assert all((stream.state[name] == before[name]).all() for name in before)


def test_what_has_no_network_or_cannot_be_streamed_is_refused() -> None:
    with pytest.raises(TypeError, match="model is Pipeline, expected a fitted estimator"):
        Stream(make_pipeline(StandardScaler(), fitted()))
    with pytest.raises(TypeError, match="model is NoneType"):
        Stream(None)
    with pytest.raises(NotFittedError):
        Stream(type(fitted())())
    with pytest.raises(ValueError, match="bidirectional, expected one direction"):
        Stream(fitted(bidirectional=True))
    for batch_size, error in (
        (0, ValueError),
        (-1, ValueError),
        (2**70, ValueError),
        (1.0, TypeError),
        (True, TypeError),
    ):
        with pytest.raises(error, match="batch_size is"):
            Stream(fitted(), batch_size)


def test_a_batch_that_does_not_fit_into_memory_is_an_error() -> None:
    with pytest.raises((ValueError, MemoryError)):
        Stream(fitted(), sys.maxsize)


def test_a_stream_is_not_pickled_or_copied() -> None:
    stream = Stream(fitted())
    for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"pickle the model and stream\.state"):
            duplicate(stream)


def test_training_further_changes_no_stream_and_a_stream_outlives_its_model() -> None:
    model = fitted()
    X = sequences(1)
    stream = Stream(model)
    expected = [model.predict(X[:, : t + 1]) for t in range(9)]
    model.partial_fit(sequences(8), np.zeros((8, 2)))
    assert not same_bits(Stream(model).step(X[:, 0]), expected[0])
    del model
    gc.collect()
    assert all(same_bits(stream.step(X[:, t]), expected[t]) for t in range(9))


def test_a_pickled_model_streams_the_same() -> None:
    model = fitted()
    x = sequences(1)[:, 0]
    assert same_bits(Stream(pickle.loads(pickle.dumps(model))).step(x), Stream(model).step(x))


def test_threads_step_their_own_streams_of_one_model_and_long_steps_without_the_gil() -> None:
    model = fitted(hidden_size=64)
    X = sequences(200, n_steps=30)  # 4 million multiply-adds a step
    expected = model.predict(X)
    last: list[Any] = [None] * 4

    def run(k: int) -> None:
        stream = Stream(model, 200)
        for t in range(X.shape[1]):
            last[k] = stream.step(X[:, t])

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same_bits(outputs, expected) for outputs in last)


def test_a_stream_that_is_stepping_refuses_other_threads() -> None:
    stream = Stream(fitted(hidden_size=400), 2000)  # about a second
    x = np.zeros((2000, 3), np.float32)
    refused = []

    def interfere() -> None:
        try:
            while not refused and thread_is_stepping.is_set():
                stream.reset(0)
        except RuntimeError as error:
            refused.append(str(error))

    thread_is_stepping = threading.Event()
    thread_is_stepping.set()
    other = threading.Thread(target=interfere)
    other.start()
    for _ in range(20):
        stream.step(x)
        if refused:
            break
    thread_is_stepping.clear()
    other.join()
    assert refused == ["the stream is taking a step in another thread"]


def test_steps_leak_nothing() -> None:
    stream = Stream(fitted())
    x, out = np.zeros(3, np.float32), np.empty(2, np.float32)

    def references() -> tuple[int, ...]:
        return tuple(map(sys.getrefcount, (x, out, stream, stream.dtype)))

    before = references()
    for _ in range(100):
        stream.step(x, out)
        stream.step(x)
        with pytest.raises(ValueError, match="shape"):
            stream.step(x[:2])
        with pytest.raises(ValueError, match="shape"):
            stream.step(x, out[:1])
    gc.collect()
    assert references() == before
