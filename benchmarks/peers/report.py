"""A run as JSON for programs and as Markdown tables for people."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.peers.registry import OURS, PEERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from benchmarks.peers.cases import Operation
    from benchmarks.peers.machine import Commit, Machine
    from benchmarks.peers.measure import Cell, Outcome, Plan

#: Version of the JSON layout; goes up when a field changes its meaning.
SCHEMA = 1

_TITLES: dict[Operation, str] = {
    "forward": "Inference: forward over the whole sequence",
    "training": "Training step: forward and BPTT of weights, inputs and states, no optimiser",
    "fit": "Estimator fit",
}
#: Unit of the tables of an operation, and its length in seconds.
_UNITS: dict[Operation, tuple[str, float]] = {"forward": ("ms", 1e-3), "training": ("ms", 1e-3), "fit": ("s", 1.0)}


@dataclass(frozen=True)
class Run:
    """Everything that is written down about one run."""

    date: str  # ISO 8601, UTC
    commit: Commit
    machine: Machine
    plan: Plan
    outcome: Outcome


def to_document(run: Run) -> dict[str, Any]:
    """Turn the run into JSON objects; times in seconds."""
    outcome = run.outcome
    return {
        "schema": SCHEMA,
        "date": run.date,
        "commit": asdict(run.commit),
        "machine": asdict(run.machine),
        "plan": asdict(run.plan),
        "peers": {
            peer: {"label": PEERS[peer].label, "environment": PEERS[peer].environment, "versions": versions}
            for peer, versions in outcome.versions.items()
        },
        "missing": outcome.missing,
        "cells": [
            asdict(cell) | {"name": cell.case.name, "n_flops": cell.case.n_flops(cell.operation)}
            for cell in outcome.cells
        ],
    }


def write(run: Run, stem: Path) -> list[Path]:
    """Write ``stem``.json and ``stem``.md; return their paths."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    texts = {".json": json.dumps(to_document(run), indent=1) + "\n", ".md": to_markdown(run)}
    paths = []
    for suffix, text in texts.items():
        path = stem.with_name(stem.name + suffix)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def to_markdown(run: Run) -> str:
    """Turn the run into tables: times of each operation and number of threads, ratios summed up, gain from threads."""
    blocks = [_heading(run)]
    for operation in run.plan.operations:
        for threads in run.plan.threads:
            cells = [c for c in run.outcome.cells if (c.operation, c.threads) == (operation, threads)]
            blocks += _times(operation, threads, cells)
    blocks += _summary(run)
    blocks += _scaling(run)
    failures = [
        f"- {PEERS[peer].label}, {c.operation} ({c.case.name}), {_threads(c.threads)}: {reason}"
        for c in run.outcome.cells
        for peer, reason in c.failures.items()
    ]
    if failures:
        blocks += ["## Failures\n", "\n".join(failures) + "\n"]
    return "\n".join(blocks)


def _heading(run: Run) -> str:
    machine, commit = run.machine, run.commit
    state = " with changes" if commit.modified else ""
    lines = [
        "# pylstm beside its peers\n",
        f"{run.date}, commit {commit.hash or 'unknown'}{state}, {run.plan.dtype}. "
        f"{machine.processor}, {machine.n_cpus} CPUs, "
        f"{', '.join(machine.vector_extensions) or 'no known vector extension'}; {machine.system}; "
        f"Python {machine.python}, NumPy {machine.numpy}.\n",
    ]
    for peer, versions in run.outcome.versions.items():
        shown = ", ".join(f"{name} {version}" for name, version in versions.items())
        environment = "".join(f", {name}={value}" for name, value in PEERS[peer].environment.items())
        lines.append(f"- {PEERS[peer].label}: {shown}{environment}")
    lines += [f"- {PEERS[peer].label}: skipped ({reason})" for peer, reason in run.outcome.missing.items()]
    lines.append(
        "\nMedians of calls from Python, all contenders taking turns. `2.00x`: the peer takes twice as long as pylstm. "
        "In brackets: share of the fused-multiply-add peak measured in between. "
        "`~`: the rounds differ, their middle half spreads over more than a quarter of the median. "
        "`(!)`: other processes kept more than a tenth of a CPU busy meanwhile. "
        "Faults: minor page faults per call, in the order of the columns.\n"
    )
    return "\n".join(lines)


def _times(operation: Operation, threads: int, cells: Sequence[Cell]) -> list[str]:
    peers = _peers_in(cells)
    if not peers:
        return []
    unit, unit_s = _UNITS[operation]
    peaks = [c.peak_gflops for c in cells if c.peak_gflops is not None]
    peak = f", peak {min(peaks):.0f} to {max(peaks):.0f} GFLOP/s" if peaks else ""
    what = "windows" if operation == "fit" else "T, B, I, H"
    rows = []
    for cell in cells:
        entries = [_entry(cell, peer, unit_s) for peer in peers]
        faults = " / ".join(_faults(cell, peer) for peer in peers)
        rows.append([cell.case.name + " (!)" * cell.is_disturbed, *entries, faults])
    return [
        f"## {_TITLES[operation]}, {_threads(threads)}: {unit}{peak}\n",
        _table([what, *(PEERS[peer].label for peer in peers), "faults"], rows),
    ]


def _entry(cell: Cell, peer: str, unit_s: float) -> str:
    measurement = cell.measurements.get(peer)
    if measurement is None:
        return "failed" if peer in cell.failures else ""
    text = "~" * measurement.is_restless + _significant(measurement.seconds / unit_s)
    ratio = _ratio(cell, peer)
    if ratio is not None and peer != OURS:
        text += f", {ratio:.2f}x"
    if cell.peak_gflops is not None:
        share = cell.case.n_flops(cell.operation) / measurement.seconds / (cell.peak_gflops * 1e9)
        text += f" ({100 * share:.0f} %)"
    return text


def _faults(cell: Cell, peer: str) -> str:
    measurement = cell.measurements.get(peer)
    if measurement is None or measurement.minor_faults is None:
        return "-"
    return _significant(measurement.minor_faults)


def _summary(run: Run) -> list[str]:
    """For each peer the smallest ratio and the geometric mean, and where pylstm is the slower one."""
    rows = []
    for operation in run.plan.operations:
        for threads in run.plan.threads:
            cells = [c for c in run.outcome.cells if (c.operation, c.threads) == (operation, threads)]
            for peer in _peers_in(cells):
                ratios = {c.case.name: r for c in cells if peer != OURS and (r := _ratio(c, peer)) is not None}
                if not ratios:
                    continue
                worst = min(ratios, key=ratios.__getitem__)
                mean = math.exp(math.fsum(map(math.log, ratios.values())) / len(ratios))
                slower = [f"({name}) {ratio:.2f}x" for name, ratio in ratios.items() if ratio < 1]
                rows.append(
                    [
                        f"{operation}, {_threads(threads)}",
                        PEERS[peer].label,
                        f"{mean:.2f}x" + " (!)" * any(c.is_disturbed for c in cells),
                        f"{ratios[worst]:.2f}x at ({worst})",
                        "; ".join(slower) or "nowhere",
                    ]
                )
    if not rows:
        return []
    header = ["operation", "peer", "geometric mean", "smallest ratio", "pylstm is slower at"]
    return ["## Ratios, peer / pylstm\n", _table(header, rows)]


def _scaling(run: Run) -> list[str]:
    """Time with one thread over time with more, for every contender that ran both."""
    single = {(c.operation, c.case.name): c for c in run.outcome.cells if c.threads == 1}
    more = [c for c in run.outcome.cells if c.threads > 1 and (c.operation, c.case.name) in single]
    peers = _peers_in(more)
    rows = []
    for cell in more:
        base = single[cell.operation, cell.case.name]
        entries = [
            f"{base.measurements[peer].seconds / cell.measurements[peer].seconds:.2f}x"
            if peer in base.measurements and peer in cell.measurements
            else ""
            for peer in peers
        ]
        rows.append([f"{cell.operation} ({cell.case.name})", str(cell.threads), *entries])
    if not rows or not peers:
        return []
    return ["## Gain from threads over one thread\n", _table(["", "threads", *(PEERS[p].label for p in peers)], rows)]


def _ratio(cell: Cell, peer: str) -> float | None:
    if OURS not in cell.measurements or peer not in cell.measurements:
        return None
    return cell.measurements[peer].seconds / cell.measurements[OURS].seconds


def _peers_in(cells: Iterable[Cell]) -> list[str]:
    """Peers with a time or a failure in any of ``cells``, in the order of the registry."""
    seen = {peer for cell in cells for peer in (*cell.measurements, *cell.failures)}
    return [peer for peer in PEERS if peer in seen]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _significant(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def _threads(n: int) -> str:
    return "1 thread" if n == 1 else f"{n} threads"
