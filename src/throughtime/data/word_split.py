"""A text as words: in small letters, with or without punctuation."""

from __future__ import annotations

import re
import unicodedata

_APOSTROPHES = str.maketrans("\u2019\u02bc`", "'''")
_NO_LETTER = re.compile(r"[^\w\s']|'(?!\w)")


def split_words(text: str, punctuation: bool = True) -> list[str]:
    """The words of a text, in small letters; every mark of punctuation is a word.

    An apostrophe before a letter belongs to the word, as in `don't` and `'s`; the curved one and
    the grave accent are taken for it. Signs that letters carry stay with them.

    Args:
        text: any text.
        punctuation: whether to keep the marks; without it they part words as a blank does.

    Example:
        >>> split_words("It’s a well-made film, isn 't it?")
        ["it's", 'a', 'well', '-', 'made', 'film', ',', 'isn', "'t", 'it', '?']
        >>> split_words("well-made!", punctuation=False)
        ['well', 'made']
    """

    def part(found: re.Match[str]) -> str:
        sign = found.group()
        if unicodedata.category(sign)[0] == "M":
            return sign
        return f" {sign} " if punctuation else " "

    return _NO_LETTER.sub(part, text.lower().translate(_APOSTROPHES)).split()
