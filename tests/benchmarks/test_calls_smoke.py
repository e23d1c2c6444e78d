"""``python -m benchmarks.calls`` on one size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.calls import GATES, main

if TYPE_CHECKING:
    import pytest


def test_the_table_has_a_time_for_every_function_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--units", "2", "3", "--repeats", "1", "--calls", "1"]) == 0
    header, _, *rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert header[1:] == [f"{cell}_{what}" for cell in GATES for what in ("step", "forward")]
    assert [row[0] for row in rows] == ["2", "3"]
    assert all(float(time) > 0 for row in rows for time in row[1:])
