"""What the pictures of the benchmarks have in common: width, colours, caption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches; a README shows a picture about 900 pixels wide, and at 100 pixels per inch letters come out at their size.
WIDTH = 9.0
#: Twice as fine as shown, for screens that are.
DPI = 200
#: Told apart with every kind of colour vision: Okabe & Ito 2008, without black and the pale yellow.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each name, by position."""
    return {name: _COLOURS[k % len(_COLOURS)] for k, name in enumerate(names)}


def new_figure(height: float) -> Figure:
    """Return an empty figure of so many inches, with room at its foot for the caption of `save`."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    foot = 0.25 / height
    layout = ConstrainedLayoutEngine(rect=(0, foot, 1, 1 - foot), h_pad=0.07)
    return Figure(figsize=(WIDTH, height), layout=layout)


def set_log_scale(panel: Axes, unit: str = "") -> None:
    """Make the y axis logarithmic, with ticks at 1, 2 and 5 of each decade, written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{unit}"))
    panel.yaxis.set_minor_locator(NullLocator())


def caption(document: dict[str, Any]) -> str:
    """Return where, when and from which commit a result is; ``document`` is the JSON of `peers.report`."""
    machine, commit = document["machine"], document["commit"]
    extensions = [name for name in ("avx512f", "avx2", "sve", "asimd") if name in machine["vector_extensions"]]
    cpus = ", ".join([f"{machine['n_cpus']} CPUs", *extensions[:1]])
    changes = " with changes" if commit["modified"] else ""
    return (
        f"{machine['processor']} ({cpus}), {document['plan']['dtype']}, {document['date'][:10]}, "
        f"commit {commit['hash'] or 'unknown'}{changes}"
    )


def save(figure: Figure, path: Path, text: str) -> None:
    """Write the figure with a caption in its lower left corner."""
    figure.text(0.01, 0.01, text, fontsize=8, color="0.35", ha="left", va="bottom")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)
