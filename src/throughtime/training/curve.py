"""The learning curve, drawn from the metrics."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from throughtime.record import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRAINING, _VALIDATION, _INK = "#9db4c8", "#c8442c", "#333333"
_SMOOTHING = 0.03  # width of the running mean, as a share of the run
_MOST_POINTS = 1000


def draw_curve(metrics: Sequence[dict[str, Any]], folder: Path, watched: str) -> None:
    """Writes `curve.png` and `curve.svg`; without a line of metrics it writes nothing.

    Args:
        metrics: lines as `read_metrics` gives them.
        folder: where the pictures go.
        watched: which figure is the loss.
    """
    if not metrics:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    plot_curve(metrics, figure.subplots(), watched)
    for kind in ("png", "svg"):
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=150)
        write_atomically(folder / f"curve.{kind}", content.getvalue())


def plot_curve(metrics: Sequence[dict[str, Any]], ax: Axes, watched: str) -> None:
    """Draws loss against training time: every update pale, smoothed, and the validations.

    A `baseline` among the figures of a validation is drawn too.

    Args:
        metrics: lines as `read_metrics` gives them.
        ax: where to draw.
        watched: which figure is the loss.
    """
    unit_s, unit = (60.0, "minutes") if metrics[-1]["elapsed_s"] >= 120 else (1.0, "seconds")
    minutes, loss = _points(metrics, "train", unit_s, watched)
    if len(loss):
        smooth = _running_mean(loss, max(1, round(_SMOOTHING * len(loss))))
        keep = slice(None, None, -(-len(loss) // _MOST_POINTS))
        ax.plot(minutes[keep], loss[keep], color=_TRAINING, alpha=0.35, linewidth=0.8)
        ax.plot(minutes[keep], smooth[keep], color=_TRAINING, linewidth=2, label="training")
    at, validation = _points(metrics, "validation", unit_s, watched)
    if len(validation):
        ax.plot(at, validation, "o-", color=_VALIDATION, markersize=4, label="validation")
        _mark_best(ax, at, validation)
    baselines = [line["baseline"] for line in metrics if "baseline" in line][:1]
    for baseline in baselines:
        ax.axhline(baseline, color=_INK, linestyle=":", linewidth=1.2, label="baseline")
    _frame(ax, np.concatenate([_after_start(loss), validation, baselines]))
    ax.set_xlabel(f"training time in {unit}")
    ax.set_ylabel(f"loss: {watched.replace('_', ' ')}")
    ax.legend(frameon=False)


def _mark_best(ax: Axes, at: np.ndarray, validation: np.ndarray) -> None:
    best = int(validation.argmin())
    ax.annotate(
        f"best {validation[best]:.3f}",
        (at[best], validation[best]),
        xytext=(0, -16),
        textcoords="offset points",
        ha="right" if at[best] > 0.8 * at[-1] else "center",
        color=_VALIDATION,
    )


def _frame(ax: Axes, shown: np.ndarray) -> None:
    """Axes without a box, as high as the losses after the steep start."""
    margin = 0.1 * max(1e-3, float(shown.max() - shown.min()))
    ax.set_ylim(float(shown.min()) - margin, float(shown.max()) + margin)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(colors=_INK)


def _after_start(loss: np.ndarray) -> np.ndarray:
    return loss[len(loss) // 50 :]


def _points(
    metrics: Sequence[dict[str, Any]], kind: str, unit_s: float, watched: str
) -> tuple[np.ndarray, np.ndarray]:
    lines = [line for line in metrics if line["kind"] == kind]
    at = np.array([line["elapsed_s"] for line in lines], float) / unit_s
    return at, np.array([line[watched] for line in lines], float)


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Mean over the last `width` values, over fewer at the start."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(0, last - width)
    return np.asarray((sums[last] - sums[first]) / (last - first))
