"""Channels first and steps first are two views of the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from pylstm import from_channels_first, to_channels_first


def test_arrays_are_swapped_as_views():
    X = np.arange(24.0).reshape(2, 3, 4)
    ours = from_channels_first(X)
    np.testing.assert_array_equal(ours, X.transpose(0, 2, 1))
    assert np.shares_memory(ours, X)
    np.testing.assert_array_equal(to_channels_first(ours), X)
    assert np.shares_memory(to_channels_first(ours), X)


@pytest.mark.parametrize("held", [list, tuple, "objects"])
def test_ragged_sequences_are_swapped_as_views(held):
    sequences = [np.arange(6).reshape(2, 3), np.arange(10).reshape(2, 5)]
    if held == "objects":
        X = np.empty(2, object)
        X[:] = sequences
    else:
        X = held(sequences)
    ours = from_channels_first(X)
    assert type(ours) is (np.ndarray if held == "objects" else list)
    back = to_channels_first(ours)
    assert type(back) is type(ours)
    for one, other, original in zip(ours, back, sequences, strict=True):
        np.testing.assert_array_equal(one, original.T)
        np.testing.assert_array_equal(other, original)
        assert np.shares_memory(one, original)
        assert np.shares_memory(other, original)


def test_sequences_of_numbers_have_one_channel():
    assert [one.shape for one in from_channels_first([np.zeros(3), np.zeros(5)])] == [(3, 1), (5, 1)]
    assert [one.shape for one in to_channels_first([np.zeros(3), np.zeros(5)])] == [(1, 3), (1, 5)]
    assert from_channels_first(np.zeros((4, 9))).shape == (4, 9, 1)
    assert to_channels_first(np.zeros((4, 9))).shape == (4, 1, 9)


@pytest.mark.parametrize(
    ("message", "X"),
    [
        (r"X\[1\] has 3 features, expected 2 \(as X\[0\]\)", [np.zeros((2, 5)), np.zeros((3, 5))]),
        (r"X\[0\] has shape \(2, 0\), expected \(n_features, n_steps\)", [np.zeros((2, 0))]),
        (r"X has shape \(2, 3, 0\), expected \(n_sequences, n_features, n_steps\)", np.zeros((2, 3, 0))),
    ],
)
def test_messages_speak_of_the_layout_that_is_read(message, X):
    with pytest.raises(ValueError, match=message):
        from_channels_first(X)
