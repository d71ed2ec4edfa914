"""Properties of program text, Python or C and its like: comments and conditions.

A text in which more lines end in `;`, `{` or `}` than in `:` is taken for C-like, any other for
Python.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.instruments.properties import matching

_STRING = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
# A comment is group 1. Strings stand before it, so that a mark inside one begins none.
_PYTHON = r'(?s:""".*?"""|\'\'\'.*?\'\'\')|' + _STRING + r"|(#[^\n]*)"
_C_LIKE = _STRING + r"|(//[^\n]*|/\*(?s:.*?)\*(?=/)|/\*(?s:.*))"


def inside_comment(text: str) -> NDArray[np.bool_]:
    """Whether a character belongs to a comment: # or // to the line's end, or /* to */."""
    values: NDArray[Any] = matching(_C_LIKE if _is_c_like(text) else _PYTHON)(text)
    return values


def inside_if(text: str) -> NDArray[np.bool_]:
    """Whether a character belongs to the condition of an if-statement.

    In Python from behind `if` or `elif` at the beginning of a line to the colon, in C and its like
    from behind `if` to the bracket that closes the condition. Strings and comments are no code.
    """
    is_c_like = _is_c_like(text)
    code = re.sub(_C_LIKE if is_c_like else _PYTHON, _blank, text)
    keyword = r"(?<![#\w])if(?=\s*\()" if is_c_like else r"(?m:^[ \t]*(?:el)?if\b)"
    values = np.zeros(len(text), bool)
    for match in re.finditer(keyword, code):
        values[match.end() : _end_of_condition(code, match.end(), is_c_like)] = True
    return values


def _is_c_like(text: str) -> bool:
    ends = re.findall(r"[;{}:](?=[ \t]*(?:\n|\Z))", text)
    return len(ends) > 2 * ends.count(":")


def _blank(match: re.Match[str]) -> str:
    """As many characters as there were, none of them code; line ends stay."""
    return re.sub(r"[^\n]", " ", match.group())


def _end_of_condition(code: str, start: int, is_c_like: bool) -> int:
    """Where the bracket or the colon stands that ends a condition; a line's end ends Python's."""
    depth = 0
    for place in range(start, len(code)):
        character = code[place]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if is_c_like and depth == 0:
                return place
        elif not is_c_like and depth <= 0 and character in ":\n":
            return place
    return len(code)
