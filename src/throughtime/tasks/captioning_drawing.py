"""Where a network looked while it wrote a caption, as a picture: one panel for each word."""

from __future__ import annotations

import io
from pathlib import Path
from textwrap import fill

from throughtime.record import write_atomically
from throughtime.tasks.captioning_predict import Prediction

COLUMNS, _MOST = 6, 60
"""Panels side by side; more words than this are not drawn."""


def draw_where(found: Prediction, file: Path) -> Path:
    """Draws a picture, and once more for each word, bright where the network looked.

    A place that has the same weight as all others is half as bright as the picture, one that has
    the highest weight of its word fully bright.

    Args:
        found: a caption with its maps.
        file: where the picture goes, a PNG.

    Returns:
        The file.

    Raises:
        RunError: it cannot be written.
    """
    import numpy as np
    from matplotlib.figure import Figure
    from PIL import Image

    side = len(found.picture)
    shown = list(zip(found.words, found.maps, strict=True))[:_MOST]
    rows = -(-(len(shown) + 1) // COLUMNS)
    figure = Figure(figsize=(2 * COLUMNS, 2.25 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    for ax in axes:
        ax.set_axis_off()
    axes[0].imshow(found.picture)
    for ax, (word, weights) in zip(axes[1:], shown, strict=False):
        # From a grid of places to pixels, smoothly: a place has no sharp edge in the network.
        smooth = Image.fromarray(weights.astype(np.float32)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        light = np.clip(np.asarray(smooth) / max(weights.max(), 1e-9), 0, 1)[..., None]
        pale = 235 - 0.25 * (235 - found.picture.astype(np.float32))
        ax.imshow((light * found.picture + (1 - light) * pale).astype(np.uint8))
        ax.set_title(word or "·", fontsize=12, parse_math=False)
    title = fill(found.captions[0] or "(no words)", 90)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", parse_math=False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write_atomically(file, content.getvalue())
    return file
