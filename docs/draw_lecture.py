"""Draws the diagrams of docs/lecture.md.

python docs/draw_lecture.py         writes docs/lecture_*.svg, the same files every time
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from throughtime.instruments.figures import COLOURS, FAINT, INK

Point = tuple[float, float]
INPUT, RECURRENT, OUTPUT, GATE = COLOURS  # of W_i, W_h, W_o and what the gates compute
STYLE = {"font.size": 12, "mathtext.fontset": "stix", "text.color": INK}
RADIUS = 0.36  # of a circle, in units of half an inch


def canvas(height: float) -> tuple[Figure, Axes]:
    """An empty sheet, 16 units wide; a unit is half an inch."""
    figure = Figure(figsize=(8, height / 2))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 16), ylim=(0, height))
    ax.axis("off")
    return figure, ax


def box(ax: Axes, at: Point, text: str, colour: str = INK, width: float = 1.2) -> None:
    """A function of what enters it."""
    corner = (at[0] - width / 2 + 0.1, at[1] - 0.3)
    patch = FancyBboxPatch(
        corner, width - 0.2, 0.6, boxstyle="round,pad=0.1", fc="white", ec=colour, lw=1.6, zorder=3
    )
    ax.add_patch(patch)
    ax.text(*at, text, ha="center", va="center", zorder=4, fontsize=15)


def circle(ax: Axes, at: Point, text: str, colour: str = INK) -> None:
    """A sum or a product, component by component."""
    ax.plot(*at, "o", ms=25, mfc="white", mec=colour, mew=1.6, zorder=3)
    ax.text(at[0], at[1] - 0.02, text, ha="center", va="center", zorder=4, fontsize=15)


def dot(ax: Axes, at: Point, colour: str = INK) -> None:
    """A place where a line parts in two."""
    ax.plot(*at, "o", ms=5, color=colour, zorder=3)


def line(ax: Axes, points: Sequence[Point], colour: str = INK, width: float = 1.6) -> None:
    """A line through points, with an arrow's head at the last."""
    if len(points) > 2:
        bends = [*points[:-1], _towards(points[-2], points[-1])]
        ax.plot(*zip(*bends, strict=True), color=colour, lw=width, solid_joinstyle="round")
    arrow = {"arrowstyle": "-|>", "lw": width, "color": colour, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", points[-1], points[-2], arrowprops=arrow | {"mutation_scale": 8 + 3 * width})


def _towards(start: Point, end: Point) -> Point:
    """A third of the way, hidden under the arrow."""
    return start[0] + (end[0] - start[0]) / 3, start[1] + (end[1] - start[1]) / 3


def label(ax: Axes, at: Point, text: str, colour: str = INK, **options: Any) -> None:
    """A word beside a line."""
    style = {"ha": "center", "va": "center", "color": colour} | options
    ax.text(*at, text, **style)


def unrolled() -> Figure:
    """The feedback through a delay; beside it one copy per step."""
    figure, ax = canvas(7.4)
    label(ax, (2.4, 6.9), "feedback, delayed", fontweight="bold")
    label(ax, (10.9, 6.9), "unrolled: the same matrices at every step", fontweight="bold")
    _step(ax, 1.6, "t")
    box(ax, (3.9, 4.75), "", RECURRENT, width=1.4)
    label(ax, (3.9, 4.75), "delay", zorder=4)
    line(ax, [(2.2, 3.3), (3.9, 3.3), (3.9, 4.35)], RECURRENT)
    line(ax, [(3.2, 4.75), (2.05, 4.75), (2.05, 3.7)], RECURRENT)
    label(ax, (2.65, 5.15), "$h_{t-1}$", fontsize=15)
    label(ax, (2.55, 4.25), "$W_h$", RECURRENT, fontsize=15)
    label(ax, (3.1, 2.95), "$h_t$", fontsize=15)
    label(ax, (5.35, 3.3), "=", fontsize=22)
    label(ax, (6.35, 3.3), "$h_0$", fontsize=15)
    for t in (1, 2, 3):
        x, start = 5.3 + 2.8 * t, 3.1 + 2.8 * t if t > 1 else 6.7
        _step(ax, x, str(t))
        line(ax, [(start, 3.3), (x - 0.6, 3.3)], RECURRENT)
        label(ax, ((start + x - 0.75) / 2, 3.7), "$W_h$", RECURRENT, fontsize=15)
    line(ax, [(14.3, 3.3), (15.2, 3.3)], RECURRENT)
    label(ax, (15.55, 3.3), "...", fontsize=16)
    return figure


def _step(ax: Axes, x: float, t: str) -> None:
    box(ax, (x, 3.3), f"$h_{t}$")
    label(ax, (x, 0.6), f"$x_{t}$", fontsize=15)
    label(ax, (x, 6.0), f"$y_{t}$", fontsize=15)
    line(ax, [(x, 0.95), (x, 2.9)], INPUT)
    line(ax, [(x, 3.7), (x, 5.65)], OUTPUT)
    label(ax, (x - 0.5, 1.8), "$W_i$", INPUT, fontsize=15)
    label(ax, (x - 0.5, 4.65), "$W_o$", OUTPUT, fontsize=15)


def tasks() -> Figure:
    """The four kinds of task, by what enters and what leaves."""
    figure, ax = canvas(10.6)
    caption, photograph = ["a", "dog", "runs", "."], ["photograph", "", "", ""]
    _task(ax, (0, 5.5), "one to many: a caption", photograph, caption, writer=0)
    _task(ax, (8, 5.5), "many to one: sentiment", ["not", "a", "bad", "film"], [*[""] * 3, "good"])
    foreign, english = ["es", "regnet", "", "", ""], ["", "", "it", "is", "raining"]
    _task(ax, (0, 0), "many to many: translation", foreign, english, writer=2)
    frames, words = [f"frame {t}" for t in (1, 2, 3, 4)], ["silence", "bin", "bin", "blue"]
    _task(ax, (8, 0), "aligned many to many: video frames", frames, words)
    return figure


def _task(
    ax: Axes, corner: Point, title: str, inputs: list[str], outputs: list[str], writer: int = 99
) -> None:
    """One graph; from step `writer` on another network runs, which reads what it said."""
    left, bottom = corner
    label(ax, (left + 0.4, bottom + 4.75), title, ha="left", fontweight="bold")
    pitch = 1.45 if len(inputs) == 5 else 1.8
    steps, y = [left + 1.1 + pitch * t for t in range(len(inputs))], bottom + 2.3
    for t, x in enumerate(steps):
        box(ax, (x, y), "", RECURRENT if t < writer else GATE, width=0.9)
        if t:
            line(ax, [(steps[t - 1] + 0.45, y), (x - 0.45, y)], RECURRENT)
        if inputs[t]:
            line(ax, [(x, y - 1.2), (x, y - 0.4)], INPUT)
            label(ax, (x, y - 1.5), inputs[t], fontsize=11)
        if outputs[t]:
            line(ax, [(x, y + 0.4), (x, y + 1.2)], OUTPUT)
            label(ax, (x, y + 1.5), outputs[t], fontsize=11)
        if t > writer:
            _read_back(ax, steps[t - 1], x, y)


def _read_back(ax: Axes, before: float, x: float, y: float) -> None:
    """From the word that was said to the next step's input, dashed."""
    middle = (before + x) / 2
    path = [(before + 0.1, y + 0.9), (middle, y + 0.9), (middle, y - 0.85), (x, y - 0.85)]
    ax.plot(*zip(*path, strict=True), color=FAINT, lw=1.2, ls=(0, (3, 2)))
    line(ax, [(x, y - 0.85), (x, y - 0.4)], FAINT, 1.2)


def lstm() -> Figure:
    """The cell state's path, its gates, and what the step shows."""
    figure, ax = canvas(8.6)
    path, top, bus = RECURRENT, 7.2, 1.5
    label(ax, (0.75, top), "$c_{t-1}$", fontsize=16)
    label(ax, (15.3, top), "$c_t$", fontsize=16)
    for start, end in ((1.3, 3.2 - RADIUS), (3.2 + RADIUS, 7 - RADIUS), (7 + RADIUS, 14.8)):
        line(ax, [(start, top), (end, top)], path, 3)
    label(ax, (9.9, 8.1), "the open path: no matrix, no bend, only $f_t$", path, fontsize=13)
    for x, name, gate in (
        (3.2, r"\sigma", "f_t"), (5.4, r"\sigma", "i_t"),
        (8.6, r"\tanh", r"\tilde c_t"), (10.8, r"\sigma", "o_t"),
    ):  # fmt: skip
        box(ax, (x, 3.1), f"${name}$", GATE)
        line(ax, [(x, bus), (x, 2.7)])
        dot(ax, (x, bus))
        label(ax, (x - 0.38, 3.95), f"${gate}$", GATE, fontsize=16)
    for x, word in ((3.2, "forget"), (5.4, "input"), (8.6, "candidate"), (10.8, "output")):
        label(ax, (x + 0.15, 2.15), word, ha="left", fontsize=11)
    line(ax, [(3.2, 3.5), (3.2, top - RADIUS)], GATE)
    line(ax, [(5.4, 3.5), (5.4, 5.3), (7 - RADIUS, 5.3)], GATE)
    line(ax, [(8.6, 3.5), (8.6, 5.3), (7 + RADIUS, 5.3)], GATE)
    line(ax, [(7, 5.3 + RADIUS), (7, top - RADIUS)])
    line(ax, [(10.8, 3.5), (10.8, 4.4), (12.8 - RADIUS, 4.4)], GATE)
    dot(ax, (12.8, top), path)
    line(ax, [(12.8, top), (12.8, 6.2)])
    line(ax, [(12.8, 5.4), (12.8, 4.4 + RADIUS)])
    line(ax, [(12.8 + RADIUS, 4.4), (14.8, 4.4)])
    box(ax, (12.8, 5.8), r"$\tanh$")
    for at in ((3.2, top), (7, 5.3), (12.8, 4.4)):
        circle(ax, at, r"$\times$", path if at[1] == top else INK)
    circle(ax, (7, top), "$+$", path)
    label(ax, (15.3, 4.4), "$h_t$", fontsize=16)
    label(ax, (0.75, bus), "$h_{t-1}$", fontsize=16)
    ax.plot((1.3, 10.8), (bus, bus), color=INK, lw=1.6)
    line(ax, [(2.2, 0.8), (2.2, bus)])
    label(ax, (2.2, 0.45), "$x_t$", fontsize=16)
    label(ax, (7, 0.9), "$W_h h_{t-1} + W_i x_t + b$", fontsize=15)
    return figure


def gru() -> Figure:
    """The hidden vector's path, its two gates and the candidate."""
    figure, ax = canvas(8.6)
    path, top, from_h, from_x = RECURRENT, 7.2, 1.9, 0.9
    label(ax, (0.75, top), "$h_{t-1}$", fontsize=16)
    label(ax, (15.3, top), "$h_t$", fontsize=16)
    for start, end in ((1.3, 4.2 - RADIUS), (4.2 + RADIUS, 12 - RADIUS), (12 + RADIUS, 14.8)):
        line(ax, [(start, top), (end, top)], path, 3)
    label(ax, (8.1, 8.1), "the open path: no matrix, no bend, only $u_t$", path, fontsize=13)
    ax.plot((2, 2, 9.4), (top, from_h, from_h), color=INK, lw=1.6)
    ax.plot((1.3, 12), (from_x, from_x), color=INK, lw=1.6)
    label(ax, (0.75, from_x), "$x_t$", fontsize=16)
    dot(ax, (2, top), path)
    for x in (4.2, 7):
        line(ax, [(x - 0.25, from_h), (x - 0.25, 3.1)])
        line(ax, [(x + 0.25, from_x), (x + 0.25, 3.1)])
        dot(ax, (x - 0.25, from_h))
        dot(ax, (x + 0.25, from_x))
        box(ax, (x, 3.5), r"$\sigma$", GATE)
    line(ax, [(9.4, from_h), (9.4, 3.5 - RADIUS)])
    line(ax, [(12, from_x), (12, 3.1)])
    label(ax, (9.55, 2.5), "$m_t$", ha="left", fontsize=16)
    label(ax, (4.6, 2.65), "update", ha="left", fontsize=11)
    label(ax, (7.4, 2.65), "reset", ha="left", fontsize=11)
    label(ax, (12.15, 2.65), "candidate", ha="left", fontsize=11)
    line(ax, [(7.6, 3.5), (9.4 - RADIUS, 3.5)], GATE)
    label(ax, (8.3, 3.85), "$r_t$", GATE, fontsize=16)
    line(ax, [(9.4 + RADIUS, 3.5), (11.4, 3.5)])
    box(ax, (12, 3.5), r"$\tanh$", GATE)
    line(ax, [(12, 3.9), (12, 5.4 - RADIUS)], GATE)
    label(ax, (12.4, 4.4), "$n_t$", GATE, fontsize=16)
    line(ax, [(4.2, 3.9), (4.2, top - RADIUS)], GATE)
    label(ax, (3.82, 4.4), "$u_t$", GATE, fontsize=16)
    dot(ax, (4.2, 5.4), GATE)
    line(ax, [(4.2, 5.4), (6.4, 5.4)], GATE)
    box(ax, (7, 5.4), "$1 - u_t$", GATE, width=1.7)
    line(ax, [(7.85, 5.4), (12 - RADIUS, 5.4)], GATE)
    line(ax, [(12, 5.4 + RADIUS), (12, top - RADIUS)])
    for at in ((4.2, top), (9.4, 3.5), (12, 5.4)):
        circle(ax, at, r"$\times$", path if at[1] == top else INK)
    circle(ax, (12, top), "$+$", path)
    return figure


def main(folder: Path) -> None:
    """Writes every diagram."""
    # A fixed salt and no date: the same drawing gives the same file.
    with rc_context(STYLE | {"svg.hashsalt": "throughtime", "svg.fonttype": "path"}):
        for draw in (unrolled, tasks, lstm, gru):
            file = folder / f"lecture_{draw.__name__}.svg"
            draw().savefig(file, facecolor="white", metadata={"Date": None})
            print(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
