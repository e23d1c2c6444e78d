"""A long table becomes the sequences that are in it, whatever the order of its rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylstm import to_sequences

pd = pytest.importorskip("pandas")


def table(**columns):
    return pd.DataFrame(
        {"id": ["b", "a", "b", "a", "b"], "t": [3, 1, 1, 2, 2], "v": [3.0, 1.0, 1.0, 2.0, 2.0], **columns}
    )


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_sequences_come_back_from_a_shuffled_table(lengths, seed):
    rng = np.random.default_rng(seed)
    sequences = [rng.normal(size=(length, 2)) for length in lengths]
    rows = [(-key, t, *step) for key, one in enumerate(sequences) for t, step in enumerate(one)]
    shuffled = pd.DataFrame(rows, columns=["id", "t", "x", "y"]).sample(frac=1, random_state=seed % 2**31)
    X, y, keys = to_sequences(shuffled, by="id", order="t")
    assert y is None
    assert keys == list(shuffled["id"].drop_duplicates())
    for key, one in zip(keys, X, strict=True):
        np.testing.assert_array_equal(one, sequences[-key])


def test_sequences_come_as_they_first_appear():
    X, _, keys = to_sequences(table(), by="id", order="t")
    assert keys == ["b", "a"]
    assert [one[:, 0].tolist() for one in X] == [[1, 2, 3], [1, 2]]


@pytest.mark.parametrize(
    "times",
    [
        pd.to_datetime(["2024-03-01", "2024-01-01", "2024-01-01", "2024-02-01", "2024-02-01"]),
        pd.to_datetime(["2024-03-01", "2024-01-01", "2024-01-01", "2024-02-01", "2024-02-01"]).tz_localize("UTC"),
        ["c", "a", "a", "b", "b"],
        pd.Categorical(["late", "early", "early", "mid", "mid"], ["early", "mid", "late"], ordered=True),
        [3.5, -1.0, -1.0, 0.0, 0.0],
    ],
)
def test_steps_are_sorted_by_whatever_can_be(times):
    X, _, _ = to_sequences(table(t=times), by="id", order="t", features=["v"])
    assert [one[:, 0].tolist() for one in X] == [[1, 2, 3], [1, 2]]


def test_keys_of_several_columns_are_tuples():
    frame = table(site=["n", "n", "s", "n", "n"])
    X, _, keys = to_sequences(frame, by=["id", "site"], order="t", features=["v"])
    assert keys == [("b", "n"), ("a", "n"), ("b", "s")]
    assert [one[:, 0].tolist() for one in X] == [[2, 3], [1, 2], [1]]


def test_categories_without_rows_are_no_sequences():
    frame = table(id=pd.Categorical(["b", "a", "b", "a", "b"], ["unused", "a", "b"]))
    assert to_sequences(frame, by="id", order="t").keys == ["b", "a"]


def test_the_index_does_not_matter():
    frame = table()
    frame.index = [7, 7, 0, -1, 7]
    X, _, _ = to_sequences(frame, by="id", order="t")
    assert [one[:, 0].tolist() for one in X] == [[1, 2, 3], [1, 2]]


def test_the_frame_is_not_changed():
    frame = table(label=[1, 0, 1, 0, 1])
    before = frame.copy()
    X, y, _ = to_sequences(frame, by="id", order="t", target="label")
    X[0][:], y[:] = 9, 9
    pd.testing.assert_frame_equal(frame, before)


def test_features_are_the_remaining_columns_or_those_named():
    frame = table(w=np.arange(5), label=1)
    assert to_sequences(frame, by="id", order="t", target="label").X[0].shape == (3, 2)
    X = to_sequences(frame, by="id", order="t", features=["w", "t", "v"]).X
    np.testing.assert_array_equal(X[0], [[2, 1, 1], [4, 2, 2], [0, 3, 3]])


@pytest.mark.parametrize("label", [[1, 0, 1, 0, 1], ["x", "y", "x", "y", "x"], [True, False, True, False, True]])
def test_a_target_per_sequence_is_the_one_of_its_rows(label):
    _, y, _ = to_sequences(table(label=label), by="id", order="t", target="label")
    assert y.tolist() == label[:2]
    assert y.flags.writeable


def test_targets_per_sequence_are_columns():
    _, y, _ = to_sequences(table(p=[1, 0, 1, 0, 1], q=[5, 6, 5, 6, 5]), by="id", order="t", target=["p", "q"])
    np.testing.assert_array_equal(y, [[1, 5], [0, 6]])


def test_targets_per_step_are_ragged():
    frame = table(p=[30, 10, 10, 20, 20])
    _, y, _ = to_sequences(frame, by="id", order="t", target="p", target_per_step=True)
    assert [one.tolist() for one in y] == [[10, 20, 30], [10, 20]]
    _, y, _ = to_sequences(frame, by="id", order="t", features=["v"], target=["p", "v"], target_per_step=True)
    assert [one.shape for one in y] == [(3, 2), (2, 2)]


def test_a_feature_can_be_the_target():
    X, y, _ = to_sequences(table(), by="id", order="t", features=["v"], target="v", target_per_step=True)
    np.testing.assert_array_equal(X[0][:, 0], y[0])


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["float32", "float32"], np.float32),
        (["float32", "int8"], np.float64),
        (["float64", "float32"], np.float64),
        (["bool", "int64"], np.float64),
        (["Int64", "Float32"], np.float64),
        (["Float32", "float32"], np.float32),
        (["boolean", "Float64"], np.float64),
    ],
)
def test_features_are_float32_if_all_are(dtypes, expected):
    frame = table(v=pd.Series([1, 0, 1, 1, 0], dtype=dtypes[0]), w=pd.Series([1, 0, 1, 1, 0], dtype=dtypes[1]))
    X = to_sequences(frame, by="id", order="t").X
    assert {one.dtype for one in X} == {np.dtype(expected)}
    np.testing.assert_array_equal(X[1], [[0, 0], [1, 1]])


def test_missing_features_are_nan():
    X = to_sequences(table(v=pd.array([1, 2, None, 4, 5], dtype="Int64")), by="id", order="t").X
    np.testing.assert_array_equal(X[0][:, 0], [np.nan, 5, 1])


@pytest.mark.parametrize(
    ("error", "message", "columns", "arguments"),
    [
        (ValueError, "frame has no column 'time', expected one", {}, {"order": "time"}),
        (ValueError, "frame has no column 'w'", {}, {"features": ["v", "w"]}),
        (ValueError, "frame has no column 'w'", {}, {"target": "w"}),
        (ValueError, "column 'id' is missing a value in row 1", {"id": ["b", None, "b", "a", "b"]}, {}),
        (ValueError, "column 't' is missing a value in row 4", {"t": [3, 1, 1, 2, np.nan]}, {}),
        (ValueError, r"row 4 has the same place as one before \('id' b, 't' 3\)", {"t": [3, 1, 1, 2, 3]}, {}),
        (TypeError, "feature 'w' has dtype .*, expected real numbers", {"w": list("abcde")}, {}),
        (TypeError, "feature 'w' has dtype category, expected real", {"w": pd.Categorical(list("abcde"))}, {}),
        (TypeError, "feature 'w' has dtype complex128, expected real", {"w": [1j] * 5}, {}),
        (ValueError, "features is empty", {}, {"features": []}),
        (ValueError, "features is empty", {}, {"target": "v"}),
        (ValueError, "target 'v' differs within sequence 'b'", {"w": 1}, {"target": "v"}),
    ],
)
def test_what_is_wrong_is_named(error, message, columns, arguments):
    with pytest.raises(error, match=message):
        to_sequences(table(**columns), **{"by": "id", "order": "t"} | arguments)


def test_columns_of_one_name_are_named():
    frame = pd.concat([table(), table()[["v"]]], axis=1)
    with pytest.raises(ValueError, match="frame has 2 columns 'v', expected one"):
        to_sequences(frame, by="id", order="t")


def test_an_empty_frame_is_named():
    with pytest.raises(ValueError, match="frame has no row"):
        to_sequences(table().iloc[:0], by="id", order="t")


def test_something_else_than_a_frame_is_named():
    with pytest.raises(TypeError, match="frame is a dict, expected a pandas DataFrame"):
        to_sequences({"id": [1], "t": [1], "v": [1.0]}, by="id", order="t")


def test_the_rest_does_not_need_pandas(run_python):
    run_python("import sys; sys.modules['pandas'] = None; from pylstm import make_windows, to_sequences")


def test_an_index_named_as_a_column_is_not_used():
    expected = to_sequences(table(), by="id", order="t")
    found = to_sequences(table().set_index("id", drop=False), by="id", order="t")
    assert found.keys == expected.keys
    for one, other in zip(found.X, expected.X, strict=True):
        np.testing.assert_array_equal(one, other)


def test_features_are_a_list():
    with pytest.raises(TypeError, match="features is 'v', expected a list of labels"):
        to_sequences(table(), by="id", order="t", features="v")
