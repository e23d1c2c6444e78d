"""``python -m benchmarks.scaling`` around a tiny base."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from .programs import Finished, require, run_program

if TYPE_CHECKING:
    from pathlib import Path

TINY = ["--quick", "--base", "4,16,1,4", "--memory", "4,2,1,4", "--max-threads", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scaling")


@pytest.fixture(scope="module")
def alone(folder: Path) -> Finished:
    return run_program("scaling", folder, *TINY, absent=("torch",))


def test_one_size_is_varied_at_a_time(alone: Finished) -> None:
    cases = [tuple(cell["case"].values()) for cell in alone.document["cells"]]
    base = (4, 16, 1, 4)
    assert cases[0] == base
    assert len(set(cases)) == len(cases)
    assert {sum(a != b for a, b in zip(case, base, strict=True)) for case in cases[1:]} == {1}
    assert all(cell["failures"] == {} for cell in alone.document["cells"])


def test_a_missing_peer_is_skipped(alone: Finished) -> None:
    assert alone.document["missing"] == {"pytorch": "No module named 'torch'"}


def test_tables_show_each_sweep_in_increasing_order(alone: Finished) -> None:
    _, table = alone.markdown.split("with other steps T: ms\n")
    rows = table.split("\n##")[0].strip().splitlines()[2:]
    assert [row.split("|")[1].split()[0] for row in rows] == ["1", "2", "4", "8", "16"]


@pytest.mark.skipif(sys.platform == "win32", reason="does not say how much memory a process takes")
def test_memory_is_that_of_a_process_of_its_own(alone: Finished) -> None:
    memory = alone.document["memory_bytes"]["pylstm"]
    assert 1 << 20 < memory["before"] <= memory["peak"]


def test_the_picture_is_written(alone: Finished, folder: Path) -> None:
    require("matplotlib")
    assert alone.document
    assert (folder / "result.png").read_bytes().startswith(b"\x89PNG")
