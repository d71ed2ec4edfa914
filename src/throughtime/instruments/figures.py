"""The figures of the instruments: pictures drawn from numbers that were measured before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Told apart by colour-blind readers, and in grey (Okabe and Ito 2008)."""

INK, FAINT = "#222222", "#8a8a8a"


def figure_of(draw: Callable[[Axes], None], title: str, note: str = "") -> Figure:
    """A figure of its own: a drawing under a title, above a note on data and sizes.

    Args:
        draw: what draws, such as `lambda ax: draw_credit(found, ax)`.
        title: what is seen, as a sentence.
        note: the data, the models and T.

    Returns:
        A figure that belongs to no window; `save_figure` writes it.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.size": 12, "text.color": INK, "axes.labelcolor": INK}):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        draw(figure.add_subplot())
        figure.suptitle(fill(title, 74), x=0.01, ha="left", fontsize=13, fontweight="bold")
        figure.supxlabel(note, x=0.01, ha="left", fontsize=9, color=FAINT)
    return figure


def clear_frame(ax: Axes, lines: Literal["y", "both"] = "y") -> None:
    """Leaves of the frame what numbers are read from, with faint lines for heights, or both."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=lines, color="#ececec", linewidth=0.8)
    ax.set_axisbelow(True)


def save_figure(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Writes a figure as PNG, twice as fine as a screen, and as SVG.

    Args:
        figure: what to write.
        stem: path without an ending.

    Returns:
        The two files.

    Raises:
        OSError: a file cannot be written.
    """
    from matplotlib import rc_context

    png, svg = stem.with_suffix(".png"), stem.with_suffix(".svg")
    # A fixed salt and no date: the same numbers give the same file.
    with rc_context({"svg.hashsalt": "throughtime", "svg.fonttype": "path"}):
        figure.savefig(png, dpi=200)
        figure.savefig(svg, metadata={"Date": None})
    return png, svg
