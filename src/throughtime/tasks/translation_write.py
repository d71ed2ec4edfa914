"""Translations written for sentences, and which places were looked at for each piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from throughtime.data.buckets import pad
from throughtime.data.byte_pairs import BytePairs
from throughtime.decode import Hypothesis
from throughtime.tasks.decoding import Writer
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.translation_network import Memory, Translator

AT_ONCE = 64
"""Sentences that are translated side by side, of similar lengths."""

LENGTH_PENALTY = 1.0
"""What translations are compared by: without the penalty the short ones win."""


@dataclass(frozen=True)
class Reader:
    """A network, and the marks of its vocabularies."""

    network: Translator
    marks: tuple[int, int]
    """What ends a source, and what begins and ends a target."""

    def write(
        self, sources: Sequence[NDArray[np.int64]], longest: int, how: Decoding
    ) -> list[list[Hypothesis]]:
        """The translations of each sentence, the best first.

        Args:
            sources: pieces of each, without marks.
            longest: most pieces that are written, unless `how` says so.
            how: by which beam, or which draws.

        Raises:
            OptionError: an option is out of its range, or coverage counts without attention.
        """
        writer = Writer(
            how,
            self.marks[1],
            longest=longest,
            width=self.network.options.beam,
            length_penalty=LENGTH_PENALTY,
            attends=self.network.options.attention != "none",
        )
        order = np.argsort([len(pieces) for pieces in sources], kind="stable")
        found: dict[int, list[Hypothesis]] = {}
        with torch.inference_mode():
            for first in range(0, len(order), AT_ONCE):
                rows = order[first : first + AT_ONCE].tolist()
                memory = self._look([sources[i] for i in rows])
                begin = torch.full((len(rows),), self.marks[1])
                found |= zip(rows, writer(self._step, begin, memory), strict=True)
        return [found[row] for row in range(len(sources))]

    def look_again(self, source: NDArray[np.int64], target: Sequence[int]) -> NDArray[np.float32]:
        """How much each place of a source was looked at for each piece of a target, by reading it.

        Args:
            source: pieces, S - 1.
            target: pieces, T - 1.

        Returns:
            Weights [T, S], the marks' included; each row sums to 1.
        """
        read = torch.tensor([self.marks[1], *target])[:, None]
        with torch.inference_mode():
            _, weights, _ = self.network.read(read, self._look([source]))
        return weights[:, 0].numpy()

    def _look(self, sources: Sequence[NDArray[np.int64]]) -> Memory:
        return self.network.look(*pad([np.append(pieces, self.marks[0]) for pieces in sources]))

    def _step(self, tokens: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        o, _, memory = self.network.read(tokens, memory)
        return self.network.choose(o), memory


def to_text(pieces: BytePairs, tokens: Sequence[int]) -> str:
    """The sentence that pieces spell, on one line."""
    return " ".join(pieces.decode(tokens).split())


def to_pieces(pieces: BytePairs, tokens: Sequence[int]) -> list[str]:
    """Each piece by itself, as it is shown beside where the network looked."""
    return [pieces.decode([int(token)]).strip() for token in tokens]
