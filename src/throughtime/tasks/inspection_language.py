"""What a report shows of a language model: its layers, reading a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime.data.text import read_text
from throughtime.errors import DataError
from throughtime.tasks import language_model
from throughtime.tasks.inspection_subject import (
    MOST_STEPS,
    ROWS,
    WINDOW,
    Asked,
    Recipe,
    Subject,
    View,
)
from throughtime.tasks.language_network import LanguageModel
from throughtime.tasks.language_sample import write
from throughtime.tasks.language_text import read_texts

WRITTEN = 1000
"""Tokens that a run writes after a prompt."""


def open_view(run: Path, asked: Asked) -> View:
    """A language model, reading a text: the one it is given, its own, or its validation text.

    Raises:
        DataError: the text cannot be read, is too short, or has unknown characters.
        RunError: the run cannot be used.
    """
    model, tokens, _ = language_model.load(run)
    name, content = _content(run, asked)
    ids = tokens.encode(content, name)[:MOST_STEPS]
    if len(ids) < 3:
        raise DataError(
            f"{name} must have at least 3 tokens to be looked at, got {len(ids)}; give more text."
        )
    stream = torch.from_numpy(ids)[:, None]  # [N, 1]

    def read() -> None:
        with torch.no_grad():
            model.unroll(stream)

    def peek(steps: int) -> None:
        first = max(0, min(WINDOW, len(ids) - steps))
        with torch.no_grad():
            _, state = model.unroll(stream[:first]) if first else (None, None)
            model.unroll(stream[first : first + steps], state)

    usual = int(np.bincount(ids).argmax())
    source = f"{name}, {len(ids):,} tokens"
    subject = Subject(
        model,
        "layers",
        _windows(model, ids),
        read,
        peek,
        tuple(tokens.decode([token]) for token in ids.tolist()),
        model.embedding.weight[usual].detach(),
        f"input {tokens.decode([usual])!r}",
        source,
        f"windows spread over {source}",
    )
    return View(subject)


def _content(run: Path, asked: Asked) -> tuple[str, str]:
    """What a language model reads, after what it is called."""
    if asked.prompt is not None:
        return "what it writes", "".join(write(run, asked.prompt, length=WRITTEN))
    if asked.text is not None:
        return "the text", read_text([str(asked.text)]).text
    texts = read_texts(language_model.read_options(run).text)
    if texts.validation:
        return "the validation text", texts.validation
    return "the training text", texts.training


def _windows(model: LanguageModel, ids: NDArray[np.int64]) -> Callable[[], Tensor]:
    """Windows spread over a text; the state of each is that after the steps before it."""
    steps = max(1, min(WINDOW, (len(ids) - 1) // 2))
    starts = np.unique(np.linspace(0, len(ids) - 1 - 2 * steps, ROWS).astype(int))
    stretches = torch.from_numpy(ids[np.arange(2 * steps + 1)[:, None] + starts])  # [2T + 1, B]
    with torch.no_grad():
        _, state = model.unroll(stretches[:steps])

    def losses() -> Tensor:
        logits, _ = model(stretches[steps:-1], state)
        return cross_entropy(logits.movedim(2, 1), stretches[steps + 1 :], reduction="none")

    return losses


LANGUAGE_RECIPE = Recipe(open_view, loss="nats_per_token", reads_text=True)
