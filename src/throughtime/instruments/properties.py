"""Properties of a text, character by character, that a unit may follow.

A property is a function from a text to one value per character, a bool or a number. The value at a
character is what holds once that character has been read, as a unit's activation is: an opening
quote is inside, its closing quote is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import OptionError, ShapeError

Property = Callable[[str], NDArray[Any]]
"""From a text to its values, bool or numbers, [characters]."""

_TAB = 8  # columns from one tab stop to the next
_PAIRS = {")": "(", "]": "[", "}": "{"}


def matching(pattern: str | re.Pattern[str]) -> Property:
    r"""The property of standing where a regular expression matches.

    Args:
        pattern: the expression, in the syntax of Python's `re`. Without a group the whole match
            counts; with groups the first that took part, so that what stands before it is a
            condition alone.

    Returns:
        The property, bool.

    Raises:
        OptionError: the expression cannot be read.

    Example:
        >>> after_colon = matching(r": *(\w+)")
        >>> "".join("_X"[int(value)] for value in after_colon("to: be, or"))
        '____XX____'
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise OptionError(
            f"pattern must be a regular expression, {pattern!r} is none ({error}); mend it."
        ) from error

    def inside(text: str) -> NDArray[np.bool_]:
        values = np.zeros(len(text), bool)
        for match in compiled.finditer(text):
            spans = match.regs[1:] or match.regs
            start, stop = next((span for span in spans if span[0] >= 0), (0, 0))
            values[start:stop] = True
        return values

    return inside


inside_quotes = matching(
    r'("(?:(?!\n[ \t]*\n)[^"])*)"?|'  # straight marks; a blank line ends what was left open
    "(“(?:(?!\\n[ \\t]*\\n)[^”])*)”?"
)
"""Whether a character stands between double quotation marks, straight or typographic."""


def line_position(text: str) -> NDArray[np.float64]:
    """Characters of the line read so far: 1 at its first, 0 at the newline before it."""
    places = np.arange(len(text))
    is_end = _characters(text) == ord("\n")
    last_end = np.maximum.accumulate(np.where(is_end, places, -1))
    return (places - last_end).astype(np.float64)


def indentation(text: str) -> NDArray[np.float64]:
    """Columns that the line of a character is indented; a blank line is as the one before it.

    A tab reaches to the next multiple of 8. Its newline belongs to a line.
    """
    values, depth = np.zeros(len(text)), 0
    start = 0
    for line in text.split("\n"):
        if line.strip():
            depth = _columns(line)
        values[start : start + len(line) + 1] = depth
        start += len(line) + 1
    return values


def inside_brackets(text: str) -> NDArray[np.bool_]:
    """Whether a character stands inside (), [] or {}; a bracket without its partner counts not."""
    steps = np.zeros(len(text), np.int64)
    opened: list[int] = []
    waiting = dict.fromkeys(_PAIRS.values(), 0)  # how many of each kind are open
    for place, character in enumerate(text):
        if character in waiting:
            opened.append(place)
            waiting[character] += 1
        elif waiting.get(partner := _PAIRS.get(character, ""), 0):
            start = -1
            while start < 0 or text[start] != partner:  # those within have none
                start = opened.pop()
                waiting[text[start]] -= 1
            steps[[start, place]] = 1, -1
    return np.cumsum(steps) > 0


def upper_case_word(text: str) -> NDArray[np.bool_]:
    """Whether a character belongs to a word of at least two letters, all of them upper case."""
    values = np.zeros(len(text), bool)
    for match in re.finditer(r"[^\W\d_]{2,}", text):
        values[slice(*match.span())] = match.group().isupper()
    return values


def to_tokens(values: NDArray[Any], tokens: Sequence[str]) -> NDArray[Any]:
    """The value that a property has after each token: that of its last character.

    Args:
        values: one per character of all tokens joined.
        tokens: the pieces of the text, [N]; an empty one has the value of the one before it.

    Returns:
        Values, [N]; those of empty tokens before the first character are 0.

    Raises:
        ShapeError: there is not one value per character.

    Example:
        >>> to_tokens(np.array([1, 2, 3, 4]), ["ab", "c", "", "d"]).tolist()
        [2, 3, 3, 4]
    """
    ends = np.cumsum([len(token) for token in tokens], dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    if np.shape(values) != (total,):
        raise ShapeError(
            f"a property must give [{total}], one value per character, got "
            f"{list(np.shape(values))}; return one for each."
        )
    before = np.zeros(1, np.asarray(values).dtype)
    return np.concatenate([before, values])[ends]


def _columns(line: str) -> int:
    """Columns of blanks that a line begins with."""
    blanks = line[: len(line) - len(line.lstrip(" \t"))]
    return len(blanks.expandtabs(_TAB))


def _characters(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
