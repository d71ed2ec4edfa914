"""Translation: sentences to sentences; trained, resumed, loaded, evaluated, asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from throughtime import record
from throughtime.bptt import Carry
from throughtime.data.buckets import Buckets
from throughtime.data.drawn_pairs import DRAWN
from throughtime.data.parallel import Parallel, read_parallel
from throughtime.errors import DataError, RunError
from throughtime.generators import seed_generators
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.translation_loss import translation_loss
from throughtime.tasks.translation_model import Model, build, load, read_vocabulary
from throughtime.tasks.translation_network import Translator
from throughtime.tasks.translation_options import (
    TRANSLATION,
    TranslationOptions,
    TranslationTraining,
    read_translation_options,
)
from throughtime.tasks.translation_predict import Looked, Prediction, look_again, predict
from throughtime.tasks.translation_score import Score, nats_per_piece, score
from throughtime.tasks.translation_texts import (
    Batch,
    Encoded,
    Timed,
    Vocabulary,
    build_vocabulary,
    encode,
    read_pairs,
    with_full_paths,
)
from throughtime.tasks.translation_write import Reader
from throughtime.training.job import Job, Step, Trained
from throughtime.training.processes import join as join_processes
from throughtime.training.processes import own_folder, part_of_mean
from throughtime.training.progress import Announce
from throughtime.training.run import Summary, begin, go_on, set_threads

__all__ = [
    "Looked",
    "Model",
    "Prediction",
    "evaluate",
    "load",
    "look_again",
    "predict",
    "rebuild",
    "resume",
    "train",
]

WATCHED, CHOSEN_BY = "nats_per_token", "chrf"

GREEDY = Decoding(beam=1)

TESTED, TEST_SEED = 300, 1
"""New pairs that a run on drawn ones is evaluated on, and what decides them."""


def train(options: TranslationOptions, out: Path, announce: Announce = print) -> Summary:
    """Trains a translator and keeps everything in a new run folder.

    Args:
        options: everything the run is made from.
        out: the run folder, new or empty.
        announce: prints a line.

    Raises:
        DataError: a file cannot be read, or there are too few pairs.
        PackageError: what reads a table is not installed.
        RunError: the folder is in the way or cannot be written, or the gradient explodes.
    """
    record.check_vacant(out)
    out = own_folder(out)
    options = _resolve(options)
    pairs = read_pairs(options.text, options.training.seed)
    vocabulary = build_vocabulary(pairs[0], options.text)
    seed_generators(options.training.seed)
    job, about = _job(out, options, pairs, vocabulary)
    files = {record.TEXT: _origin(pairs), record.TOKENS: vocabulary.to_json()}
    begin(job, TRANSLATION, asdict(options), files)
    return go_on(job, about, announce)


def resume(run: Path, announce: Announce = print) -> Summary:
    """Goes on with a run from its last checkpoint, to the same bits as if never stopped.

    Args:
        run: the run folder; its own options hold.
        announce: prints a line.

    Raises:
        DataError: a file cannot be read any more.
        RunError: the folder is no translation run, is damaged, or the pairs have changed since.
    """
    options = read_translation_options(run)
    set_threads(options.training)
    pairs = read_pairs(options.text, options.training.seed)
    if (found := _origin(pairs)) != (known := record.read_json(run / record.TEXT)):
        raise RunError(
            f"the pairs must be those of the run, {known}, got {found}; restore them or train anew."
        )
    job, about = _job(own_folder(run), options, pairs, read_vocabulary(run))
    return go_on(job, about, announce)


def rebuild(run: Path) -> Trained:
    """The network of a run as it was made, and its step; the pairs are not needed.

    Raises:
        RunError: the folder is no translation run, or is damaged.
    """
    options = read_translation_options(run)
    set_threads(options.training)
    network = build(options, read_vocabulary(run)).network
    return network, _step(network, options.training)


@dataclass(frozen=True)
class Evaluation:
    """How good the translations of a run are."""

    greedy: Score
    """Of the likeliest piece each time."""

    beam: Score
    """Of the run's own beam."""

    width: int
    """Translations that beam keeps."""

    nats_per_piece: float
    """-ln p(piece | pieces before it, source), averaged over references and their ends."""

    pairs: Parallel


def evaluate(run: Path, paths: Sequence[str] = ()) -> Evaluation:
    """How good the translations of a run are.

    Args:
        run: the run folder.
        paths: files as the run's own; none: those it chose its weights on, and for a run on
            drawn pairs on new ones.

    Raises:
        DataError: a file cannot be read.
        RunError: the run cannot be used, or has no validation pairs and no file was named.
    """
    model = load(run)
    text = model.options.text
    if paths:
        pairs = read_parallel(paths, text.source_column, text.target_column)
    elif not text.paths:
        pairs = DRAWN[text.drawn](TESTED, TEST_SEED)
    else:
        pairs = read_pairs(text, model.options.training.seed)[1]
    if not len(pairs):
        raise DataError(f"evaluating needs pairs of sentences, {run} kept none; name files.")
    encoded, width = encode(pairs, model.vocabulary), model.options.model.beam
    greedy, best = (
        score(model.reader, model.vocabulary, pairs, encoded, text.longest, how)
        for how in (GREEDY, Decoding(beam=width))
    )
    return Evaluation(greedy, best, width, nats_per_piece(model.reader, encoded), pairs)


def _resolve(options: TranslationOptions) -> TranslationOptions:
    """The same options with every default filled in that is not known before a run."""
    set_threads(options.training)
    training = replace(options.training, threads=torch.get_num_threads())
    text = replace(with_full_paths(options.text), vocabulary=options.text.vocabulary_size)
    return replace(options, text=text, training=training)


def _origin(pairs: tuple[Parallel, Parallel]) -> dict[str, object]:
    return {"training": pairs[0].origin(), "validation": pairs[1].origin()}


def _job(
    run: Path,
    options: TranslationOptions,
    pairs: tuple[Parallel, Parallel],
    vocabulary: Vocabulary,
) -> tuple[Job, str]:
    """The training, and what it learns from in words."""
    text, training = options.text, options.training
    reader = build(options, vocabulary)
    learnt = encode(pairs[0], vocabulary).without_longer(text.longest)
    lengths = learnt.lengths()
    join = partial(learnt.batch, team=join_processes())
    buckets = Buckets(lengths, training.batch, training.epochs, training.seed, join)
    validate = None
    if len(pairs[1]):
        held_out = encode(pairs[1], vocabulary)
        validate = partial(_figures, reader, vocabulary, pairs[1], held_out, text.longest)
    job = Job(
        run=run,
        options=training,
        network=reader.network,
        batches=Timed(buckets),
        windows=buckets.windows,
        steps=max(1, int(lengths.sum()) // buckets.windows),
        step=_step(reader.network, training),
        watched=WATCHED,
        validate=validate,
        chosen_by=CHOSEN_BY,
    )
    about = f"{len(lengths):,} pairs of sentences, {vocabulary.target.size:,} pieces"
    if longer := len(pairs[0]) - len(lengths):
        about += f", {longer:,} pairs longer than {text.longest} pieces left out"
    return job, about


def _figures(
    reader: Reader, vocabulary: Vocabulary, pairs: Parallel, encoded: Encoded, longest: int
) -> dict[str, float]:
    found = score(reader, vocabulary, pairs, encoded, longest, GREEDY)
    bleu, _, chrf = (one.value for one in found.measures)
    return {WATCHED: nats_per_piece(reader, encoded), CHOSEN_BY: chrf, "bleu": bleu}


def _step(network: Translator, training: TranslationTraining) -> Step:
    def step(batch: Batch, carry: Carry | None) -> tuple[Tensor, None]:
        batch = Batch(*batch)  # a plain tuple where a kept step is replayed
        losses = translation_loss(network, batch, training)
        return part_of_mean(losses, batch.steps.sum().to(losses.dtype)), None

    return step
