"""What a model file says about its model: architecture, parameters, task.

``format`` is the version of all this; files of every released version are read. The architecture is every field of the
engine's ``network::Config`` (``cpp/include/pylstm/network/description.hpp`` lists them), the task is this package's
own: what kind of estimator it was, and how data become the network's inputs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pylstm import _core
from pylstm.typing import FloatArray

from ._container import no_unicode, parse_object, read_header, read_tensors, write
from ._errors import ModelFormatError

FORMAT = 1

NAMES = ("pylstm", "pylstm.crc32")
"""Of the description and of the checksum in the file's metadata."""

SEEDS = 2**32
"""Seeds of NumPy's `RandomState` are below it."""


@dataclass(frozen=True)
class Document:
    """A model file's content."""

    dtype: str
    architecture: dict[str, Any]
    parameters: dict[str, FloatArray]  # read-only
    task: dict[str, Any]
    library: str = _core.version()


def save(document: Document, path: str | os.PathLike[str]) -> None:
    """Write a model file: whole, or not at all.

    Raises
    ------
    ValueError
        If a string has a lone surrogate.
    """
    description = {
        "format": FORMAT,
        "library": document.library,
        "architecture": document.architecture,
        "task": document.task,
    }
    if (string := no_unicode(description)) is not None:
        msg = f"a model file cannot have the string {string!r}: a lone surrogate is no Unicode"
        raise ValueError(msg)
    text = json.dumps(description, separators=(",", ":"), allow_nan=False)
    write(path, document.parameters, text, NAMES)


def load(path: str | os.PathLike[str]) -> Document:
    """Read a model file.

    Raises
    ------
    ModelFormatError
        If it is not one, not whole, not consistent, or written by a newer version. Memory is bounded by its size.
    OSError
        If it cannot be read.
    """
    with Path(path).open("rb") as file:
        header = read_header(file)
        if NAMES[0] not in header.metadata:
            _reject("a safetensors file, but not a pylstm model")
        text = header.metadata[NAMES[0]]
        description = _description(text)
        dtypes = {tensor.dtype.newbyteorder("=").name for tensor in header.tensors.values()}
        if len(dtypes) != 1:
            _reject(f"the parameters are of {len(dtypes)} types, expected one")
        (dtype,) = dtypes
        architecture = description["architecture"]
        _check_shapes(dtype, architecture, {name: tensor.shape for name, tensor in header.tensors.items()})
        parameters, crc = read_tensors(file, header, text.encode())
    if header.metadata.get(NAMES[1]) != f"{crc:08x}":
        _reject("the file's checksum is not that of its content")
    for array in parameters.values():
        array.flags.writeable = False
    return Document(dtype, architecture, parameters, description["task"], description["library"])


def _description(text: str) -> dict[str, Any]:
    """Parse the description; its architecture and its task are objects."""
    description = parse_object(text, "the model's description")
    for name, kind in {"format": int, "library": str, "architecture": dict, "task": dict}.items():
        if type(description.get(name)) is not kind:
            _reject(f"the model's description lacks {name!r}")
    library, number = description["library"], description["format"]
    if number > FORMAT or len(description) != 4:
        _reject(
            f"written by a newer version ({library}, format {number}); "
            f"pylstm {_core.version()} reads formats up to {FORMAT}"
        )
    if number < 1:
        _reject(f"format is {number}")
    known = _core.Network.fields()
    for name in description["architecture"]:
        if name not in known:
            _reject(
                f"the architecture has a field {name!r} that pylstm {_core.version()} does not know: "
                f"the file was written by a newer version ({library})"
            )
    _check_task(description["task"])
    return description


def _check_task(task: dict[str, Any]) -> None:
    """Compare what a task says twice; whoever uses the rest of it checks that."""
    seed = task.get("seed")
    if type(seed) is int and seed >= SEEDS:
        _reject(f"seed is {seed}, expected a whole number below {SEEDS}")
    attributes = task.get("attributes")
    if isinstance(attributes, dict):
        n_features, per_step = attributes.get("n_features_in_"), attributes.get("n_features_per_step_")
        n_columns, names = task.get("n_columns"), attributes.get("feature_names_in_")
        if n_features != (per_step if n_columns is None else n_columns):
            beside = f"n_features_per_step_ is {per_step!r} and n_columns {n_columns!r}"
            _reject(f"n_features_in_ is {n_features!r}, where {beside}")
        if isinstance(names, list) and len(names) != n_features:
            _reject(f"feature_names_in_ has {len(names)} names, and n_features_in_ is {n_features!r}")


def _check_shapes(dtype: str, architecture: dict[str, Any], got: Mapping[str, tuple[int, ...]]) -> None:
    """Compare the tensors with those of the architecture, before there is memory for either."""
    layers = architecture.get("hidden_sizes")
    if not isinstance(layers, list) or not all(type(size) is int for size in layers):
        _reject("hidden_sizes is no list of whole numbers")
    if len(layers) > len(got):
        _reject(f"the file has {len(got)} parameters for {len(layers)} layers")
    try:
        expected = _core.Network.shapes_of(dtype=dtype, **architecture)
    except (TypeError, ValueError, MemoryError) as error:
        msg = f"the architecture is wrong: {error}"
        raise ModelFormatError(msg) from None
    if got.keys() != expected.keys():
        odd = sorted(got.keys() ^ expected.keys())
        _reject(f"the file's parameters are not those of its architecture: {', '.join(odd[:5])}")
    for name, shape in expected.items():
        if got[name] != shape:
            _reject(f"parameter {name!r} has shape {got[name]}, expected {shape}")


def _reject(msg: str) -> NoReturn:
    raise ModelFormatError(msg)
