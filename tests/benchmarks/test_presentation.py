"""The README's table and the bar chart of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from .programs import ROOT, require

if TYPE_CHECKING:
    from pathlib import Path

CASE = {"n_steps": 3, "n_samples": 2, "n_features": 1, "hidden_size": 4}


def cell(operation: str, **milliseconds: float) -> dict[str, Any]:
    measurements = {name: {"seconds": 1e-3 * value} for name, value in milliseconds.items()}
    return {"operation": operation, "threads": 1, "case": CASE, "name": "3, 2, 1, 4", "measurements": measurements}


DOCUMENT = {
    "date": "2026-01-31T00:00:00+00:00",
    "commit": {"hash": "abc1234", "modified": False},
    "machine": {"processor": "A processor", "n_cpus": 2, "vector_extensions": ["avx2", "fma"]},
    "plan": {"dtype": "float32"},
    "peers": {"pylstm": {"label": "pylstm"}, "pytorch": {"label": "PyTorch"}, "jax": {"label": "JAX"}},
    "cells": [
        cell("forward", pylstm=2.0, pytorch=8.0, jax=3.0),
        cell("training", pylstm=4.0, pytorch=3.0),
        cell("fit", pylstm=5.0, pytorch=5.0),
    ],
}


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    return path


def test_the_table_names_the_fastest_peer(run_file: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.peers.summary", str(run_file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "| T, B, I, H | inference, 1 thread | training step, 1 thread |",
        "| --- | --- | --- |",
        "| 3, 2, 1, 4 | 2.00 ms, JAX 1.50x | 4.00 ms, PyTorch 0.75x |",
        "| geometric mean | JAX 1.50x, PyTorch 4.00x | PyTorch 0.75x |",
    ]


def test_bars_reach_from_one_to_the_ratio() -> None:
    require("matplotlib")
    from benchmarks.peers.chart import draw

    cells = {
        operation: [c for c in DOCUMENT["cells"] if c["operation"] == operation]
        for operation in ("forward", "training")
    }
    labels = {name: peer["label"] for name, peer in DOCUMENT["peers"].items()}
    figure = draw(cells, labels, threads=1)
    tops = [[bar.get_y() + bar.get_height() for bar in panel.patches] for panel in figure.axes]
    assert tops == [pytest.approx([4.0, 1.5]), pytest.approx([0.75])]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["PyTorch", "JAX"]


def test_the_chart_is_written_as_a_picture(run_file: Path, tmp_path: Path) -> None:
    require("matplotlib")
    from benchmarks.peers.chart import main

    main([str(run_file), str(tmp_path / "chart.png")])
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_without_that_number_of_threads_is_refused(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks.peers.chart import main

    with pytest.raises(SystemExit):
        main([str(run_file), str(tmp_path / "chart.png"), "--threads", "3"])
    assert "neither inference nor training with 3 threads" in capsys.readouterr().err
