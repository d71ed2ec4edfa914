"""Measures how the product of Jacobians shrinks or grows, for docs/lecture.md.

python docs/draw_jacobians.py       writes docs/lecture_jacobians.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from throughtime.instruments.figures import COLOURS, INK

UNITS, LAGS, RADII = 64, 40, (0.5, 0.9, 1.2, 2.0)
BOUND = {"lw": 1.2, "ls": (0, (4, 3))}


def draw_normal(seed: int, *shape: int) -> Tensor:
    """Independent normal numbers in double precision."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def orthogonal() -> Tensor:
    """A rotation, [H, H]: every singular value and every eigenvalue has length 1."""
    return torch.linalg.qr(draw_normal(1, UNITS, UNITS)).Q


def random() -> Tensor:
    """Independent normal entries, scaled to spectral radius 1, [H, H]."""
    W = draw_normal(1, UNITS, UNITS)
    return W / torch.linalg.eigvals(W).abs().max()


def norm(matrix: Tensor) -> float:
    """The largest singular value."""
    return float(torch.linalg.matrix_norm(matrix, ord=2))


def jacobian_norms(W_h: Tensor) -> list[float]:
    """The norm of dh_T/dh_{T-k} for k = 0 ... LAGS.

    The network runs over twice as many steps, h_t = tanh(W_h h_{t-1} + 0.1 noise_t), from 0.
    """
    h, hidden = torch.zeros(UNITS, dtype=torch.float64), []
    for noise in draw_normal(2, 2 * LAGS, UNITS):
        h = torch.tanh(W_h @ h + 0.1 * noise)
        hidden.append(h)
    product, norms = torch.eye(UNITS, dtype=torch.float64), [1.0]
    for h in reversed(hidden[-LAGS:]):
        product = product @ torch.diag(1 - h**2) @ W_h
        norms.append(norm(product))
    return norms


def draw_norms(ax: Axes, title: str, W: Tensor) -> None:
    """Measured and bound, for W scaled to each radius."""
    for rho, colour in zip(RADII, COLOURS, strict=True):
        W_h = rho * W
        ax.plot(jacobian_norms(W_h), color=colour, lw=2.2, label=rf"$\rho$ = {rho}")
        ax.plot([norm(W_h) ** k for k in range(LAGS + 1)], color=colour, **BOUND)
    ax.set(yscale="log", xlim=(0, LAGS), ylim=(1e-8, 1e8), title=title, xlabel="lag k in steps")
    ax.spines[["top", "right"]].set_visible(False)
    ax.minorticks_off()
    ax.grid(axis="y", color="#ececec", linewidth=0.8)


def jacobians() -> Figure:
    """The norm of the product of Jacobians against the lag, with the bound."""
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    W = random()
    draw_norms(left, r"orthogonal: $\|W_h\| = \rho$", orthogonal())
    draw_norms(right, rf"random: $\|W_h\| = {norm(W):.1f}\,\rho$", W)
    left.set_ylabel(r"$\|dh_T/dh_{T-k}\|$")
    bound = Line2D([], [], color=INK, label=r"bound $\|W_h\|^k$", **BOUND)
    handles = [*left.get_legend_handles_labels()[0], bound]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False)
    return figure


def main(folder: Path) -> None:
    """Measures, and writes the picture."""
    # A fixed salt and no date: the same numbers give the same file.
    style = {"font.size": 12, "mathtext.fontset": "stix", "text.color": INK}
    with rc_context(style | {"svg.hashsalt": "throughtime", "svg.fonttype": "path"}):
        file = folder / "lecture_jacobians.svg"
        jacobians().savefig(file, facecolor="white", metadata={"Date": None})
        print(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
