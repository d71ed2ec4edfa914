"""A unit over a text in a terminal: in colours, or with a figure below each character."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from itertools import groupby

from throughtime.errors import OptionError
from throughtime.instruments.glyphs import shown
from throughtime.instruments.unit_text import LEVELS, UnitText, colour

_LINE_END = "\u21b5"
_LEAST_WIDTH = 2  # columns; a character can take two

_Cell = tuple[str, int, int]  # what is printed in its columns, how many these are, the level


def show(text: UnitText) -> None:
    """Prints a text, as wide as the terminal; in colours if it is one and NO_COLOR is not set."""
    is_coloured = (
        sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    )
    rendered = render(text, max(_LEAST_WIDTH, shutil.get_terminal_size().columns), is_coloured)
    encoding = sys.stdout.encoding or "utf-8"
    print(rendered.encode(encoding, "replace").decode(encoding))


def render(text: UnitText, width: int = 80, is_coloured: bool = True) -> str:
    """The title, the scale, and the text in lines of at most so many columns.

    Without colours a figure stands below every character, from 0 for the lowest value of the scale
    to 9 for the highest.

    Args:
        text: what to show.
        width: columns, at least 2.
        is_coloured: whether the terminal knows colours of 24 bits.

    Raises:
        OptionError: the width is below 2.
    """
    if width < _LEAST_WIDTH:
        raise OptionError(f"width must be at least {_LEAST_WIDTH} columns, got {width}; widen it.")
    low, middle, high = (f"{value:.3g}" for value in text.scale())
    lines = [shown(text.title)]
    if is_coloured:
        scale = (low, -LEVELS), (middle, 0), (high, LEVELS)
        lines.append("".join(_painted(f" {value} ", level) for value, level in scale))
        for line in _cut(text, width):
            runs = groupby(line, key=lambda cell: cell[2])
            lines.append("".join(_painted("".join(c[0] for c in run), lv) for lv, run in runs))
        return "\n".join(lines)
    lines.append(f"0 is {low}, 9 is {high}")
    for line in _cut(text, width):
        lines.append("".join(signs for signs, _, _ in line))
        lines.append("".join(_figure(level).ljust(columns) for _, columns, level in line).rstrip())
    return "\n".join(lines)


def _cut(text: UnitText, width: int) -> Iterator[list[_Cell]]:
    """Lines of characters, those that combine with the one before in its columns."""
    line: list[_Cell] = []
    used = 0
    for token, level in zip(text.tokens, text.levels(), strict=True):
        for character in shown(token):
            columns = _columns(character)
            if columns == 0 and line:
                signs, before, own = line[-1]
                line[-1] = (signs + character, before, own)
                continue
            if used + columns > width:
                yield line
                line, used = [], 0
            line.append((character, columns, int(level)))
            used += columns
            if character == _LINE_END:
                yield line
                line, used = [], 0
    if line:
        yield line


def _columns(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _painted(signs: str, level: int) -> str:
    red, green, blue = colour(level)
    return f"\x1b[38;2;0;0;0;48;2;{red};{green};{blue}m{signs}\x1b[0m"


def _figure(level: int) -> str:
    return str(round((level + LEVELS) / (2 * LEVELS) * 9))
