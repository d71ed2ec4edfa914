"""Words and their pieces as numbers: what a word looks like, even where nobody knows it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from throughtime.data.buckets import pad
from throughtime.data.words import UNKNOWN, Words

SHORTEST, LONGEST, MOST = 3, 5, 24
"""Characters of a piece, and the most pieces of a word."""

_REMEMBERED = 200_000  # words whose pieces need not be looked for again


class Sentences(NamedTuple):
    """Texts side by side, as places among the distinct words they have; place 0 is the unknown one.

    Args:
        places: of each word, int64 [T, B]; 0 behind the end of a text.
        lengths: words of each text, int64 [B].
        ids: of the distinct words in the vocabulary, int64 [U].
        pieces: of the distinct words, int64 [U, P], from 1 on; 0 for none.
    """

    places: Tensor
    lengths: Tensor
    ids: Tensor
    pieces: Tensor


class Lexicon:
    """A vocabulary that also knows the pieces of words, those of words it does not have too.

    The pieces of a word are its stretches of 3 to 5 characters, its ends marked, at most 24; each
    is one of P numbers, by a hash.

    Source: Bojanowski, Grave, Joulin and Mikolov 2017.

    Args:
        tokens: the words that have a number of their own.
        pieces: numbers for pieces, P; 0 for none.

    Example:
        >>> lexicon = Lexicon(Words.build("to be or not to be", 20), pieces=100)
        >>> found = lexicon.join([["to", "be"], ["bee"]])
        >>> found.places.tolist(), found.lengths.tolist(), found.pieces.shape
        ([[1, 3], [2, 0]], [2, 1], torch.Size([4, 6]))
    """

    def __init__(self, tokens: Words, pieces: int) -> None:
        self.tokens, self.pieces = tokens, pieces
        self.unknown = tokens.words.index(UNKNOWN)
        self._known: dict[str, tuple[int, list[int]]] = {}

    def look_up(self, word: str) -> tuple[int, list[int]]:
        """The number of a word and those of its pieces."""
        if word not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            (number,) = self.tokens.encode(word).tolist()
            self._known[word] = number, self._look_up_pieces(word)
        return self._known[word]

    def _look_up_pieces(self, word: str) -> list[int]:
        if not self.pieces:
            return []
        marked = f"<{word}>"
        stretches = (
            marked[first : first + size]
            for size in range(SHORTEST, LONGEST + 1)
            for first in range(len(marked) - size + 1)
        )
        hashed = (crc32(stretch.encode("utf-8", "surrogatepass")) for stretch in stretches)
        return [number % self.pieces + 1 for number in islice(hashed, MOST)]

    def join(self, texts: Sequence[Sequence[str]]) -> Sentences:
        """Texts side by side.

        Args:
            texts: the words of each, B of them.
        """
        distinct: dict[str, int] = {}
        rows = [[distinct.setdefault(word, len(distinct) + 1) for word in text] for text in texts]
        places, lengths = pad([np.array(row, np.int64) for row in rows])
        found = [(self.unknown, []), *map(self.look_up, distinct)]
        pieces, _ = pad([np.array(numbers, np.int64) for _, numbers in found])
        return Sentences(places, lengths, torch.tensor([number for number, _ in found]), pieces.T)
