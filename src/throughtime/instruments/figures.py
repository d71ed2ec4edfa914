"""The figures of the instruments: pictures drawn from numbers that were measured before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from throughtime.errors import OptionError
from throughtime.instruments.gradient_flow import VANISHED, GradientFlow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Told apart by colour-blind readers, and in grey (Okabe and Ito 2008)."""

INK, FAINT = "#222222", "#8a8a8a"
FLOOR = 1e-8
"""Share of lag 0 below which float32 rounding makes a curve meaningless."""


def draw_gradient_flow(flows: Mapping[str, GradientFlow], ax: Axes, layer: int = -1) -> None:
    """Draws the gradient against the lag, one line per model.

    The mean norm relative to its value at lag 0, on a logarithmic axis; the shade holds the
    middle half of the rows; the dot is the memory horizon.

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
    ax.axhline(VANISHED, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
    for (name, flow), colour in zip(flows.items(), COLOURS, strict=False):
        _draw_model(name, flow, ax, layer, colour)
    longest = max(len(flow.lag) for flow in flows.values()) - 1
    lowest = min(float((flow.mean[layer] / flow.mean[layer][0]).min()) for flow in flows.values())
    ax.set_yscale("log")
    ax.set_ylim(max(lowest / 3, FLOOR), 3)
    ax.set_xlim(0, longest)
    ax.text(longest, VANISHED * 1.15, "1 %", color=FAINT, ha="right", va="bottom")
    ax.set_xlabel("lag k: steps back in time from the loss at step T")
    ax.set_ylabel("‖dL$_T$/dh$_{T-k}$‖, relative to k = 0")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)


def _draw_model(name: str, flow: GradientFlow, ax: Axes, layer: int, colour: str) -> None:
    mean = flow.mean[layer] / flow.mean[layer][0]
    low, high = np.quantile(flow.norm[layer], (0.25, 0.75), axis=1) / flow.mean[layer][0]
    ax.fill_between(flow.lag, low, high, color=colour, alpha=0.15, linewidth=0)
    ax.plot(flow.lag, mean, color=colour, linewidth=2.4, solid_capstyle="round")
    horizon = flow.memory_horizon(layer)
    if horizon is None:
        at, text = len(mean) - 1, f"{name}: beyond {len(mean) - 1} steps"
    else:
        at, text = horizon, f"{name}: 1 % after {horizon} steps"
        ax.plot(at, mean[at], "o", color=colour, markersize=8, markeredgecolor="white", zorder=5)
    is_late = at > 0.6 * len(mean)
    ax.annotate(
        text,
        (at, mean[at]),
        xytext=(-8 if is_late else 10, 12),
        textcoords="offset points",
        ha="right" if is_late else "left",
        color=colour,
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
        ax.set_title(title, loc="left", fontsize=14, fontweight="bold", pad=12)
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
