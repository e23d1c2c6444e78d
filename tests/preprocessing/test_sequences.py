"""Sequences are read from whatever holds them, without copies, and put back into it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from pylstm import LSTMRegressor, PerStep, SequenceScaler, load_model, pad_sequences, preprocessing, to_channels_first
from pylstm.preprocessing._sequences import holds_arrays, read_sequences


def objects(arrays):
    held = np.empty(len(arrays), object)
    for index, one in enumerate(arrays):
        held[index] = one
    return held


RAGGED = [np.arange(6.0).reshape(3, 2), np.arange(2.0).reshape(1, 2), np.arange(8.0).reshape(4, 2)]


@pytest.mark.parametrize(
    ("X", "kind", "lengths", "n_features"),
    [
        (np.zeros((4, 5, 2)), "array", [5] * 4, 2),
        (np.zeros((4, 5)), "table", [5] * 4, 1),
        (np.zeros((4, 5)).tolist(), "table", [5] * 4, 1),
        (np.zeros((4, 5, 2)).tolist(), "array", [5] * 4, 2),
        (np.zeros((4, 5, 2), object), "array", [5] * 4, 2),
        (RAGGED, "list", [3, 1, 4], 2),
        (tuple(RAGGED), "list", [3, 1, 4], 2),
        (objects(RAGGED), "objects", [3, 1, 4], 2),
        ([np.zeros(3), np.zeros(2)], "list", [3, 2], 1),
        ([np.zeros((3, 2)), np.zeros((3, 2))], "list", [3, 3], 2),
    ],
)
def test_what_holds_sequences_is_recognised(X, kind, lengths, n_features):
    read = read_sequences(X)
    assert read.kind == kind
    assert read.lengths.tolist() == lengths
    assert read.n_features == n_features
    assert len(read) == len(lengths)
    assert isinstance(read.values, np.ndarray) == (kind in {"table", "array"})


def test_columns_are_steps_of_n_timesteps():
    flat = np.arange(24.0).reshape(2, 12)
    read = read_sequences(flat, n_timesteps=4)
    np.testing.assert_array_equal(read.values, flat.reshape(2, 4, 3))
    assert np.shares_memory(read.values, flat)


NESTED = [[1.0, 2.0, 3.0], [4.0, 5.0]]


def series_of_arrays():
    return pytest.importorskip("pandas").Series(map(np.array, NESTED), index=["a", "b"])


@pytest.mark.parametrize(
    "held", [lambda: NESTED, lambda: tuple(NESTED), lambda: objects(NESTED), series_of_arrays], ids=range(4)
)
def test_what_the_estimators_read_is_read_everywhere(held):
    X = held()
    LSTMRegressor(2, max_iter=1).fit(X, [0.0, 1.0])
    read = read_sequences(X)
    assert [one[:, 0].tolist() for one in read.values] == NESTED
    assert read.bare
    for transformer in (SequenceScaler(), PerStep(StandardScaler())):
        scaled = transformer.fit_transform(X)
        np.testing.assert_allclose(np.concatenate(list(scaled)), StandardScaler().fit_transform(read.steps())[:, 0])
    assert [one.shape for one in to_channels_first(X)] == [(1, 3), (1, 2)]
    assert pad_sequences(X)[1].tolist() == [3, 2]


def test_targets_of_steps_may_be_nested_lists():
    scaler = SequenceScaler().fit(NESTED)
    back = scaler.inverse_transform_target(scaler.transform_target(NESTED, features=0), features=0)
    np.testing.assert_allclose(np.concatenate(back), np.concatenate(NESTED))
    assert len(PerStep(StandardScaler()).fit(NESTED, NESTED).transform(NESTED)) == 2


def test_data_frames_are_arrays():
    pd = pytest.importorskip("pandas")
    frames = [pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}), pd.DataFrame({"a": [5.0], "b": [6.0]})]
    assert read_sequences(frames).lengths.tolist() == [2, 1]
    assert read_sequences(frames[0]).kind == "table"


@pytest.mark.parametrize("X", [np.zeros((4, 5, 2)), np.zeros((8, 10, 2))[::2, ::-2], np.zeros((4, 6), np.float32)])
def test_arrays_are_viewed(X):
    assert np.shares_memory(read_sequences(X).values, X)


def test_elements_of_lists_are_viewed():
    assert all(np.shares_memory(one, part) for one, part in zip(RAGGED, read_sequences(RAGGED).values, strict=True))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float32, np.float64, ">f4"])
def test_the_type_is_kept_in_native_byte_order(dtype):
    assert read_sequences(np.zeros((2, 3), dtype)).dtype == np.dtype(dtype).newbyteorder("=")
    assert read_sequences([np.zeros(3, dtype)]).dtype == np.dtype(dtype).newbyteorder("=")


def test_the_type_is_one_that_all_fit_in():
    assert read_sequences([np.zeros(3, np.float32), np.zeros(3, np.int64)]).dtype == np.float64


held_sequences = st.one_of(
    st.tuples(st.just("array"), st.lists(st.integers(1, 1), min_size=1, max_size=6), st.integers(1, 3)),
    st.tuples(
        st.sampled_from(["list", "objects"]), st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 3)
    ),
)


@given(held=held_sequences, n_steps=st.integers(1, 9), n_elements=st.integers(1, 40))
def test_pieces_are_all_steps_in_order(held, n_steps, n_elements):
    kind, lengths, n_features = held
    if kind == "array":
        X = np.arange(len(lengths) * n_steps * n_features).reshape(len(lengths), n_steps, n_features)
    else:
        X = [np.arange(length * n_features).reshape(length, n_features) for length in lengths]
        X = objects(X) if kind == "objects" else X
    read = read_sequences(X)
    pieces = list(read.pieces(n_elements))
    assert all(0 < piece.size <= max(n_elements, n_features) for piece in pieces)
    np.testing.assert_array_equal(np.concatenate(pieces), read.steps())
    np.testing.assert_array_equal(read.steps(), np.concatenate(list(X)))


def test_pieces_of_a_long_sequence_are_views():
    X = np.zeros((1, 2000, 3))[:, ::2]
    for held in (X, [X[0]], [np.zeros((2, 3)), X[0], np.zeros((2, 3))]):
        pieces = [piece for piece in read_sequences(held).pieces(300) if len(piece) == 100]
        assert len(pieces) == 10
        assert all(np.shares_memory(piece, X) for piece in pieces)


@given(held=held_sequences, n_features_out=st.integers(1, 3))
def test_what_is_put_back_is_held_alike(held, n_features_out):
    kind, lengths, n_features = held
    X = [np.zeros((length, n_features)) for length in lengths]
    X = {"array": np.array, "list": list, "objects": objects}[kind](X)
    steps = np.arange(sum(lengths) * n_features_out).reshape(-1, n_features_out)
    back = read_sequences(X).put_back(steps)
    assert type(back) is type(X)
    assert [one.shape for one in back] == [(length, n_features_out) for length in lengths]
    np.testing.assert_array_equal(np.concatenate(list(back)), steps)


def test_numbers_are_put_back_as_numbers_and_rows_as_rows():
    read = read_sequences([np.zeros(2), np.zeros(1)])
    assert [one.shape for one in read.put_back(np.zeros((3, 1)))] == [(2,), (1,)]
    assert [one.shape for one in read.put_back(np.zeros((3, 2)))] == [(2, 2), (1, 2)]


def test_columns_are_put_back_as_columns():
    read = read_sequences(np.zeros((2, 6)), n_timesteps=3)
    np.testing.assert_array_equal(read.put_back(np.arange(6)[:, np.newaxis]), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1.0, 2.0], False),
        ([np.float64(1), np.float64(2)], False),
        ([[1.0], [2.0]], False),
        ([], False),
        (np.zeros((2, 3)), False),
        (np.zeros(2, object), False),
        ([np.zeros(1)], True),
        ((np.zeros(1), 2.0), True),
        (objects([np.zeros(1)]), True),
    ],
)
def test_holding_arrays_is_more_than_being_one(value, expected):
    assert holds_arrays(value) == expected


@pytest.mark.parametrize(
    ("error", "message", "X"),
    [
        (ValueError, r"X has shape \(0,\), expected \(n_sequences, n_steps, n_features\)", []),
        (ValueError, r"X\[1\] has 3 features, expected 2 \(as X\[0\]\)", [np.zeros((4, 2)), np.zeros((4, 3))]),
        (ValueError, r"X\[1\] has 1 dimensions, expected 2 \(as X\[0\]\)", [np.zeros((4, 1)), np.zeros(4)]),
        (
            ValueError,
            r"X\[1\] has shape \(0, 2\), expected \(n_steps, n_features\)",
            [np.zeros((4, 2)), np.zeros((0, 2))],
        ),
        (ValueError, r"X\[0\] has shape \(4, 0\), expected", [np.zeros((4, 0))]),
        (ValueError, r"X\[0\] has shape \(2, 2, 2\), expected", [np.zeros((2, 2, 2))]),
        (ValueError, r"X\[1\] has shape \(\), expected", [np.zeros(3), 1.0]),
        (TypeError, r"X\[1\] has dtype <U1, expected real numbers", [np.zeros(2), np.array(["a", "b"])]),
        (TypeError, r"X\[0\] has dtype complex128, expected real numbers", [np.zeros(2, complex)]),
        (ValueError, r"X\[0\] is nested lists of different lengths, expected an array", [[[1.0], [2.0, 3.0]], [[4.0]]]),
        (ValueError, "X is nested lists of different lengths, expected an array", [[1.0, 2.0], 3.0]),
        (TypeError, "X has dtype <U1, expected real numbers", [["a", "b"], ["c", "d"]]),
        (TypeError, "X has dtype object, expected real numbers", [[None, 1.0], [2.0, {}]]),
        (TypeError, r"X has dtype datetime64\[s\], expected real numbers", np.zeros((2, 3), "M8[s]")),
        (TypeError, "X has dtype complex128, expected real numbers", np.zeros((2, 3), complex)),
        (ValueError, r"X has shape \(2, 0, 3\), expected \(n_sequences, n_steps, n_features\)", np.zeros((2, 0, 3))),
        (ValueError, r"X has shape \(2, 2, 2, 2\), expected", np.zeros((2, 2, 2, 2))),
        (ValueError, r"X has shape \(4,\), expected", np.zeros(4)),
        (ValueError, r"X has shape \(0, 4\), expected .*, none of them 0", np.zeros((0, 4))),
    ],
)
def test_what_is_wrong_is_named(error, message, X):
    with pytest.raises(error, match=message):
        read_sequences(X)


def test_columns_that_are_no_whole_steps_are_named():
    with pytest.raises(ValueError, match=r"X has shape \(2, 7\), expected a multiple of 3 columns"):
        read_sequences(np.zeros((2, 7)), n_timesteps=3)


def test_the_functions_do_not_need_scikit_learn(run_python):
    run_python("""
import sys
sys.modules["sklearn"] = sys.modules["scipy"] = None  # an import of them fails
import numpy as np
from pylstm import from_channels_first, make_windows, pad_sequences, to_channels_first, to_sequences, unpad
make_windows(np.zeros(9), 3)
unpad(*pad_sequences(from_channels_first(to_channels_first([np.zeros(3), np.zeros(2)]))))
""")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'pylstm\.preprocessing' has no attribute 'PerStepp'"):
        preprocessing.PerStepp  # noqa: B018


def test_tables_in_a_list_have_the_same_columns(tmp_path):
    pd = pytest.importorskip("pandas")
    one = pd.DataFrame({"a": np.arange(9.0), "b": 100 + np.arange(9.0)})
    other = one[["b", "a"]]
    message = r"\[1\] has the columns \['b', 'a'\], expected \['a', 'b'\]"
    for read in (
        SequenceScaler().fit,
        PerStep(StandardScaler()).fit,
        pad_sequences,
        to_channels_first,
        lambda tables: preprocessing.make_windows(tables, 3),
    ):
        with pytest.raises(ValueError, match=message):
            read([one, other])
    assert len(SequenceScaler().fit_transform([one, one.to_numpy(), one])) == 3
    assert len(preprocessing.make_windows([one[["a"]], one[["b"]]], 3)[0]) == 12
    for transformer in (SequenceScaler(), PerStep(StandardScaler())):
        transformer.fit([one, one])
        assert transformer.feature_names_in_.tolist() == ["a", "b"]
        with pytest.raises(ValueError, match="feature names should match"):
            transformer.transform([other, other])
    path = tmp_path / "model"
    LSTMRegressor(3, max_iter=1).fit([one] * 4, np.arange(4.0)).save_model(path)
    model = load_model(path)
    assert model.predict([one, one]).shape == (2,)
    for tables in ([one, other], [other, other]):
        with pytest.raises(ValueError, match=r"X has the columns \['b', 'a'\], expected \['a', 'b'\]"):
            model.predict(tables)


@pytest.mark.parametrize("transformer", [SequenceScaler(), PerStep(StandardScaler())])
def test_no_sequences_at_all_are_named(transformer):
    with pytest.raises(ValueError, match=r"^X is empty, expected at least one sequence$"):
        transformer.fit([])
