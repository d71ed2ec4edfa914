"""The figures of the instruments: pictures drawn from numbers that were measured before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import OptionError
from throughtime.instruments.gradient_flow import LOST, VANISHED, GradientFlow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Told apart by colour-blind readers, and in grey (Okabe and Ito 2008)."""

INK, FAINT = "#222222", "#8a8a8a"
FLOOR = 1e-8
"""Share of lag 0 where a figure ends: a little below what float32 can tell from nothing."""


def draw_gradient_flow(flows: Mapping[str, GradientFlow], ax: Axes, layer: int = -1) -> None:
    """Draws the gradient against the lag, one line per model.

    The line is the mean norm relative to its value at lag 0, on a logarithmic axis; the shade
    holds the middle half of the rows. Dashed: 1 %, and the resolution of float32.

    Args:
        flows: what was measured, by the name to show; at most four.
        ax: where to draw.
        layer: which layer, counted from the input; the last by default.

    Raises:
        OptionError: there are no flows, or more than there are colours.
    """
    if not 0 < len(flows) <= len(COLOURS):
        raise OptionError(
            f"a figure shows 1 to {len(COLOURS)} models, got {len(flows)}; draw fewer at a time."
        )
    longest = max(len(flow.lag) for flow in flows.values()) - 1
    lowest = min(float(_relative(flow, layer).min()) for flow in flows.values())
    _draw_level(ax, longest, VANISHED, f"1 %: {_horizons(flows, layer)}")
    if lowest < 10 * LOST:
        _draw_level(ax, longest, LOST, "resolution of float32")
    for (name, flow), colour in zip(flows.items(), COLOURS, strict=False):
        _draw_model(name, flow, ax, layer, colour)
    ax.set_yscale("log")
    ax.set_ylim(max(lowest / 3, FLOOR), 2)
    ax.set_xlim(0, longest)
    ax.set_xlabel("lag k: steps back in time from the loss at step T")
    ax.set_ylabel("‖dL$_T$/dh$_{T-k}$‖ relative to k = 0")
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#ececec", linewidth=0.8)
    ax.set_axisbelow(True)


def _relative(flow: GradientFlow, layer: int) -> NDArray[np.float64]:
    """Mean norm as a share of that at lag 0, [K]."""
    mean = flow.mean[layer]
    share: NDArray[np.float64] = mean / mean[0]
    return share


def _horizons(flows: Mapping[str, GradientFlow], layer: int) -> str:
    words = []
    for name, flow in flows.items():
        horizon = flow.memory_horizon(layer)
        words.append(
            f"{name} " + (f"over {len(flow.lag) - 1}" if horizon is None else f"{horizon}")
        )
    return ", ".join(words) + " steps"


def _draw_level(ax: Axes, longest: int, level: float, text: str) -> None:
    ax.axhline(level, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.text(longest, level * 1.2, text, color=FAINT, fontsize=10, ha="right", va="bottom")


def _draw_model(name: str, flow: GradientFlow, ax: Axes, layer: int, colour: str) -> None:
    share = _relative(flow, layer)
    low, high = np.quantile(flow.norm[layer], (0.25, 0.75), axis=1) / flow.mean[layer][0]
    ax.fill_between(flow.lag, low, high, color=colour, alpha=0.15, linewidth=0)
    ax.plot(flow.lag, share, color=colour, linewidth=2.4, solid_capstyle="round")
    # The name stands up and to the right of the middle of what is seen, above what follows there.
    at = int(0.6 * np.flatnonzero(share > FLOOR)[-1])
    ax.annotate(
        name,
        (at, share[at : at + len(share) // 6].max()),
        xytext=(9, 9),
        textcoords="offset points",
        color=colour,
        fontsize=14,
        fontweight="bold",
    )


def gradient_flow_figure(
    flows: Mapping[str, GradientFlow], title: str, note: str, layer: int = -1
) -> Figure:
    """A figure of its own: the drawing under a title, above a note on data and sizes.

    Args:
        flows: what was measured, by the name to show.
        title: what is seen, as a sentence.
        note: the data, the models and T.
        layer: which layer, counted from the input; the last by default.

    Returns:
        A figure that belongs to no window; `save_figure` writes it.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.size": 12, "text.color": INK, "axes.labelcolor": INK}):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        ax = figure.add_subplot()
        draw_gradient_flow(flows, ax, layer)
        figure.suptitle(fill(title, 74), x=0.01, ha="left", fontsize=13, fontweight="bold")
        figure.supxlabel(note, x=0.01, ha="left", fontsize=9, color=FAINT)
    return figure


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
