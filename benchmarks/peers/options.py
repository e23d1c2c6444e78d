"""The options that say what to measure, for every program that measures."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from benchmarks.peers.cases import (
    GRIDS,
    OPERATIONS,
    QUICK_GRIDS,
    GRUCase,
    RaggedCase,
    SequenceCase,
    parse_sequence_case,
)
from benchmarks.peers.measure import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.peers.cases import Case, Operation
    from benchmarks.peers.registry import Peer


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `make_plan` reads."""
    parser.add_argument("--threads", type=positive, nargs="+", default=[1, 2], metavar="N", help="default: 1 2")
    parser.add_argument(
        "--grid",
        type=sequence_case,
        nargs="+",
        metavar="T,B,I,H",
        help="cells for all but step, fit and predict: steps, batch, inputs, hidden (default: those of README.md)",
    )
    parser.add_argument(
        "--only",
        choices=OPERATIONS,
        nargs="+",
        default=OPERATIONS,
        metavar="OPERATION",
        help=f"some of {', '.join(OPERATIONS)} (default: all)",
    )
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--quick", action="store_true", help="fewer cells, less time in each: a rough picture")


def make_plan(options: argparse.Namespace, peers: Mapping[str, Peer], *, baseline: str) -> Plan:
    """Turn the options into a plan for ``peers``."""
    grids = QUICK_GRIDS if options.quick else GRIDS
    cases: dict[Operation, tuple[Case, ...]] = {
        operation: grids[operation] for operation in OPERATIONS if operation in options.only
    }
    if options.grid:
        given = {
            "forward": tuple(options.grid),
            "training": tuple(options.grid),
            "ragged": tuple(RaggedCase(**asdict(case)) for case in options.grid),
            "gru_forward": tuple(GRUCase(**asdict(case)) for case in options.grid),
            "gru_training": tuple(GRUCase(**asdict(case)) for case in options.grid),
        }
        cases |= {operation: given[operation] for operation in cases if operation in given}
    plan = Plan(cases=cases, threads=sorted(set(options.threads)), peers=peers, dtype=options.dtype, baseline=baseline)
    return quick(plan) if options.quick else plan


def quick(plan: Plan) -> Plan:
    """Return ``plan`` with less time in each cell."""
    return replace(plan, budget_s=0.2, min_rounds=3, min_fit_rounds=2)


def sequence_case(text: str) -> SequenceCase:
    """Read T,B,I,H for argparse."""
    try:
        return parse_sequence_case(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def positive(text: str) -> int:
    """Read a positive integer for argparse."""
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r} is not a positive integer"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
