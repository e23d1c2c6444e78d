"""Two commits of pylstm side by side in one run: ``python -m benchmarks.compare COMMIT_A COMMIT_B``, from the root."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.machine import describe_commit, describe_machine
from benchmarks.peers.measure import run
from benchmarks.peers.options import add_plan_options, make_plan
from benchmarks.peers.registry import OURS, PEERS, PROJECT_ROOT, Peer
from benchmarks.peers.report import Run, to_markdown

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, measure and print; 1 if a contender failed or computed something else, 2 without a build, otherwise 0."""
    options = _parser().parse_args(arguments)
    now = datetime.now(UTC)
    with ExitStack() as stack:
        folder = options.builds or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            peers = {name: _peer(name, commit, folder) for name, commit in zip("AB", options.commits, strict=True)}
        except subprocess.CalledProcessError as error:
            _say(f"{' '.join(map(str, error.cmd))} failed:\n{(error.stderr or '').strip()}")
            return 2
        plan = make_plan(options, peers, baseline="A")
        outcome = run(plan, report=_say)
    commit = describe_commit(PROJECT_ROOT)
    print(to_markdown(Run(now.isoformat(timespec="seconds"), commit, describe_machine(), plan, outcome)))
    return int(any(cell.failures for cell in outcome.cells))


def build(commit: str, folder: Path) -> Path:
    """Install a commit, given by its hash, into a folder below ``folder`` that carries its name, and return that.

    What is there already is not built again.

    Raises
    ------
    subprocess.CalledProcessError
        If git or pip fails.
    """
    target = folder.resolve() / commit
    if target.exists():
        return target
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / "pylstm"
        _run("git", "-C", str(PROJECT_ROOT), "worktree", "add", "--detach", str(tree), commit)
        try:
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
            # Into place at the end: a build that was broken off must not be taken for a finished one.
            _run(*pip, "--no-deps", "--no-build-isolation", "--target", f"{target}.part", str(tree))
            Path(f"{target}.part").rename(target)
        finally:
            _run("git", "-C", str(PROJECT_ROOT), "worktree", "remove", "--force", str(tree))
    return target


def _peer(name: str, commit: str, folder: Path) -> Peer:
    full = _run("git", "-C", str(PROJECT_ROOT), "rev-parse", "--verify", f"{commit}^{{commit}}")
    _say(f"building {commit} ({full[:7]})")
    return Peer(f"{name}: {full[:7]}", PEERS[OURS].module, path=build(full, folder))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("commits", nargs=2, metavar="COMMIT", help="what the ratios refer to; what is compared with it")
    add_plan_options(parser)
    parser.add_argument(
        "--builds", type=Path, metavar="FOLDER", help="keep the builds here, and use those that are here"
    )
    return parser


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
