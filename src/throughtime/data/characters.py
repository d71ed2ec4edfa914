"""One token per character."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import DataError


class Characters:
    """The characters of a text, numbered by code point.

    Args:
        alphabet: the characters that exist, each once, in sorted order.

    Example:
        >>> tokens = Characters.build("abba")
        >>> tokens.encode("bab").tolist(), tokens.decode([1, 0])
        ([1, 0, 1], 'ba')
    """

    kind: ClassVar[Literal["characters"]] = "characters"

    def __init__(self, alphabet: str) -> None:
        self.alphabet = alphabet
        self._points = _code_points(alphabet)
        # One entry per code point up to the last one: a lookup per character, at most 9 MB.
        self._ids = np.full(int(self._points.max(initial=0)) + 1, -1, np.int64)
        self._ids[self._points] = np.arange(len(self._points))

    @classmethod
    def build(cls, text: str) -> Characters:
        """The characters that occur in a text."""
        points = np.unique(_code_points(text))
        return cls(points.astype("<u4").tobytes().decode("utf-32-le"))

    @property
    def size(self) -> int:
        """Number of characters, V."""
        return len(self.alphabet)

    def encode(self, text: str, name: str = "the text") -> NDArray[np.int64]:
        """The tokens of a text, [N].

        Raises:
            DataError: a character is not in the alphabet; names the first and where it stands.
        """
        points = _code_points(text)
        inside = points < len(self._ids)
        ids = self._ids[np.where(inside, points, 0)]
        unknown = np.flatnonzero(~inside | (ids < 0))
        if len(unknown):
            self._refuse(text, int(unknown[0]), name)
        return ids

    def _refuse(self, text: str, place: int, name: str) -> None:
        line = text.count("\n", 0, place) + 1
        column = place - text.rfind("\n", 0, place)
        raise DataError(
            f"{name} must hold only the {self.size} characters seen in training, got "
            f"{text[place]!a} (U+{ord(text[place]):04X}) at line {line}, column {column}; "
            "leave it out, or train with --tokens bpe, which knows every byte."
        )

    def decode(self, ids: Sequence[int] | NDArray[np.int64]) -> str:
        """The text of tokens."""
        points = self._points[np.asarray(ids, np.int64)]
        return points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")

    def to_json(self) -> dict[str, Any]:
        """The alphabet."""
        return {"kind": self.kind, "alphabet": self.alphabet}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Characters:
        """The alphabet that `to_json` wrote.

        Raises:
            ValueError: it is none.
        """
        alphabet = data["alphabet"]
        if not isinstance(alphabet, str) or not alphabet:
            raise ValueError("the alphabet is no text")
        return cls(alphabet)


def _code_points(text: str) -> NDArray[np.uint32]:
    # A prompt from the command line can hold lone surrogates: they are unknown, not a crash.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint32)
