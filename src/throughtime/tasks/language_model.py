"""A recurrent language model: trained, resumed, loaded, evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime import record
from throughtime.bptt import Carry, Truncated
from throughtime.data.streams import Streams
from throughtime.data.text import read_text
from throughtime.data.tokens import Tokens, tokens_from_json
from throughtime.errors import DataError, RunError
from throughtime.generators import seed_generators
from throughtime.tasks.language_network import LanguageModel
from throughtime.tasks.language_score import Evaluation, passage, score
from throughtime.tasks.language_text import (
    Corpus,
    build_vocabulary,
    cut_texts,
    read_texts,
    with_full_paths,
)
from throughtime.tasks.options import (
    TASK,
    LanguageModelOptions,
    ModelOptions,
    TrainingOptions,
    read_options,
)
from throughtime.tasks.weights import load_weights
from throughtime.training.job import Job, Step, Trained
from throughtime.training.memory import within_memory
from throughtime.training.progress import Announce
from throughtime.training.run import Summary, begin, go_on, set_threads

__all__ = ["Summary", "evaluate", "load", "read_options", "rebuild", "resume", "train"]


def train(options: LanguageModelOptions, out: Path, announce: Announce = print) -> Summary:
    """Trains a new language model in a new run folder.

    Args:
        options: everything the run is made from; the folder keeps it with all defaults filled.
        out: the run folder, which must not exist or be empty.
        announce: prints a line.

    Raises:
        DataError: the text cannot be read or is too short.
        RunError: the folder is in the way or cannot be written, or the gradient explodes.
    """
    record.check_vacant(out)
    options = _resolve(options)
    texts = read_texts(options.text)
    corpus = cut_texts(build_vocabulary(options.text, texts), texts)
    seed_generators(options.training.seed)
    network = _build(corpus.tokens.size, options.model)
    job = _job(out, options, corpus, network)

    files = {record.TEXT: texts.origin, record.TOKENS: corpus.tokens.to_json()}
    begin(job, TASK, asdict(options), files)
    return go_on(job, _describe(corpus), announce)


def resume(run: Path, announce: Announce = print) -> Summary:
    """Goes on with a run from its last checkpoint, to the same bits as if never stopped.

    Args:
        run: the run folder; its own options hold.
        announce: prints a line.

    Raises:
        DataError: the text cannot be read any more.
        RunError: the folder is no run, is damaged, or the text has changed since.
    """
    options = read_options(run)
    tokens = _read_tokens(run)
    texts = read_texts(options.text)
    _check_origin(run, texts.origin)
    corpus = cut_texts(tokens, texts)
    set_threads(options.training)
    network = _build(tokens.size, options.model)
    return go_on(_job(run, options, corpus, network), _describe(corpus), announce)


def rebuild(run: Path) -> Trained:
    """The network of a run as it was made, and its step; the text is not needed.

    Raises:
        RunError: the folder is no run of this task, or is damaged.
    """
    options = read_options(run)
    set_threads(options.training)
    network = _build(_read_tokens(run).size, options.model)
    return network, _step(network, options.training)


def load(run: Path) -> tuple[LanguageModel, Tokens, LanguageModelOptions]:
    """The model of a run, ready to predict; reads no pickle.

    With validation these are the weights of the best one, without it the latest.

    Raises:
        RunError: the folder is no run, is damaged, or has no weights yet.
    """
    options, tokens = read_options(run), _read_tokens(run)
    model = _build(tokens.size, options.model)
    load_weights(run, model)
    return model.eval(), tokens, options


def evaluate(run: Path, paths: Sequence[str | Path] = ()) -> Evaluation:
    """How well the model of a run predicts a text; by default its validation text.

    Raises:
        DataError: the text cannot be read or has unknown characters.
        RunError: the run cannot be used, or has no validation text and none was named.
    """
    model, tokens, options = load(run)
    if paths:
        return score(model, passage(tokens, read_text(paths).text, "the text"))
    texts = read_texts(options.text)
    _check_origin(run, texts.origin)
    if not texts.validation:
        raise DataError(f"evaluating needs a text, {run} kept none for validation; name a file.")
    return score(model, passage(tokens, texts.validation, "the validation text"))


def _resolve(options: LanguageModelOptions) -> LanguageModelOptions:
    """The same options with every default filled in that is not known before a run."""
    set_threads(options.training)
    training, model = options.training, options.model
    return replace(
        options,
        text=with_full_paths(options.text),
        model=replace(model, embedding=model.embedding_size),
        training=replace(
            training, reach=training.reach or training.window, threads=torch.get_num_threads()
        ),
    )


def _build(size: int, options: ModelOptions) -> LanguageModel:
    with within_memory():
        return LanguageModel(size, options)


def _job(run: Path, options: LanguageModelOptions, corpus: Corpus, network: LanguageModel) -> Job:
    training, held_out = options.training, corpus.validation
    streams = Streams(
        corpus.training,
        training.batch,
        training.window,
        training.epochs,
        training.seed,
        training.shuffle,
    )
    return Job(
        run=run,
        options=training,
        network=network,
        batches=streams,
        windows=streams.windows,
        steps=training.window * training.batch,
        step=_step(network, training),
        watched="nats_per_token",
        validate=None if held_out is None else lambda: _figures(score(network, held_out)),
    )


def _step(network: LanguageModel, training: TrainingOptions) -> Step:
    bptt = Truncated(training.window, training.reach)

    def step(batch: tuple[Tensor, Tensor], carry: Carry | None) -> tuple[Tensor, Carry]:
        inputs, targets = batch  # [T, B]
        hidden, carry = bptt.advance(network.unroll, inputs, carry)
        logits = network.readout(hidden.flatten(0, 1))  # [T*B, V], one product
        return cross_entropy(logits, targets.flatten()), carry

    return step


def _describe(corpus: Corpus) -> str:
    return f"{len(corpus.training):,} tokens of {corpus.tokens.size:,} kinds"


def _figures(evaluation: Evaluation) -> dict[str, float]:
    names = ("nats_per_token", "perplexity", "nats_per_character", "bits_per_character")
    return {name: getattr(evaluation, name) for name in names}


def _read_tokens(run: Path) -> Tokens:
    try:
        return tokens_from_json(record.read_json(run / record.TOKENS))
    except DataError as error:
        raise RunError(f"{run / record.TOKENS} is damaged: {error}") from error


def _check_origin(run: Path, origin: dict[str, Any]) -> None:
    """Refuses to go on with another text than the run began with."""
    before = record.read_json(run / record.TEXT)
    if not (isinstance(before, dict) and all(isinstance(x, dict) for x in before.values())):
        raise RunError(
            f"{run / record.TEXT} must hold an object for each text, it does not; "
            "restore it or train anew."
        )
    for part, found in origin.items():
        known = before.get(part, {}).get("sha256")
        if known != found["sha256"]:
            raise RunError(
                f"the {part} text must be the one of the run, sha256 {str(known)[:12]}, got "
                f"{found['sha256'][:12]}; restore it ({record.TEXT} lists its files) or train anew."
            )
