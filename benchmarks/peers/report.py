"""A run as JSON for programs and as Markdown tables for people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.peers.cases import RaggedCase
from benchmarks.peers.text import geometric_mean, significant, table, thread_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.peers.cases import Operation
    from benchmarks.peers.machine import Commit, Machine
    from benchmarks.peers.measure import Cell, Outcome, Plan
    from benchmarks.peers.registry import Peer

#: Version of the JSON layout; goes up when a field changes its meaning.
SCHEMA = 2


@dataclass(frozen=True)
class _Style:
    """How the tables of one operation look: title, heading of the first column, unit and its length in seconds."""

    title: str
    what: str
    unit: str
    unit_s: float


_STYLES: dict[Operation, _Style] = {
    "forward": _Style("Inference: forward over the whole sequence", "T, B, I, H", "ms", 1e-3),
    "training": _Style(
        "Training step: forward and BPTT of weights, inputs and states, no optimiser", "T, B, I, H", "ms", 1e-3
    ),
    "ragged": _Style("Training step on sequences of 1 to T steps, uniform", "T, B, I, H", "ms", 1e-3),
    "gru_forward": _Style("GRU, inference", "T, B, I, H", "ms", 1e-3),
    "gru_training": _Style("GRU, training step", "T, B, I, H", "ms", 1e-3),
    "step": _Style("One time step of one sequence, a call from Python each", "I, H", "µs", 1e-6),
    "fit": _Style("Estimator fit", "windows", "s", 1.0),
    "predict": _Style("Estimator predict", "windows", "ms", 1e-3),
}


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
        "plan": asdict(run.plan) | {"peers": list(run.plan.peers)},
        "peers": {
            name: {
                "label": run.plan.peers[name].label,
                "environment": run.plan.peers[name].environment,
                "versions": versions,
            }
            for name, versions in outcome.versions.items()
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
    blocks = [heading(run)]
    for operation in run.plan.cases:
        for threads in run.plan.threads_for(operation):
            blocks += _times(run.plan, operation, threads, run.outcome.cells)
    blocks += _ragged_cost(run)
    blocks += _summary(run)
    blocks += _gain(run)
    failures = [
        f"- {run.plan.peers[name].label}, {c.operation} ({c.case.name}), {thread_count(c.threads)}: {reason}"
        for c in run.outcome.cells
        for name, reason in c.failures.items()
    ]
    if failures:
        blocks += ["## Failures\n", "\n".join(failures) + "\n"]
    return "\n".join(blocks)


def heading(run: Run) -> str:
    """Say who took part where and when, and how to read the tables."""
    machine, commit, peers = run.machine, run.commit, run.plan.peers
    state = " with changes" if commit.modified else ""
    lines = [
        f"# {', '.join(peers[name].label for name in run.outcome.versions)}\n",
        f"{run.date}, commit {commit.hash or 'unknown'}{state}, {run.plan.dtype}. "
        f"{machine.processor}, {machine.n_cpus} CPUs, "
        f"{', '.join(machine.vector_extensions) or 'no known vector extension'}; {machine.system}; "
        f"Python {machine.python}, NumPy {machine.numpy}.\n",
    ]
    for name, versions in run.outcome.versions.items():
        shown = ", ".join(f"{library} {version}" for library, version in versions.items())
        environment = "".join(f", {variable}={value}" for variable, value in peers[name].environment.items())
        lines.append(f"- {peers[name].label}: {shown}{environment}")
    lines += [f"- {peers[name].label}: skipped ({reason})" for name, reason in run.outcome.missing.items()]
    lines.append(
        f"\nMedians of calls from Python, all contenders taking turns. `2.00x`: takes twice as long as "
        f"{peers[run.plan.baseline].label if run.plan.baseline in peers else run.plan.baseline}. "
        "In brackets: share of the fused-multiply-add peak measured in between. "
        "`~`: the rounds differ, their middle half spreads over more than a quarter of the median. "
        "`(!)`: other processes kept more than a tenth of a CPU busy meanwhile. "
        "Faults: minor page faults per operation, in the order of the columns.\n"
    )
    return "\n".join(lines)


def _times(plan: Plan, operation: Operation, threads: int, all_cells: Sequence[Cell]) -> list[str]:
    cells = [c for c in all_cells if (c.operation, c.threads) == (operation, threads)]
    names = _names_in(cells, plan.peers)
    if not names:
        return []
    style = _STYLES[operation]
    peaks = [c.peak_gflops for c in cells if c.peak_gflops is not None]
    peak = f", peak {min(peaks):.0f} to {max(peaks):.0f} GFLOP/s" if peaks else ""
    rows = []
    for cell in cells:
        entries = [entry(cell, name, plan.baseline, style.unit_s) for name in names]
        faults = " / ".join(_faults(cell, name) for name in names)
        rows.append([cell.case.name + " (!)" * cell.is_disturbed, *entries, faults])
    return [
        f"## {style.title}, {thread_count(threads)}: {style.unit}{peak}\n",
        table([style.what, *(plan.peers[name].label for name in names), "faults"], rows),
    ]


def entry(cell: Cell, name: str, baseline: str, unit_s: float) -> str:
    """Write one contender's time in a cell in units of ``unit_s``, its ratio to the baseline, its share of the peak."""
    measurement = cell.measurements.get(name)
    if measurement is None:
        return "failed" if name in cell.failures else ""
    text = "~" * measurement.is_restless + significant(measurement.seconds / unit_s)
    ratio = _ratio(cell, name, baseline)
    if ratio is not None and name != baseline:
        text += f", {ratio:.2f}x"
    if cell.peak_gflops is not None:
        share = cell.case.n_flops(cell.operation) / measurement.seconds / (cell.peak_gflops * 1e9)
        text += f" ({100 * share:.0f} %)"
    return text


def _faults(cell: Cell, name: str) -> str:
    measurement = cell.measurements.get(name)
    if measurement is None or measurement.minor_faults is None:
        return "-"
    return significant(measurement.minor_faults)


def _ragged_cost(run: Run) -> list[str]:
    """Time of a ragged training step over that of the padded one, the latter scaled to the real steps."""
    padded = {(c.case.name, c.threads): c for c in run.outcome.cells if c.operation == "training"}
    ragged = [c for c in run.outcome.cells if c.operation == "ragged" and (c.case.name, c.threads) in padded]
    names = _names_in(ragged, run.plan.peers)
    rows = []
    for cell in ragged:
        assert isinstance(cell.case, RaggedCase)
        full = padded[cell.case.name, cell.threads]
        entries = [
            f"{cell.measurements[name].seconds / (cell.case.real_share * full.measurements[name].seconds):.2f}x"
            if name in cell.measurements and name in full.measurements
            else ""
            for name in names
        ]
        rows.append([cell.case.name, str(cell.threads), f"{100 * cell.case.real_share:.0f} %", *entries])
    if not rows:
        return []
    header = [_STYLES["ragged"].what, "threads", "real steps", *(run.plan.peers[name].label for name in names)]
    return ["## Cost of a real step, ragged over full batch\n", table(header, rows)]


def _summary(run: Run) -> list[str]:
    """For each peer the smallest ratio and the geometric mean, and where the baseline is the slower one."""
    plan = run.plan
    rows = []
    for operation in plan.cases:
        for threads in plan.threads_for(operation):
            cells = [c for c in run.outcome.cells if (c.operation, c.threads) == (operation, threads)]
            for name in _others(plan):
                ratios = {c.case.name: r for c in cells if (r := _ratio(c, name, plan.baseline)) is not None}
                if not ratios:
                    continue
                worst = min(ratios, key=ratios.__getitem__)
                slower = [f"({case}) {ratio:.2f}x" for case, ratio in ratios.items() if ratio < 1]
                rows.append(
                    [
                        f"{operation}, {thread_count(threads)}",
                        plan.peers[name].label,
                        f"{geometric_mean(ratios.values()):.2f}x" + " (!)" * any(c.is_disturbed for c in cells),
                        f"{ratios[worst]:.2f}x at ({worst})",
                        "; ".join(slower) or "nowhere",
                    ]
                )
    if not rows:
        return []
    baseline = plan.peers[plan.baseline].label
    header = ["operation", "peer", "geometric mean", "smallest ratio", f"{baseline} is slower at"]
    return [f"## Ratios, peer / {baseline}\n", table(header, rows)]


def _gain(run: Run) -> list[str]:
    """Time with one thread over time with more, for every contender that ran both."""
    single = {(c.operation, c.case.name): c for c in run.outcome.cells if c.threads == 1}
    more = [c for c in run.outcome.cells if c.threads > 1 and (c.operation, c.case.name) in single]
    names = _names_in(more, run.plan.peers)
    rows = []
    for cell in more:
        base = single[cell.operation, cell.case.name]
        entries = [
            f"{base.measurements[name].seconds / cell.measurements[name].seconds:.2f}x"
            if name in base.measurements and name in cell.measurements
            else ""
            for name in names
        ]
        rows.append([f"{cell.operation} ({cell.case.name})", str(cell.threads), *entries])
    if not rows or not names:
        return []
    header = ["", "threads", *(run.plan.peers[name].label for name in names)]
    return ["## Gain from threads over one thread\n", table(header, rows)]


def _ratio(cell: Cell, name: str, baseline: str) -> float | None:
    if baseline not in cell.measurements or name not in cell.measurements:
        return None
    return cell.measurements[name].seconds / cell.measurements[baseline].seconds


def _others(plan: Plan) -> list[str]:
    return [name for name in plan.peers if name != plan.baseline]


def _names_in(cells: Iterable[Cell], peers: Mapping[str, Peer]) -> list[str]:
    """Peers with a time or a failure in any of ``cells``, in the order of the plan."""
    seen = {name for cell in cells for name in (*cell.measurements, *cell.failures)}
    return [name for name in peers if name in seen]
