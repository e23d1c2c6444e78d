"""Runs the contenders: has their results judged, lets them take turns, keeps the medians."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.agreement import Judge
from benchmarks.peers.machine import busy_cpu_seconds
from benchmarks.peers.registry import OURS, process_environment
from benchmarks.peers.text import significant, thread_count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from benchmarks.peers.cases import Case, Dtype, Operation
    from benchmarks.peers.machine import PeakProgram
    from benchmarks.peers.registry import Peer

#: Threads of a library may go on spinning after a call (ONNX Runtime's for up to 10 ms); everyone waits this long
#: (seconds) before the next turn.
SETTLE_S = 0.015


@dataclass(frozen=True)
class Plan:
    """What to measure, with whom and how long.

    ``budget_s`` is the time for one contender in one cell; the number of rounds stays between the two bounds even so.
    """

    cases: Mapping[Operation, Sequence[Case]]
    threads: Sequence[int]
    peers: Mapping[str, Peer]
    dtype: Dtype = "float32"
    baseline: str = OURS  # the peer that the ratios refer to
    budget_s: float = 1.5
    min_rounds: int = 5
    min_fit_rounds: int = 3
    max_rounds: int = 15

    def threads_for(self, operation: Operation) -> Sequence[int]:
        """Return the numbers of threads; of single steps the smallest only: there is nothing to share out."""
        return self.threads[:1] if operation == "step" else self.threads


@dataclass(frozen=True)
class Measurement:
    """One contender in one cell.

    Seconds are those of one operation; statistics are over rounds, of each round's median call.
    """

    seconds: float  # median
    best_s: float  # shortest single call
    quartiles_s: tuple[float, float]
    n_rounds: int
    n_calls: int
    minor_faults: float | None  # of one operation, median over rounds; None where the system does not count them
    cpus: float  # that it kept busy, mean
    deviation: float  # see `agreement.Judge`

    @property
    def is_restless(self) -> bool:
        """Whether the middle half of the rounds spreads over more than a quarter of the median."""
        low, high = self.quartiles_s
        return high - low > 0.25 * self.seconds


@dataclass
class Cell:
    """One operation on one case with one number of threads: who took how long."""

    operation: Operation
    case: Case
    threads: int
    measurements: dict[str, Measurement] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    peak_gflops: float | None = None  # of all threads together, best of the rounds
    foreign_cpus: float | None = None  # CPUs busy with anything else during the turns, mean

    @property
    def is_disturbed(self) -> bool:
        """Whether something else had more than a tenth of a CPU."""
        return self.foreign_cpus is not None and self.foreign_cpus > 0.1


@dataclass
class Outcome:
    """All cells of a run, what each peer is, and the peers that were left out with the reason."""

    cells: list[Cell] = field(default_factory=list)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


class Contender:
    """One peer with one number of threads, in a process of its own (a context manager)."""

    def __init__(self, name: str, peer: Peer, n_threads: int) -> None:
        self.name = name
        self.label = peer.label
        self.n_threads = n_threads
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "benchmarks.peers.worker", peer.module, str(n_threads)],
            env=process_environment(peer, n_threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Contender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        self._process.communicate()

    def greeting(self) -> dict[str, Any]:
        """Wait for the line that the worker sends once its library is imported."""
        return self._receive()

    def ask(self, command: str, **request: Any) -> dict[str, Any]:
        """Return the worker's answer; ``{"failed": reason}`` also when its process has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"command": command, **request}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            return {"failed": f"its process ended with status {self._process.wait()}"}
        answer: dict[str, Any] = json.loads(line)
        return answer


def run(plan: Plan, *, peak: PeakProgram | None = None, report: Callable[[str], None]) -> Outcome:
    """Measure everything in ``plan``; ``report`` gets one line for each thing done."""
    outcome = Outcome()
    with ExitStack() as stack:
        contenders = _start(plan, outcome, stack, report)
        results_folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for operation, cases in plan.cases.items():
            threads = plan.threads_for(operation)
            for case in cases:
                cells = {n: Cell(operation, case, n) for n in threads}
                _measure_case(plan, cells, [c for c in contenders if c.n_threads in threads], peak, results_folder)
                outcome.cells += cells.values()
                for cell in cells.values():
                    report(_progress_line(cell, plan.peers))
    return outcome


def _start(plan: Plan, outcome: Outcome, stack: ExitStack, report: Callable[[str], None]) -> list[Contender]:
    started = [stack.enter_context(Contender(name, peer, n)) for name, peer in plan.peers.items() for n in plan.threads]
    present = []
    for contender in started:
        greeting = contender.greeting()
        if "versions" in greeting:
            outcome.versions[contender.name] = greeting["versions"]
            present.append(contender)
        elif contender.name not in outcome.missing:
            reason = greeting.get("missing") or greeting["failed"]
            outcome.missing[contender.name] = reason
            report(f"skipped: {contender.label}: {reason}")
    return present


def _measure_case(
    plan: Plan,
    cells: Mapping[int, Cell],
    contenders: Sequence[Contender],
    peak: PeakProgram | None,
    results_folder: Path,
) -> None:
    """Fill in ``cells`` (one for each number of threads) for one operation on one case."""
    operation, case = next((cell.operation, cell.case) for cell in cells.values())
    judge = Judge(operation, case, plan.dtype)
    estimates: dict[Contender, float] = {}
    deviations: dict[Contender, float] = {}
    for contender in contenders:
        results_file = results_folder / "results.npz"
        answer = contender.ask(
            "prepare", operation=operation, case=asdict(case), dtype=plan.dtype, results_file=str(results_file)
        )
        if "failed" in answer:
            cells[contender.n_threads].failures[contender.name] = answer["failed"]
        elif "estimate_s" in answer:
            with np.load(results_file) as results:
                deviations[contender] = judge.deviation(results)
            if deviations[contender] <= judge.bound:
                estimates[contender] = answer["estimate_s"]
            else:
                cells[contender.n_threads].failures[contender.name] = judge.complaint(deviations[contender])
    del judge

    turns = _take_turns(plan, operation, estimates, cells, peak)
    for contender, answers in turns.items():
        medians = [answer["median_s"] for answer in answers]
        faults = [answer["minor_faults"] for answer in answers]
        low, high = np.quantile(medians, [0.25, 0.75])
        cells[contender.n_threads].measurements[contender.name] = Measurement(
            seconds=statistics.median(medians),
            best_s=min(answer["best_s"] for answer in answers),
            quartiles_s=(float(low), float(high)),
            n_rounds=len(answers),
            n_calls=sum(answer["n_calls"] for answer in answers),
            minor_faults=None if None in faults else statistics.median(faults),
            cpus=math.fsum(answer["cpu_s"] for answer in answers) / math.fsum(answer["wall_s"] for answer in answers),
            deviation=deviations[contender],
        )
    for contender in contenders:
        contender.ask("release")


def _take_turns(
    plan: Plan,
    operation: Operation,
    estimates: Mapping[Contender, float],
    cells: Mapping[int, Cell],
    peak: PeakProgram | None,
) -> dict[Contender, list[dict[str, Any]]]:
    """Collect each contender's answers, one for each round; the order moves on by one place in every round."""
    if not estimates:
        return {}
    min_rounds = plan.min_fit_rounds if operation == "fit" else plan.min_rounds
    n_rounds = int(min(max(plan.budget_s / max(estimates.values()), min_rounds), plan.max_rounds))
    order = list(estimates)
    turns: dict[Contender, list[dict[str, Any]]] = defaultdict(list)
    peaks: dict[int, list[float]] = defaultdict(list)
    foreign: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for r in range(n_rounds):
        if peak is not None:
            for n_threads in cells:
                peaks[n_threads].append(peak.gflops(n_threads, plan.dtype))
        for k in range(len(order)):
            contender = order[(r + k) % len(order)]
            if contender.name in cells[contender.n_threads].failures:
                continue
            time.sleep(SETTLE_S)
            n_calls = max(1, int(plan.budget_s / n_rounds / estimates[contender]))
            meter = _ForeignWork(foreign[contender.n_threads])
            answer = contender.ask("turn", n_calls=n_calls)
            meter.stop(answer.get("turn_cpu_s", 0.0))
            if "failed" in answer:
                cells[contender.n_threads].failures[contender.name] = answer["failed"]
                turns.pop(contender, None)
            else:
                turns[contender].append(answer | {"n_calls": n_calls})
    for n_threads, cell in cells.items():
        cell.peak_gflops = max(peaks[n_threads], default=None)
        if foreign[n_threads]:
            foreign_s, wall_s = map(math.fsum, zip(*foreign[n_threads], strict=True))
            cell.foreign_cpus = max(0.0, foreign_s / wall_s)
    return turns


class _ForeignWork:
    """Appends to ``record``, for one turn, the CPU time that did not go to the contender, and the turn's length."""

    def __init__(self, record: list[tuple[float, float]]) -> None:
        self._record = record
        self._busy_s = busy_cpu_seconds()
        self._began_s = time.perf_counter()

    def stop(self, contender_s: float) -> None:
        wall_s = time.perf_counter() - self._began_s
        busy_s = busy_cpu_seconds()
        if self._busy_s is not None and busy_s is not None:
            self._record.append((busy_s - self._busy_s - contender_s, wall_s))


def _progress_line(cell: Cell, peers: Mapping[str, Peer]) -> str:
    times = [f"{peers[name].label} {significant(m.seconds * 1e3)} ms" for name, m in cell.measurements.items()]
    failures = [f"{peers[name].label} FAILED ({reason})" for name, reason in cell.failures.items()]
    entries = "; ".join(times + failures) or "nobody took part"
    return f"{cell.operation} ({cell.case.name}), {thread_count(cell.threads)}: {entries}"
