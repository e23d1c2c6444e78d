"""``python -m benchmarks.peers`` on tiny cases: what it writes, and what it does without a peer."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .programs import LIBRARIES, ROOT, Finished, require, run_program

if TYPE_CHECKING:
    from pathlib import Path

TINY = ["--quick", "--no-peak", "--threads", "1", "--grid", "3,2,1,4"]

OPERATIONS = ["forward", "training", "ragged", "gru_forward", "gru_training", "step", "fit", "predict"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Run pylstm without peers: none of their libraries can be imported."""
    return run_program("peers", tmp_path_factory.mktemp("alone"), *TINY, absent=LIBRARIES)


def test_the_document_says_when_where_and_what_was_measured(alone: Finished) -> None:
    document = alone.document
    assert document["schema"] == 2
    assert document["date"].endswith("+00:00")
    assert {"hash", "modified"} == document["commit"].keys()
    assert document["machine"]["n_cpus"] >= 1
    assert document["machine"]["processor"]
    assert document["peers"]["pylstm"]["versions"]["pylstm"]
    assert document["plan"]["threads"] == [1]


def test_every_operation_has_a_cell_with_a_measurement(alone: Finished) -> None:
    assert list(dict.fromkeys(cell["operation"] for cell in alone.document["cells"])) == OPERATIONS
    for cell in alone.document["cells"]:
        assert cell["threads"] == 1
        assert cell["failures"] == {}
        assert cell["n_flops"] > 0
        measurement = cell["measurements"]["pylstm"]
        assert 0 < measurement["best_s"] <= measurement["seconds"]
        assert measurement["n_rounds"] >= 2
        assert measurement["n_calls"] >= measurement["n_rounds"]
        assert measurement["deviation"] < 0.5


def test_a_missing_peer_is_skipped_with_a_line_that_says_so(alone: Finished) -> None:
    missing = alone.document["missing"]
    assert missing.keys() == {"pytorch", "pytorch-cell", "skorch", "onnxruntime", "jax", "keras"}
    assert missing["pytorch"] == "No module named 'torch'"
    # Where onnx is missing as well, it is named first.
    assert missing["onnxruntime"] in {"No module named 'onnx'", "No module named 'onnxruntime'"}
    for library in ("jax", "keras", "skorch"):
        assert missing[library] == f"No module named '{library}'"
    assert "skipped: PyTorch: No module named 'torch'" in alone.errors
    assert f"- ONNX Runtime: skipped ({missing['onnxruntime']})" in alone.markdown


def test_the_tables_have_a_row_for_each_cell(alone: Finished) -> None:
    assert alone.markdown.strip() == alone.output.strip()
    # Forward, training, ragged, the cost of a real step, and twice the GRU.
    assert alone.markdown.count("\n| 3, 2, 1, 4") == 6
    assert alone.markdown.count("\n| 8, 16") == 1
    assert alone.markdown.count("\n| 1000 windows of 48 x 1") == 1
    assert alone.markdown.count("\n| 2000 windows of 48 x 1") == 1


def test_no_compiler_costs_only_the_share_of_the_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    options = [option for option in TINY if option != "--no-peak"]
    finished = run_program("peers", tmp_path, *options, "--only", "forward", "--peers", "pylstm")
    assert "skipped: share of the peak" in finished.errors
    assert finished.document["cells"][0]["peak_gflops"] is None


def test_an_installed_peer_gets_a_ratio(tmp_path: Path) -> None:
    require("onnx", "onnxruntime")
    finished = run_program("peers", tmp_path, *TINY, "--only", "forward", "--peers", "pylstm", "onnxruntime")
    (cell,) = finished.document["cells"]
    assert cell["measurements"].keys() == {"pylstm", "onnxruntime"}
    assert "| forward, 1 thread | ONNX Runtime |" in finished.markdown


def test_single_steps_are_measured_with_the_fewest_threads(tmp_path: Path) -> None:
    options = ["--quick", "--no-peak", "--threads", "1", "2", "--grid", "3,2,1,4", "--peers", "pylstm"]
    finished = run_program("peers", tmp_path, *options, "--only", "forward", "step")
    measured = {(cell["operation"], cell["threads"]) for cell in finished.document["cells"]}
    assert measured == {("forward", 1), ("forward", 2), ("step", 1)}


@pytest.mark.parametrize("cell", ["3,2,1", "3,2,0,4", "a,b,c,d"])
def test_a_malformed_cell_is_refused(cell: str) -> None:
    command = [sys.executable, "-m", "benchmarks.peers", "--grid", cell]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected four positive integers T,B,I,H" in done.stderr
