"""Fuzzes `pylstm.load_model` with atheris: ``python -m tests.model.fuzz_load_model [seconds]``, an hour by default.

Whatever the bytes: a model, or a ModelFormatError, in memory that the file explains. `pip install atheris` first. The
corpus, and what is found, lies in build/fuzz_python.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pylstm.model"]):
    from pylstm import ModelFormatError, load_model
    from pylstm.model import _container, _document

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "tests" / "data" / "model_files"
MOST_BYTES = 8192


def mended(data: bytes, path: Path, chance: random.Random) -> bytes:
    """Return a file whose description is mutated, and whose lengths and checksum are right.

    Without that, a changed file comes no further than to its length or its checksum.
    """
    path.write_bytes(data)
    with path.open("rb") as file:
        header = _container.read_header(file)
        arrays, _ = _container.read_tensors(file, header, b"")
    text = header.metadata[_document.NAMES[0]].encode()
    changed = atheris.Mutate(text, len(text) + 256).decode(errors=chance.choice(("replace", "ignore")))
    _container.write(path, arrays, changed, _document.NAMES)
    return path.read_bytes()


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
                load_model(path)

        def mutate(data: bytes, most: int, seed: int) -> bytes:
            chance = random.Random(seed)
            if chance.random() < 0.7:
                # What is no model file, or no longer, has no description to mutate.
                with contextlib.suppress(ModelFormatError, KeyError, ValueError):
                    return mended(data, path, chance)[:most]
            return atheris.Mutate(data, most)

        options = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", "-rss_limit_mb=1024", "-malloc_limit_mb=64"]
        seeds = [str(version) for version in SEEDS.iterdir() if version.is_dir()]
        os.chdir(folder)
        arguments = [sys.argv[0], "corpus", *seeds, *options, "-timeout=10", "-print_final_stats=1"]
        atheris.Setup(arguments, load, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
