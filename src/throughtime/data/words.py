"""One token per word between blanks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import DataError

UNKNOWN = "<unk>"
END_OF_LINE = "<eos>"


class Words:
    r"""Words between blanks, with a mark at the end of every line, as in the Penn Treebank.

    Args:
        words: the vocabulary, most frequent first; holds `<unk>` and `<eos>`.

    Example:
        >>> tokens = Words.build("to be or\nnot to be\n", vocabulary=5)
        >>> tokens.words
        ['<eos>', '<unk>', 'be', 'to', 'not']
        >>> tokens.decode(tokens.encode("to swim or\nnot"))
        'to <unk> <unk> \nnot '
    """

    kind: ClassVar[Literal["words"]] = "words"

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self._ids = {word: i for i, word in enumerate(words)}
        self._unknown = self._ids[UNKNOWN]

    @classmethod
    def build(cls, text: str, vocabulary: int) -> Words:
        """The most frequent words of a text, equals in the order of the alphabet.

        Args:
            text: the words to count.
            vocabulary: most entries, `<unk>` and `<eos>` among them.

        Raises:
            DataError: the text holds no word.
        """
        counts = Counter(_split(text))
        for mark in (UNKNOWN, END_OF_LINE):
            counts.pop(mark, None)
        if not counts:
            raise DataError("a text of words must hold one, got blanks only; name another text.")
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls([END_OF_LINE, UNKNOWN, *ranked[: max(0, vocabulary - 2)]])

    @property
    def size(self) -> int:
        """Number of words, marks included, V."""
        return len(self.words)

    def encode(self, text: str, name: str = "the text") -> NDArray[np.int64]:
        """The tokens of a text, [N]; a word that is not in the vocabulary becomes `<unk>`."""
        unknown = self._unknown
        return np.fromiter((self._ids.get(word, unknown) for word in _split(text)), np.int64)

    def decode(self, ids: Sequence[int] | NDArray[np.int64]) -> str:
        """Words, a blank after each; `<eos>` ends the line.

        Token by token it gives the same text as all at once, so it can be streamed.
        """
        words = (self.words[int(i)] for i in ids)
        return "".join("\n" if word == END_OF_LINE else word + " " for word in words)

    def to_json(self) -> dict[str, Any]:
        """The words in their order."""
        return {"kind": self.kind, "words": self.words}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Words:
        """The words that `to_json` wrote.

        Raises:
            ValueError: they are none.
        """
        words = data["words"]
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("the words are no list of texts")
        if not {UNKNOWN, END_OF_LINE} <= set(words):
            raise ValueError(f"{UNKNOWN} or {END_OF_LINE} is missing")
        return cls(words)


def _split(text: str) -> list[str]:
    # The mark stands for the line's end itself: a last line without one gets none.
    return text.replace("\n", f" {END_OF_LINE} ").split()
