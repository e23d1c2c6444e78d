"""Command line of the sweeps: ``python -m benchmarks.scaling``, from the project's root."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.cases import SequenceCase
from benchmarks.peers.machine import describe_commit, describe_machine
from benchmarks.peers.measure import Outcome, Plan, run
from benchmarks.peers.options import positive, quick, sequence_case
from benchmarks.peers.registry import OURS, PEERS, PROJECT_ROOT
from benchmarks.peers.report import Run
from benchmarks.scaling.memory import measure_memory
from benchmarks.scaling.report import Scaling, to_markdown, write

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = PROJECT_ROOT / "benchmarks" / "results"

#: What each size of the base is multiplied by, the other sizes staying as they are.
FACTORS = {
    "n_steps": (1 / 4, 1 / 2, 2, 4),
    "n_samples": (1 / 64, 1 / 16, 1 / 4, 4),
    "hidden_size": (1 / 4, 1 / 2, 2, 4),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; 1 if a contender failed or computed something else, otherwise 0."""
    options = _parser().parse_args(arguments)
    now = datetime.now(UTC)
    commit, machine = describe_commit(PROJECT_ROOT), describe_machine()
    base_plan = Plan(
        cases={"training": [options.base]},
        threads=_thread_counts(options.max_threads or machine.n_cpus),
        peers={name: PEERS[name] for name in options.peers},
        dtype=options.dtype,
    )
    if options.quick:
        base_plan = quick(base_plan)
    sizes_plan = replace(base_plan, cases={"training": _varied(options.base)}, threads=[1])
    outcomes = [run(plan, report=_say) for plan in (base_plan, sizes_plan)]
    outcome = Outcome([c for o in outcomes for c in o.cells], outcomes[0].versions, outcomes[0].missing)

    memory = {}
    for name in outcome.versions:
        try:
            memory[name] = measure_memory(PEERS[name], options.memory, options.dtype)
        except RuntimeError as error:
            _say(f"skipped: {error}")

    result = Scaling(
        Run(now.isoformat(timespec="seconds"), commit, machine, base_plan, outcome),
        options.base,
        options.memory,
        memory,
    )
    print(to_markdown(result))
    stem = (
        options.output or RESULTS / f"scaling-{now:%Y-%m-%d}-{commit.hash or 'uncommitted'}{'-quick' * options.quick}"
    )
    for path in write(result, stem):
        _say(f"wrote {path}")
    return int(any(cell.failures for cell in outcome.cells))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument(
        "--base",
        type=sequence_case,
        default=SequenceCase(100, 64, 16, 128),
        metavar="T,B,I,H",
        help="default: 100,64,16,128",
    )
    parser.add_argument(
        "--memory",
        type=sequence_case,
        default=SequenceCase(64, 128, 128, 512),
        metavar="T,B,I,H",
        help="case whose memory is measured (default: 64,128,128,512)",
    )
    parser.add_argument("--max-threads", type=positive, metavar="N", help="default: the number of CPUs")
    parser.add_argument(
        "--peers", choices=PEERS, nargs="+", default=[OURS, "pytorch"], metavar="PEER", help="default: pylstm pytorch"
    )
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--quick", action="store_true", help="less time for each size: a rough picture")
    parser.add_argument("--output", type=Path, metavar="STEM", help="write STEM.json, STEM.md and STEM.png")
    return parser


def _varied(base: SequenceCase) -> list[SequenceCase]:
    """Return the cases that differ from ``base`` in one size."""
    cases = {
        replace(base, **{name: max(1, round(factor * asdict(base)[name]))})
        for name, factors in FACTORS.items()
        for factor in factors
    }
    return sorted(cases - {base}, key=lambda case: tuple(asdict(case).values()))


def _thread_counts(most: int) -> list[int]:
    """Return the powers of two up to ``most``, and ``most``."""
    return sorted({most, *(1 << k for k in range(most.bit_length()))})


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
