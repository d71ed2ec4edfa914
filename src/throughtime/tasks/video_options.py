"""What a video run can be told, and the defaults; the run folder keeps all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from throughtime.errors import OptionError
from throughtime.tasks.options import read_task
from throughtime.training.options import (
    MOST,
    LoopOptions,
    at_least,
    at_most,
    check_types,
    one_of,
    own_files,
    share,
)

VIDEO = "video"
"""The task's name in the run folder and on the command line."""

Cell = Literal["lstm", "gru", "rnn", "none"]
Unfit = Literal["refuse", "skip"]

SMALLEST, LARGEST = 8, 1024
"""Sides of a picture that the network can read."""


@dataclass(frozen=True)
class ClipOptions:
    """Which clips are read, and how their frames are made."""

    paths: tuple[str, ...] = ()
    """Lists of training clips with labels; none: generated clips of moving shapes."""

    validation: tuple[str, ...] = ()
    """Lists to choose the best weights on; without them, a share of the training clips."""

    validation_share: float = 0.1
    """Share of the training clips kept for validation when there is no list for it."""

    clip_column: str = "clip"
    """Column of the clips' paths, which count from the folder of the list."""

    label_column: str = "labels"
    """Column of the labels, one a frame."""

    width: int = 64
    """Pixels of a row that the network reads; frames are scaled to it."""

    height: int = 32
    """Rows of pixels that the network reads."""

    any_size: bool = False
    """Take clips of other sizes than the first one's too; without it they are refused."""

    unfit: Literal["refuse", "skip"] = "refuse"
    """What to do about clips that are damaged, empty, or have not as many frames as labels."""

    cache: str = ""
    """Folder for decoded frames; without it, throughtime/frames in your folder for caches."""

    def __post_init__(self) -> None:
        check_types(self)
        share("validation_share", self.validation_share)
        one_of("unfit", self.unfit, get_args(Unfit))
        for name in ("width", "height"):
            at_least(name, getattr(self, name), SMALLEST)
            at_most(name, getattr(self, name), LARGEST)
        if self.clip_column == self.label_column:
            raise OptionError(
                f"label_column must be another column than clip_column, got {self.clip_column} "
                "for both; name two."
            )


@dataclass(frozen=True)
class VideoModel:
    """The network: convolutions over a few frames, recurrent layers, a readout of every step."""

    cell: Literal["lstm", "gru", "rnn", "none"] = "gru"
    """The recurrent cell; none reads every frame with its neighbours alone."""

    hidden: int = 192
    """Hidden units of each direction."""

    layers: int = 2
    """Stacked recurrent layers."""

    causal: bool = False
    """Label a frame from it and those before it alone, so that a live stream can be labelled."""

    window: int = 5
    """Frames that the first convolution sees: around each one, or up to it if causal."""

    channels: int = 32
    """Channels of the first convolution; the two after it have two and three times as many."""

    features: int = 256
    """Numbers that become of a frame."""

    dropout: float = 0.3
    """Share of values dropped before, between and after the layers while training."""

    def __post_init__(self) -> None:
        check_types(self)
        one_of("cell", self.cell, get_args(Cell))
        for name in ("hidden", "layers", "window", "channels", "features"):
            at_least(name, getattr(self, name), 1)
            at_most(name, getattr(self, name), MOST // 4)
        share("dropout", self.dropout)
        if self.window % 2 == 0 and not self.causal:
            raise OptionError(
                f"window must be odd, as many frames before each as after it, got {self.window}; "
                "add one."
            )


@dataclass(frozen=True)
class VideoTraining(LoopOptions):
    """The optimiser, on the clips in a new order every epoch."""

    batch: int = 8
    """Clips side by side in an update, of similar lengths."""

    epochs: int = 20
    """Passes over the training clips."""

    lr: float = 0.002
    """Learning rate at its highest."""

    weight_decay: float = 0.05
    """Decoupled weight decay per update and unit of learning rate (Adam only)."""

    flip: bool = False
    """Show half of the clips mirrored, left and right; not where a label tells the two apart."""

    shift: float = 0.05
    """Farthest that a clip is moved, as a share of width and height, at random."""

    jitter: float = 0.1
    """Share of frames that are left out or shown twice while training, at random."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share("shift", self.shift)
        share("jitter", self.jitter)


@dataclass(frozen=True)
class VideoOptions:
    """Everything a video run is made from."""

    clips: ClipOptions = field(default_factory=ClipOptions)
    model: VideoModel = field(default_factory=VideoModel)
    training: VideoTraining = field(default_factory=VideoTraining)

    def __post_init__(self) -> None:
        own_files(self.clips.validation, self.clips.paths)


def read_video_options(run: Path) -> VideoOptions:
    """The full options of a video run.

    Raises:
        RunError: the folder is no video run, or its configuration is damaged.
    """
    return read_task(run, {VIDEO: VideoOptions})[1]
