"""A language model that writes: a run, a prompt, and text as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from throughtime.data.tokens import Tokens
from throughtime.decode import sample, spell
from throughtime.errors import DataError
from throughtime.tasks.language_model import load
from throughtime.training.options import MOST, at_least, at_most, check_seed


def write(
    run: Path,
    prompt: str | None = None,
    *,
    length: int = 500,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 1,
) -> Iterator[str]:
    """The prompt and its continuation by a run's model, piece by piece.

    Args:
        run: the run folder.
        prompt: what the text begins with; without it a new line, or, where the run knows none,
            the first character that it knows.
        length: tokens after the prompt.
        temperature: as in `decode.sample`, like `top_k` and `top_p`.
        top_k: as in `decode.sample`.
        top_p: as in `decode.sample`.
        seed: the same seed gives the same text.

    Returns:
        An iterator over pieces of text; the first one is the prompt.

    Raises:
        DataError: the prompt holds characters that the run never saw.
        OptionError: an option is out of its range.
        RunError: the run cannot be read.
    """
    at_least("length", length, 0)
    at_most("length", length, MOST)
    check_seed(seed)
    model, tokens, _ = load(run)
    ids = (_beginning(tokens) if prompt is None else tokens.encode(prompt, "the prompt")).tolist()
    generator = torch.Generator().manual_seed(seed)
    drawn = sample(
        model, ids, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator
    )
    return _join(tokens.decode(ids), spell(islice(drawn, length), tokens.decode))


def _beginning(tokens: Tokens) -> NDArray[np.int64]:
    try:
        return tokens.encode("\n")
    except DataError:  # characters of a text of one line
        return np.zeros(1, np.int64)


def _join(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest
