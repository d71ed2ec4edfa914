"""What every kind of token can do, and the three kinds by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from throughtime.data.byte_pairs import BytePairs
from throughtime.data.characters import Characters
from throughtime.data.words import Words
from throughtime.errors import DataError

Kind = Literal["characters", "bpe", "words"]


class Tokens(Protocol):
    """A vocabulary: text to numbers and back."""

    @property
    def size(self) -> int:
        """Entries in the vocabulary, V."""
        ...

    def encode(self, text: str, name: str = "the text") -> NDArray[np.int64]:
        """The tokens of a text, [N], each in [0, V); `name` is what an error calls the text."""
        ...

    def decode(self, ids: Sequence[int] | NDArray[np.int64]) -> str:
        """The text of tokens."""
        ...

    def to_json(self) -> dict[str, Any]:
        """All of the vocabulary as JSON values, its kind included."""
        ...


def build_tokens(kind: Kind, text: str, vocabulary: int) -> Tokens:
    """A vocabulary made from a text.

    Args:
        kind: `"characters"`, `"bpe"` or `"words"`.
        text: what the vocabulary is made from.
        vocabulary: most entries; characters take as many as there are.
    """
    if kind == "characters":
        return Characters.build(text)
    if kind == "words":
        return Words.build(text, vocabulary)
    return BytePairs.build(text, vocabulary)


def tokens_from_json(data: Any) -> Tokens:
    """The vocabulary that `to_json` wrote.

    Raises:
        DataError: the values are not a vocabulary.
    """
    classes: dict[Any, Any] = {c.kind: c for c in (Characters, BytePairs, Words)}
    try:
        if not isinstance(data, dict):
            raise TypeError("not an object")
        tokens: Tokens = classes[data["kind"]].from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"a vocabulary must be of kind {', '.join(classes)} with its entries, "
            f"reading it gave {type(error).__name__}: {error}; restore the file."
        ) from error
    return tokens
