"""``python -m benchmarks.compare``: everything but the builds, which take minutes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import pylstm

from .programs import ROOT


@pytest.fixture(autouse=True)
def _clone() -> None:
    try:
        subprocess.run(["git", "rev-parse", "--verify", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a clone")


def test_both_builds_are_measured_and_the_second_gets_a_ratio(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import compare

    monkeypatch.setattr(compare, "build", lambda _commit, _folder: Path(pylstm.__file__).parents[1])
    options = ["--quick", "--threads", "1", "--grid", "3,2,1,4", "--only", "forward"]
    assert compare.main(["HEAD", "HEAD", *options]) == 0
    output = capsys.readouterr().out
    assert "\n| forward, 1 thread | B: " in output


def test_an_unknown_commit_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import compare

    assert compare.main(["no-such-commit", "HEAD"]) == 2
    assert "no-such-commit" in capsys.readouterr().err


def test_a_build_comes_before_everything_else_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.peers.measure import Contender
    from benchmarks.peers.registry import OURS, PEERS, Peer

    (tmp_path / "pylstm.py").write_text("raise ImportError('found here')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    with Contender("A", Peer("A", PEERS[OURS].module, path=tmp_path), 1) as contender:
        assert contender.greeting() == {"missing": "found here"}
