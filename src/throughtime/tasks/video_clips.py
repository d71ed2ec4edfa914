"""The clips of a video run: read, checked and counted, then made into batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from throughtime.data.clips import Clips, join, read_list
from throughtime.data.frame_cache import default_folder, store_frames
from throughtime.data.shapes import shapes
from throughtime.data.split import hold_out
from throughtime.data.tables import full_path
from throughtime.data.videos import is_features, read_frames
from throughtime.errors import DataError
from throughtime.tasks.classes import number_labels
from throughtime.tasks.video_options import ClipOptions
from throughtime.training.processes import Team, first_alone

ALONE = Team()

EXAMPLES = 240
"""Clips that are generated where no list is named."""


class Batch(NamedTuple):
    """Clips one after the other.

    Args:
        frames: uint8 [N, Y, X], or stored features [N, I]; N is the sum of the lengths.
        lengths: frames of each clip, int64 [B].
        classes: the class of each frame, int64 [N].
    """

    frames: Tensor
    lengths: Tensor
    classes: Tensor


@dataclass(frozen=True)
class Material:
    """Training and validation clips, and what identifies them."""

    training: Clips
    validation: Clips
    """Empty without validation."""

    def origin(self) -> dict[str, Any]:
        """Counts and hashes, for the run folder."""
        parts = {"training": self.training, "validation": self.validation}
        found: dict[str, Any] = {
            name: {
                "clips": len(clips),
                "frames": int(clips.lengths.sum()),
                "sha256": clips.sha256(),
                "skipped": clips.skipped,
            }
            for name, clips in parts.items()
        }
        return found | {"size": list(self.training.size), "frame": list(self.frame)}

    @property
    def frame(self) -> tuple[int, ...]:
        """Axes of a frame as the network reads it, [Y, X] or [I]."""
        return tuple(self.training.frames.shape[1:])


@dataclass(frozen=True)
class Encoded:
    """Clips as a network reads them."""

    clips: Clips
    classes: list[NDArray[np.int64]]
    """The class of every frame, [T] each."""

    def batch(self, places: NDArray[np.int64], team: Team = ALONE) -> Batch:
        """What this process has of the clips at some places, one after the other."""
        rows = team.share(places)
        empty = self.clips.frames[:0]
        frames = np.concatenate([empty, *(self.clips.pixels(i) for i in rows)])
        classes = np.concatenate([np.zeros(0, np.int64), *(self.classes[i] for i in rows)])
        lengths = self.clips.lengths[rows]
        return Batch(*map(torch.from_numpy, (frames, lengths, classes)))


def read_material(options: ClipOptions, seed: int, announce: Callable[[str], None]) -> Material:
    """The clips that a run learns from and chooses by.

    Without a list for it, the validation is a share of the training clips drawn from the seed.

    Raises:
        DataError: a list or a clip cannot be read, or there are too few clips or labels.
    """
    if options.paths:
        training = read_clips(options.paths, options, announce)
    else:
        training = draw_clips(options, 0)
    if options.validation:
        size = training.size
        validation = read_clips(options.validation, options, announce, size)
    else:
        learnt, held_out = hold_out(len(training), options.validation_share, seed)
        validation = replace(training.take(held_out), skipped={})
        training = training.take(learnt)
    if len(labels := training.counts()) < 2:
        raise DataError(
            f"the training clips must have two labels or more, {len(training):,} clips have "
            f"{', '.join(labels) or 'none'}; give clips with every label."
        )
    return Material(training, validation)


def read_clips(
    paths: Sequence[str],
    options: ClipOptions,
    announce: Callable[[str], None],
    size: tuple[int, int] | None = None,
) -> Clips:
    """The clips of lists, decoded once.

    Args:
        paths: the lists.
        options: columns, sizes, and what to do about clips that cannot be used.
        announce: prints a line.
        size: width and height that every clip must have; None for those of the first one.

    Raises:
        DataError: a list cannot be read, or a clip cannot be used.
    """
    listed = read_list(paths, options.clip_column, options.label_column)
    read = partial(read_frames, width=options.width, height=options.height)
    kind = f"grey {options.width} x {options.height}, upright"
    if listed.paths and is_features(listed.paths[0]):
        kind = "features"
    folder = Path(options.cache) if options.cache else default_folder()
    with first_alone():
        store = store_frames(listed.paths, read, kind, folder, announce)
    is_strict = options.unfit == "refuse"
    return join(listed, store, size, options.any_size, is_strict)


def draw_clips(options: ClipOptions, seed: int) -> Clips:
    """Generated clips of moving shapes, of the size that the network reads."""
    frames, labels = shapes(EXAMPLES, seed, options.width, options.height)
    lengths = [len(row) for row in labels]
    names = [f"generated {i}" for i in range(EXAMPLES)]
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    return Clips(names, labels, np.concatenate(frames), starts, (options.width, options.height))


def encode(clips: Clips, classes: Sequence[str], name: str) -> Encoded:
    """Clips with numbers in the place of labels, none left out.

    Args:
        clips: what is encoded.
        classes: the labels, in the order of their numbers.
        name: what an error calls the clips.

    Raises:
        DataError: a label is none of the classes.
    """
    numbers = number_labels(classes, clips.counts(), name, "frames")
    return Encoded(clips, [np.array([numbers[x] for x in row], np.int64) for row in clips.labels])


def with_full_paths(options: ClipOptions) -> ClipOptions:
    """The same options, readable from any working directory."""
    return replace(
        options,
        paths=tuple(map(full_path, options.paths)),
        validation=tuple(map(full_path, options.validation)),
        cache=full_path(options.cache),
    )
