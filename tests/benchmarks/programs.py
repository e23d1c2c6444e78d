"""Runs the benchmark programs as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: What the peers need.
LIBRARIES = ("jax", "keras", "onnxruntime", "skorch", "torch")


@dataclass(frozen=True)
class Finished:
    """What a program wrote and said."""

    document: dict[str, Any]
    markdown: str
    output: str
    errors: str


def run_program(name: str, folder: Path, *options: str, absent: tuple[str, ...] = ()) -> Finished:
    """Run ``python -m benchmarks.<name>`` with its files in ``folder``.

    Libraries named in ``absent`` are hidden behind modules that cannot be imported.
    """
    for library in absent:
        message = f"No module named '{library}'"
        (folder / f"{library}.py").write_text(f"raise ImportError({message!r})\n", encoding="utf-8")
    stem = folder / "result"
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *options, "--output", str(stem)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    return Finished(document, stem.with_suffix(".md").read_text(encoding="utf-8"), done.stdout, done.stderr)


def require(*libraries: str) -> None:
    """Skip the test if a library is not installed; it is not imported to find that out."""
    for library in libraries:
        if find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
