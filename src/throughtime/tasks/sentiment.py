"""Sentiment: texts to labels, by words; trained, resumed, loaded, evaluated, asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime import record
from throughtime.bptt import Carry
from throughtime.data.buckets import Buckets
from throughtime.data.labelled import read_labelled
from throughtime.data.reviews import reviews
from throughtime.data.subwords import Lexicon, Sentences
from throughtime.data.word_split import split_words
from throughtime.data.words import Words
from throughtime.errors import DataError, RunError
from throughtime.generators import seed_generators
from throughtime.tasks.classes import read_counts
from throughtime.tasks.sentiment_network import Classifier
from throughtime.tasks.sentiment_options import (
    SENTIMENT,
    SentimentOptions,
    read_sentiment_options,
)
from throughtime.tasks.sentiment_score import Score, read_all, score
from throughtime.tasks.sentiment_texts import (
    EXAMPLES,
    Encoded,
    Texts,
    build_words,
    encode,
    read_texts,
    with_full_paths,
)
from throughtime.tasks.weights import load_weights
from throughtime.training.job import Job, Step, Trained
from throughtime.training.memory import within_memory
from throughtime.training.processes import join as join_processes
from throughtime.training.processes import own_folder, part_of_mean
from throughtime.training.progress import Announce
from throughtime.training.run import Summary, begin, go_on, set_threads

WATCHED, CHOSEN_BY = "nats_per_text", "share_right"


@dataclass(frozen=True)
class Model:
    """A trained classifier and all that it needs to read a text."""

    network: Classifier
    lexicon: Lexicon
    classes: tuple[str, ...]
    options: SentimentOptions


@dataclass(frozen=True)
class Prediction:
    """What a text is taken for."""

    text: str
    label: str
    """The likeliest class."""

    probabilities: dict[str, float]
    """Of every class; they sum to 1."""

    is_cut: bool
    """Whether the text has more words than were read."""


def train(options: SentimentOptions, out: Path, announce: Announce = print) -> Summary:
    """Trains a new classifier in a new run folder.

    Args:
        options: everything the run is made from; the folder keeps it with all defaults filled.
        out: the run folder, which must not exist or be empty.
        announce: prints a line.

    Raises:
        DataError: a table cannot be read, lacks texts or labels, or there are too few of them.
        PackageError: what reads a table is not installed.
        RunError: the folder is in the way or cannot be written, or the gradient explodes.
    """
    record.check_vacant(out)
    out = own_folder(out)
    options = _resolve(options)
    texts = read_texts(options.text, options.training.seed)
    tokens, counts = build_words(texts.training, options.text), texts.training.counts()
    seed_generators(options.training.seed)
    job, about = _job(out, options, texts, tokens, tuple(counts))
    files = {record.TEXT: texts.origin(), record.TOKENS: tokens.to_json(), record.LABELS: counts}
    begin(job, SENTIMENT, asdict(options), files)
    return go_on(job, about, announce)


def resume(run: Path, announce: Announce = print) -> Summary:
    """Goes on with a run from its last checkpoint, to the same bits as if never stopped.

    Args:
        run: the run folder; its own options hold.
        announce: prints a line.

    Raises:
        DataError: a table cannot be read any more.
        RunError: the folder is no sentiment run, is damaged, or the texts have changed since.
    """
    options = read_sentiment_options(run)
    texts = read_texts(options.text, options.training.seed)
    if (found := texts.origin()) != (known := record.read_json(run / record.TEXT)):
        raise RunError(
            f"the texts must be those of the run, {known}, got {found}; restore the tables or "
            "train anew."
        )
    set_threads(options.training)
    job, about = _job(own_folder(run), options, texts, _read_words(run), tuple(read_counts(run)))
    return go_on(job, about, announce)


def rebuild(run: Path) -> Trained:
    """The network of a run as it was made, and its step; the texts are not needed.

    Raises:
        RunError: the folder is no sentiment run, or is damaged.
    """
    options, counts = read_sentiment_options(run), read_counts(run)
    set_threads(options.training)
    network = _build(options, _read_words(run), tuple(counts))
    return network, _step(network, class_weights(counts, options.training.class_weights))


def load(run: Path) -> Model:
    """The classifier of a run, ready to predict; reads no pickle.

    Raises:
        RunError: the folder is no sentiment run, is damaged, or has no weights yet.
    """
    options, tokens, classes = (
        read_sentiment_options(run),
        _read_words(run),
        tuple(read_counts(run)),
    )
    network = _build(options, tokens, classes)
    load_weights(run, network)
    return Model(network.eval(), Lexicon(tokens, options.model.subwords), classes, options)


def evaluate(run: Path, paths: Sequence[str] = ()) -> Score:
    """How well the classifier of a run tells texts apart; none of them is left out.

    Args:
        run: the run folder.
        paths: tables with the columns of the run's own; none: those it chose its weights on, and
            for a run on generated reviews as many new ones.

    Raises:
        DataError: a table cannot be read, or has labels that the training had not.
        RunError: the run cannot be used, or has no validation texts and no table was named.
    """
    model = load(run)
    options = model.options.text
    if paths:
        texts = read_labelled(paths, options.text_column, options.label_column)
    elif not options.paths:
        texts = reviews(EXAMPLES, 1)
    else:
        texts = read_texts(options, model.options.training.seed).validation
    if not len(texts):
        raise DataError(f"evaluating needs labelled texts, {run} kept none; name a table.")
    encoded = encode(texts, model.classes, options, "the texts")
    return score(model.network, model.lexicon, encoded, model.classes)


def predict(model: Model, texts: Sequence[str]) -> Iterator[Prediction]:
    """What each text is taken for, in their order; a text without words gets an answer, too.

    Args:
        model: as `load` gives it.
        texts: any.
    """
    longest = model.options.text.longest
    whole = [split_words(text, model.options.text.punctuation) for text in texts]
    encoded = Encoded([words[:longest] for words in whole], np.zeros(len(whole), np.int64), 0)
    found = np.empty((len(whole), len(model.classes)))
    for places, logits in read_all(model.network, model.lexicon, encoded):
        found[places] = logits.double().softmax(-1).numpy()
    for text, words, shares in zip(texts, whole, found, strict=True):
        probabilities = dict(zip(model.classes, shares.tolist(), strict=True))
        label = model.classes[shares.argmax()]
        yield Prediction(text, label, probabilities, len(words) > longest)


def _resolve(options: SentimentOptions) -> SentimentOptions:
    """The same options with every default filled in that is not known before a run."""
    set_threads(options.training)
    training = replace(options.training, threads=torch.get_num_threads())
    return replace(options, text=with_full_paths(options.text), training=training)


def _build(options: SentimentOptions, tokens: Words, classes: Sequence[str]) -> Classifier:
    with within_memory():
        return Classifier(tokens.size, len(classes), options.model)


def _job(
    run: Path, options: SentimentOptions, texts: Texts, tokens: Words, classes: tuple[str, ...]
) -> tuple[Job, str]:
    """The training, and what it learns from in words."""
    network, training = _build(options, tokens, classes), options.training
    lexicon = Lexicon(tokens, options.model.subwords)
    learnt = encode(texts.training, classes, options.text, "the training texts")
    held_out = encode(texts.validation, classes, options.text, "the validation texts")
    lengths, join = learnt.lengths(), partial(learnt.batch, lexicon, team=join_processes())
    buckets = Buckets(lengths, training.batch, training.epochs, training.seed, join)

    def figures() -> dict[str, float]:
        found = score(network, lexicon, held_out, classes)
        return {
            WATCHED: found.nats_per_text,
            CHOSEN_BY: found.share_right,
            "macro_f1": found.macro_f1,
        }

    job = Job(
        run=run,
        options=training,
        network=network,
        batches=buckets,
        windows=buckets.windows,
        steps=max(1, int(lengths.sum()) // buckets.windows),
        step=_step(network, class_weights(texts.training.counts(), training.class_weights)),
        watched=WATCHED,
        validate=figures if held_out.words else None,
        chosen_by=CHOSEN_BY,
    )
    return job, _describe(texts, learnt, tokens, classes)


def _step(network: Classifier, weights: Tensor) -> Step:
    def step(batch: tuple[Sentences, Tensor], carry: Carry | None) -> tuple[Tensor, None]:
        sentences, target = Sentences(*batch[0]), batch[1]
        losses = cross_entropy(network(sentences), target, weights, reduction="none")
        return part_of_mean(losses.sum(), weights[target].sum()), None

    return step


def class_weights(counts: Mapping[str, int], name: str) -> Tensor:
    """Weights of the classes in the loss, w_k = N / (K N_k) if balanced, else 1, [K].

    The loss of a batch is sum_b w_b l_b / sum_b w_b.

    Args:
        counts: training texts of each class, N_k.
        name: `equal` or `balanced`.
    """
    numbers = torch.tensor(list(counts.values()), dtype=torch.float64)
    weights = numbers.sum() / (len(numbers) * numbers) if name == "balanced" else numbers**0
    return weights.float()


def _describe(texts: Texts, learnt: Encoded, tokens: Words, classes: Sequence[str]) -> str:
    parts = [f"{len(learnt.words):,} texts of {len(classes)} classes, {tokens.size:,} words"]
    empty = int((learnt.lengths() == 0).sum())
    counts = (
        (texts.excluded, "excluded"),
        (learnt.cut, "cut at the longest length"),
        (empty, "without words"),
    )
    return ", ".join(parts + [f"{count:,} {what}" for count, what in counts if count])


def _read_words(run: Path) -> Words:
    content: Any = record.read_json(run / record.TOKENS)
    try:
        return Words.from_json(content)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{run / record.TOKENS} must hold the words of the run, it is damaged ({error}); "
            "restore it or train anew."
        ) from error
