"""The README's table from a run's JSON file: ``python -m benchmarks.peers.summary RUN.json``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.peers.registry import OURS
from benchmarks.peers.text import geometric_mean, significant, table, thread_count

TITLES = {"forward": "inference", "training": "training step"}


def summarise(document: dict[str, Any]) -> str:
    """Return a Markdown table: pylstm's milliseconds and the fastest peer with its ratio; at the end all peers' means.

    A ratio says how many times as long as pylstm the peer takes.
    """
    columns: dict[tuple[str, int], dict[str, dict[str, float]]] = {}  # operation, threads -> case -> peer -> seconds
    for cell in document["cells"]:
        if cell["operation"] in TITLES and OURS in cell["measurements"]:
            seconds = {name: measurement["seconds"] for name, measurement in cell["measurements"].items()}
            columns.setdefault((cell["operation"], cell["threads"]), {})[cell["name"]] = seconds
    cases = dict.fromkeys(case for column in columns.values() for case in column)
    labels = {name: peer["label"] for name, peer in document["peers"].items()}
    header = ["T, B, I, H", *(f"{TITLES[operation]}, {thread_count(threads)}" for operation, threads in columns)]
    rows = [[case, *(_entry(column.get(case), labels) for column in columns.values())] for case in cases]
    means = ["geometric mean", *(_means(list(column.values()), labels) for column in columns.values())]
    return table(header, [*rows, means])


def _entry(seconds: dict[str, float] | None, labels: dict[str, str]) -> str:
    """Write "4.05 ms, PyTorch 1.09x"."""
    if seconds is None:
        return ""
    text = f"{significant(seconds[OURS] * 1e3)} ms"
    others = {name: time for name, time in seconds.items() if name != OURS}
    if others:
        fastest = min(others, key=others.__getitem__)
        text += f", {labels[fastest]} {others[fastest] / seconds[OURS]:.2f}x"
    return text


def _means(cells: list[dict[str, float]], labels: dict[str, str]) -> str:
    """Write "PyTorch 1.69x, JAX 4.20x", the fastest first."""
    ratios = {
        name: geometric_mean(seconds[name] / seconds[OURS] for seconds in cells if name in seconds)
        for name in labels
        if name != OURS and any(name in seconds for seconds in cells)
    }
    return ", ".join(f"{labels[name]} {ratios[name]:.2f}x" for name in sorted(ratios, key=ratios.__getitem__))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.summary", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN.json")
    print(summarise(json.loads(parser.parse_args().run.read_text(encoding="utf-8"))), end="")
