"""Command line of the comparison: ``python -m benchmarks.peers``, from the project's root."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.cases import (
    FIT_GRID,
    OPERATIONS,
    QUICK_FIT_GRID,
    SEQUENCE_GRID,
    SequenceCase,
    parse_sequence_case,
)
from benchmarks.peers.machine import PeakProgram, describe_commit, describe_machine
from benchmarks.peers.measure import PROJECT_ROOT, Plan, run
from benchmarks.peers.registry import PEERS
from benchmarks.peers.report import Run, to_markdown, write

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = PROJECT_ROOT / "benchmarks" / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; 1 if a contender failed or computed something else, otherwise 0."""
    options = _parser().parse_args(arguments)
    now = datetime.now(UTC)
    commit = describe_commit(PROJECT_ROOT)
    plan = _plan(options)
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
    parser.add_argument("--threads", type=_positive, nargs="+", default=[1, 2], metavar="N", help="default: 1 2")
    parser.add_argument(
        "--grid",
        type=_cell,
        nargs="+",
        default=SEQUENCE_GRID,
        metavar="T,B,I,H",
        help="cells for forward and training: steps, batch, inputs, hidden (default: the ten of README.md)",
    )
    parser.add_argument("--only", choices=OPERATIONS, nargs="+", default=OPERATIONS, help="default: all three")
    parser.add_argument("--peers", choices=PEERS, nargs="+", help="default: all but pytorch-tuned")
    parser.add_argument(
        "--tuned-allocator",
        action="store_true",
        help="also measure PyTorch with glibc told to keep freed memory (the peer pytorch-tuned)",
    )
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--quick", action="store_true", help="less time in each cell and a small fit: a rough picture")
    parser.add_argument("--no-peak", action="store_true", help="do not compile and run the peak program")
    parser.add_argument("--output", type=Path, metavar="STEM", help="write STEM.json and STEM.md")
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    peers = list(options.peers or [peer for peer in PEERS if peer != "pytorch-tuned"])
    if options.tuned_allocator and "pytorch-tuned" not in peers:
        peers.append("pytorch-tuned")
    plan = Plan(
        operations=[operation for operation in OPERATIONS if operation in options.only],
        sequence_cases=options.grid,
        fit_cases=QUICK_FIT_GRID if options.quick else FIT_GRID,
        threads=sorted(set(options.threads)),
        peers=[peer for peer in PEERS if peer in peers],
        dtype=options.dtype,
    )
    return replace(plan, budget_s=0.2, min_rounds=3, min_fit_rounds=2) if options.quick else plan


def _cell(text: str) -> SequenceCase:
    try:
        return parse_sequence_case(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"number of threads is {text!r}, expected a positive integer"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
