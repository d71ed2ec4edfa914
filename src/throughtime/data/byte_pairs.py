"""One token per frequent piece of text, down to single bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BYTES = 256
_PIECE = 1 << 16  # characters handed to the tokenizer at once


class BytePairs:
    """Byte-pair pieces over bytes, so that no text is unknown (Sennrich et al. 2016).

    The merging is that of Hugging Face's `tokenizers`, byte level as in GPT-2.

    Args:
        tokenizer: the trained tokenizer.
    """

    kind: ClassVar[Literal["bpe"]] = "bpe"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def build(cls, text: str, vocabulary: int) -> BytePairs:
        """The pieces that merging the most frequent pairs of a text gives.

        Args:
            text: what the pairs are counted in.
            vocabulary: most entries, the 256 bytes among them.

        Raises:
            DataError: the vocabulary has no room for the bytes.
        """
        if vocabulary < _BYTES:
            raise DataError(
                f"a vocabulary of byte pairs must have at least {_BYTES} entries, "
                f"got {vocabulary}; raise --vocabulary."
            )
        _allow_forks()
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        )
        tokenizer.train_from_iterator(_pieces(text), trainer)
        return cls(tokenizer)

    @property
    def size(self) -> int:
        """Number of pieces, V."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str, name: str = "the text") -> NDArray[np.int64]:
        """The tokens of a text, [N].

        Raises:
            DataError: the text holds a lone surrogate, which has no bytes.
        """
        try:
            encodings = self._tokenizer.encode_batch(list(_pieces(text)))
        except UnicodeEncodeError as error:
            raise DataError(
                f"{name} must be Unicode text, got the lone surrogate "
                f"U+{ord(text[error.start]):04X}; pass UTF-8."
            ) from error
        return np.concatenate(
            [np.zeros(0, np.int64), *(np.array(e.ids, np.int64) for e in encodings)]
        )

    def decode(self, ids: Sequence[int] | NDArray[np.int64]) -> str:
        """The text of tokens; bytes that are no UTF-8 show as U+FFFD."""
        return str(self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=False))

    def to_json(self) -> dict[str, Any]:
        """The tokenizer in the format of Hugging Face's `tokenizers`."""
        return {"kind": self.kind, "tokenizer": json.loads(self._tokenizer.to_str())}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> BytePairs:
        """The tokenizer that `to_json` wrote."""
        _allow_forks()
        from tokenizers import Tokenizer

        try:
            return cls(Tokenizer.from_str(json.dumps(data["tokenizer"])))
        except KeyError:
            raise
        except Exception as error:  # tokenizers raises bare Exception
            raise ValueError(str(error)) from error


def _pieces(text: str) -> Iterator[str]:
    """The text in parts of about 64k characters, cut at line ends where there are any."""
    start = 0
    while start < len(text):
        end = text.rfind("\n", start, start + _PIECE) + 1 if start + _PIECE < len(text) else 0
        end = end or min(start + _PIECE, len(text))
        yield text[start:end]
        start = end


def _allow_forks() -> None:
    # Unset, tokenizers warns when a data loader forks later; our workers never tokenise.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
