"""What a report shows of a sentiment run: its layers, reading texts, and why it said what."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime.data.labelled import Labelled
from throughtime.errors import DataError
from throughtime.tasks import sentiment
from throughtime.tasks.inspection_subject import (
    MOST_STEPS,
    NO_CELL,
    ROWS,
    WINDOW,
    Asked,
    Recipe,
    Subject,
    View,
    spread,
)
from throughtime.tasks.sentiment_explain import explain
from throughtime.tasks.sentiment_texts import Encoded, encode, read_texts
from throughtime.web import ExplainedText, Saliency

MOST_TEXTS = 1000
"""Texts among which those that are explained are chosen."""

SHOWN = 6
"""Right answers that are explained, and as many wrong ones."""

READABLE = 60
"""Words of the longest text that is explained, where there are others."""


def open_view(run: Path, asked: Asked) -> View:
    """A sentiment run, with the texts it chose its weights on, or else those it learnt.

    Raises:
        DataError: a table cannot be read, or has other labels now.
        PackageError: what reads a table is not installed.
        RunError: the run cannot be used.
    """
    model = sentiment.load(run)
    texts = read_texts(model.options.text, model.options.training.seed)
    name, labelled = "texts held out", texts.validation
    if not len(labelled):
        name, labelled = "training texts", texts.training
    own = {"saliency": lambda: measure_saliency(model, labelled, name)}
    if model.network.layers is None:
        return View(NO_CELL, own)
    encoded = encode(labelled, model.classes, model.options.text, f"the {name}")
    return View(_subject(model, encoded, name), own)


def measure_saliency(model: sentiment.Model, texts: Labelled, name: str) -> Saliency:
    """Right and wrong answers, and what every word of the text adds to them.

    Args:
        model: as `sentiment.load` gives it.
        texts: among which some are chosen.
        name: what a note calls them.
    """
    places = spread(len(texts), MOST_TEXTS)
    asked = texts.take(places)
    answers = list(sentiment.predict(model, asked.texts))
    sure = np.array([one.probabilities[one.label] for one in answers])
    is_right = np.array([a.label == b for a, b in zip(answers, asked.labels, strict=True)])
    chosen, note = _choose(model, asked, sure, is_right)
    words = explain(model, [answers[i] for i in chosen])
    found = [
        ExplainedText(
            [word for word, _ in own],
            np.array([nats for _, nats in own]),
            asked.labels[i],
            answers[i].label,
            float(sure[i]),
        )
        for i, own in zip(chosen, words, strict=True)
    ]
    return Saliency(
        found, f"Of {len(asked):,} {name} {is_right.sum():,} were taken for what they are; {note}"
    )


def _choose(
    model: sentiment.Model, texts: Labelled, sure: np.ndarray, is_right: np.ndarray
) -> tuple[list[int], str]:
    """The surest wrong answers, right ones from the surest to the least sure, and that in words."""
    options = model.options.text
    lengths = encode(texts, model.classes, options, "the texts").lengths()
    fits = (lengths > 0) & (lengths <= READABLE)
    words = f", among texts of at most {READABLE} words"
    if not fits.any():
        fits, words = lengths > 0, f", up to {options.longest} words of each" * bool(len(lengths))
    order = np.argsort(-sure, kind="stable")
    wrong = [int(i) for i in order if fits[i] and not is_right[i]][:SHOWN]
    right = [int(i) for i in order if fits[i] and is_right[i]]
    shown = spread(len(right), min(SHOWN, len(right)))
    note = f"shown are the {len(wrong)} surest of the wrong answers and {len(shown)} right ones"
    return wrong + [right[i] for i in shown], f"{note}, from the surest to the least sure{words}."


def _subject(model: sentiment.Model, texts: Encoded, name: str) -> Subject:
    network, lexicon, options = model.network, model.lexicon, model.options.model
    lengths = np.minimum(texts.lengths(), WINDOW)
    order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
    if not len(order):
        raise DataError(f"the {name} must have words to be looked at, none has; give other texts.")
    cut = Encoded([words[:WINDOW] for words in texts.words], texts.classes, 0)
    sentences, target = cut.batch(lexicon, order[:ROWS])
    whole = _some(texts)
    read_sentences = lexicon.join([texts.words[i] for i in whole])
    longest = lexicon.join([texts.words[order[0]]])

    def losses() -> Tensor:
        return cross_entropy(network(sentences), target, reduction="none")[None]

    def read() -> None:
        with torch.no_grad():
            network(read_sentences)

    def peek(steps: int) -> None:
        with torch.no_grad():
            embedded = network.embedding(longest)[:steps]
            network.classify(embedded, longest.lengths.clamp(max=steps))

    usual = _most_frequent([texts.words[i] for i in whole])
    with torch.no_grad():
        typical = network.embedding(lexicon.join([[usual]]))[0, 0]
    return Subject(
        network,
        "layers",
        losses,
        read,
        peek,
        _tokens([texts.words[i] for i in whole]),
        typical,
        f"input {usual!r}",
        f"{len(whole):,} {name}",
        f"the {len(target)} longest of {len(texts.words):,} {name}, up to {WINDOW} words of each",
        f"The one loss of a text reads all states of the last layer (pooling: {options.pooling}); "
        "what it gives to the state of a step counts as the loss of that step.",
    )


def _some(texts: Encoded) -> list[int]:
    """The first texts that have words, as many as are read."""
    lengths = texts.lengths()
    places = np.flatnonzero(lengths).tolist()
    ends = accumulate(lengths[places].tolist())
    return [i for i, end in zip(places, ends, strict=True) if end <= MOST_STEPS] or places[:1]


def _tokens(texts: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Words with a blank behind each, and the end of a line behind the last of a text."""
    return tuple(
        word + ("\n" if i == len(words) - 1 else " ")
        for words in texts
        for i, word in enumerate(words)
    )


def _most_frequent(texts: Sequence[Sequence[str]]) -> str:
    words, counts = np.unique([word for words in texts for word in words], return_counts=True)
    return str(words[counts.argmax()])


SENTIMENT_RECIPE = Recipe(
    open_view,
    loss=sentiment.WATCHED,
    figures={"share_right": "share right", "macro_f1": "macro-F1"},
    sections=("saliency",),
)
