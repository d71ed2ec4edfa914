"""How tokens are shown: what cannot be seen gets a sign that can."""

from __future__ import annotations

import unicodedata

_BLANK = "\u25af"  # a token without a character: bytes that complete none
_CARRIER = "\u25cc"  # what a combining character stands on when it comes alone
_SIGNS = {"\n": "\u21b5", "\t": "\u21e5", "\x7f": "\u2421"}  # ↵ ⇥ ␡


def shown(token: str) -> str:
    r"""A token as it can be printed anywhere: without control characters, of at least one column.

    Line ends show as ↵, tabs as ⇥, other control characters as their pictures (U+2400), marks
    that cannot be seen (as those that turn the direction of writing) and halves of surrogates by
    their numbers. A combining character that begins a token stands on a circle.

    Example:
        >>> shown("a\n\x1b"), shown("\u0301"), shown("\u202e"), shown("")
        ('a↵␛', '◌́', '<U+202E>', '▯')
    """
    text = "".join(map(_sign, token)) or _BLANK
    return _CARRIER + text if unicodedata.category(text[0]).startswith("M") else text


def _sign(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    if ord(character) < 0x20:
        return chr(0x2400 + ord(character))
    # control, format, surrogate, private, unassigned; line and paragraph separators
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return f"<U+{ord(character):04X}>"
    return character
