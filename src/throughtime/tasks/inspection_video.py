"""What a report shows of a video run: its layers, reading clips, and labels along time."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime.data.pictures import shrink
from throughtime.tasks import video
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
from throughtime.tasks.segments import edit_score
from throughtime.tasks.video_clips import Encoded, encode, read_material
from throughtime.tasks.video_score import read_all
from throughtime.web import LabelledClip, Labelling

MOST_CLIPS = 100
"""Clips among which those that are shown are chosen."""

SHOWN, FRAMES = 6, 10
"""Clips whose labels are shown, and frames of each that are shown as pictures."""

SIDE = 96
"""Pixels of the longer side of a frame in the page."""


def open_view(run: Path, asked: Asked) -> View:
    """A video run, with clips it chose its weights on, or else those it learnt.

    Raises:
        DataError: a list or a clip cannot be read, or has other labels now.
        RunError: the run cannot be used.
    """
    model = video.load(run)
    options = model.options
    material = read_material(options.clips, options.training.seed, asked.announce)
    name, clips = "clips held out", material.validation
    if not len(clips):
        name, clips = "training clips", material.training
    places = spread(len(clips), MOST_CLIPS)
    chosen = encode(clips.take(places), model.classes, f"the {name}")
    own = {"labels": lambda: measure_labels(model, chosen, name)}
    if model.network.layers is None:
        return View(NO_CELL, own)
    return View(_subject(model, chosen, name), own)


class _Answer(NamedTuple):
    """What the frames of one clip were taken for."""

    clip: int
    predicted: NDArray[np.int64]  # [T]
    probability: NDArray[np.float64]  # [T]
    share_right: float


def measure_labels(model: video.Model, clips: Encoded, name: str) -> Labelling:
    """True and predicted labels of some clips, from the worst to the best.

    Args:
        model: as `video.load` gives it.
        clips: among which some are chosen.
        name: what a note calls them.
    """
    answers = sorted(_answers(model, clips), key=lambda one: one.share_right)
    shown = spread(len(answers), SHOWN)
    return Labelling(
        model.classes,
        [_show(clips, answers[i]) for i in shown],
        f"{len(shown)} of {len(answers)} {name}, from the one with the fewest frames right to the "
        "one with the most, evenly spread.",
    )


def _answers(model: video.Model, clips: Encoded) -> list[_Answer]:
    found = []
    for places, batch, logits in read_all(model.network, clips):
        sizes = batch.lengths.tolist()
        for clip, own in zip(places.tolist(), torch.split(logits, sizes), strict=True):
            likeliest = own.double().softmax(-1).max(-1)
            predicted = likeliest.indices.numpy()
            share = float((predicted == clips.classes[clip]).mean())
            found.append(_Answer(clip, predicted, likeliest.values.numpy(), share))
    return found


def _show(clips: Encoded, answer: _Answer) -> LabelledClip:
    truth, frames = clips.classes[answer.clip], clips.clips.pixels(answer.clip)
    count = min(FRAMES, len(truth))
    shown = ((np.arange(count) + 0.5) * len(truth) / count).astype(int)  # amid equal stretches
    if frames.ndim == 2:  # stored features
        shown, small = shown[:0], np.zeros((0, 1, 1), np.uint8)
    else:
        small = np.stack([shrink(frame, SIDE) for frame in frames[shown]])
    edit = edit_score(truth.tolist(), answer.predicted.tolist())
    return LabelledClip(
        Path(clips.clips.names[answer.clip]).name,
        truth,
        answer.predicted,
        answer.probability,
        shown,
        small,
        {
            "frames": f"{len(truth):,}",
            "right": f"{100 * answer.share_right:.0f} %",
            "edit score": f"{edit:.0f} of 100",
        },
    )


def _subject(model: video.Model, clips: Encoded, name: str) -> Subject:
    network, lengths = model.network, clips.clips.lengths
    order = np.argsort(-lengths, kind="stable")
    steps = min(WINDOW, int(lengths[order[:ROWS]].min()))
    cut = clips.batch(order[:ROWS])
    starts = cut.lengths.cumsum(0) - cut.lengths
    window = (starts[:, None] + torch.arange(steps)).flatten()  # of every clip the first frames
    ends = torch.full_like(cut.lengths, steps)
    count = max(1, int(np.searchsorted(lengths.cumsum(), MOST_STEPS, side="right")))
    whole = clips.batch(np.arange(count))
    longest = clips.batch(order[:1])

    def losses() -> Tensor:
        logits = network(cut.frames[window], ends)
        found = cross_entropy(logits, cut.classes[window], reduction="none")
        return found.view(-1, steps).T  # [T, B]

    def read() -> None:
        with torch.no_grad():
            network(whole.frames, whole.lengths)

    def peek(steps: int) -> None:
        with torch.no_grad():
            network(longest.frames[:steps], longest.lengths.clamp(max=steps))

    with torch.no_grad():
        typical = network.encode(longest.frames, longest.lengths).median(dim=0).values
    return Subject(
        network,
        "layers",
        losses,
        read,
        peek,
        (),
        typical,
        "the median frame",
        f"{len(whole.lengths):,} {name}",
        f"the first {steps} frames of the {len(ends)} longest of {len(lengths):,} {name}",
    )


VIDEO_RECIPE = Recipe(
    open_view,
    loss=video.WATCHED,
    figures={
        "share_right": "share of frames right",
        "share_right_others": "share right without the most frequent label",
        "edit": "edit score",
    },
    sections=("labels",),
)
