"""Fuzzes `load_model`, the package's and the estimators', with atheris: ``python -m tests.model.fuzz_load_model``.

The argument is a number of seconds, an hour by default. Whatever the bytes: a model, or a ModelFormatError, in memory
that the file explains. `pip install atheris` first. The corpus, and what is found, lies in build/fuzz_python.

Of checks taken out of the reader it found, from an empty corpus, within 1 s and 120 runs: that tensors follow one
another, that a dtype is a string, and that the data of a tensor is as large as its shape.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import struct
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["pylstm.model", "pylstm.estimators"]):
    from pylstm import LSTMClassifier, LSTMRegressor, ModelFormatError, _core, load_model
    from pylstm.model import _document

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "tests" / "data" / "model_files"
MOST_BYTES = 8192


TASK = ("kind", "loss", "quantiles", "classes", "several_labels", "per_step", "y_is_1d", "n_timesteps", "missing")
"""Fields of the description that are set, whether or not the seeds have them."""

VALUES = (
    None,
    True,
    0,
    1,
    -1,
    2**63,
    2**64,
    0.5,
    "",
    "mask",
    "classification",
    10**400,
    [],
    [0],
    [0.5],
    [[]],
    ["a", "b"],
    {},
)


def mended(data: bytes, chance: random.Random) -> bytes:
    """Return a model file whose tensors or description are changed, and whose lengths and checksum are right.

    Without that, a changed file comes no further than to its length or its checksum.
    """
    (length,) = struct.unpack_from("<Q", data)
    header, content = json.loads(data[8 : 8 + length]), data[8 + length :]
    text = header.pop("__metadata__")[_document.NAMES[0]]
    how = chance.randrange(5)
    if how == 0:
        content = rearranged(header, content, chance)
    elif how == 1:
        tensor = chance.choice(list(header.values()))
        tensor[chance.choice(list(tensor))] = chance.choice(VALUES)
    elif how == 2:
        description = json.loads(text)
        task, architecture = description["task"], description["architecture"]
        part, names = chance.choice(
            (
                (task, TASK),
                (architecture, _core.Network.fields()),
                (task["parameters"], list(task["parameters"])),
                (task["attributes"], list(task["attributes"])),
            )
        )
        part[chance.choice(names)] = chance.choice(VALUES)
        text = json.dumps(description)
    else:
        text = atheris.Mutate(text.encode(), len(text) + 256).decode(errors=chance.choice(("replace", "ignore")))
    checksum = zlib.crc32(content, zlib.crc32(text.encode()))
    header["__metadata__"] = dict(zip(_document.NAMES, (text, f"{checksum:08x}"), strict=True))
    encoded = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(encoded)) + encoded + content


def rearranged(tensors: dict[str, Any], content: bytes, chance: random.Random) -> bytes:
    """Move or resize one tensor, exchange two, or cut the data, which is returned."""
    one, other = chance.choice(list(tensors.values())), chance.choice(list(tensors.values()))
    begin, end = one["data_offsets"]
    how = chance.randrange(4)
    if how == 0:
        moved = chance.randrange(len(content) + 1)
        one["data_offsets"] = [moved, moved + end - begin]
    elif how == 1:
        one["shape"] = [chance.randint(1, 2 * extent + 1) for extent in one["shape"]]
        one["data_offsets"] = [begin, begin + math.prod(one["shape"]) * (8 if one["dtype"] == "F64" else 4)]
    elif how == 2:
        one["data_offsets"], other["data_offsets"] = other["data_offsets"], one["data_offsets"]
    else:
        content = content[: chance.randrange(len(content) + 1)]
    return content


def main() -> None:
    """Run until the time is over, or something is found."""
    seconds = sys.argv[1] if len(sys.argv) > 1 else "3600"
    folder = ROOT / "build" / "fuzz_python"
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        path = Path(scratch) / "model"

        def load(data: bytes) -> None:
            path.write_bytes(data)
            with contextlib.suppress(ModelFormatError):
                kind = load_model(path).task.get("kind")
                (LSTMClassifier if kind == "classification" else LSTMRegressor).load_model(path)

        def mutate(data: bytes, most: int, seed: int) -> bytes:
            chance = random.Random(seed)
            if chance.random() < 0.7:
                # What is no model file, or no longer, has no tensors or description to change.
                with contextlib.suppress(
                    AttributeError, LookupError, RecursionError, TypeError, ValueError, struct.error
                ):
                    return mended(data, chance)[:most]
            return atheris.Mutate(data, most)

        options = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", "-rss_limit_mb=1024", "-malloc_limit_mb=64"]
        seeds = [str(version) for version in SEEDS.iterdir() if version.is_dir()]
        os.chdir(folder)
        arguments = [sys.argv[0], "corpus", *seeds, *options, "-timeout=10", "-print_final_stats=1"]
        atheris.Setup(arguments, load, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
