"""The figures of the instruments: pictures drawn from numbers that were measured before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Told apart by colour-blind readers, and in grey (Okabe and Ito 2008)."""

INK, FAINT = "#222222", "#8a8a8a"
FLOOR = 1e-8
"""Share of lag 0 where a figure ends: a little below what float32 can tell from nothing."""


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
