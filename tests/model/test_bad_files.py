"""A file that is not whole and consistent is a ModelFormatError, and costs no memory beyond its size."""

from __future__ import annotations

import json
import random
import struct

import pytest

from pylstm import LSTMRegressor, ModelFormatError, load_model
from pylstm.model import _container, _document

from .models import fitted

N_CHANGED = 400
"""Bytes changed in each file; about a fifth of its bytes."""


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """A small model, in parts."""
    path = tmp_path_factory.mktemp("model") / "model"
    fitted(hidden_size=[3, 2], n_outputs=2).save_model(path)
    return _document.load(path)


def describe(document, **changes):
    """Return the description of a document as JSON."""
    description = {
        "format": 1,
        "library": "0.1.0",
        "architecture": document.architecture,
        "task": document.task,
    }
    return json.dumps(description | changes)


def pack(header, data=b""):
    """Return the bytes of a file."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def rejected(path, content, match, reader=load_model):
    path.write_bytes(content)
    with pytest.raises(ModelFormatError, match=match):
        reader(path)


# Every truncation, any changed byte.


def test_no_truncated_file_is_read(golden, tmp_path):
    whole = golden[0].read_bytes()
    path = tmp_path / "model"
    path.write_bytes(whole)
    for length in range(len(whole) - 1, -1, -1):
        with path.open("r+b") as file:
            file.truncate(length)
        with pytest.raises(ModelFormatError):
            load_model(path)


def test_no_file_with_more_behind_is_read(golden, tmp_path):
    rejected(tmp_path / "model", golden[0].read_bytes() + b"\0", "bytes of data, expected")


def test_no_file_with_a_changed_byte_is_read(golden, tmp_path):
    whole = golden[0].read_bytes()
    path = tmp_path / "model"
    chance = random.Random(golden[0].name)
    for position in sorted(chance.sample(range(len(whole)), N_CHANGED)):
        changed = bytearray(whole)
        changed[position] ^= chance.randrange(1, 256)
        path.write_bytes(changed)
        with pytest.raises(ModelFormatError):
            load_model(path)


def test_no_noise_is_read(tmp_path):
    chance = random.Random(0)
    path = tmp_path / "model"
    for length in range(200):
        path.write_bytes(pack(b"{" + chance.randbytes(length) + b"}"))
        with pytest.raises(ModelFormatError):
            load_model(path)


# Containers that lie.

ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "0 bytes, expected a header"),
        (struct.pack("<Q", 2**63) + b"{}", "expected at most"),
        (struct.pack("<Q", 2**20) + b"{}", "ends within its header"),
        (pack(b"[]"), "does not begin with {"),
        (pack(b"{}\n"), "does not begin with {"),
        (pack(b'{"a":1,"a":2}'), "twice"),
        (pack(b'{"a":NaN}'), "no JSON"),
        (pack(b'{"a":1e999}'), "too large"),
        (pack(b'{"a":' + b"9" * 5000 + b"}"), "too large"),
        (pack(b'{"a":-' + b"9" * 400 + b"}"), "too large"),
        (pack(b'{"a":"\xff"}'), "no JSON"),
        (pack(rb'{"a":["\ud800"]}'), r"no JSON: a lone surrogate in '\\ud800'"),
        (pack(rb'{"a":{"\udcffb":1}}'), r"a lone surrogate in '\\udcffb'"),
        (pack('{"a":1}'.encode("utf-16-le")), "does not begin with|no JSON"),
        (pack(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested"),
        (pack({"a": 1}), "not described by"),
        (pack({"a": ENTRY | {"strides": [1]}}, bytes(24)), "not described by"),
        (pack({"a": ENTRY | {"dtype": "F16"}}, bytes(24)), "dtype 'F16'"),
        (pack({"a": ENTRY | {"dtype": ["F32"]}}, bytes(24)), "dtype"),
        (pack({"a": ENTRY | {"shape": [3, 3]}}, bytes(24)), "not the size of its data"),
        (pack({"a": ENTRY | {"shape": [-2, -3]}}, bytes(24)), "shape"),
        (pack({"a": ENTRY | {"shape": [True, 6]}}, bytes(24)), "shape"),
        (pack({"a": ENTRY | {"shape": [2.0, 3]}}, bytes(24)), "shape"),
        (pack(json.dumps({"a": ENTRY}).encode().replace(b"[0,", b"[-0,"), bytes(24)), "data_offsets"),
        (pack({"a": ENTRY | {"shape": [0, 2**62], "data_offsets": [0, 0]}}), "not the size"),
        (pack({"a": ENTRY | {"shape": [2**62, 4]}}, bytes(24)), "not the size"),
        (pack({"a": ENTRY | {"data_offsets": [24, 0]}}, bytes(24)), "not the size"),
        (pack({"a": ENTRY | {"data_offsets": [0, 24, 48]}}, bytes(24)), "data_offsets"),
        (pack({"a": ENTRY, "b": ENTRY}, bytes(24)), "begins at byte 0, expected 24"),
        (pack({"a": ENTRY, "b": ENTRY | {"data_offsets": [12, 36]}}, bytes(36)), "begins at byte 12, expected 24"),
        (pack({"a": ENTRY, "b": ENTRY | {"data_offsets": [28, 52]}}, bytes(52)), "begins at byte 28, expected 24"),
        (pack({"a": ENTRY}, bytes(23)), "23 bytes of data, expected 24"),
        (pack({"a": ENTRY}, bytes(25)), "25 bytes of data, expected 24"),
        (pack({"a": ENTRY | {"shape": [2**40], "data_offsets": [0, 2**42]}}, bytes(24)), "24 bytes of data"),
        (pack({"__metadata__": {"pylstm": 1}}), "__metadata__"),
        (pack({"a": ENTRY}, bytes(24)), "not a pylstm model"),
    ],
)
def test_a_container_that_lies_is_rejected(content, match, tmp_path):
    rejected(tmp_path / "model", content, match)


# Descriptions that lie.


def written(path, document, description, parameters=None):
    _container.write(path, document.parameters if parameters is None else parameters, description, _document.NAMES)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format": 2, "library": "7.0"}, r"written by a newer version \(7.0, format 2\)"),
        ({"extra": 1}, "newer version"),
        ({"format": 0}, "format is 0"),
        ({"format": "1"}, "lacks 'format'"),
        ({"format": True}, "lacks 'format'"),
        ({"library": None}, "lacks 'library'"),
        ({"task": []}, "lacks 'task'"),
        ({"architecture": []}, "lacks 'architecture'"),
        ({"task": {"kind": "clairvoyance"}}, "newer version"),
        ({"task": {"y_is_1d": 1}}, "y_is_1d"),
        ({"task": {"y_is_1d": True}}, "2 outputs"),
        ({"task": {"n_timesteps": 0}}, "n_timesteps"),
        ({"task": {"missing": "guess"}}, "missing is 'guess'"),
        ({"task": {"missing": []}}, r"missing is \[\]"),
        ({"task": {"missing": "mask"}}, "missing is 'mask' for a network of tokens or of 2 inputs"),
        ({"task": {"note": "\ud800"}}, "a lone surrogate in"),
    ],
)
def test_a_description_that_lies_is_rejected(changes, match, document, tmp_path):
    path = tmp_path / "model"
    rejected(path, written(path, document, describe(document, **changes)), match)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"attention_heads": 4}, "'attention_heads' .* newer version"),
        ({"cell": "transformer"}, 'cell is "transformer"'),
        ({"cell": 1}, "cell is 1"),
        ({"cell": "gru"}, "shape|bias_hn"),
        ({"n_features": -1}, "n_features is -1"),
        ({"n_features": True}, "n_features is True"),
        ({"n_features": 2.0}, "n_features is 2.0"),
        ({"n_features": 10**30}, "n_features is 1000"),
        ({"n_features": 2**62}, "wrong|shape"),
        ({"hidden_sizes": []}, "hidden_sizes is empty"),
        ({"hidden_sizes": 3}, "hidden_sizes"),
        ({"hidden_sizes": [True, 2]}, "hidden_sizes"),
        ({"hidden_sizes": [3, 2**24]}, "shape"),
        ({"hidden_sizes": [3, 2**40]}, "overflows"),
        ({"hidden_sizes": [3, 2**63]}, "wrong"),
        ({"hidden_sizes": [1] * 100}, "100 layers"),
        ({"hidden_sizes": [0, 2]}, "hidden size"),
        ({"n_outputs": 2**61}, "shape|wrong"),
        ({"dropout": "half"}, "dropout is 'half'"),
        ({"dropout": 2}, "dropout is 2"),
        ({"bidirectional": 1}, "bidirectional is 1"),
        ({"bidirectional": True}, "reverse"),
        ({"pooling": "median"}, 'pooling is "median"'),
        ({"proj_size": 2}, "weight_hr"),
    ],
)
def test_an_architecture_that_lies_is_rejected(changes, match, document, tmp_path):
    path = tmp_path / "model"
    description = describe(document, architecture=document.architecture | changes)
    rejected(path, written(path, document, description), match)


def test_minus_zero_is_no_size_but_a_number_as_in_cpp(document, tmp_path):
    path = tmp_path / "model"
    description = describe(document)
    assert '"proj_size": 0' in description
    rejected(path, written(path, document, description.replace('"proj_size": 0', '"proj_size": -0')), "proj_size is -0")
    written(path, document, description.replace('"dropout": 0.0', '"dropout": -0'))
    assert load_model(path).architecture["dropout"] == 0


@pytest.mark.parametrize("name", ["cell", "n_features", "hidden_sizes", "n_outputs"])
def test_an_architecture_that_lacks_something_is_rejected(name, document, tmp_path):
    path = tmp_path / "model"
    architecture = {key: value for key, value in document.architecture.items() if key != name}
    rejected(path, written(path, document, describe(document, architecture=architecture)), name)


def test_parameters_are_those_of_the_architecture(document, tmp_path):
    path = tmp_path / "model"
    ours = dict(document.parameters)
    for parameters in (
        {name: array for name, array in ours.items() if name != "head.bias"},
        ours | {"another": ours["head.bias"]},
        ours | {"head.bias": ours["head.bias"][:1]},
        ours | {"head.bias": ours["head.bias"].astype("float64")},
        {},
    ):
        content = written(path, document, describe(document), parameters)
        rejected(path, content, "parameters|shape")


def test_a_file_of_another_checksum_is_rejected(document, tmp_path):
    path = tmp_path / "model"
    content = bytearray(written(path, document, describe(document)))
    content[-1] ^= 1
    rejected(path, bytes(content), "checksum")
    _container.write(path, document.parameters, describe(document), ("pylstm", "pylstm.crc64"))
    rejected(path, path.read_bytes(), "checksum")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"parameters": {"batch_size": 0}}, "batch_size is 0"),
        ({"parameters": {"batch_size": "64"}}, "batch_size is '64'"),
        ({"parameters": {"zoneout_rate": 1}}, "newer version"),
        ({"parameters": []}, "expected 'regression'"),
        ({"parameters": {"alpha": 10**400}}, "too large"),
        ({"parameters": {"num_layers": 10**9}}, "num_layers is 1000000000, expected at most 1000"),
        ({"attributes": {}}, "lack"),
        ({"attributes": []}, "attributes"),
        ({"attributes": {"classes_": [1]}}, "newer version"),
        ({"y_is_1d": None}, "y_is_1d"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed is 4294967296, expected a whole number below"),
        ({"seed": 2**64}, "seed is 18446744073709551616, expected a whole number below"),
        ({"n_columns": "6"}, "n_columns"),
    ],
)
def test_a_task_that_lies_is_rejected_by_the_estimator(changes, match, document, tmp_path):
    path = tmp_path / "model"
    content = written(path, document, describe(document, task=document.task | changes))
    rejected(path, content, match, LSTMRegressor.load_model)


@pytest.mark.parametrize(
    ("attribute", "value", "match"),
    [
        ("n_outputs_", 1, "not those of the network"),
        ("n_features_per_step_", 3, "n_features_in_ is 2, where n_features_per_step_ is 3"),
        ("n_features_in_", 5, "n_features_in_ is 5, where n_features_per_step_ is 2 and n_columns None"),
        ("feature_names_in_", ["a"], "feature_names_in_ has 1 names, and n_features_in_ is 2"),
        ("n_iter_", 1.5, "n_iter_ is 1.5"),
        ("loss_curve_", 3, "list of numbers"),
        ("loss_curve_", ["a"], "loss_curve_ is 'a'"),
    ],
)
def test_attributes_that_lie_are_rejected(attribute, value, match, document, tmp_path):
    path = tmp_path / "model"
    task = document.task | {"attributes": document.task["attributes"] | {attribute: value}}
    rejected(path, written(path, document, describe(document, task=task)), match, LSTMRegressor.load_model)


def test_a_lie_about_sizes_costs_no_memory(document, tmp_path, run_python):
    path = tmp_path / "model"
    huge = describe(document, architecture=document.architecture | {"hidden_sizes": [2**20, 2**20]})
    path.write_bytes(written(path, document, huge))
    run_python(
        "try:\n"
        "    pylstm.load_model('model')\n"
        "except pylstm.ModelFormatError as error:\n"
        "    assert 'shape' in str(error)\n"
        "else:\n"
        "    raise AssertionError\n",
        extra_memory=64 << 20,
    )
