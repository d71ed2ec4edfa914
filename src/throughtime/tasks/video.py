"""Video: a label for every frame of a clip; trained, resumed, loaded, evaluated, asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime import record
from throughtime.bptt import Carry
from throughtime.data.buckets import Buckets
from throughtime.data.videos import Frames, is_alike, is_features, read_frames, say_size
from throughtime.errors import DataError, RunError
from throughtime.generators import seed_generators
from throughtime.tasks.classes import read_counts
from throughtime.tasks.video_augment import augment
from throughtime.tasks.video_clips import (
    Batch,
    Material,
    draw_clips,
    encode,
    read_clips,
    read_material,
    with_full_paths,
)
from throughtime.tasks.video_labels import Labels
from throughtime.tasks.video_network import Labeller
from throughtime.tasks.video_options import VIDEO, VideoOptions, VideoTraining, read_video_options
from throughtime.tasks.video_score import Score, score
from throughtime.tasks.weights import load_weights
from throughtime.training.job import Job, Step, Trained
from throughtime.training.memory import within_memory
from throughtime.training.processes import join as join_processes
from throughtime.training.processes import own_folder, part_of_mean
from throughtime.training.progress import Announce
from throughtime.training.run import Summary, begin, go_on, set_threads

WATCHED = "nats_per_frame"


@dataclass(frozen=True)
class Model:
    """A trained network and all that it needs to read a clip."""

    network: Labeller
    classes: tuple[str, ...]
    options: VideoOptions
    size: tuple[int, int]
    """Width and height of the clips it was trained on, before scaling."""


def train(options: VideoOptions, out: Path, announce: Announce = print) -> Summary:
    """Trains a new network in a new run folder.

    Args:
        options: everything the run is made from; the folder keeps it with all defaults filled.
        out: the run folder, which must not exist or be empty.
        announce: prints a line.

    Raises:
        DataError: a list or a clip cannot be read, or there are too few of them.
        RunError: the folder is in the way or cannot be written, or the gradient explodes.
    """
    record.check_vacant(out)
    out = own_folder(out)
    options = _resolve(options)
    material = read_material(options.clips, options.training.seed, announce)
    counts = material.training.counts()
    seed_generators(options.training.seed)
    job, about = _job(out, options, material, tuple(counts), announce)
    begin(job, VIDEO, asdict(options), {record.CLIPS: material.origin(), record.LABELS: counts})
    return go_on(job, about, announce)


def resume(run: Path, announce: Announce = print) -> Summary:
    """Goes on with a run from its last checkpoint, to the same bits as if never stopped.

    Args:
        run: the run folder; its own options hold.
        announce: prints a line.

    Raises:
        DataError: a list or a clip cannot be read any more.
        RunError: the folder is no video run, is damaged, or the clips have changed since.
    """
    options = read_video_options(run)
    material = read_material(options.clips, options.training.seed, announce)
    if (found := material.origin()) != (known := record.read_json(run / record.CLIPS)):
        changed = [name for name in found if known.get(name) != found[name]]
        raise RunError(
            f"the clips must be those of the run, as {run / record.CLIPS} has them, they differ in "
            f"{', '.join(changed)}; restore them or train anew."
        )
    set_threads(options.training)
    classes = tuple(read_counts(run))
    job, about = _job(own_folder(run), options, material, classes, announce)
    return go_on(job, about, announce)


def rebuild(run: Path) -> Trained:
    """The network of a run as it was made, and its step; the clips are not needed.

    Raises:
        RunError: the folder is no video run, or is damaged.
    """
    options = read_video_options(run)
    set_threads(options.training)
    network = _build(options, _read_shape(run)[0], len(read_counts(run)))
    return network, _step(network, options.training)


def load(run: Path) -> Model:
    """The network of a run, ready to label frames; reads no pickle.

    Raises:
        RunError: the folder is no video run, is damaged, or has no weights yet.
    """
    options, classes = read_video_options(run), tuple(read_counts(run))
    frame, size = _read_shape(run)
    network = _build(options, frame, len(classes))
    load_weights(run, network)
    return Model(network.eval(), classes, options, size)


def evaluate(run: Path, paths: Sequence[str] = (), announce: Announce = print) -> Score:
    """How well the network of a run labels frames; no clip is left out in silence.

    Args:
        run: the run folder.
        paths: lists with the columns of the run's own; none: those it chose its weights on, and
            for a run on generated clips as many new ones.
        announce: prints a line.

    Raises:
        DataError: a list or a clip cannot be read, or has labels that the training had not.
        RunError: the run cannot be used, or has no validation clips and no list was named.
    """
    model = load(run)
    options = model.options
    if paths:
        clips = read_clips(paths, options.clips, announce, model.size)
    elif not options.clips.paths:
        clips = draw_clips(options.clips, 1)
    else:
        clips = read_material(options.clips, options.training.seed, announce).validation
    if not len(clips):
        raise DataError(f"evaluating needs labelled clips, {run} kept none; name a list.")
    return score(model.network, encode(clips, model.classes, "the clips"), model.classes)


def predict(model: Model, path: Path) -> tuple[Labels, Frames]:
    """What the frames of a clip are taken for, and what was read of it.

    Args:
        model: as `load` gives it.
        path: a clip of any length, of the size or the features that the training had.

    Raises:
        DataError: the clip cannot be read, or is of another kind or size.
    """
    options = model.options.clips
    if is_features(path) != model.network.reads_features:
        kind = "features, .npy" if model.network.reads_features else "a video"
        raise DataError(
            f"{path} must be of the kind that was trained on, {kind}, it is not; name such a file."
        )
    clip = read_frames(path, options.width, options.height)
    check_size(model, clip.size, path)
    with torch.inference_mode():
        logits = model.network(torch.from_numpy(clip.pixels), torch.tensor([len(clip.pixels)]))
    likeliest = logits.double().softmax(-1).max(-1)
    labels = [model.classes[k] for k in likeliest.indices.tolist()]
    return Labels(labels, clip.times.tolist(), likeliest.values.tolist()), clip


def check_size(model: Model, size: tuple[int, int], name: str | Path) -> None:
    """Refuses a clip of another size than those that a model was trained on, if they had one.

    Raises:
        DataError: as said.
    """
    if is_alike(size, model.size, model.options.clips.any_size):
        return
    expected, came = (say_size(one) for one in (model.size, size))
    raise DataError(
        f"{name} must have {expected} like those of the training, it has {came}; convert it, or "
        "train on videos with --any-size."
    )


def _resolve(options: VideoOptions) -> VideoOptions:
    """The same options with every default filled in that is not known before a run."""
    set_threads(options.training)
    training = replace(options.training, threads=torch.get_num_threads())
    return replace(options, clips=with_full_paths(options.clips), training=training)


def _build(options: VideoOptions, frame: Sequence[int], classes: int) -> Labeller:
    with within_memory():
        return Labeller(frame, classes, options.model)


def _job(
    run: Path,
    options: VideoOptions,
    material: Material,
    classes: tuple[str, ...],
    announce: Announce,
) -> tuple[Job, str]:
    """The training, and what it learns from in words."""
    network, training = _build(options, material.frame, len(classes)), options.training
    learnt = encode(material.training, classes, "the training clips")
    held_out = encode(material.validation, classes, "the validation clips")
    lengths = material.training.lengths
    collate = partial(learnt.batch, team=join_processes())
    buckets = Buckets(lengths, training.batch, training.epochs, training.seed, collate)
    for clips in (material.training, material.validation):
        for reason in clips.skipped.values():
            announce(f"Skipped: {reason}")

    def figures() -> dict[str, float]:
        found = score(network, held_out, classes)
        return {
            WATCHED: found.nats_per_frame,
            "share_right": found.share_right,
            "share_right_others": found.share_right_others,
            "edit": found.edit,
        }

    job = Job(
        run=run,
        options=training,
        network=network,
        batches=buckets,
        windows=buckets.windows,
        steps=max(1, int(lengths.sum()) // buckets.windows),
        step=_step(network, training),
        watched=WATCHED,
        validate=figures if len(material.validation) else None,
    )
    return job, _describe(material, classes)


def _step(network: Labeller, options: VideoTraining) -> Step:
    def step(batch: tuple[Tensor, Tensor, Tensor], carry: Carry | None) -> tuple[Tensor, None]:
        seen = augment(Batch(*batch), options)
        losses = cross_entropy(network(seen.frames, seen.lengths), seen.classes, reduction="none")
        return part_of_mean(losses.sum(), torch.tensor(float(len(losses)))), None

    return step


def _describe(material: Material, classes: Sequence[str]) -> str:
    clips = material.training
    about = f"{len(clips):,} clips of {int(clips.lengths.sum()):,} frames, {len(classes)} labels"
    count = len(clips.skipped) + len(material.validation.skipped)
    return about + f", {count:,} clips skipped" * bool(count)


def _read_shape(run: Path) -> tuple[list[int], tuple[int, int]]:
    """Axes of a frame as the network reads it, and the size of the clips before scaling."""
    content: Any = record.read_json(run / record.CLIPS)
    try:
        width, height = map(int, content["size"])
        return [int(n) for n in content["frame"]], (width, height)
    except (KeyError, TypeError, ValueError) as error:
        raise record.damaged(run / record.CLIPS, "the clips' sizes", error) from error
