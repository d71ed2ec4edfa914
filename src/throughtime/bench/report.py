"""Rows and ceilings as tables, numbers and a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from throughtime.bench.compare import Row
from throughtime.bench.machine import Ceilings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEAD = ("cell", "T,B,I,H", "mode", "ms", "± %", "torch", "best", "best other", "FMA")
"""The time of a call and its spread, how many times as long torch and the best of all others take,
who that is, and the share of the multiply-adds that the machine can do on as many threads."""

RIGHT = (3, 4, 5, 6, 8)
COLOURS = {"rnn": "#3b7dd8", "lstm": "#c2410c", "gru": "#15803d"}


def cells_of(row: Row) -> list[str]:
    """One row of the table, in the order of `HEAD`; a dash where nobody else was timed."""
    time = row.best("throughtime")[1]
    timed_torch = any(side.startswith("torch,") for side in row.others)
    return [
        *(row.cell, str(row.shape), row.mode, f"{1e3 * time:.3g}", f"{100 * row.spread():.0f}"),
        f"{row.ratio('torch,'):.2f}" if timed_torch else "-",
        *((f"{row.ratio(*row.others):.2f}", row.best(*row.others)[0]) if row.others else "--"),
        f"{100 * row.share():.0f} %",
    ]


def means(rows: Sequence[Row]) -> list[tuple[str, str, float, float]]:
    """Geometric means by cell and mode: (cell, mode, against torch, against the best other)."""
    found = []
    for cell, mode in dict.fromkeys((row.cell, row.mode) for row in rows):
        group = [row for row in rows if (row.cell, row.mode) == (cell, mode)]
        ratios = [(row.ratio("torch,"), row.ratio(*row.others)) for row in group]
        found.append((cell, mode, *(geometric(column) for column in zip(*ratios, strict=True))))
    return found  # type: ignore[return-value]  # two columns


def geometric(values: Sequence[float]) -> float:
    """exp(mean(log values))."""
    return math.exp(sum(map(math.log, values)) / len(values))


def slower_rows(rows: Sequence[Row]) -> list[Row]:
    """Rows in which some other side is faster, beyond the spread of ours."""
    return [row for row in rows if row.ratio(*row.others) < 1 - row.spread()]


def as_json(rows: Sequence[Row], about: dict[str, str]) -> dict[str, Any]:
    """Everything that was measured; times in seconds, rates per second."""
    return {"machine": about, "rows": [row.as_dict() for row in rows]}


def best_ceilings(rows: Sequence[Row]) -> Ceilings:
    """The best that was measured beside any row."""
    return reduce(Ceilings.with_better, [row.ceilings for row in rows])


def draw_roofline(rows: Sequence[Row]) -> Figure:
    """Our rates against operations per byte of weights, under what the machine allows.

    A call reads W_hh at every step and W_ih once; with B rows each number serves 2 B operations.
    The roof is min(operations a second, intensity x bytes a second) on all threads measured
    (Williams, Waterman and Patterson 2009).
    """
    from matplotlib.figure import Figure

    ceilings = best_ceilings(rows)
    threads = max(ceilings.operations)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    roof = ceilings.operations[threads] / 1e9
    low, high = 0.3, 300.0
    for level, style in (("L2", "--"), ("L3", "-.")):
        rate = ceilings.reading[threads][level] / 1e9
        axes.plot([low, roof / rate, high], [low * rate, roof, roof], style, color="0.4", lw=1)
        axes.text(low * 1.05, low * rate * 1.12, f"{level} {rate:.0f} GB/s", color="0.3",
                  fontsize=8, rotation=32)  # fmt: skip
    axes.text(high, roof * 1.05, f"multiply-adds {roof:.0f} GF/s", ha="right", color="0.3",
              fontsize=8)  # fmt: skip
    for cell, mode in dict.fromkeys((row.cell, row.mode) for row in rows):
        group = [row for row in rows if (row.cell, row.mode) == (cell, mode)]
        axes.scatter(
            [r.shape.operations(cell, mode) / r.shape.bytes_read(cell, mode) for r in group],
            [row.rate() / 1e9 for row in group],
            marker="o" if mode == "inference" else "^",
            color=COLOURS[cell],
            facecolors=COLOURS[cell] if mode == "inference" else "white",
            label=f"{cell.upper()}, {mode}",
            s=34,
            zorder=3,
        )
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(5, roof * 1.6))
    axes.set_xlabel("operations per byte of weights")
    axes.set_ylabel("billion operations a second")
    axes.set_title(f"Layers under the roof of this machine ({threads} threads)", fontsize=11)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
