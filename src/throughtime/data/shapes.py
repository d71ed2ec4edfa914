"""Clips of small shapes, generated: a shape shows itself, then goes on as a dot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHAPES = ("bar", "post", "cross")
NOTHING = "nothing"
"""The label of frames without a shape or dot."""


SHOWN = 3
"""Frames in which a shape can be seen before it is a dot."""


def shapes(
    count: int, seed: int, width: int, height: int
) -> tuple[list[NDArray[np.uint8]], list[list[str]]]:
    """Clips in which a shape appears, becomes a dot after three frames, and moves on.

    A frame has the label of the shape, also while it is a dot: what it was can be told from the
    frames before alone. Between shapes there is nothing. A clip has 16 to 24 frames.

    Args:
        count: how many clips, C.
        seed: which ones; the clips are a pure function of all arguments.
        width: X, pixels of a row.
        height: Y, rows, 8 or more like the width.

    Returns:
        Grey pictures, uint8 [T, Y, X] each, and their labels, T each.

    Example:
        >>> frames, labels = shapes(1, seed=3, width=12, height=8)
        >>> frames[0].shape[1:], set(labels[0]) <= {*SHAPES, NOTHING}
        ((8, 12), True)
    """
    draw = np.random.default_rng((seed, count))
    pairs = [_clip(draw, width, height) for _ in range(count)]
    return [frames for frames, _ in pairs], [labels for _, labels in pairs]


def _clip(
    draw: np.random.Generator, width: int, height: int
) -> tuple[NDArray[np.uint8], list[str]]:
    num = int(draw.integers(16, 25))
    frames = draw.integers(0, 30, (num, height, width)).astype(np.uint8)
    labels = [NOTHING] * num
    at = int(draw.integers(2, 5))
    while at < num:
        kind, stay = int(draw.integers(len(SHAPES))), int(draw.integers(8, 12))
        x, y = draw.uniform(0.3, 0.7, 2) * (width, height)
        step_x, step_y = draw.uniform(-0.03, 0.03, 2) * (width, height)
        for age, t in enumerate(range(at, min(at + stay, num))):
            form = kind if age < SHOWN else len(SHAPES)
            place = x + age * step_x, y + age * step_y
            frames[t][_ink(form, *place, 0.3 * min(width, height), frames)] = 220
            labels[t] = SHAPES[kind]
        at += stay + int(draw.integers(6, 10))
    return frames, labels


def _ink(
    kind: int, x: float, y: float, radius: float, frames: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Which pixels a shape covers, or a dot in place of a kind beyond them, [Y, X]."""
    rows, columns = np.indices(frames.shape[1:]) + 0.5
    right, down = np.abs(columns - x), np.abs(rows - y)
    bar = (right <= radius) & (down <= radius / 3)
    post = (down <= radius) & (right <= radius / 3)
    return np.asarray((bar, post, bar | post, (right <= radius / 3) & (down <= radius / 3))[kind])
