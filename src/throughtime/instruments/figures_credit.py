"""The figures of credit: the matrix of losses and steps, and its mean by lag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from throughtime.errors import OptionError
from throughtime.instruments.credit import Credit
from throughtime.instruments.figures import COLOURS, FAINT, INK, clear_frame
from throughtime.instruments.horizon import LOST, VANISHED, Horizon, Numbers

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

FLOOR = 1e-8
"""Share of the largest value where a figure ends: a little below what float32 can tell from 0."""


def draw_credit(
    credit: Credit, ax: Axes, layer: int = -1, direction: str = "forward", field: str = "h"
) -> None:
    """Draws the matrix: a row for every loss, a column for every step that it teaches.

    The colour is the mean norm over the rows of the batch, on a logarithmic scale; what is white
    is 0 or lies below the resolution of float32. The line stands at the memory horizon.

    Args:
        credit: what was measured.
        ax: where to draw.
        layer: counted from the input; the last by default.
        direction: "forward" or "reverse".
        field: of the state.
    """
    from matplotlib.colors import LogNorm

    norm = credit.select(layer, direction, field)
    matrix = norm.mean("batch").values  # [n, T]
    losses, steps = credit.norm["loss"].values, credit.norm["time"].values
    largest = float(np.nanmax(matrix))
    shown = np.where(matrix > max(FLOOR * largest, 0), matrix, np.nan)
    smallest = float(np.nanmin(shown))
    scale = LogNorm(smallest, largest if largest > smallest else 2 * smallest)
    colours = ax.pcolormesh(
        _edges(steps), _edges(losses), shown, norm=scale, cmap="viridis", rasterized=True
    )
    horizon = credit.memory_horizon(layer, direction, field)
    if horizon.lag is not None:
        lag = horizon.lag if direction == "forward" else -horizon.lag
        ax.axline((lag, lag * 2), slope=1, color=COLOURS[1], linewidth=1.6)
    ax.set_xlim(*_edges(steps)[[0, -1]])
    ax.set_ylim(*_edges(losses)[[-1, 0]])
    ax.set_xlabel("step k that is taught")
    ax.set_ylabel("step t of the loss")
    ax.set_title(f"horizon {horizon}", color=COLOURS[1], fontsize=11, loc="right")
    bar = ax.figure.colorbar(colours, ax=ax, label=f"‖dL$_t$/d{field}$_k$‖", pad=0.02)
    bar.ax.minorticks_off()


def _edges(places: Numbers) -> Numbers:
    """Where the cells of a map begin and end, one more than places."""
    half = (places[1] - places[0]) / 2 if len(places) > 1 else 0.5
    return np.append(places - half, places[-1] + half)


def draw_credit_by_lag(credits: Mapping[str, Credit], ax: Axes, layer: int = -1) -> None:
    """Draws the gradient of h against the lag, one line per model.

    The line is the mean norm relative to its value at lag 0, on a logarithmic axis; the shade
    holds the middle half of the rows. Dashed: 1 %, and the resolution of float32. On the 1 %, the
    bar is the interval of the memory horizon.

    Args:
        credits: what was measured, by the name to show; at most four.
        ax: where to draw.
        layer: which layer, counted from the input; the last by default.

    Raises:
        OptionError: there is nothing to draw, or more than there are colours.
    """
    if not 0 < len(credits) <= len(COLOURS):
        raise OptionError(
            f"a figure shows 1 to {len(COLOURS)} models, got {len(credits)}; draw fewer at a time."
        )
    shares = [c.by_lag(layer).dropna("lag", how="all") for c in credits.values()]
    longest = max(int(share["lag"][-1]) for share in shares)
    lowest = min(float(share.mean("batch").min()) for share in shares)
    _draw_level(ax, longest, VANISHED, "1 %")
    if lowest < 10 * LOST:
        _draw_level(ax, longest, LOST, "resolution of float32")
    for (name, found), share, colour in zip(credits.items(), shares, COLOURS, strict=False):
        horizon = found.memory_horizon(layer)
        _draw_shares(f"{name}: horizon {horizon}", share, ax, colour)
        _draw_interval(horizon, ax, colour)
    ax.set_yscale("log")
    ax.set_ylim(max(lowest / 3, FLOOR), 2)
    ax.set_xlim(0, longest)
    ax.set_xlabel("lag j: steps back in time from the loss at step t")
    ax.set_ylabel("‖dL$_t$/dh$_{t-j}$‖ relative to j = 0")
    ax.minorticks_off()
    columns = 1 if len(credits) < 3 else 2
    ax.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=columns, frameon=False, fontsize=10
    )
    clear_frame(ax)


def _draw_level(ax: Axes, longest: int, level: float, text: str) -> None:
    ax.axhline(level, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.text(longest, level * 1.2, text, color=FAINT, fontsize=10, ha="right", va="bottom")


def _draw_interval(horizon: Horizon, ax: Axes, colour: str) -> None:
    if horizon.lag is not None and horizon.low is not None:
        high = horizon.measured if horizon.high is None else horizon.high
        ax.plot((horizon.low, high), (VANISHED,) * 2, color=colour, linewidth=5, alpha=0.6)
        ax.plot(horizon.lag, VANISHED, "o", color=colour, markeredgecolor=INK, markersize=6)


def _draw_shares(label: str, shares: xarray.DataArray, ax: Axes, colour: str) -> None:
    low, high = shares.quantile((0.25, 0.75), "batch").values
    ax.fill_between(shares["lag"], low, high, color=colour, alpha=0.15, linewidth=0)
    mean = shares.mean("batch")
    ax.plot(mean["lag"], mean, color=colour, linewidth=2.4, solid_capstyle="round", label=label)
