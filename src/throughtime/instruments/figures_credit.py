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

    matrix = np.nanmean(credit.select(layer, direction, field), axis=2)  # [n, T]
    losses, steps = credit.norm["loss"].values, credit.norm["time"].values
    largest = float(np.nanmax(matrix))
    shown = np.where(matrix > max(FLOOR * largest, 0), matrix, np.nan)
    smallest = float(np.nanmin(shown))
    norm = LogNorm(smallest, largest if largest > smallest else 2 * smallest)
    colours = ax.pcolormesh(
        steps, losses, shown, norm=norm, cmap="viridis", shading="nearest", rasterized=True
    )
    horizon = credit.memory_horizon(layer, direction, field)
    if horizon.lag is not None:
        lag = horizon.lag if direction == "forward" else -horizon.lag
        ax.axline((lag, lag * 2), slope=1, color=COLOURS[1], linewidth=1.6)
    ax.set_xlim(steps[0] - 0.5, steps[-1] + 0.5)
    ax.set_ylim(losses[-1] + 0.5, losses[0] - 0.5)
    ax.set_xlabel("step k that is taught")
    ax.set_ylabel("step t of the loss")
    ax.set_title(f"under 1 % after {horizon}", color=COLOURS[1], fontsize=11, loc="right")
    bar = ax.figure.colorbar(colours, ax=ax, label=f"‖dL$_t$/d{field}$_k$‖", pad=0.02)
    bar.ax.minorticks_off()


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
    shares = {name: credit.by_lag(layer).values for name, credit in credits.items()}
    horizons = {name: credit.memory_horizon(layer) for name, credit in credits.items()}
    longest = max(map(len, shares.values())) - 1
    lowest = min(np.nanmin(np.nanmean(share, axis=1)) for share in shares.values())
    words = [f"{name} {_words(horizon)}" for name, horizon in horizons.items()]
    _draw_level(ax, longest, VANISHED, f"1 %: {', '.join(words)} steps")
    if lowest < 10 * LOST:
        _draw_level(ax, longest, LOST, "resolution of float32")
    for name, colour in zip(shares, COLOURS, strict=False):
        _draw_model(name, shares[name], ax, colour)
        _draw_interval(horizons[name], ax, colour)
    ax.set_yscale("log")
    ax.set_ylim(max(lowest / 3, FLOOR), 2)
    ax.set_xlim(0, longest)
    ax.set_xlabel("lag j: steps back in time from the loss at step t")
    ax.set_ylabel("‖dL$_t$/dh$_{t-j}$‖ relative to j = 0")
    clear_frame(ax)


def _words(horizon: Horizon) -> str:
    return f"over {horizon.measured}" if horizon.lag is None else f"{horizon.lag}"


def _draw_level(ax: Axes, longest: int, level: float, text: str) -> None:
    ax.axhline(level, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.text(longest, level * 1.2, text, color=FAINT, fontsize=10, ha="right", va="bottom")


def _draw_interval(horizon: Horizon, ax: Axes, colour: str) -> None:
    if horizon.lag is not None and horizon.low is not None:
        high = horizon.measured if horizon.high is None else horizon.high
        ax.plot((horizon.low, high), (VANISHED,) * 2, color=colour, linewidth=5, alpha=0.6)
        ax.plot(horizon.lag, VANISHED, "o", color=colour, markeredgecolor=INK, markersize=6)


def _draw_model(name: str, shares: Numbers, ax: Axes, colour: str) -> None:
    lag, mean = np.arange(len(shares)), np.nanmean(shares, axis=1)
    low, high = np.nanquantile(shares, (0.25, 0.75), axis=1)
    ax.fill_between(lag, low, high, color=colour, alpha=0.15, linewidth=0)
    ax.plot(lag, mean, color=colour, linewidth=2.4, solid_capstyle="round")
    # The name stands up and to the right of the middle of what is seen, above what follows there.
    at = int(0.6 * np.flatnonzero(mean > FLOOR)[-1])
    ax.annotate(
        name,
        (at, mean[at : at + max(1, len(mean) // 6)].max()),
        xytext=(9, 9),
        textcoords="offset points",
        color=colour,
        fontsize=14,
        fontweight="bold",
    )
