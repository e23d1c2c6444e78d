"""``python -m benchmarks.variants`` on one size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.variants import PLAIN, REGULARISERS, main

if TYPE_CHECKING:
    import pytest


def test_every_variant_has_a_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--grid", "3,2,1,4", "--rounds", "1", "--budget", "0"]) == 0
    tables = [table.splitlines() for table in capsys.readouterr().out.split("\n\n") if table.startswith("|")]
    assert len(tables) == 4
    for header, _, row in tables:
        assert header.count("|") == row.count("|")
        assert all(float(figure) > 0 for figure in row.strip("| ").split(" | ")[1:])
    inference, training, epoch, _ = (header for header, *_ in tables)
    for name in ("peepholes", "coupled gates", "layer norm", "projection to H/2", "GRU", "RNN"):
        assert name in inference
        assert name in training
    assert all(name in epoch for name in REGULARISERS if name != PLAIN)
