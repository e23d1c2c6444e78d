"""One contender in a process of its own: answers requests of `measure.Contender`, one JSON object per line.

A process each keeps thread pools, allocator settings and page-fault counts of the contenders apart; only one of them
works at a time.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from typing import Any

import numpy as np

from benchmarks.peers.cases import CASE_TYPES
from benchmarks.peers.registry import Action, Adapter, make_action, make_adapter

#: The time of one call is estimated from the last of the calls that fit in this time (seconds).
ESTIMATE_S = 0.05
#: Before a turn one call goes untimed, unless it lasts longer than this (seconds): waking threads and caches then cost
#: less than one percent of it.
WARM_UP_BELOW_S = 0.1


def serve(module: str, n_threads: int) -> None:
    """Answer requests from standard input until it ends.

    The first line sent is ``{"versions": ...}`` or ``{"missing": reason}``.  Every later line answers one request
    with its result or ``{"failed": reason}``.
    """
    # Libraries may print; replies go through a private copy of standard output.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    try:
        adapter = make_adapter(module, n_threads)
        greeting = {"versions": adapter.versions()}
    except Exception as error:  # a library may be broken rather than absent
        reply({"missing": str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"})
        return
    reply(greeting)

    gc.disable()
    worker = _Worker(adapter)
    for line in sys.stdin:
        try:
            reply(worker.answer(json.loads(line)))
        except Exception as error:  # a broken contender must not end the run of the others
            reply({"failed": f"{type(error).__name__}: {error}"})


class _Worker:
    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._action: Action | None = None
        self._estimate_s = 0.0

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["command"] == "prepare":
            return self._prepare(request)
        if request["command"] == "turn":
            return self._turn(request["n_calls"])
        self._action = None
        gc.collect()
        return {"released": True}

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        """Set the case up, save what it computes, estimate the time of a call."""
        operation = request["operation"]
        case = CASE_TYPES[operation](**request["case"])
        self._action = make_action(self._adapter, operation, case, request["dtype"])
        if self._action is None:
            return {"unsupported": True}

        began = time.perf_counter()
        results = self._action.results()
        self._estimate_s = time.perf_counter() - began
        np.savez(request["results_file"], allow_pickle=False, **results)
        del results
        gc.collect()
        spent = self._estimate_s if operation == "fit" else 0.0
        while spent < ESTIMATE_S:
            self._estimate_s = _seconds(self._action)
            spent += self._estimate_s
        return {"estimate_s": self._estimate_s}

    def _turn(self, n_calls: int) -> dict[str, Any]:
        """Time ``n_calls`` calls: the median and the shortest in seconds, minor page faults; each per operation.

        ``turn_cpu_s`` is of the whole turn; ``cpu_s`` and ``wall_s`` are without the collection of garbage at its end,
        a quarter of a short turn once PyTorch is imported.
        """
        action = self._action
        if action is None:
            msg = "no case is prepared"
            raise RuntimeError(msg)
        began, cpu_began_s = time.perf_counter(), time.process_time()
        if self._estimate_s < WARM_UP_BELOW_S:
            action.call()
        seconds = np.zeros(n_calls)
        before = _minor_faults()
        for k in range(n_calls):
            seconds[k] = _seconds(action)
        after = _minor_faults()
        cpu_s, wall_s = time.process_time() - cpu_began_s, time.perf_counter() - began
        gc.collect()
        n_operations = n_calls * action.n_operations
        return {
            "median_s": float(np.median(seconds)) / action.n_operations,
            "best_s": float(seconds.min()) / action.n_operations,
            "cpu_s": cpu_s,
            "wall_s": wall_s,
            "turn_cpu_s": time.process_time() - cpu_began_s,
            "minor_faults": None if before is None or after is None else (after - before) / n_operations,
        }


def _seconds(action: Action) -> float:
    """Time of one call; what it returns is freed inside the timed span, as in a loop."""
    began = time.perf_counter_ns()
    action.call()
    return (time.perf_counter_ns() - began) * 1e-9


def _minor_faults() -> int | None:
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
