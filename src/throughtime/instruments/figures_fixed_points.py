"""The figure of fixed points: where they are among the trajectories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from throughtime.instruments.figures import COLOURS, FAINT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from xarray import Dataset

BLUE, ORANGE, GREEN, _ = COLOURS
PATHS = 40
"""Rows of the batch whose trajectories are drawn, at most."""
SLOW = 1e-20
"""q above which a point is no fixed point: float64 would give less."""


def draw_fixed_points(points: Dataset, ax: Axes) -> None:
    """Draws fixed points among the trajectories, in the principal axes of the visited states.

    Stable points are filled, others hollow, slow ones (q above `SLOW`) are diamonds. Two axes, or
    three where `ax` has them (`projection="3d"`).

    Args:
        points: of `fixed_points`.
        ax: where to draw.
    """
    space: Any = ax  # with a third coordinate, in three axes
    num = 3 if ax.name == "3d" else 2
    visited = points.visited.transpose("batch", "time", "state").values
    centre, axes, shares = principal_axes(visited, num)
    for path in visited[:PATHS]:
        space.plot(*((path - centre) @ axes).T, color=FAINT, linewidth=0.6, alpha=0.45, zorder=1)
    places = (points.s.values - centre) @ axes
    stable, slow = points.stable.values, points.q.values > SLOW
    for chosen, marker, colour, name in (
        (stable & ~slow, "o", BLUE, "stable"),
        (~stable & ~slow, "o", ORANGE, "unstable"),
        (slow, "D", GREEN, "slow"),
    ):
        if chosen.any():
            fill = colour if name == "stable" else "white"
            edge: dict[str, Any] = {"edgecolors": colour, "linewidths": 1.8}
            edge |= {"facecolors": fill, "s": 64, "marker": marker, "zorder": 3}
            edge |= {"depthshade": False} if num == 3 else {}
            space.scatter(*places[chosen].T, label=f"{name}: {chosen.sum()}", **edge)
    for index, name in enumerate("xyz"[:num]):
        getattr(space, f"set_{name}label")(f"principal axis {index + 1} ({shares[index]:.0%})")
    if num == 3:
        space.set_box_aspect(None, zoom=0.86)  # room for the third label
        ax.legend(loc="upper center", ncols=3, frameon=False)
    else:
        ax.set_aspect("equal", "datalim")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(loc="best", framealpha=0.8, edgecolor="none")


def principal_axes(
    states: NDArray[Any], num: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The directions in which states vary most.

    Args:
        states: [..., S]; those with NaN are left out.
        num: how many directions.

    Returns:
        centre: the mean, [S].
        axes: columns of length 1, [S, num]; zeros where S is smaller.
        shares: of the variance, [num].
    """
    flat = states.reshape(-1, states.shape[-1])
    flat = flat[~np.isnan(flat).any(1)]
    centre = flat.mean(0)
    covariance = np.cov(flat - centre, rowvar=False).reshape(2 * [len(centre)])
    variances, directions = np.linalg.eigh(covariance)
    order = np.argsort(variances)[::-1][:num]
    axes, shares = np.zeros((len(centre), num)), np.zeros(num)
    axes[:, : len(order)] = directions[:, order]
    shares[: len(order)] = variances[order] / variances.sum()
    return centre, axes, shares
