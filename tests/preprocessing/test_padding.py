"""Padding adds steps and nothing else, and comes off again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pylstm import lstm_forward, pad_sequences, unpad


@st.composite
def ragged(draw):
    dtype = draw(st.sampled_from([np.float32, np.float64, np.int64, bool]))
    shape = draw(st.sampled_from([(), (1,), (3,)]))
    lengths = draw(st.lists(st.integers(1, 7), min_size=1, max_size=6))
    return [draw(hnp.arrays(dtype, (length, *shape))) for length in lengths]


@given(sequences=ragged(), extra=st.integers(0, 3), where=st.sampled_from(["start", "end"]))
def test_unpadding_gives_back_the_bits(sequences, extra, where):
    longest = max(map(len, sequences))
    padded, lengths = pad_sequences(sequences, value=0, length=longest + extra, where=where)
    assert padded.shape == (len(sequences), longest + extra, *sequences[0].shape[1:])
    back = unpad(padded, lengths, where=where)
    for one, original in zip(back, sequences, strict=True):
        assert one.dtype == original.dtype
        assert one.tobytes() == original.tobytes()


@pytest.mark.parametrize(
    ("where", "expected"), [("end", [[1, 2, 3], [4, -1, -1]]), ("start", [[1, 2, 3], [-1, -1, 4]])]
)
def test_missing_steps_have_the_value(where, expected):
    padded, lengths = pad_sequences([np.array([1.0, 2.0, 3.0]), np.array([4.0])], value=-1, where=where)
    np.testing.assert_array_equal(padded, expected)
    assert lengths.tolist() == [3, 1]


def test_integers_make_room_for_a_value_that_is_none():
    sequences = [np.arange(3), np.arange(2)]
    assert pad_sequences(sequences)[0].dtype == np.float64
    assert np.isnan(pad_sequences(sequences, value=np.nan)[0][1, 2])
    assert pad_sequences(sequences, value=-1)[0].dtype == np.int64


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(bool, 2), (bool, -1), (np.int8, 300), (np.uint8, -1), (np.float16, 1e9), (np.float64, 10**400)],
    ids=["bool", "negative bool", "int8", "uint8", "float16", "float64"],
)
def test_a_value_that_the_type_cannot_hold_is_named(dtype, value):
    sequences = [np.zeros(3, dtype), np.zeros(2, dtype)]
    name = np.dtype(dtype).name
    with pytest.raises(ValueError, match=f"^value is {value}, expected a number that {name} can hold"):
        pad_sequences(sequences, value=value)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (bool, True),
        (np.int8, np.int8(-128)),
        (np.uint64, 2**64 - 1),
        (np.float16, -np.inf),
        (np.float16, np.float32(7)),
        (np.float16, 65519.0),
        (np.float32, 3.4028235e38),
    ],
)
def test_a_value_that_the_type_can_hold_is_taken(dtype, value):
    padded, _ = pad_sequences([np.zeros(3, dtype), np.zeros(2, dtype)], value=value)
    assert padded.dtype == dtype
    assert padded[1, 2] == np.dtype(dtype).type(value)


def test_float32_stays_float32():
    assert pad_sequences([np.zeros(3, np.float32), np.zeros(2, np.float32)], value=np.nan)[0].dtype == np.float32


def test_arrays_are_padded_too():
    padded, lengths = pad_sequences(np.ones((2, 3, 4)), length=5)
    assert padded.shape == (2, 5, 4)
    assert padded.sum() == 24
    assert lengths.tolist() == [3, 3]


def test_lengths_are_those_of_the_functions():
    rng = np.random.default_rng(0)
    sequences = [rng.normal(size=(length, 3)) for length in (4, 7, 2)]
    weights = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    padded, lengths = pad_sequences(sequences)
    together = unpad(lstm_forward(padded, *weights, lengths=lengths).y, lengths)
    for one, sequence in zip(together, sequences, strict=True):
        np.testing.assert_array_equal(one, lstm_forward(sequence[np.newaxis], *weights).y[0])


def test_unpadding_gives_views():
    padded = np.zeros((2, 5, 3))
    assert all(np.shares_memory(one, padded) for one in unpad(padded, [2, 5]))


def test_a_row_may_be_all_padding():
    assert [len(one) for one in unpad(np.zeros((2, 5)), [0, 5], where="start")] == [0, 5]


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, r"length is 2, expected at least 3 \(the steps of sequences\[1\]\)", {"length": 2}),
        (ValueError, "length is 0, expected at least 1", {"length": 0}),
        (TypeError, "length is 3.5, expected an integer", {"length": 3.5}),
        (ValueError, "where is 'left', expected one of 'end', 'start'", {"where": "left"}),
        (TypeError, "value is 'x', expected a real number", {"value": "x"}),
        (ValueError, r"sequences\[1\] has 3 features, expected 2", {"sequences": [np.zeros((1, 2)), np.zeros((1, 3))]}),
        (ValueError, r"sequences has shape \(0,\), expected", {"sequences": []}),
    ],
)
def test_what_is_wrong_with_padding_is_named(error, message, arguments):
    arguments = {"sequences": [np.zeros(2), np.zeros(3)]} | arguments
    with pytest.raises(error, match=message):
        pad_sequences(arguments.pop("sequences"), **arguments)


@pytest.mark.parametrize(
    ("error", "message", "padded", "lengths"),
    [
        (ValueError, r"padded has shape \(3,\), expected", np.zeros(3), [1]),
        (ValueError, r"lengths has shape \(1,\), expected \(2,\)", np.zeros((2, 3)), [1]),
        (TypeError, "lengths has dtype float64, expected integers", np.zeros((2, 3)), [1.0, 2.0]),
        (ValueError, r"lengths\[1\] is 4, expected 0 to 3", np.zeros((2, 3)), [1, 4]),
        (ValueError, r"lengths\[0\] is -1, expected 0 to 3", np.zeros((2, 3)), [-1, 3]),
    ],
)
def test_what_is_wrong_with_unpadding_is_named(error, message, padded, lengths):
    with pytest.raises(error, match=message):
        unpad(padded, lengths)


def test_where_is_checked_on_the_way_back():
    with pytest.raises(ValueError, match="where is 'left', expected one of 'end', 'start'"):
        unpad(np.zeros((2, 3)), [1, 1], where="left")
