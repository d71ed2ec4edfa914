"""Pictures of gates: where they are saturated, how they are distributed, how long they keep."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from throughtime.errors import OptionError
from throughtime.instruments.figures import COLOURS, FAINT, INK, clear_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from xarray import Dataset

_MARKERS = "o^"  # forward, reverse


def draw_saturation(data: Dataset, gate: str, ax: Axes) -> None:
    """Draws one point per unit: how often its gate is shut against how often it is open.

    The figure of Karpathy, Johnson and Li 2015: a unit on the line is always saturated on one side
    or the other, one at the origin never.

    Args:
        data: of `gates`.
        gate: which one.
        ax: where to draw.

    Raises:
        OptionError: there are more layers than colours.
    """
    _check_layers(data)
    ax.plot([0, 1], [1, 0], color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
    for layer, direction in np.ndindex(data.sizes["layer"], data.sizes["direction"]):
        own = data.sel(gate=gate).isel(layer=layer, direction=direction)
        ax.scatter(
            own.left,
            own.right,
            s=20,
            marker=_MARKERS[direction],
            color=COLOURS[layer],
            alpha=0.45,
            linewidth=0,
            label=_name(data, layer, direction),
            clip_on=False,
        )
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=_called(gate))
    ax.set_xlabel("share of steps saturated left")
    clear_frame(ax, "both")


def draw_distribution(data: Dataset, gate: str, ax: Axes) -> None:
    """Draws how often a gate has each value, all units and steps together, a line per layer.

    Args:
        data: of `gates`.
        gate: which one.
        ax: where to draw.

    Raises:
        OptionError: there are more layers than colours.
    """
    _check_layers(data)
    own = data.sel(gate=gate)
    for layer, direction in np.ndindex(data.sizes["layer"], data.sizes["direction"]):
        shares = own.histogram.isel(layer=layer, direction=direction).mean("unit")
        style: Any = ("-", "--")[direction]
        ax.stairs(shares, own.edges, color=COLOURS[layer], linewidth=1.6, linestyle=style)
    ax.set_xlim(float(own.edges[0]), float(own.edges[-1]))
    ax.set_ylim(bottom=0)
    ax.set_xlabel(f"value of the {_called(gate)}")
    clear_frame(ax, "both")


def draw_half_lives(data: Dataset, ax: Axes) -> None:
    """Draws how long units keep what they hold: half-lives in order, a line per layer.

    Args:
        data: of `gates`, with a gate that keeps.
        ax: where to draw.

    Raises:
        OptionError: no gate keeps, or there are more layers than colours.
    """
    from matplotlib.ticker import LogLocator

    _check_layers(data)
    if "half_life" not in data:
        raise OptionError(
            "half-lives need a gate that keeps, the data have none; name it with "
            "gates(..., keeps=...), if the cell has one."
        )
    for layer, direction in np.ndindex(data.sizes["layer"], data.sizes["direction"]):
        steps = data.half_life.isel(layer=layer, direction=direction).dropna("unit")
        style: Any = ("-", "--")[direction]
        share = np.linspace(0, 1, len(steps))
        ax.plot(np.sort(steps), share, style, color=COLOURS[layer], linewidth=2)
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.set(ylim=(0, 1), xlabel="half-life in steps", ylabel="share of units below")
    ax.set_title(f"kept by the {data.attrs['keeps']} gate")
    clear_frame(ax, "both")


def gates_figure(data: Dataset, title: str, note: str) -> Figure:
    """All gates: saturation above, distribution below, half-lives where a gate keeps.

    Args:
        data: of `gates`.
        title: what is seen, as a sentence.
        note: the data and the model.

    Returns:
        A figure that belongs to no window; `save_figure` writes it.

    Raises:
        OptionError: there are more layers than colours.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = [str(name) for name in data.gate.values]
    columns = len(names) + ("half_life" in data)
    with rc_context({"font.size": 11, "text.color": INK, "axes.labelcolor": INK}):
        figure = Figure(figsize=(3.1 * columns, 6.4), layout="constrained")
        axes = figure.subplots(2, columns, squeeze=False)
        for column, name in enumerate(names):
            draw_saturation(data, name, axes[0, column])
            draw_distribution(data, name, axes[1, column])
        axes[0, 0].set_ylabel("share of steps saturated right")
        axes[1, 0].set_ylabel("share of all steps and units")
        if data.sizes["layer"] * data.sizes["direction"] > 1:
            marks = axes[0, 0].get_legend_handles_labels()
            free = axes[1, -1] if "half_life" in data else axes[0, 0]
            free.legend(*marks, frameon=False, loc="upper right", markerscale=1.5)
        if "half_life" in data:
            draw_half_lives(data, axes[0, -1])
            axes[1, -1].set_axis_off()
        figure.suptitle(fill(title, 26 * columns), x=0.01, ha="left", fontweight="bold")
        figure.supxlabel(note, x=0.01, ha="left", fontsize=9, color=FAINT)
    return figure


def _check_layers(data: Dataset) -> None:
    if data.sizes["layer"] > len(COLOURS):
        raise OptionError(
            f"a figure shows 1 to {len(COLOURS)} layers, got {data.sizes['layer']}; choose some "
            "with data.isel(layer=...)."
        )


def _called(gate: str) -> str:
    return gate if gate in ("candidate", "hidden") else f"{gate} gate"


def _name(data: Dataset, layer: int, direction: int) -> str:
    name = f"layer {data.layer[layer].item()}"
    return f"{name} {data.direction[direction].item()}" if data.sizes["direction"] > 1 else name
