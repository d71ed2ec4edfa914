"""Captioning: pictures to words; trained, resumed, loaded, evaluated, asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from throughtime import record
from throughtime.bptt import Carry
from throughtime.data.buckets import Buckets
from throughtime.data.captions import read_captioned
from throughtime.data.tokens import Tokens
from throughtime.data.words import Words
from throughtime.errors import DataError, RunError
from throughtime.generators import seed_generators
from throughtime.record.feature_file import FeatureFile
from throughtime.tasks.captioning_encoders import PIXELS, Encoder, open_encoder
from throughtime.tasks.captioning_features import open_features
from throughtime.tasks.captioning_loss import caption_losses
from throughtime.tasks.captioning_model import Model, build, load, read_shape, read_tokens
from throughtime.tasks.captioning_network import Captioner
from throughtime.tasks.captioning_options import (
    CAPTIONING,
    CaptioningOptions,
    CaptioningTraining,
    read_captioning_options,
)
from throughtime.tasks.captioning_pictures import (
    Batch,
    Encoded,
    Known,
    build_vocabulary,
    drawn_shapes,
    encode,
    know,
    read_lists,
    with_full_paths,
)
from throughtime.tasks.captioning_predict import Prediction, predict
from throughtime.tasks.captioning_score import Score, score
from throughtime.tasks.decoding_options import Decoding
from throughtime.training.job import Job, Step, Trained
from throughtime.training.processes import join as join_processes
from throughtime.training.processes import own_folder, part_of_mean
from throughtime.training.progress import Announce
from throughtime.training.run import Summary, begin, go_on, set_threads

__all__ = ["Model", "Prediction", "evaluate", "load", "predict", "rebuild", "resume", "train"]

WATCHED, CHOSEN_BY = "nats_per_token", "bleu_4"

DEFAULT_ENCODER = "efficientnet-lite0"


def train(options: CaptioningOptions, out: Path, announce: Announce = print) -> Summary:
    """Trains a captioner and keeps everything in a new run folder.

    Args:
        options: everything the run is made from.
        out: the run folder, new or empty.
        announce: prints a line.

    Raises:
        DataError: a list or picture cannot be read, or there are too few of them.
        PackageError: the encoder, or what reads a list, is not installed.
        RunError: the folder is in the way or cannot be written, or the gradient explodes.
    """
    record.check_vacant(out)
    out = own_folder(out)
    options = _resolve(options)
    encoder = open_encoder(str(options.text.encoder))
    pictures = _read(options, encoder, announce)
    tokens = build_vocabulary(pictures.training.captioned, options.text)
    seed_generators(options.training.seed)
    job, about = _job(out, options, pictures, tokens)
    files = {record.TEXT: pictures.origin(encoder), record.TOKENS: tokens.to_json()}
    begin(job, CAPTIONING, asdict(options), files)
    return go_on(job, about, announce)


def resume(run: Path, announce: Announce = print) -> Summary:
    """Goes on with a run from its last checkpoint, to the same bits as if never stopped.

    Args:
        run: the run folder; its own options hold.
        announce: prints a line.

    Raises:
        DataError: a list or picture cannot be read any more.
        RunError: the folder is no captioning run, is damaged, or pictures or captions have
            changed since.
    """
    options = read_captioning_options(run)
    set_threads(options.training)
    encoder = open_encoder(str(options.text.encoder))
    pictures = _read(options, encoder, announce)
    if (found := pictures.origin(encoder)) != (known := record.read_json(run / record.TEXT)):
        raise RunError(
            f"pictures, captions and encoder must be those of the run, {known}, got {found}; "
            "restore them or train anew."
        )
    job, about = _job(own_folder(run), options, pictures, read_tokens(run))
    return go_on(job, about, announce)


def rebuild(run: Path) -> Trained:
    """The network of a run as it was made, and its step; the pictures are not needed.

    Raises:
        RunError: the folder is no captioning run, or is damaged.
    """
    options = read_captioning_options(run)
    set_threads(options.training)
    network = build(options, read_tokens(run), read_shape(run))
    return network, _step(network, options.training)


def evaluate(
    run: Path, paths: Sequence[str] = (), announce: Announce = print
) -> tuple[Score, Known]:
    """How good the captions of a run are, against all references of every picture.

    Args:
        run: the run folder.
        paths: lists with the columns of the run's own; none: those it chose its weights on, and
            for a run on drawn shapes as many new ones.
        announce: prints a line.

    Returns:
        The score, and the pictures it is over.

    Raises:
        DataError: a list or picture cannot be read.
        RunError: the run cannot be used, or has no validation pictures and no list was named.
    """
    model = load(run)
    text = model.options.text
    if paths:
        captioned = read_captioned(paths, text.image_column, text.caption_column)
    elif not text.paths:
        captioned = drawn_shapes(text, "test")
    else:
        captioned = read_lists(text, model.options.training.seed)[1]
    if not len(captioned):
        raise DataError(f"evaluating needs pictures with captions, {run} kept none; name a list.")
    features = open_features(Path(text.features), model.encoder)
    known = know(captioned, features, model.encoder, text, announce)
    encoded = encode(known, features, model.tokens, text.longest)
    return score(model.network, model.tokens, known, encoded, text.longest, Decoding()), known


@dataclass(frozen=True)
class _Pictures:
    """What a run learns from and chooses by, features included."""

    training: Known
    validation: Known | None
    features: FeatureFile

    def origin(self, encoder: Encoder) -> dict[str, Any]:
        """Counts and hashes, for the run folder."""
        return {
            "encoder": encoder.about,
            "features": list(self.features.shape),
            "training": self.training.origin(),
            "validation": self.validation.origin() if self.validation else None,
        }


def _read(options: CaptioningOptions, encoder: Encoder, announce: Announce) -> _Pictures:
    text = options.text
    features = open_features(Path(text.features), encoder)
    training, validation = read_lists(text, options.training.seed)
    known = [
        know(part, features, encoder, text, announce, is_flipped) if len(part) else None
        for part, is_flipped in ((training, text.flips), (validation, False))
    ]
    if known[0] is None:
        raise DataError("training needs at least one picture, got none; give more data.")
    return _Pictures(known[0], known[1], features)


def _resolve(options: CaptioningOptions) -> CaptioningOptions:
    """The same options with every default filled in that is not known before a run."""
    set_threads(options.training)
    text = with_full_paths(options.text)
    encoder = text.encoder or (DEFAULT_ENCODER if text.paths else PIXELS)
    training = replace(options.training, threads=torch.get_num_threads())
    return replace(options, text=replace(text, encoder=encoder), training=training)


def _job(
    run: Path, options: CaptioningOptions, pictures: _Pictures, tokens: Tokens
) -> tuple[Job, str]:
    """The training, and what it learns from in words."""
    text, training = options.text, options.training
    network = build(options, tokens, pictures.features.shape)
    learnt = encode(pictures.training, pictures.features, tokens, text.longest, text.flips)
    join = partial(learnt.batch, team=join_processes())
    lengths = learnt.lengths()
    buckets = Buckets(lengths, training.batch, training.epochs, training.seed, join)
    validate = None
    if (held_out := pictures.validation) is not None:
        encoded = encode(held_out, pictures.features, tokens, text.longest)
        validate = partial(_figures, network, tokens, held_out, encoded, text.longest)

    job = Job(
        run=run,
        options=training,
        network=network,
        batches=buckets,
        windows=buckets.windows,
        steps=max(1, int(lengths.sum()) // buckets.windows),
        step=_step(network, options.training),
        watched=WATCHED,
        validate=validate,
        chosen_by=CHOSEN_BY,
    )
    return job, _describe(pictures, learnt, tokens)


def _figures(
    network: Captioner, tokens: Tokens, known: Known, encoded: Encoded, longest: int
) -> dict[str, float]:
    found = score(network, tokens, known, encoded, longest, Decoding(beam=1))
    return {
        WATCHED: found.nats_per_token,
        CHOSEN_BY: found.measures.bleu[3],
        "cider": found.measures.cider,
    }


def _step(network: Captioner, training: CaptioningTraining) -> Step:
    def step(batch: Batch, carry: Carry | None) -> tuple[Tensor, None]:
        features, tokens, steps = batch
        logits, weights = network(features, tokens[:-1])
        losses = caption_losses(logits, weights, tokens[1:], steps, training)
        return part_of_mean(losses.sum(), steps.sum().to(losses.dtype)), None

    return step


def _describe(pictures: _Pictures, learnt: Encoded, tokens: Tokens) -> str:
    known = pictures.training
    parts = [
        f"{known.captioned.count:,} captions of {len(known.keys):,} pictures, "
        f"{tokens.size:,} {'words' if isinstance(tokens, Words) else 'pieces'}"
    ]
    skipped = len(known.skipped) + len(pictures.validation.skipped if pictures.validation else ())
    empty = int((learnt.lengths() == 1).sum())
    counts = (
        (skipped, "pictures skipped"),
        (learnt.cut, "cut at the longest length"),
        (empty, "without words"),
    )
    return ", ".join(parts + [f"{count:,} {what}" for count, what in counts if count])
