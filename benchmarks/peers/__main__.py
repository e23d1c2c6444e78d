"""Command line of the comparison: ``python -m benchmarks.peers``, from the project's root."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.machine import PeakProgram, describe_commit, describe_machine
from benchmarks.peers.measure import run
from benchmarks.peers.options import add_plan_options, make_plan
from benchmarks.peers.registry import OURS, PEERS, PROJECT_ROOT
from benchmarks.peers.report import Run, to_markdown, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.peers.registry import Peer

RESULTS = PROJECT_ROOT / "benchmarks" / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; 1 if a contender failed or computed something else, otherwise 0."""
    options = _parser().parse_args(arguments)
    now = datetime.now(UTC)
    commit = describe_commit(PROJECT_ROOT)
    plan = make_plan(options, _peers(options), baseline=OURS)
    with ExitStack() as stack:
        peak = None
        if not options.no_peak:
            try:
                peak = stack.enter_context(PeakProgram())
            except RuntimeError as error:
                _say(f"skipped: share of the peak: {error}")
        outcome = run(plan, peak=peak, report=_say)
    result = Run(now.isoformat(timespec="seconds"), commit, describe_machine(), plan, outcome)
    print(to_markdown(result))
    stem = options.output or RESULTS / f"peers-{now:%Y-%m-%d}-{commit.hash or 'uncommitted'}{'-quick' * options.quick}"
    for path in write(result, stem):
        _say(f"wrote {path}")
    return int(any(cell.failures for cell in outcome.cells))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    add_plan_options(parser)
    parser.add_argument(
        "--peers",
        choices=PEERS,
        nargs="+",
        metavar="PEER",
        help=f"some of {', '.join(PEERS)} (default: all but pytorch-tuned)",
    )
    parser.add_argument(
        "--tuned-allocator",
        action="store_true",
        help="also measure PyTorch with glibc told to keep freed memory (the peer pytorch-tuned)",
    )
    parser.add_argument("--no-peak", action="store_true", help="do not compile and run the peak program")
    parser.add_argument("--output", type=Path, metavar="STEM", help="write STEM.json and STEM.md")
    return parser


def _peers(options: argparse.Namespace) -> dict[str, Peer]:
    chosen = set(options.peers or PEERS.keys() - {"pytorch-tuned"})
    if options.tuned_allocator:
        chosen.add("pytorch-tuned")
    return {name: peer for name, peer in PEERS.items() if name in chosen}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
