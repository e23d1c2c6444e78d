"""Wrong arguments: an error that names the argument, what it got and what was expected."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest

import pylstm

from .combinations import Combination, Sizes
from .results import assert_same_bits, run

GOOD = Combination(Sizes(N=3, T=5, I=2, H=4), lengths="ragged")
"""x (3, 5, 2), weight_ih (16, 2), weight_hh (16, 4), bias (16,), h0 and c0 (3, 4), lengths (3,)."""

FORWARD_SHAPES = [
    # argument, its wrong shape, what the message must say was expected (a regular expression)
    ("x", (), ""),
    ("x", (5,), ""),
    ("x", (5, 2), ""),
    ("x", (1, 3, 5, 2), ""),
    ("x", (3, 5, 0), ""),
    ("weight_ih", (), ""),
    ("weight_ih", (32,), ""),
    ("weight_ih", (1, 16, 2), ""),
    ("weight_ih", (15, 2), ""),
    ("weight_ih", (16, 3), r"\(16, 2\)"),
    ("weight_ih", (2, 16), ""),
    ("weight_ih", (0, 2), ""),
    ("weight_hh", (), r"\(16, 4\)"),
    ("weight_hh", (64,), r"\(16, 4\)"),
    ("weight_hh", (1, 16, 4), r"\(16, 4\)"),
    ("weight_hh", (16, 2), r"\(16, 4\)"),
    ("weight_hh", (4, 16), r"\(16, 4\)"),
    ("weight_hh", (0, 0), r"\(16, 4\)"),
    ("bias", (), r"\(16,\)"),
    ("bias", (4,), r"\(16,\)"),
    ("bias", (17,), r"\(16,\)"),
    ("bias", (1, 16), r"\(16,\)"),
    ("bias", (0,), r"\(16,\)"),
    ("h0", (), r"\(3, 4\)"),
    ("h0", (4,), r"\(3, 4\)"),
    ("h0", (4, 3), r"\(3, 4\)"),
    ("h0", (1, 4), r"\(3, 4\)"),
    ("h0", (1, 3, 4), r"\(3, 4\)"),
    ("c0", (4,), r"\(3, 4\)"),
    ("c0", (3, 5), r"\(3, 4\)"),
    ("c0", (0, 4), r"\(3, 4\)"),
    ("lengths", (), r"\(3,\)"),
    ("lengths", (2,), r"\(3,\)"),
    ("lengths", (0,), r"\(3,\)"),
    ("lengths", (3, 1), r"\(3,\)"),
]
BACKWARD_SHAPES = [
    ("dy", (), r"\(3, 5, 4\)"),
    ("dy", (5, 4), r"\(3, 5, 4\)"),
    ("dy", (5, 3, 4), r"\(3, 5, 4\)"),
    ("dy", (3, 4, 4), r"\(3, 5, 4\)"),
    ("dy", (3, 5, 2), r"\(3, 5, 4\)"),
    ("dy", (0, 5, 4), r"\(3, 5, 4\)"),
    ("dh_n", (4,), r"\(3, 4\)"),
    ("dh_n", (1, 4), r"\(3, 4\)"),
    ("dc_n", (3, 5), r"\(3, 4\)"),
    ("dc_n", (1, 3, 4), r"\(3, 4\)"),
]
STEP_SHAPES = [
    ("x_t", (), ""),
    ("x_t", (2,), ""),
    ("x_t", (3, 5, 2), ""),
    ("x_t", (3, 0), ""),
    ("h", (4,), r"\(3, 4\)"),
    ("h", (2, 4), r"\(3, 4\)"),
    ("c", (3, 3), r"\(3, 4\)"),
    ("c", (3, 4, 1), r"\(3, 4\)"),
    ("weight_ih", (15, 2), ""),
    ("weight_ih", (16, 5), r"\(16, 2\)"),
    ("weight_hh", (16, 5), r"\(16, 4\)"),
    ("bias", (15,), r"\(16,\)"),
]

REFUSED_DTYPES = [
    "complex64",
    "complex128",
    "object",
    "U3",
    "S3",
    "datetime64[s]",
    "timedelta64[s]",
    "float16",
    "longdouble",
    "V8",
    "f8,f8",
]


def refused(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.zeros(shape, np.dtype(dtype))


def step_arguments() -> dict[str, np.ndarray]:
    arguments = GOOD.forward_arguments()
    names = {"weight_ih": "weight_ih", "weight_hh": "weight_hh", "bias": "bias", "h": "h0", "c": "c0"}
    return {"x_t": arguments["x"][:, 0], **{name: arguments[source] for name, source in names.items()}}


@pytest.fixture
def tape() -> Any:
    return pylstm.lstm_forward(**GOOD.forward_arguments(), training=True).tape


def shape_message(name: str, shape: tuple[int, ...], expected: str) -> str:
    return rf"^{name} has shape {re.escape(str(shape))}, expected {expected}"


@pytest.mark.parametrize(("name", "shape", "expected"), FORWARD_SHAPES)
def test_a_wrong_shape_is_named_with_what_was_expected(name: str, shape: tuple[int, ...], expected: str) -> None:
    wrong = np.zeros(shape, np.int64 if name == "lengths" else np.float64)
    with pytest.raises(ValueError, match=shape_message(name, shape, expected)):
        pylstm.lstm_forward(**{**GOOD.forward_arguments(), name: wrong})


@pytest.mark.parametrize(("name", "shape", "expected"), BACKWARD_SHAPES)
def test_a_wrong_shape_of_an_output_gradient_is_named_with_what_was_expected(
    tape: Any, name: str, shape: tuple[int, ...], expected: str
) -> None:
    with pytest.raises(ValueError, match=shape_message(name, shape, expected)):
        pylstm.lstm_backward(tape, **{**GOOD.output_gradients(), name: np.zeros(shape)})


@pytest.mark.parametrize(("name", "shape", "expected"), STEP_SHAPES)
def test_a_wrong_shape_in_a_step_is_named_with_what_was_expected(
    name: str, shape: tuple[int, ...], expected: str
) -> None:
    with pytest.raises(ValueError, match=shape_message(name, shape, expected)):
        pylstm.lstm_step(**{**step_arguments(), name: np.zeros(shape)})


def test_the_message_about_a_shape_says_why() -> None:
    x, weight_ih, weight_hh = np.zeros((1, 1, 3)), np.zeros((256, 3)), np.zeros((256, 32))
    expected = r"^weight_hh has shape \(256, 32\), expected \(256, 64\): 4\*hidden_size rows, hidden_size columns$"
    with pytest.raises(ValueError, match=expected):
        pylstm.lstm_forward(x, weight_ih, weight_hh)


@pytest.mark.parametrize("hidden_size", [0])
def test_a_hidden_size_of_zero_is_refused(hidden_size: int) -> None:
    weights = np.zeros((4 * hidden_size, 2)), np.zeros((4 * hidden_size, hidden_size))
    with pytest.raises(ValueError, match="weight_ih has shape"):
        pylstm.lstm_forward(np.zeros((3, 5, 2)), *weights)


def test_no_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^x has shape \(3, 5, 0\)"):
        pylstm.lstm_forward(np.zeros((3, 5, 0)), np.zeros((16, 0)), np.zeros((16, 4)))


@pytest.mark.parametrize("dtype", REFUSED_DTYPES)
@pytest.mark.parametrize("name", ["x", "weight_ih", "weight_hh", "bias", "h0", "c0", "lengths"])
def test_a_dtype_that_is_not_a_real_number_of_ours_is_named(name: str, dtype: str) -> None:
    arguments = GOOD.forward_arguments()
    wrong = refused(arguments[name].shape, dtype)
    with pytest.raises(TypeError, match=rf"^{name} has dtype {re.escape(str(wrong.dtype))}, expected "):
        pylstm.lstm_forward(**{**arguments, name: wrong})


@pytest.mark.parametrize("dtype", REFUSED_DTYPES)
@pytest.mark.parametrize("name", ["dy", "dh_n", "dc_n"])
def test_a_dtype_of_an_output_gradient_that_is_not_a_real_number_of_ours_is_named(
    tape: Any, name: str, dtype: str
) -> None:
    output_gradients = GOOD.output_gradients()
    wrong = refused(output_gradients[name].shape, dtype)
    with pytest.raises(TypeError, match=rf"^{name} has dtype {re.escape(str(wrong.dtype))}, expected "):
        pylstm.lstm_backward(tape, **{**output_gradients, name: wrong})


@pytest.mark.parametrize("dtype", REFUSED_DTYPES)
@pytest.mark.parametrize("name", ["x_t", "h", "c", "weight_ih", "weight_hh", "bias"])
def test_a_dtype_in_a_step_that_is_not_a_real_number_of_ours_is_named(name: str, dtype: str) -> None:
    arguments = step_arguments()
    wrong = refused(arguments[name].shape, dtype)
    with pytest.raises(TypeError, match=rf"^{name} has dtype {re.escape(str(wrong.dtype))}, expected "):
        pylstm.lstm_step(**{**arguments, name: wrong})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lengths_that_are_not_whole_numbers_are_refused(dtype: str) -> None:
    arguments = GOOD.forward_arguments()
    with pytest.raises(TypeError, match=rf"^lengths has dtype {dtype}, expected "):
        pylstm.lstm_forward(**{**arguments, "lengths": arguments["lengths"].astype(dtype)})


@pytest.mark.parametrize(
    ("lengths", "index", "length"),
    [
        (np.array([5, -1, 2]), 1, -1),
        (np.array([5, 6, 2]), 1, 6),
        (np.array([6, 6, 6]), 0, 6),
        (np.array([1, 2, np.iinfo(np.int64).min]), 2, np.iinfo(np.int64).min),
        (np.array([1, 2, np.iinfo(np.int64).max]), 2, np.iinfo(np.int64).max),
        (np.array([2**64 - 1, 2, 3], np.uint64), 0, 2**64 - 1),
        (np.array([2**32 + 1, 2, 3]), 0, 2**32 + 1),
        (np.array([1, -128, 3], np.int8), 1, -128),
    ],
)
def test_a_length_outside_the_sequence_is_named_with_its_row(lengths: np.ndarray, index: int, length: int) -> None:
    with pytest.raises(ValueError, match=rf"^lengths\[{index}\] is {length}, expected .*5"):
        pylstm.lstm_forward(**{**GOOD.forward_arguments(), "lengths": lengths})


@pytest.mark.parametrize("nothing", [None, "text", b"bytes", {}, object(), [["a"]], 1j])
@pytest.mark.parametrize("name", ["x", "weight_ih", "weight_hh"])
def test_what_is_no_array_is_a_type_error(name: str, nothing: object) -> None:
    with pytest.raises(TypeError, match=rf"^{name} "):
        pylstm.lstm_forward(**{**GOOD.forward_arguments(), name: nothing})


def test_a_list_with_rows_of_different_length_is_refused() -> None:
    with pytest.raises(ValueError, match="x"):
        pylstm.lstm_forward(**{**GOOD.forward_arguments(), "x": [[[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]], []]})


def test_options_are_keyword_only() -> None:
    x, weight_ih, weight_hh, bias, h0, *_ = GOOD.forward_arguments().values()
    with pytest.raises(TypeError, match="positional"):
        pylstm.lstm_forward(x, weight_ih, weight_hh, bias, h0)  # type: ignore[call-arg]


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="backwards"):
        pylstm.lstm_forward(**GOOD.forward_arguments(), backwards=True)  # type: ignore[call-arg]


@pytest.mark.parametrize("thing", [None, "tape", 3, object(), np.zeros(3), (), pylstm])
def test_backward_of_something_else_than_a_tape_is_a_type_error(thing: object) -> None:
    with pytest.raises(TypeError, match=r"^tape .*expected .*training=True"):
        pylstm.lstm_backward(thing)


def test_backward_of_the_whole_output_is_a_type_error() -> None:
    out = pylstm.lstm_forward(**GOOD.forward_arguments(), training=True)
    with pytest.raises(TypeError, match=r"^tape .*expected "):
        pylstm.lstm_backward(out)


def test_a_tape_cannot_be_made_by_hand(tape: Any) -> None:
    kind: Any = type(tape)
    with pytest.raises(TypeError):
        kind()
    with pytest.raises(TypeError):
        pylstm.lstm_backward(kind.__new__(kind))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_tape_cannot_be_copied_or_pickled(tape: Any, copied: Any) -> None:
    with pytest.raises(TypeError):
        copied(tape)


def test_an_error_leaves_the_engine_and_the_tape_as_they_were() -> None:
    expected = run(GOOD)
    tape = pylstm.lstm_forward(**GOOD.forward_arguments(), training=True).tape
    with pytest.raises(ValueError, match="dy"):
        pylstm.lstm_backward(tape, np.zeros(3))
    with pytest.raises(ValueError, match="bias"):
        pylstm.lstm_forward(**{**GOOD.forward_arguments(), "bias": np.zeros(3)})

    gradients = pylstm.lstm_backward(tape, **GOOD.output_gradients())._asdict()

    assert_same_bits(run(GOOD), expected)
    assert_same_bits({f"d_{name}": value for name, value in gradients.items()}, dict(list(expected.items())[3:]))
