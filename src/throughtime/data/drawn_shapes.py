"""Two shapes in a picture, drawn, and a caption that says what stands where."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughtime.data.captions import Captioned

COLOURS = {
    "red": (214, 48, 49),
    "green": (39, 174, 96),
    "blue": (41, 98, 255),
    "yellow": (241, 196, 15),
}
"""The colours by name."""

SHAPES = ("circle", "square", "triangle")
"""The shapes by name."""

CORNERS = ("top left", "top right", "bottom left", "bottom right")
"""Where a shape may stand."""

SIDE, _CELL, _RADIUS = 96, 48, 20  # pixels of a picture, of each of its 2x2 cells, of a shape
_GREY = 128  # of the ground


def shapes(count: int, seed: int) -> tuple[NDArray[np.uint8], list[list[str]]]:
    """Pictures of a shape in two of their corners, and the caption of each.

    A caption reads a picture as a page is read: row by row, from the left.

    Args:
        count: N.
        seed: which ones; they are a pure function of both.

    Returns:
        Pictures, [N, 96, 96, 3], and the captions of each, one.

    Example:
        >>> pictures, captions = shapes(2, seed=1)
        >>> pictures.shape, captions[1][0]
        ((2, 96, 96, 3), 'a red circle at the top right and a green triangle at the bottom right')
    """
    draw = np.random.default_rng((seed, count))
    pictures = np.full((count, SIDE, SIDE, 3), _GREY, np.uint8)
    captions = []
    for picture in pictures:
        cells = np.sort(draw.permutation(4)[:2]).tolist()
        parts = [
            f"a {_draw_one(draw, picture, *divmod(cell, 2))} at the {CORNERS[cell]}"
            for cell in cells
        ]
        captions.append([" and ".join(parts)])
    return pictures, captions


def _draw_one(draw: np.random.Generator, picture: NDArray[np.uint8], row: int, column: int) -> str:
    """Draws a shape of a random kind and colour into a cell; what it is."""
    colour, shape = list(COLOURS)[draw.integers(len(COLOURS))], SHAPES[draw.integers(len(SHAPES))]
    y, x = (np.mgrid[:_CELL, :_CELL] - (_CELL - 1) / 2) / _RADIUS  # from -1 to 1 in the shape
    inside = {
        "circle": x**2 + y**2 <= 1,
        "square": np.maximum(abs(x), abs(y)) <= 0.9,
        "triangle": (abs(y) <= 0.9) & (abs(x) <= (y + 0.9) / 2),
    }[shape]
    cell = picture[row * _CELL :, column * _CELL :][:_CELL, :_CELL]
    cell[inside] = COLOURS[colour]
    return f"{colour} {shape}"


def write_shapes(table: Path, count: int, seed: int) -> Captioned:
    """Draws shapes and writes them as a user's own pictures would stand there.

    Args:
        table: the list, JSON lines; the pictures go into a folder of its name.
        count: how many.
        seed: which ones.

    Returns:
        What the list holds.
    """
    from PIL import Image

    pictures, captions = shapes(count, seed)
    folder = table.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    lines, files = [], []
    for number, (picture, texts) in enumerate(zip(pictures, captions, strict=True)):
        file = folder / f"{number:04}.png"
        Image.fromarray(picture).save(file)
        lines.append(json.dumps({"image": f"{folder.name}/{file.name}", "captions": texts}))
        files.append(str(file))
    table.write_text("\n".join(lines) + "\n")
    return Captioned(list(files), captions)
