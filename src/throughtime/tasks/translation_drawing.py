"""Where a network looked for each piece of a translation, as a heat map over the source."""

from __future__ import annotations

import io
from pathlib import Path

from throughtime.record import write_atomically
from throughtime.tasks.translation_predict import Looked


def draw_alignment(looked: Looked, file: Path) -> Path:
    """Draws a row for each piece that was written, dark where the network looked for it.

    Args:
        looked: as `translation.look_again` gives it.
        file: where the picture goes, a PNG.

    Returns:
        The file.

    Raises:
        RunError: it cannot be written.
    """
    from matplotlib.figure import Figure

    rows, columns = len(looked.rows), len(looked.columns)
    size = 2.0 + 0.34 * columns, 1.2 + 0.3 * rows
    figure = Figure(figsize=size, layout="constrained")
    ax = figure.subplots()
    shown = ax.imshow(looked.weights, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    ax.set_xticks(range(columns), looked.columns, rotation=60, ha="left", rotation_mode="anchor")
    ax.set_yticks(range(rows), looked.rows)
    for label in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        label.set_parse_math(False)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.set_xlabel("pieces of the source")
    ax.set_ylabel("pieces that were written")
    figure.colorbar(shown, ax=ax, label="share of attention", shrink=0.8)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write_atomically(file, content.getvalue())
    return file
