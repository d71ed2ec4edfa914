"""What was taken for what: accuracy, F1 of every class, and their picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughtime.instruments.figures import save_figure


@dataclass(frozen=True)
class Confusion:
    """What was taken for what.

    Example:
        >>> found = Confusion(("a", "b"), np.array([[3, 1], [0, 0]]))
        >>> found.share_right, found.f1.round(3).tolist()
        (0.75, [0.857, 0.0])
    """

    classes: tuple[str, ...]
    """The labels, K."""

    confusion: NDArray[np.int64]
    """How many there were by class and by the class they were taken for, [K, K]."""

    @property
    def total(self) -> int:
        """How many were classified."""
        return int(self.confusion.sum())

    @property
    def share_right(self) -> float:
        """Accuracy: share taken for what they are."""
        return float(np.trace(self.confusion) / self.total)

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 of each class, 2 TP / (2 TP + FP + FN), [K]; 0 for a class that never occurs."""
        right = np.diag(self.confusion)
        either = self.confusion.sum(0) + self.confusion.sum(1)
        return np.where(either > 0, 2 * right / np.maximum(either, 1), 0.0)

    @property
    def macro_f1(self) -> float:
        """The mean of F1 over the classes."""
        return float(self.f1.mean())


def draw_confusion(found: Confusion, place: Path, what: str) -> Path:
    """Draws what was taken for what, as PNG and SVG.

    Args:
        found: the score.
        place: where the pictures go, without a suffix.
        what: was classified, such as `texts`.

    Returns:
        The PNG.
    """
    from matplotlib.figure import Figure

    count = len(found.classes)
    side = min(12.0, 2.6 + 0.9 * count)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    ax = figure.subplots()
    rows = found.confusion.sum(1, keepdims=True)
    shares = found.confusion / np.maximum(rows, 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if count <= 20:  # more would not be read
        for (true, taken), number in np.ndenumerate(found.confusion):
            share = shares[true, taken]
            ink = "white" if share > 0.6 else "#222222"
            label = f"{number:,}\n{100 * share:.0f} %"
            ax.text(taken, true, label, ha="center", va="center", color=ink)
    names = [name if len(name) < 16 else f"{name[:14]}…" for name in found.classes]
    # A label may hold a dollar sign, which is no formula here.
    ax.set_xticks(range(count), names, rotation=0 if count < 4 else 60, parse_math=False)
    ax.set_yticks(range(count), names, parse_math=False)
    ax.set_xlabel("taken for")
    ax.set_ylabel("is in truth")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    title = f"{100 * found.share_right:.1f} % of {found.total:,} {what} right"
    figure.suptitle(title, fontsize=11)
    return save_figure(figure, place)[0]
