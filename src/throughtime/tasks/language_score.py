"""How well a language model predicts a text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime.data.tokens import Tokens
from throughtime.data.words import Words
from throughtime.errors import DataError
from throughtime.tasks.language_network import LanguageModel, zero_column

STREAMS = 32
"""Most places of a text that are read side by side."""

WARM_UP = 256
"""Tokens before its place that every stream but the first reads unscored."""

_LOGITS = 1 << 22  # most logits in memory at once, 16 MB
_NO_TARGET = -100


@dataclass(frozen=True)
class Evaluation:
    """How well a text was predicted; every figure is for all of it but its first token."""

    tokens: int
    """Tokens predicted."""

    characters: int
    """Characters that these tokens stand for."""

    nats_per_token: float
    """-ln p(token | all before), averaged."""

    perplexity: float
    """exp(nats_per_token)."""

    nats_per_character: float
    """All nats divided by all characters: comparable between kinds of tokens."""

    bits_per_character: float
    """nats_per_character / ln 2."""


@dataclass(frozen=True)
class Passage:
    """A text to be scored, cut into tokens once."""

    ids: NDArray[np.int64]
    """The tokens, [N]."""

    characters: int
    """Characters of all tokens but the first."""

    streams: int
    """Places read side by side."""


def passage(tokens: Tokens, text: str, name: str) -> Passage:
    """Cuts a text into tokens to be scored.

    Words are read as one stream, from the first to the last, as published perplexities are;
    smaller tokens in up to 32 streams, each warmed up, so that long texts take seconds.

    Raises:
        DataError: the text has fewer than two tokens, or unknown characters.
    """
    ids = tokens.encode(text, name)
    if len(ids) < 2:
        raise DataError(f"{name} must have at least 2 tokens, got {len(ids)}; give more text.")
    characters = len(text) - len(tokens.decode(ids[:1]))
    streams = 1 if isinstance(tokens, Words) else max(1, min(STREAMS, len(ids) // (4 * WARM_UP)))
    return Passage(ids, max(1, characters), streams)


def score(model: LanguageModel, text: Passage) -> Evaluation:
    """Reads a text with the state carried from its first token to its last.

        nats = -sum_t ln p(x_t | x_1 ... x_{t-1})

    With S streams, stream s reads its own part after the 256 tokens before it; the first
    stream begins from a state of zero. No random number is drawn; the model is used as it is,
    so call `eval()` before.
    """
    scored = len(text.ids) - 1
    with torch.inference_mode():
        nats = _nats(model, *_lay_out(text))
    per_token, per_character = nats / scored, nats / text.characters
    return Evaluation(
        tokens=scored,
        characters=text.characters,
        nats_per_token=per_token,
        perplexity=math.exp(min(per_token, 700.0)),  # beyond it a float overflows
        nats_per_character=per_character,
        bits_per_character=per_character / math.log(2),
    )


def _lay_out(text: Passage) -> tuple[Tensor, Tensor, Tensor]:
    """Warm-up [<= 256, S], inputs [n, S] and targets [n, S] with the places beyond the end."""
    scored = len(text.ids) - 1
    steps = -(-scored // text.streams)
    ids = torch.from_numpy(text.ids)
    first = torch.arange(text.streams) * steps
    places = torch.arange(steps)[:, None] + first  # [n, S]
    inputs = ids[places.clamp(max=scored)]
    targets = ids[(places + 1).clamp(max=scored)].masked_fill(places >= scored, _NO_TARGET)
    before = torch.arange(-WARM_UP, 0)[:, None] + first
    warm = ids[before.clamp(0, scored)] if text.streams > 1 else inputs[:0]
    return warm, inputs, targets


def _nats(model: LanguageModel, warm: Tensor, inputs: Tensor, targets: Tensor) -> float:
    state: Any = None
    if len(warm):
        # Before the first stream there is no text: its state goes back to zero.
        state = zero_column(model.unroll(warm)[1], 0)
    streams = inputs.shape[1]
    steps = max(1, min(1024, _LOGITS // (streams * model.readout.out_features)))
    nats = 0.0
    for tokens, target in zip(torch.split(inputs, steps), torch.split(targets, steps), strict=True):
        logits, state = model(tokens, state)  # [t, S, V]
        loss = cross_entropy(
            logits.flatten(0, 1), target.flatten(), ignore_index=_NO_TARGET, reduction="sum"
        )
        nats += loss.item()
    return nats
