"""Who may import whom in the package, in the benchmarks and in the examples."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from .source import ROOT, cpp_files, imports_of, includes_of, python_files

PACKAGE = ROOT / "pylstm"

ROOMS_USED = {
    "functional": {"_core", "functional", "typing"},
    "model": {"_config", "_core", "model", "typing"},
    "preprocessing": {"preprocessing", "typing"},
    "estimators": {"_core", "estimators", "functional", "model", "preprocessing", "typing"},
    "datasets": {"datasets", "typing"},
}
"""What each room of the package may import of pylstm."""

IMPORTERS_OF_CORE = {
    "_config.py",
    "estimators/_engine.py",
    "estimators/_pieces.py",
    "model/_document.py",
    "model/_header.py",
    "model/_model.py",
}
"""Besides the files of functional/."""

IMPORTERS_OF_SKLEARN = ("estimators/", "preprocessing/", "_cli.py", "_demo.py")
"""Besides the two rooms, the command line: its demo sets a Pipeline and a ridge regression beside the network."""


PUBLIC_HEADERS = {
    "pylstm/pylstm.hpp",
    "pylstm/io/model_file.hpp",
    "pylstm/blas.hpp",
    "pylstm/stream/static_stream.hpp",
}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def modules() -> list[Path]:
    return [path for path in python_files(PACKAGE) if path.suffix == ".py"]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    room = name_of(path).split("/")[0]
    allowed = ROOMS_USED.get(room)
    if allowed is None:
        return
    used = {parts[1] for name in imports_of(path) if (parts := name.split("."))[0] == "pylstm" and len(parts) > 1}
    assert used <= allowed


def test_the_compiled_module_is_imported_in_its_places() -> None:
    importers = {
        name_of(path) for path in modules() if any(name.startswith("pylstm._core") for name in imports_of(path))
    }
    assert {name for name in importers if not name.startswith("functional/")} == IMPORTERS_OF_CORE


def test_scikit_learn_stays_in_its_rooms() -> None:
    importers = {
        name_of(path) for path in modules() if any(name.split(".")[0] == "sklearn" for name in imports_of(path))
    }
    assert {name for name in importers if not name.startswith(IMPORTERS_OF_SKLEARN)} == set()


def test_the_functions_need_nothing_but_numpy() -> None:
    third_party = {
        name.split(".")[0]
        for path in python_files(PACKAGE / "functional")
        for name in imports_of(path)
        if name.split(".")[0] not in {"__future__", "collections", "math", "operator", "pylstm", "typing"}
    }
    assert third_party <= {"numpy"}


def test_models_need_nothing_but_numpy() -> None:
    third_party = {
        name.split(".")[0]
        for path in python_files(PACKAGE / "model")
        for name in imports_of(path)
        if name.split(".")[0] not in {"__future__", "pylstm"} | sys.stdlib_module_names
    }
    assert third_party <= {"numpy"}


def test_streaming_needs_nothing_but_numpy_and_is_handed_its_streams() -> None:
    text = (PACKAGE / "streaming.pyx").read_text(encoding="utf-8")
    imported = set(re.findall(r"^\s*(?:from|import|cimport) ([\w.]+)", text, re.MULTILINE))
    assert {name.split(".")[0] for name in imported} == {"cpython", "libc", "numpy", "operator"}
    declared = (PACKAGE / "streaming.pxd").read_text(encoding="utf-8")
    assert not re.search(r"^\s*(from|import|cimport|cdef extern) ", declared, re.MULTILINE)  # users need no header


@pytest.mark.parametrize("folder", ["benchmarks", "examples"])
def test_benchmarks_and_examples_use_public_names(folder: str) -> None:
    for path in python_files(ROOT / folder):
        ours = [name for name in imports_of(path) if name.split(".")[0] == "pylstm"]
        private = [name for name in ours if any(part.startswith("_") for part in name.split("."))]
        assert private == [], path
        assert not re.search(r"\bpylstm\._[a-z]", path.read_text(encoding="utf-8")), path
    for path in cpp_files(ROOT / folder):
        assert {name for name in includes_of(path) if name.startswith("pylstm/")} <= PUBLIC_HEADERS, path
        assert "detail::" not in path.read_text(encoding="utf-8"), path
