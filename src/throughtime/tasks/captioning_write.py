"""Captions written for pictures, and where the network looked for each word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from throughtime.data.buckets import pad
from throughtime.data.tokens import Tokens
from throughtime.data.words import END_OF_LINE, UNKNOWN, Words
from throughtime.decode import Hypothesis
from throughtime.tasks.captioning_network import Captioner, Memory
from throughtime.tasks.decoding import Writer
from throughtime.tasks.decoding_options import Decoding

AT_ONCE = 64
"""Pictures whose captions are written side by side."""

LENGTH_PENALTY = 0.8
"""What captions are compared by: without the penalty the short ones win."""


def write_all(
    network: Captioner,
    tokens: Tokens,
    parts: Iterable[NDArray[np.floating[Any]]],
    longest: int,
    how: Decoding,
) -> Iterator[list[Hypothesis]]:
    """The captions of each picture, the best first; the unknown word is never written.

    Args:
        network: used as it is, so call `eval()` before.
        tokens: the vocabulary; the mark is the number behind its last.
        parts: features of the pictures that are written side by side, [B, P, F] each.
        longest: most words or pieces, unless `how` says so.
        how: by which beam, or which draws.

    Raises:
        OptionError: an option is out of its range, or coverage counts without attention.
    """
    mark, banned, options = tokens.size, never_written(tokens), network.options
    writer = Writer(
        how,
        mark,
        longest=longest,
        width=options.beam,
        length_penalty=LENGTH_PENALTY,
        attends=options.attention != "none",
    )

    def step(words: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        logits, _, memory = network.read(words, memory)
        logits[..., banned] = -torch.inf
        return logits, memory

    with torch.inference_mode():
        for features in parts:
            memory = network.look(torch.from_numpy(features))
            yield from writer(step, torch.full((len(features),), mark), memory)


def look_again(
    network: Captioner,
    mark: int,
    features: NDArray[np.floating[Any]],
    captions: Sequence[Sequence[int]],
) -> list[NDArray[np.float32]]:
    """Where the network looks for each word of captions, by reading them.

    Args:
        network: used as it is, so call `eval()` before.
        mark: what begins a caption.
        features: of the pictures, [N, P, F].
        captions: words or pieces of each, L_n.

    Returns:
        Weights of the places for each caption, [L_n, P]; each row sums to 1.
    """
    read, _ = pad([np.array([mark, *words][: max(1, len(words))]) for words in captions])
    with torch.inference_mode():
        _, weights = network(torch.from_numpy(features), read)  # [T, N, P]
    return [weights[: len(words), n].numpy() for n, words in enumerate(captions)]


def never_written(tokens: Tokens) -> list[int]:
    """The marks of a vocabulary that stand for no word."""
    if not isinstance(tokens, Words):
        return []
    return [number for number, word in enumerate(tokens.words) if word in (UNKNOWN, END_OF_LINE)]


def to_text(tokens: Tokens, words: Sequence[int]) -> str:
    """The caption that words or pieces spell."""
    return tokens.decode(words).strip()


def to_pieces(tokens: Tokens, words: Sequence[int]) -> list[str]:
    """Each word or piece by itself, as it is shown beside where the network looked."""
    return [tokens.decode([word]).strip() for word in words]
