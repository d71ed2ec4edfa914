"""Pictures of found units: what the unit does where the property is what, and what chance gives."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from throughtime.instruments.figures import COLOURS, FAINT, INK, clear_frame
from throughtime.instruments.found_units import FoundUnits
from throughtime.instruments.unit_scores import is_bool

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS = 30
_GROUPS = 40  # most values of a property that are told apart


def draw_unit_by_property(found: FoundUnits, ax: Axes, rank: int = 0) -> None:
    """Draws the values of a found unit on the held-out text, by what the property is there.

    For a property that holds or not, both distributions and the threshold; for one that has a size,
    the mean over the tokens of that size, and a shade with the middle 80 % of them.

    Args:
        found: of `find_units`.
        ax: where to draw.
        rank: which of the units.
    """
    values = found.values(rank)[found.chosen_on :]
    target = found.target[found.chosen_on :]
    name = str(found.unit(rank))
    if is_bool(found.target):
        edges = np.histogram_bin_edges(values, _BINS)
        for holds, colour in ((False, COLOURS[0]), (True, COLOURS[1])):
            shares = np.histogram(values[target == holds], edges)[0] / (target == holds).sum()
            label = found.name if holds else f"not {found.name}"
            ax.stairs(shares, edges, color=colour, fill=True, alpha=0.45, label=label)
            ax.stairs(shares, edges, color=colour, linewidth=1.6)
        row = found.data.isel(rank=rank)
        ax.axvline(float(row.sign * row.threshold), color=INK, linestyle=(0, (4, 3)), linewidth=1)
        ax.set(xlabel=f"value of {name}", ylabel="share of tokens")
        ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    else:
        places, middle, low, high = _by_size(target, values)
        ax.fill_between(places, low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
        ax.plot(places, middle, color=COLOURS[0], linewidth=2.2)
        ax.set(xlabel=found.name, ylabel=f"value of {name}")
    _clean(ax)


def draw_baseline(found: FoundUnits, ax: Axes) -> None:
    """Draws the held-out scores of the found units beside what the best unit scores by chance.

    Args:
        found: of `find_units`.
        ax: where to draw.
    """
    baseline = found.data.baseline
    ax.hist(baseline, bins=_BINS, color=FAINT, alpha=0.6, label="best unit, property shifted")
    best, *others = found.data.score.values
    for score in others:
        ax.axvline(score, color=COLOURS[1], linewidth=1, alpha=0.4)
    ax.axvline(best, color=COLOURS[1], linewidth=2.4, label=f"{found.unit()} (thin: the next)")
    ax.set(xlabel=found.measure, ylabel="shifts", xlim=(0.5 if is_bool(found.target) else 0, 1.01))
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    _clean(ax)


def found_units_figure(found: FoundUnits, title: str, note: str) -> Figure:
    """The best unit by the property, and its score beside the baseline.

    Args:
        found: of `find_units`.
        title: what is seen, as a sentence.
        note: the data and the model.

    Returns:
        A figure that belongs to no window; `save_figure` writes it.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.size": 11, "text.color": INK, "axes.labelcolor": INK}):
        figure = Figure(figsize=(9, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        draw_unit_by_property(found, left)
        draw_baseline(found, right)
        figure.suptitle(fill(title, 80), x=0.01, ha="left", fontweight="bold")
        figure.supxlabel(note, x=0.01, ha="left", fontsize=9, color=FAINT)
    return figure


def _by_size(target: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Mean, 10 % and 90 % quantile of the values where the property has each size."""
    sizes = np.unique(target)
    if len(sizes) > _GROUPS:
        sizes = np.unique(np.quantile(target, np.linspace(0, 1, _GROUPS)))
    group = np.searchsorted(sizes, target)
    parts = [values[group == i] for i in range(len(sizes))]
    rows = [(part.mean(), *np.quantile(part, (0.1, 0.9))) for part in parts]
    places = [target[group == i].mean() for i in range(len(sizes))]
    return (np.array(places), *np.array(rows).T)


def _clean(ax: Axes) -> None:
    ax.locator_params(nbins=6)
    clear_frame(ax, "both")
