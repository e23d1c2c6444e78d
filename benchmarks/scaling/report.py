"""The sweeps as JSON for programs, as Markdown tables and as a picture."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from benchmarks.drawing import caption, colours_of, new_figure, save, set_log_scale
from benchmarks.peers.report import entry, heading, to_document
from benchmarks.peers.text import table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmarks.peers.cases import SequenceCase
    from benchmarks.peers.measure import Cell
    from benchmarks.peers.report import Run
    from benchmarks.scaling.memory import Memory

_MIB = 1 << 20

#: What is varied, in words.
AXES = {"n_steps": "steps T", "n_samples": "batch B", "hidden_size": "hidden units H", "threads": "threads"}


@dataclass(frozen=True)
class Scaling:
    """Training steps of ``base`` and of cases that differ from it in one respect, and memory of ``memory_case``."""

    run: Run
    base: SequenceCase
    memory_case: SequenceCase
    memory: Mapping[str, Memory]

    def sweep(self, axis: str) -> dict[int, Cell]:
        """Return the cells along one of `AXES` by their place on it, in increasing order."""
        base = asdict(self.base) | {"threads": 1}
        cells = {}
        for cell in self.run.outcome.cells:
            here = asdict(cell.case) | {"threads": cell.threads}
            if all(here[name] == base[name] for name in here if name != axis):
                cells[here[axis]] = cell
        return dict(sorted(cells.items()))


def write(scaling: Scaling, stem: Path) -> list[Path]:
    """Write ``stem``.json, ``stem``.md and, if matplotlib is installed, ``stem``.png; return their paths."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    document = to_document(scaling.run) | {
        "base": asdict(scaling.base),
        "memory_case": asdict(scaling.memory_case),
        "memory_bytes": {name: asdict(memory) for name, memory in scaling.memory.items()},
    }
    texts = {".json": json.dumps(document, indent=1) + "\n", ".md": to_markdown(scaling)}
    paths = {suffix: stem.with_name(stem.name + suffix) for suffix in (*texts, ".png")}
    for suffix, text in texts.items():
        paths[suffix].write_text(text, encoding="utf-8")
    if importlib.util.find_spec("matplotlib") is None:
        del paths[".png"]
    else:
        save(_draw(scaling), paths[".png"], caption(document))
    return list(paths.values())


def to_markdown(scaling: Scaling) -> str:
    """Turn the sweeps into tables: milliseconds of a training step, and memory."""
    plan = scaling.run.plan
    labels = {name: plan.peers[name].label for name in scaling.run.outcome.versions}
    blocks = [heading(scaling.run)]
    for axis, words in AXES.items():
        rows = [
            [f"{place}" + " (!)" * cell.is_disturbed, *(entry(cell, name, plan.baseline, 1e-3) for name in labels)]
            for place, cell in scaling.sweep(axis).items()
        ]
        blocks.append(f"## Training step of ({scaling.base.name}) with other {words}: ms\n")
        blocks.append(table([words, *labels.values()], rows))
    if scaling.memory:
        rows = [
            [labels[name], f"{memory.before / _MIB:.0f}", f"{memory.peak / _MIB:.0f}"]
            for name, memory in scaling.memory.items()
        ]
        blocks.append(f"## Peak resident memory of training steps of ({scaling.memory_case.name}): MiB\n")
        blocks.append(table(["", "before the first step", "in all"], rows))
    return "\n".join(blocks)


def _draw(scaling: Scaling) -> Figure:
    """Draw time over each axis, both logarithmic, and memory below."""
    labels = {name: scaling.run.plan.peers[name].label for name in scaling.run.outcome.versions}
    colours = colours_of(labels)
    figure = new_figure(6.6)
    grid = figure.add_gridspec(3, 2, height_ratios=[1, 1, 0.1 + 0.15 * max(1, len(scaling.memory))])
    for k, (axis, words) in enumerate(AXES.items()):
        panel = figure.add_subplot(grid[k // 2, k % 2])
        sweep = scaling.sweep(axis)
        for name, label in labels.items():
            seconds = {
                place: cell.measurements[name].seconds for place, cell in sweep.items() if name in cell.measurements
            }
            panel.plot(
                seconds.keys(),
                [1e3 * s for s in seconds.values()],
                "o-",
                color=colours[name],
                label=label,
                markersize=4,
            )
        _set_axes(panel, list(sweep), words)
        if k == 0:
            panel.legend(frameon=False, fontsize=9)
    figure.suptitle(f"Training step, time over one size; the others are those of ({scaling.base.name})", fontsize=11)
    _draw_memory(figure.add_subplot(grid[2, :]), scaling, labels, colours)
    return figure


def _set_axes(panel: Axes, places: list[int], words: str) -> None:
    from matplotlib.ticker import NullLocator

    panel.set_xscale("log")
    set_log_scale(panel)
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticks(places, [str(place) for place in places])
    panel.set_xlabel(words, fontsize=9)
    panel.set_ylabel("ms", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(color="0.9", linewidth=0.8)
    panel.spines[["top", "right"]].set_visible(False)


def _draw_memory(panel: Axes, scaling: Scaling, labels: Mapping[str, str], colours: Mapping[str, str]) -> None:
    for name, memory in scaling.memory.items():
        before, peak = memory.before / _MIB, memory.peak / _MIB
        panel.barh(labels[name], before, color=colours[name], alpha=0.4)
        panel.barh(labels[name], peak - before, left=before, color=colours[name])
        panel.annotate(
            f"{peak:.0f}", (peak, labels[name]), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
        )
    panel.invert_yaxis()
    panel.set_title(
        f"Peak resident memory, ({scaling.memory_case.name}), MiB; pale: before the first step", loc="left", fontsize=9
    )
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
