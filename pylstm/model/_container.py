"""The container of model files: safetensors, read strictly.

8 bytes: length of the header, little endian. The header, a JSON object: of each tensor the dtype, the shape, and where
in the data it lies; in ``__metadata__`` strings by name. The data. See https://github.com/huggingface/safetensors.

The C++ twin is ``pylstm/io/safetensors.hpp``.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from pylstm.typing import FloatArray

from ._errors import ModelFormatError

MOST_HEADER_BYTES = 4 << 20
MOST_NESTED = 32
ALIGNMENT = 64
"""The data begins at a multiple of this."""

DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}


@dataclass(frozen=True)
class Tensor:
    """Description of an array in the data."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int  # bytes of the data
    end: int


@dataclass(frozen=True)
class Header:
    """What a file says before its data."""

    tensors: dict[str, Tensor]  # as they lie in the data
    metadata: dict[str, str]
    data_size: int


def read_header(file: BufferedReader) -> Header:
    """Read the header of an open file and check that its tensors are the data, without gap or overlap.

    Raises
    ------
    ModelFormatError
        If it is not so.
    """
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        msg = f"cannot read {file.name}: not a regular file"
        raise OSError(msg)
    if status.st_size < 8:
        _reject(f"the file has {status.st_size} bytes, expected a header")
    (length,) = struct.unpack("<Q", read_exactly(file, 8).data)
    if length > MOST_HEADER_BYTES:
        _reject(f"the header has {length} bytes, expected at most {MOST_HEADER_BYTES}")
    if length > status.st_size - 8:
        _reject("the file ends within its header")
    text = bytes(read_exactly(file, length))
    if not (text.startswith(b"{") and text.rstrip(b" ").endswith(b"}")):
        _reject("the header does not begin with { and end with }")
    entries = parse_object(text, "the header")
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        _reject("__metadata__ is not an object of strings")
    tensors = {name: _tensor(name, entry) for name, entry in entries.items()}
    tensors = dict(sorted(tensors.items(), key=lambda item: item[1].begin))
    end, data_size = 0, status.st_size - 8 - length
    for name, tensor in tensors.items():
        if tensor.begin != end:
            _reject(f"tensor {name!r} begins at byte {tensor.begin}, expected {end}, the end of the one before")
        end = tensor.end
    if end != data_size:
        _reject(f"the file has {data_size} bytes of data, expected {end}")
    return Header(tensors, metadata, data_size)


def read_tensors(file: BufferedReader, header: Header, checked: bytes) -> tuple[dict[str, FloatArray], int]:
    """Read the data that follows the header; return the arrays, and the CRC-32 of `checked` and the data."""
    data = read_exactly(file, header.data_size)
    arrays: dict[str, FloatArray] = {}
    for name, tensor in header.tensors.items():
        array = data[tensor.begin : tensor.end].view(tensor.dtype).reshape(tensor.shape)
        arrays[name] = array.astype(tensor.dtype.newbyteorder("="), copy=False)
    return arrays, zlib.crc32(data.data, zlib.crc32(checked))


def write(
    path: str | os.PathLike[str], arrays: Mapping[str, FloatArray], description: str, names: tuple[str, str]
) -> None:
    """Write `arrays`, and as metadata the `description` and the checksum of both, under these two names.

    Whoever reads `path` meanwhile, or after a failure, finds the file that was there.
    """
    header: dict[str, Any] = {}
    end, crc = 0, zlib.crc32(description.encode())
    data = {name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for name, array in arrays.items()}
    for name, array in data.items():
        begin, end = end, end + array.nbytes
        dtype = next(key for key, known in DTYPES.items() if known == array.dtype)
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
        crc = zlib.crc32(array.data, crc)
    metadata = dict(zip(names, (description, f"{crc:08x}"), strict=True))
    text = json.dumps({"__metadata__": metadata, **header}, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    if len(text) > MOST_HEADER_BYTES:
        msg = f"the description of the model has {len(text)} bytes, expected at most {MOST_HEADER_BYTES}"
        raise ValueError(msg)
    with replacing(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in data.values():
            file.write(array.data.cast("B"))


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path`, with its permissions, once it is whole and on the disk.

    A failure leaves nothing.

    Raises
    ------
    OSError
        If the system refuses, or there is something else than a file.
    """
    target = Path(os.fsdecode(path))
    mode = None
    with suppress(FileNotFoundError):  # a new file, or a link for one
        mode = target.stat().st_mode  # an OSError if links go in a circle, where resolve() has others or none
    if mode is not None and not stat.S_ISREG(mode):
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(code, f"not a file that can be replaced: {os.strerror(code)}", os.fspath(path))
    if target.is_symlink():
        target = target.resolve()
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp"  # short, since names may be as long as they can
    try:
        try:
            file = temporary.open("xb")
        except OSError as error:  # of the name that the caller knows
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
        with file:
            if mode is not None:
                with suppress(OSError):  # of systems without
                    temporary.chmod(mode & 0o777)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the name, too, is on the disk
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_exactly(file: BufferedReader, count: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Read `count` bytes, which the file has according to its size."""
    data = np.empty(count, np.uint8)
    if file.readinto(data.data) != count:
        _reject("the file ends early")
    return data


def parse_object(text: bytes | str, what: str) -> dict[str, Any]:
    """Return the object that `text` is: JSON of Unicode, no name twice, not deep, its numbers finite."""
    try:
        text = text.decode() if isinstance(text, bytes) else text
        _check_depth(text.encode(), what)
        parsed = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_reject_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except ModelFormatError:
        raise
    except ValueError as error:  # of JSON, of UTF-8
        msg = f"{what} is no JSON: {error}"
        raise ModelFormatError(msg) from None
    if not isinstance(parsed, dict):
        _reject(f"{what} is not a JSON object")
    if (string := no_unicode(parsed)) is not None:
        _reject(f"{what} is no JSON: a lone surrogate in {string!r:.80}")
    return parsed


def _check_depth(text: bytes, what: str) -> None:
    """Count brackets outside of strings before a parser recurses into them."""
    depth = 0
    outside = b"".join(text.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    for byte in outside:
        depth += (byte in b"[{") - (byte in b"]}")
        if depth > MOST_NESTED:
            _reject(f"{what} is nested more than {MOST_NESTED} deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        _reject("a JSON object names something twice")
    return names


def _reject_constant(name: str) -> NoReturn:
    _reject(f"{name} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _reject(f"{text:.40} is too large a number")
    return value


def _whole(text: str) -> int | float:
    """Return an integer that `float` takes, as every reader of a number may hand it on; -0 is none, as in C++."""
    value = _finite(text)
    return value if text == "-0" else int(text)


def no_unicode(value: Any) -> str | None:
    """Return a string of `value`, in terms of JSON, that has a lone surrogate and so no UTF-8; None if all have it."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value
        return None
    parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next((found for found in map(no_unicode, parts) if found is not None), None)


def _tensor(name: str, entry: Any) -> Tensor:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        _reject(f"tensor {name!r} is not described by dtype, shape and data_offsets")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
        _reject(f"tensor {name!r} has dtype {entry['dtype']!r}, expected F32 or F64")
    dtype, shape, offsets = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        _reject(f"tensor {name!r} has shape {shape!r} and data_offsets {offsets!r}")
    if 0 in shape or offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
        _reject(f"tensor {name!r} has shape {shape}, which is not the size of its data")
    return Tensor(dtype, tuple(shape), *offsets)


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _reject(msg: str) -> NoReturn:
    raise ModelFormatError(msg)
