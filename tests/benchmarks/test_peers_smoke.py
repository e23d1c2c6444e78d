"""``python -m benchmarks.peers`` on tiny cases: what it writes, and what it does without a peer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--quick", "--no-peak", "--threads", "1", "--grid", "3,2,1,4"]


def run_peers(folder: Path, *options: str, absent: tuple[str, ...] = ()) -> tuple[dict[str, Any], str, str]:
    """Run the program; return its JSON document, its Markdown and what it said on standard error.

    Libraries named in ``absent`` are hidden behind modules that cannot be imported.
    """
    for library in absent:
        message = f"No module named '{library}'"
        (folder / f"{library}.py").write_text(f"raise ImportError({message!r})\n", encoding="utf-8")
    stem = folder / "result"
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", *options, "--output", str(stem)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    markdown = stem.with_suffix(".md").read_text(encoding="utf-8")
    assert markdown.strip() == done.stdout.strip()
    return document, markdown, done.stderr


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, str]:
    """Run pylstm without peers: neither PyTorch nor ONNX Runtime can be imported."""
    return run_peers(tmp_path_factory.mktemp("alone"), *TINY, absent=("torch", "onnxruntime"))


def test_the_document_says_when_where_and_what_was_measured(alone: tuple[dict[str, Any], str, str]) -> None:
    document, _, _ = alone
    assert document["schema"] == 1
    assert document["date"].endswith("+00:00")
    assert {"hash", "modified"} == document["commit"].keys()
    assert document["machine"]["n_cpus"] >= 1
    assert document["machine"]["processor"]
    assert document["peers"]["pylstm"]["versions"]["pylstm"]
    assert document["plan"]["threads"] == [1]


def test_every_operation_has_a_cell_with_a_measurement(alone: tuple[dict[str, Any], str, str]) -> None:
    document, _, _ = alone
    assert [cell["operation"] for cell in document["cells"]] == ["forward", "training", "fit"]
    for cell in document["cells"]:
        assert cell["threads"] == 1
        assert cell["failures"] == {}
        assert cell["n_flops"] > 0
        measurement = cell["measurements"]["pylstm"]
        assert 0 < measurement["best_s"] <= measurement["seconds"]
        assert measurement["n_rounds"] >= 2
        assert measurement["n_calls"] >= measurement["n_rounds"]
        assert measurement["deviation"] < 0.5


def test_a_missing_peer_is_skipped_with_a_line_that_says_so(alone: tuple[dict[str, Any], str, str]) -> None:
    document, markdown, said = alone
    assert document["missing"].keys() == {"pytorch", "onnxruntime"}
    assert document["missing"]["pytorch"] == "No module named 'torch'"
    # Where onnx is missing as well, it is named first.
    assert document["missing"]["onnxruntime"] in {"No module named 'onnx'", "No module named 'onnxruntime'"}
    assert "skipped: PyTorch: No module named 'torch'" in said
    assert f"- ONNX Runtime: skipped ({document['missing']['onnxruntime']})" in markdown


def test_the_tables_have_a_row_for_each_cell(alone: tuple[dict[str, Any], str, str]) -> None:
    _, markdown, _ = alone
    assert markdown.count("\n| 3, 2, 1, 4") == 2
    assert markdown.count("\n| 2000 windows of 48 x 1") == 1


def test_no_compiler_costs_only_the_share_of_the_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    options = [option for option in TINY if option != "--no-peak"]
    document, _, said = run_peers(tmp_path, *options, "--only", "forward", "--peers", "pylstm")
    assert "skipped: share of the peak" in said
    assert document["cells"][0]["peak_gflops"] is None


def test_installed_peers_agree_and_get_a_ratio(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    document, markdown, _ = run_peers(tmp_path, *TINY, "--only", "forward", "--peers", "pylstm", "onnxruntime")
    (cell,) = document["cells"]
    assert set(cell["measurements"]) == {"pylstm", "onnxruntime"}
    assert "| forward, 1 thread | ONNX Runtime |" in markdown


def test_pytorch_agrees_in_training_and_fit_in_float64(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    options = [*TINY, "--only", "training", "fit", "--peers", "pylstm", "pytorch", "--dtype", "float64"]
    document, _, _ = run_peers(tmp_path, *options)
    assert [set(cell["measurements"]) for cell in document["cells"]] == [{"pylstm", "pytorch"}] * 2
    assert all(measurement["deviation"] <= 1e-10 for measurement in document["cells"][0]["measurements"].values())


@pytest.mark.parametrize("cell", ["3,2,1", "3,2,0,4", "a,b,c,d"])
def test_a_malformed_cell_is_refused(cell: str) -> None:
    command = [sys.executable, "-m", "benchmarks.peers", "--grid", cell]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected four positive integers T,B,I,H" in done.stderr
