"""Spelling: from tokens as they come to text as soon as it is certain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

_UNFINISHED = "\ufffd"  # what a decoder shows for a character whose last bytes are missing


def spell(ids: Iterable[int], decode: Callable[[Sequence[int]], str]) -> Iterator[str]:
    """The text of tokens, piece by piece; the pieces joined are `decode` of all tokens.

    A byte-pair piece may end inside a character. It is held back until the character is whole,
    or the tokens end.

    Args:
        ids: the tokens, one after the other.
        decode: from tokens to text.

    Returns:
        An iterator over pieces of text, none of them empty.

    Example:
        >>> list(spell([0xC3, 0xA9, 0x21], lambda ids: bytes(ids).decode(errors="replace")))
        ['é', '!']
    """
    read: list[int] = []
    written = 0
    for token in ids:
        read.append(token)
        text = decode(read)
        if len(text) > written and not text.endswith(_UNFINISHED):
            yield text[written:]
            written = len(text)
    if rest := decode(read)[written:]:
        yield rest
