"""A run as a bar chart of ratios: ``python -m benchmarks.peers.chart RUN.json OUT.png``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.drawing import caption, colours_of, new_figure, save, set_log_scale
from benchmarks.peers.options import positive
from benchmarks.peers.registry import OURS
from benchmarks.peers.text import significant, thread_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure

_TITLES = {"forward": "Inference", "training": "Training step"}
#: Widths in units of a cell's room: of all its bars, and the most of one.
_FILLED = 0.84
_WIDEST = 0.3


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the chart."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.chart", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN.json")
    parser.add_argument("output", type=Path, metavar="OUT.png")
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="default: 1")
    options = parser.parse_args(arguments)
    document = json.loads(options.run.read_text(encoding="utf-8"))
    cells = {
        operation: [c for c in document["cells"] if (c["operation"], c["threads"]) == (operation, options.threads)]
        for operation in _TITLES
    }
    cells = {operation: found for operation, found in cells.items() if any(OURS in c["measurements"] for c in found)}
    if not cells:
        parser.error(f"{options.run} has neither inference nor training with {thread_count(options.threads)}")
    labels = {name: peer["label"] for name, peer in document["peers"].items()}
    figure = draw(cells, labels, threads=options.threads)
    save(figure, options.output, f"{caption(document)}. T steps, B batch, I inputs, H hidden units")


def draw(cells: dict[str, list[dict[str, Any]]], labels: dict[str, str], *, threads: int) -> Figure:
    """Draw one panel for each operation: in every cell one bar for each peer, from 1 to its ratio.

    ``cells`` are those of a run's JSON document by operation; ``labels`` are the peers' names for people.
    """
    present = {name for found in cells.values() for cell in found for name in cell["measurements"]}
    peers = [name for name in labels if name in present and name != OURS]
    colours = colours_of(peers)
    figure = new_figure(0.8 + 2.4 * len(cells))
    panels: list[Axes] = list(figure.subplots(len(cells), 1, sharey=True, squeeze=False)[:, 0])
    handles = {}
    for panel, (operation, found) in zip(panels, cells.items(), strict=True):
        shown = [cell for cell in found if OURS in cell["measurements"]]
        # A peer that does not offer the operation leaves no gaps.
        offered = [name for name in peers if any(name in cell["measurements"] for cell in shown)]
        width = min(_WIDEST, _FILLED / max(1, len(offered)))
        for k, name in enumerate(offered):
            ratios = {
                x + (k - (len(offered) - 1) / 2) * width: cell["measurements"][name]["seconds"]
                / cell["measurements"][OURS]["seconds"]
                for x, cell in enumerate(shown)
                if name in cell["measurements"]
            }
            handles[name] = _draw_bars(panel, ratios, 0.92 * width, colours[name])
        panel.set_title(f"{_TITLES[operation]}, {thread_count(threads)}", loc="left", fontsize=11)
        _set_axes(panel, [cell["case"] for cell in shown])
    low, high = panels[0].get_ylim()
    # An empty space above the highest bar for its number, as high as a fifth of the panel.
    panels[0].set_ylim(low, high * (high / low) ** 0.2)
    if handles:
        names = [labels[name] for name in handles]
        figure.legend(
            handles.values(),
            names,
            ncols=len(names),
            frameon=False,
            fontsize=9,
            loc="upper right",
            borderaxespad=0.2,
            handlelength=1.2,
        )
    return figure


def _draw_bars(panel: Axes, ratios: dict[float, float], width: float, colour: str) -> BarContainer:
    """Draw bars from 1 to each ratio, at the places that are the keys, with the numbers above them."""
    bars = panel.bar(list(ratios), [ratio - 1 for ratio in ratios.values()], width, bottom=1, color=colour)
    for place, ratio in ratios.items():
        panel.annotate(
            significant(ratio) if ratio >= 1 else f"{ratio:.2f}",
            (place, max(ratio, 1)),
            xytext=(0, 2),
            textcoords="offset points",
            fontsize=7.5,
            rotation=90,
            ha="center",
            va="bottom",
        )
    return bars


def _set_axes(panel: Axes, cases: Sequence[dict[str, int]]) -> None:
    set_log_scale(panel, "x")
    panel.set_ylabel("time / pylstm's time", fontsize=9)
    panel.grid(axis="y", color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.axhline(1, color="black", linewidth=1)
    names = ["T={n_steps} B={n_samples}\nI={n_features} H={hidden_size}".format(**case) for case in cases]
    panel.set_xticks(range(len(names)), names, fontsize=7.5)
    panel.set_xlim(-0.5, len(names) - 0.5)
    panel.tick_params(axis="x", length=0)
    panel.tick_params(axis="y", labelsize=8)
    panel.spines[["top", "right", "bottom"]].set_visible(False)


if __name__ == "__main__":
    main()
