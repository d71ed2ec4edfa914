"""A language model that writes: text drawn as it comes, or the likeliest that a beam finds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from throughtime.data.tokens import Tokens
from throughtime.decode import Bounds, sample, spell
from throughtime.decode import beam as find
from throughtime.errors import DataError
from throughtime.layers import States
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
    ids = _read(tokens, prompt)
    generator = torch.Generator().manual_seed(seed)
    drawn = sample(
        model, ids, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator
    )
    return _join(tokens.decode(ids), spell(islice(drawn, length), tokens.decode))


def search(
    run: Path, prompt: str | None = None, *, length: int = 500, beam: int = 5, block_ngrams: int = 0
) -> str:
    """The prompt and the likeliest continuation that a beam finds.

    Args:
        run: the run folder.
        prompt: as in `write`.
        length: tokens after the prompt, at least 1.
        beam: continuations kept side by side; 1 takes the likeliest token each time.
        block_ngrams: no stretch of so many tokens is written twice; 0 allows all.

    Raises:
        DataError: the prompt is empty, or holds characters that the run never saw.
        OptionError: an option is out of its range.
        RunError: the run cannot be read.
    """
    at_least("length", length, 1)
    at_most("length", length, MOST)
    at_least("beam", beam, 1)
    model, tokens, _ = load(run)
    ids = _read(tokens, prompt)
    if not ids:
        raise DataError("a prompt must have at least one token, got none; write how it begins.")

    def step(read: Tensor, states: States) -> tuple[Tensor, States]:
        logits, states = model(read, states)
        return pad(logits, (0, 1), value=-torch.inf), states  # a text has no end

    layers: Any = model.layers
    states: States = layers.initial_state(1)
    with torch.inference_mode():
        if ids[:-1]:
            _, states = model(torch.tensor(ids[:-1])[:, None], states)
        bounds = Bounds(tokens.size, length, block_ngrams=block_ngrams)
        ((found,),) = find(step, torch.tensor(ids[-1:]), states, bounds, width=beam)
    return tokens.decode([*ids, *found.tokens])


def _read(tokens: Tokens, prompt: str | None) -> list[int]:
    ids = _beginning(tokens) if prompt is None else tokens.encode(prompt, "the prompt")
    found: list[int] = ids.tolist()
    return found


def _beginning(tokens: Tokens) -> NDArray[np.int64]:
    try:
        return tokens.encode("\n")
    except DataError:  # characters of a text of one line
        return np.zeros(1, np.int64)


def _join(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest
