"""The figures of Jacobians: eigenvalues, products over a lag, Lyapunov exponents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from throughtime.instruments.figures import COLOURS, FAINT, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from xarray import DataArray, Dataset

BLUE, ORANGE = COLOURS[:2]
GRID: dict[str, Any] = {"color": "#ececec", "linewidth": 0.8}
DASHES = (0, (4, 3))
HEADROOM = 6
"""Powers of ten by which a bound is followed above what was measured."""


def draw_spectrum(eigenvalues: DataArray, ax: Axes) -> None:
    """Draws eigenvalues in the complex plane, with the circle within which directions decay.

    Args:
        eigenvalues: of `jacobians` or `fixed_points`, all that are to be seen; any dims.
        ax: where to draw.
    """
    values = eigenvalues.values.ravel()
    values = values[~np.isnan(values)]
    angle = np.linspace(0, 2 * np.pi, 400)
    ax.plot(np.cos(angle), np.sin(angle), color=INK, linewidth=1.2)
    grows = np.abs(values) > 1
    faint = float(np.clip(30 / np.sqrt(len(values) + 1), 0.15, 0.9))
    for chosen, colour, name in ((~grows, BLUE, "decays"), (grows, ORANGE, "grows")):
        share = f"{name}: {chosen.sum()}"
        x, y = values[chosen].real, values[chosen].imag
        ax.scatter(x, y, s=16, color=colour, alpha=faint, linewidths=0, label=share)
    extent = 1.08 * max(1, float(np.abs(values).max(initial=0)))
    room = 1.3 * extent  # above, for the legend
    ax.set(xlim=(-extent, extent), ylim=(-extent, room), aspect="equal")
    ax.locator_params(nbins=5)
    ax.set_xlabel("real part of λ")
    ax.set_ylabel("imaginary part of λ")
    for line in (ax.axhline, ax.axvline):
        line(0, zorder=0, **GRID)
    legend = ax.legend(loc="upper center", ncols=2, frameon=False, handletextpad=0.2)
    for handle in legend.legend_handles:
        handle.set_alpha(1)  # type: ignore[union-attr]
    ax.spines[["top", "right"]].set_visible(False)


def draw_products(found: Dataset, ax: Axes, layer: int = -1, direction: str = "forward") -> None:
    """Draws the norm of the product of Jacobians against the lag, with its bound where it has one.

    The line is the median of the rows, the shade holds the middle half of them. Dashed: the bound,
    its median.

    Args:
        found: of `jacobians`.
        ax: where to draw; the vertical axis holds powers of ten.
        layer: which layer, counted from the input; the last by default.
        direction: "forward" or "reverse".
    """
    from matplotlib.ticker import MaxNLocator

    norm, bound = (
        _at(found[name], layer, direction).transpose("lag", "batch").values / np.log(10)
        for name in ("log_norm", "log_bound")
    )
    norm[np.isneginf(norm)] = np.nan
    has = ~np.isnan(norm).all(1)
    lag = found.lag.values[has]
    low, middle, high = np.nanquantile(norm[has], (0.25, 0.5, 0.75), axis=1)
    ax.fill_between(lag, low, high, color=BLUE, alpha=0.18, linewidth=0)
    ax.plot(lag, middle, color=BLUE, linewidth=2.4, label=r"$\|ds_T/ds_{T-k}\|$")
    if not np.isnan(bound[has]).any(1).all():
        told = np.nanmedian(bound[has], axis=1)
        label = r"bound $(\sigma_{max}(W_h)\,\max|g'|)^k$"
        ax.plot(lag, told, color=INK, linewidth=1.4, linestyle=DASHES, label=label)
        ax.set_ylim(top=min(float(told.max()), float(high.max()) + HEADROOM) + 0.5)
    ax.axhline(0, color=FAINT, linewidth=0.8)
    ax.set_xlim(0, max(1, lag[-1]))
    ax.set_xlabel("lag k in steps")
    ax.yaxis.set_major_formatter(lambda power, _: f"$10^{{{power:g}}}$")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y", **GRID)
    ax.set_axisbelow(True)
    ax.legend(loc="best", frameon=False, fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)


def draw_lyapunov(found: Dataset, ax: Axes, layer: int = -1, direction: str = "forward") -> None:
    """Draws the exponents as bars, the largest first, with their standard errors.

    Args:
        found: of `lyapunov`.
        ax: where to draw.
        layer: which layer, counted from the input; the last by default.
        direction: "forward" or "reverse".
    """
    from matplotlib.ticker import MaxNLocator

    exponents = _at(found.exponents, layer, direction).values
    error = _at(found.standard_error, layer, direction).values
    is_number = np.isfinite(exponents)
    exponents, error = exponents[is_number], np.nan_to_num(error[is_number])
    index = 1 + np.arange(len(exponents))
    colours = np.where(exponents > 0, ORANGE, BLUE)
    ax.bar(index, exponents, width=0.78, color=colours)
    if error.any():
        width = min(3, 90 / len(index))
        ax.errorbar(index, exponents, error, fmt="none", ecolor=INK, elinewidth=1, capsize=width)
    ax.axhline(0, color=INK, linewidth=1)
    ax.set_xlim(0.4, len(index) + 0.6)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("number of the exponent")
    ax.set_ylabel("Lyapunov exponent, nats per step")
    ax.grid(axis="y", **GRID)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _at(array: DataArray, layer: int, direction: str) -> DataArray:
    """One layer and direction; of a stack, which has neither, the array itself."""
    return array.isel(layer=layer).sel(direction=direction) if "layer" in array.dims else array
