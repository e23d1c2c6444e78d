"""Wrong arguments: an error that names the argument, what it got and what was expected."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import pylstm

from .combinations import EACH_FUNCTION, LSTM, VARIANTS, Combination, Sizes, Variant
from .results import FUNCTIONS, assert_same_bits, backward, forward, only_gradients, run, step, tape_of

GOOD = Combination(Sizes(N=3, T=5, I=2, H=4), lengths="ragged")
"""x (3, 5, 2), weight_ih (16, 2), weight_hh (16, 4), bias (16,), h0 and c0 (3, 4), lengths (3,)."""

# Argument, its wrong shape, what the message must say was expected (a regular expression).
FORWARD_SHAPES = [
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

COUPLED = Variant("lstm", coupled=True)
PEEPHOLE = Variant("lstm", peephole=True)
COUPLED_PEEPHOLE = Variant("lstm", peephole=True, coupled=True)
GRU = Variant("gru", bias_hn=True)
RNN = Variant("rnn")

# The same of the other variants: what is theirs alone, and that they know their own number of gates.
FORWARD_CASES = [
    *((LSTM, *case) for case in FORWARD_SHAPES),
    (COUPLED, "weight_ih", (16, 2), r"\(12, 2\)"),
    (COUPLED, "weight_hh", (16, 4), r"\(12, 4\)"),
    (COUPLED, "bias", (16,), r"\(12,\)"),
    (PEEPHOLE, "peephole", (), r"\(12,\): 3\*hidden_size elements: gates i, f, o"),
    (PEEPHOLE, "peephole", (0,), r"\(12,\)"),
    (PEEPHOLE, "peephole", (4,), r"\(12,\)"),
    (PEEPHOLE, "peephole", (8,), r"\(12,\)"),
    (PEEPHOLE, "peephole", (16,), r"\(12,\)"),
    (PEEPHOLE, "peephole", (3, 4), r"\(12,\)"),
    (PEEPHOLE, "peephole", (1, 12), r"\(12,\)"),
    (COUPLED_PEEPHOLE, "peephole", (12,), r"\(8,\): 2\*hidden_size elements: gates i, o"),
    (COUPLED_PEEPHOLE, "peephole", (2, 4), r"\(8,\)"),
    (GRU, "x", (5, 2), ""),
    (GRU, "weight_ih", (16, 2), r"\(12, 2\)"),
    (GRU, "weight_ih", (12, 3), r"\(12, 2\)"),
    (GRU, "weight_hh", (16, 4), r"\(12, 4\)"),
    (GRU, "bias", (16,), r"\(12,\)"),
    (GRU, "bias_hn", (), r"\(4,\)"),
    (GRU, "bias_hn", (0,), r"\(4,\)"),
    (GRU, "bias_hn", (3,), r"\(4,\)"),
    (GRU, "bias_hn", (12,), r"\(4,\)"),
    (GRU, "bias_hn", (1, 4), r"\(4,\)"),
    (GRU, "h0", (4,), r"\(3, 4\)"),
    (GRU, "lengths", (2,), r"\(3,\)"),
    (RNN, "x", (5, 2), ""),
    (RNN, "weight_ih", (8,), ""),
    (RNN, "weight_ih", (4, 3), r"\(4, 2\)"),
    (RNN, "weight_hh", (16, 4), r"\(4, 4\)"),
    (RNN, "weight_hh", (4, 5), r"\(4, 4\)"),
    (RNN, "bias", (8,), r"\(4,\)"),
    (RNN, "h0", (4, 3), r"\(3, 4\)"),
    (RNN, "lengths", (3, 1), r"\(3,\)"),
]
BACKWARD_CASES = [
    *((LSTM, *case) for case in BACKWARD_SHAPES),
    *((variant, *case) for variant in (GRU, RNN) for case in BACKWARD_SHAPES if case[0] != "dc_n"),
]
STEP_CASES = [
    *((LSTM, *case) for case in STEP_SHAPES),
    (COUPLED, "weight_ih", (16, 2), r"\(12, 2\)"),
    (PEEPHOLE, "peephole", (8,), r"\(12,\)"),
    (COUPLED_PEEPHOLE, "peephole", (12,), r"\(8,\)"),
    (GRU, "h", (4,), r"\(3, 4\)"),
    (GRU, "weight_hh", (16, 4), r"\(12, 4\)"),
    (GRU, "bias_hn", (12,), r"\(4,\)"),
    (RNN, "h", (2, 4), r"\(3, 4\)"),
    (RNN, "weight_hh", (16, 4), r"\(4, 4\)"),
]
DTYPE_CASES = [
    *((LSTM, name) for name in ("x", "weight_ih", "weight_hh", "bias", "h0", "c0", "lengths")),
    (PEEPHOLE, "peephole"),
    (GRU, "bias_hn"),
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


def good(variant: Variant) -> Combination:
    """As GOOD; a coupled LSTM and a GRU have 12 rows of weights, an RNN 4."""
    return replace(GOOD, variant=variant)


@pytest.fixture
def tape() -> Any:
    return tape_of(GOOD)


def shape_message(name: str, shape: tuple[int, ...], expected: str) -> str:
    return rf"^{name} has shape {re.escape(str(shape))}, expected {expected}"


@pytest.mark.parametrize(("variant", "name", "shape", "expected"), FORWARD_CASES, ids=str)
def test_a_wrong_shape_is_named_with_what_was_expected(
    variant: Variant, name: str, shape: tuple[int, ...], expected: str
) -> None:
    wrong = np.zeros(shape, np.int64 if name == "lengths" else np.float64)
    with pytest.raises(ValueError, match=shape_message(name, shape, expected)):
        forward(variant.cell, {**good(variant).forward_arguments(), name: wrong})


@pytest.mark.parametrize(("variant", "name", "shape", "expected"), BACKWARD_CASES, ids=str)
def test_a_wrong_shape_of_an_output_gradient_is_named_with_what_was_expected(
    variant: Variant, name: str, shape: tuple[int, ...], expected: str
) -> None:
    combination = good(variant)
    with pytest.raises(ValueError, match=shape_message(name, shape, expected)):
        backward(variant.cell, tape_of(combination), {**combination.output_gradients(), name: np.zeros(shape)})


@pytest.mark.parametrize(("variant", "name", "shape", "expected"), STEP_CASES, ids=str)
def test_a_wrong_shape_in_a_step_is_named_with_what_was_expected(
    variant: Variant, name: str, shape: tuple[int, ...], expected: str
) -> None:
    with pytest.raises(ValueError, match=shape_message(name, shape, expected)):
        step(variant.cell, {**good(variant).step_arguments(), name: np.zeros(shape)})


def test_the_message_about_a_shape_says_why() -> None:
    x, weight_ih, weight_hh = np.zeros((1, 1, 3)), np.zeros((256, 3)), np.zeros((256, 32))
    expected = r"^weight_hh has shape \(256, 32\), expected \(256, 64\): 4\*hidden_size rows, hidden_size columns$"
    with pytest.raises(ValueError, match=expected):
        pylstm.lstm_forward(x, weight_ih, weight_hh)


@pytest.mark.parametrize("variant", EACH_FUNCTION, ids=str)
def test_a_hidden_size_of_zero_is_refused(variant: Variant) -> None:
    weights = {"weight_ih": np.zeros((0, 2)), "weight_hh": np.zeros((0, 0))}
    with pytest.raises(ValueError, match="weight_ih has shape"):
        forward(variant.cell, {"x": np.zeros((3, 5, 2)), **weights, **variant.flags()})


@pytest.mark.parametrize("variant", EACH_FUNCTION, ids=str)
def test_no_inputs_are_refused(variant: Variant) -> None:
    arguments = good(variant).forward_arguments()
    arguments |= {"x": np.zeros((3, 5, 0)), "weight_ih": np.zeros((variant.gates * 4, 0))}
    with pytest.raises(ValueError, match=r"^x has shape \(3, 5, 0\)"):
        forward(variant.cell, arguments)


@pytest.mark.parametrize("dtype", REFUSED_DTYPES)
@pytest.mark.parametrize(("variant", "name"), DTYPE_CASES, ids=str)
def test_a_dtype_that_is_not_a_real_number_of_ours_is_named(variant: Variant, name: str, dtype: str) -> None:
    arguments = good(variant).forward_arguments()
    wrong = refused(arguments[name].shape, dtype)
    with pytest.raises(TypeError, match=rf"^{name} has dtype {re.escape(str(wrong.dtype))}, expected "):
        forward(variant.cell, {**arguments, name: wrong})


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
    arguments = GOOD.step_arguments()
    wrong = refused(arguments[name].shape, dtype)
    with pytest.raises(TypeError, match=rf"^{name} has dtype {re.escape(str(wrong.dtype))}, expected "):
        step("lstm", {**arguments, name: wrong})


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
@pytest.mark.parametrize("variant", EACH_FUNCTION, ids=str)
def test_a_length_outside_the_sequence_is_named_with_its_row(
    variant: Variant, lengths: np.ndarray, index: int, length: int
) -> None:
    with pytest.raises(ValueError, match=rf"^lengths\[{index}\] is {length}, expected .*5"):
        forward(variant.cell, {**good(variant).forward_arguments(), "lengths": lengths})


@pytest.mark.parametrize("nothing", [None, "text", b"bytes", {}, object(), [["a"]], 1j])
@pytest.mark.parametrize("name", ["x", "weight_ih", "weight_hh"])
@pytest.mark.parametrize("variant", EACH_FUNCTION, ids=str)
def test_what_is_no_array_is_a_type_error(variant: Variant, name: str, nothing: object) -> None:
    with pytest.raises(TypeError, match=rf"^{name} "):
        forward(variant.cell, {**good(variant).forward_arguments(), name: nothing})


@pytest.mark.parametrize("function", [forward, step])
@pytest.mark.parametrize("bound", [0, 0.0, -0.0, -1, -1e-300, -np.inf, np.nan])
def test_a_bound_of_the_cell_state_that_is_not_positive_is_refused(function: Any, bound: float) -> None:
    arguments = GOOD.forward_arguments() if function is forward else GOOD.step_arguments()
    with pytest.raises(ValueError, match=r"^cell_clip is .*, expected a positive number$"):
        function("lstm", {**arguments, "cell_clip": bound})


@pytest.mark.parametrize("function", [forward, step])
@pytest.mark.parametrize(
    "bound",
    ["1", b"1", 1j, (), [1.0], (-1, 1), {}, object(), np.ones(2), pylstm, True, np.True_],
    ids=lambda bound: type(bound).__name__,
)
def test_a_bound_of_the_cell_state_that_is_no_number_is_a_type_error(function: Any, bound: object) -> None:
    arguments = GOOD.forward_arguments() if function is forward else GOOD.step_arguments()
    with pytest.raises(TypeError, match=r"^cell_clip is [\s\S]*, expected a positive number$"):
        function("lstm", {**arguments, "cell_clip": bound})


@pytest.mark.parametrize("function", [forward, step])
def test_a_bound_that_the_dtype_holds_as_zero_is_refused(function: Any) -> None:
    combination = replace(good(LSTM), dtype="float32")
    arguments = combination.forward_arguments() if function is forward else combination.step_arguments()
    with pytest.raises(ValueError, match=r"^cell_clip is 1e-50, expected at least 1.17549e-38 for this dtype$"):
        function("lstm", {**arguments, "cell_clip": 1e-50})


@pytest.mark.parametrize("function", [forward, step])
@pytest.mark.parametrize(
    "nonlinearity", ["", "TANH", "Relu", "sigmoid", "rnn_relu", None, 0, b"tanh", ("tanh",), ["relu"]]
)
def test_an_unknown_nonlinearity_is_named_with_the_choices(function: Any, nonlinearity: object) -> None:
    combination = good(RNN)
    arguments = combination.forward_arguments() if function is forward else combination.step_arguments()
    message = f"^nonlinearity is {re.escape(repr(nonlinearity))}, expected 'tanh' or 'relu'$"
    with pytest.raises(ValueError, match=message):
        function("rnn", {**arguments, "nonlinearity": nonlinearity})


def test_a_list_with_rows_of_different_length_is_refused() -> None:
    with pytest.raises(ValueError, match="x"):
        pylstm.lstm_forward(**{**GOOD.forward_arguments(), "x": [[[1.0, 2.0]], [[1.0, 2.0], [3.0, 4.0]], []]})


def test_a_masked_array_and_what_refuses_to_be_an_array_are_named() -> None:
    class Refusing:
        def __array__(self, *_: object, **__: object) -> np.ndarray:
            msg = "not now"
            raise RuntimeError(msg)

    arguments = GOOD.forward_arguments()
    for name in ("x", "weight_hh", "lengths"):
        with pytest.raises(TypeError, match=f"^{name} is a masked array, expected one without missing values$"):
            forward("lstm", {**arguments, name: np.ma.masked_array(arguments[name])})
        with pytest.raises(TypeError, match=f"^{name}: not now$"):
            forward("lstm", {**arguments, name: Refusing()})


def test_lengths_of_no_rows_are_of_one_dimension() -> None:
    arguments = {**GOOD.forward_arguments(), "x": np.ones((0, 5, 2)), "h0": None, "c0": None}
    assert forward("lstm", {**arguments, "lengths": []})["y"].shape == (0, 5, 4)
    with pytest.raises(TypeError, match=r"^lengths has dtype float64, expected integers$"):
        forward("lstm", {**arguments, "lengths": np.zeros((0, 3))})


@pytest.mark.parametrize("variant", EACH_FUNCTION, ids=str)
def test_options_are_keyword_only(variant: Variant) -> None:
    x, weight_ih, weight_hh, bias, h0, *_ = good(variant).forward_arguments().values()
    with pytest.raises(TypeError, match="positional"):
        FUNCTIONS[variant.cell].forward(x, weight_ih, weight_hh, bias, h0)


@pytest.mark.parametrize(
    ("variant", "option"),
    [
        (LSTM, "backwards"),
        (LSTM, "bias_hn"),
        (LSTM, "nonlinearity"),
        (GRU, "c0"),
        (GRU, "peephole"),
        (GRU, "cell_clip"),
        (RNN, "c0"),
        (RNN, "bias_hn"),
        (RNN, "coupled"),
    ],
    ids=str,
)
def test_an_option_that_a_function_does_not_have_is_refused(variant: Variant, option: str) -> None:
    with pytest.raises(TypeError, match=option):
        forward(variant.cell, {**good(variant).forward_arguments(), option: None})


@pytest.mark.parametrize("flag", ["yes", "no", None, 2, 1.0, np.array([True])], ids=repr)
@pytest.mark.parametrize(
    ("variant", "option"),
    [
        *((variant, option) for variant in (LSTM, GRU, RNN) for option in ("reverse", "training")),
        (LSTM, "coupled"),
        (GRU, "reset_after"),
    ],
    ids=str,
)
def test_what_is_neither_true_nor_false_is_named(variant: Variant, option: str, flag: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{option} is {re.escape(repr(flag))}, expected True, False, 0 or 1$"):
        forward(variant.cell, {**good(variant).forward_arguments(), option: flag})


@pytest.mark.parametrize("thing", [None, "tape", 3, object(), np.zeros(3), (), pylstm])
@pytest.mark.parametrize("cell", FUNCTIONS)
def test_backward_of_something_else_than_a_tape_is_a_type_error(cell: str, thing: object) -> None:
    with pytest.raises(TypeError, match=rf"^tape .*expected .*{cell}_forward\(.*training=True"):
        FUNCTIONS[cell].backward(thing)


@pytest.mark.parametrize("variant", EACH_FUNCTION, ids=str)
def test_backward_of_the_whole_output_is_a_type_error(variant: Variant) -> None:
    out = FUNCTIONS[variant.cell].forward(**good(variant).forward_arguments(), training=True)
    with pytest.raises(TypeError, match=r"^tape .*expected "):
        FUNCTIONS[variant.cell].backward(out)


@pytest.mark.parametrize("cell", FUNCTIONS)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_tape_of_another_family_is_a_type_error_that_names_both(variant: Variant, cell: str) -> None:
    """Of its own it is none: the tape knows the options it was made with."""
    combination = good(variant)
    tape = tape_of(combination)
    if variant.cell == cell:
        assert backward(cell, tape, combination.output_gradients())
    else:
        message = rf"^tape is that of {variant.cell}_forward, expected the tape of {cell}_forward\(.*training=True\)$"
        with pytest.raises(TypeError, match=message):
            FUNCTIONS[cell].backward(tape, np.zeros((3, 5, 4)))


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


@pytest.mark.parametrize("variant", EACH_FUNCTION, ids=str)
def test_an_error_leaves_the_engine_and_the_tape_as_they_were(variant: Variant) -> None:
    combination = good(variant)
    expected, tape = run(combination), tape_of(combination)
    with pytest.raises(ValueError, match="dy"):
        FUNCTIONS[variant.cell].backward(tape, np.zeros(3))
    with pytest.raises(ValueError, match="bias"):
        forward(variant.cell, {**combination.forward_arguments(), "bias": np.zeros(3)})

    gradients = backward(variant.cell, tape, combination.output_gradients())

    assert_same_bits(run(combination), expected)
    assert_same_bits(gradients, only_gradients(expected))
