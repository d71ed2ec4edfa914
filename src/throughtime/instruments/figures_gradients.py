"""The figures of gradients: along time, of weights by lag or step, of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from throughtime.errors import OptionError
from throughtime.instruments.figures import COLOURS, FAINT, INK, clear_frame
from throughtime.instruments.weight_gradient import weight_shares

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

_PARTS = {"h": "dL/dh$_t$", "direct": "direct", "through_time": "through time"}


def draw_gradient_flow(
    flow: xarray.Dataset, ax: Axes, layer: int = -1, direction: str = "forward"
) -> None:
    """Draws the norms against the step, the mean over the rows of the batch.

    The whole gradient of h, its direct part and the part through time, and that of every other
    field of the state; on a logarithmic axis, on which 0 is a gap.

    Args:
        flow: from `gradient_flow`.
        ax: where to draw.
        layer: counted from the input; the last by default.
        direction: "forward" or "reverse".
    """
    here = flow.sel(direction=direction).isel(layer=layer).mean("batch")
    styles = zip(here, (INK, *COLOURS), strict=False)
    for name, colour in styles:
        norm = here[name].values
        label = _PARTS.get(str(name), f"dL/d{name}$_t$")
        wide = 2.6 if name == "h" else 1.6
        shown = np.where(norm > 0, norm, np.nan)
        # a single step with a gradient is no line: it needs its point
        marker = "o" if np.isfinite(shown).sum() < 3 else ""
        ax.plot(flow["time"], shown, color=colour, linewidth=wide, label=label, marker=marker)
    ax.set_yscale("log")
    ax.set_xlim(0, flow.sizes["time"] - 1)
    ax.set_xlabel("step t")
    ax.set_ylabel("norm of the gradient")
    ax.legend(frameon=False, ncols=2)
    clear_frame(ax)


def draw_weight_gradient(parts: xarray.Dataset, ax: Axes, weight: str = "all") -> None:
    """Draws what every step or lag gives to the gradient: bars that add up to 1, and their sum.

    A bar below 0 points against the whole gradient.

    Args:
        parts: from `weight_gradient`.
        ax: where to draw.
        weight: one of its variables; "all" for all of them together.

    Raises:
        OptionError: there is no such weight.
    """
    shares = weight_shares(parts)
    known = shares["weight"].values.tolist()
    if weight not in known:
        raise OptionError(
            f"weight must be one of {', '.join(known)}, got {weight!r}; name one of them."
        )
    (by,) = parts.coords
    places, values = parts[by].values, shares.sel(weight=weight).values
    colours = np.where(values < 0, COLOURS[1], COLOURS[0])
    ax.bar(places, values, color=colours, width=0.85, label=f"of this {by}")
    ax.plot(places, values.cumsum(), color=INK, linewidth=1.4, label="summed up to it")
    ax.axhline(0, color=FAINT, linewidth=0.8)
    ax.set_xlim(places[0] - 0.6, places[-1] + 0.6)
    ax.set_xlabel("lag j: steps from where the weight acts to the loss" if by == "lag" else "step")
    ax.set_ylabel(f"share of the gradient of {weight}")
    ax.legend(frameon=False, loc="center right")
    clear_frame(ax)


def draw_saliency(
    found: xarray.Dataset, ax: Axes, row: int = 0, labels: Sequence[str] | None = None
) -> None:
    """Draws what every input step gives to the score of a row.

    Bars are the integrated gradients, dots gradient x input. The error of completeness stands
    beside them.

    Args:
        found: from `saliency`.
        ax: where to draw.
        row: of the batch.
        labels: what each step reads, such as its token, to write below; numbers without them.

    Raises:
        OptionError: there is not one label per step.
    """
    here = found.isel(batch=row).dropna("time", subset=["gradient"])
    steps, values = np.arange(here.sizes["time"]), here["integrated_gradients"].values
    if labels is not None and len(labels) != len(steps):
        raise OptionError(
            f"labels must be one for each of the {len(steps)} steps, got {len(labels)}; leave out "
            "those of padding."
        )
    ax.bar(steps, values, color=np.where(values < 0, COLOURS[1], COLOURS[0]), width=0.8)
    product = here["gradient_x_input"].values
    ax.plot(steps, product, "o", color=INK, markersize=4, label="gradient x input")
    ax.axhline(0, color=FAINT, linewidth=0.8)
    if labels is not None:
        ax.set_xticks(steps, labels)
    ax.set_xlabel("step of the input")
    ax.set_ylabel("integrated gradient")
    change = float(here["score"] - here["baseline_score"])
    error = float(here["completeness_error"])
    ax.set_title(
        f"adds up to {change + error:.4g}, the score changed by {change:.4g}",
        color=FAINT,
        fontsize=10,
        loc="right",
    )
    ax.legend(frameon=False)
    clear_frame(ax)
