"""A language model that writes: a run, a prompt, and text as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch

from throughtime.decode import sample, spell
from throughtime.errors import OptionError
from throughtime.tasks.language_model import load


def write(
    run: Path,
    prompt: str = "\n",
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
        prompt: what the text begins with.
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
    if length < 0:
        raise OptionError(f"length must be at least 0, got {length}; it counts tokens.")
    model, tokens, _ = load(run)
    ids = tokens.encode(prompt, "the prompt").tolist()
    generator = torch.Generator().manual_seed(seed)
    drawn = sample(
        model, ids, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator
    )
    return _join(tokens.decode(ids), spell(islice(drawn, length), tokens.decode))


def _join(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest
