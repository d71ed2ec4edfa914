"""What a captioning run can be told, and the defaults; the run folder keeps all of it."""

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

CAPTIONING = "captioning"
"""The task's name in the run folder and on the command line."""

Cell = Literal["lstm", "gru", "rnn", "none"]
Attention = Literal["after", "before", "none"]
Corrupt = Literal["refuse", "skip"]
Pieces = Literal["words", "bpe"]


@dataclass(frozen=True)
class CaptionedOptions:
    """Which pictures and captions are read, and how."""

    paths: tuple[str, ...] = ()
    """Lists of training pictures with captions; none: drawn shapes."""

    validation: tuple[str, ...] = ()
    """Lists to choose the best weights on; without them, a share of the training pictures."""

    validation_share: float = 0.1
    """Share of the training pictures kept for validation when there is no list for it."""

    image_column: str = "image"
    """Column of the pictures: names of files, from the folder of the list on."""

    caption_column: str | None = None
    """Column of the captions, a list a row or one; without it `captions` or `caption`."""

    corrupt: Literal["refuse", "skip"] = "refuse"
    """What happens to pictures that cannot be read; those that are skipped are listed."""

    encoder: str | None = None
    """What reads pictures; without it efficientnet-lite0, and pixels for drawn shapes."""

    features: str = "runs/features"
    """Folder where the pictures' features are kept, to be computed once."""

    flips: bool = False
    """Learn from the mirror images, too; an epoch is then twice as long."""

    tokens: Literal["words", "bpe"] = "words"
    """Words in small letters without punctuation, or byte-pair pieces of them."""

    vocabulary: int = 10_000
    """Most words or pieces known; the rarer words are read as one unknown word."""

    rarest: int = 3
    """Times that a word must come in the training captions to be known."""

    longest: int = 30
    """Words or pieces read, or written, of a caption; how many captions are longer is said."""

    def __post_init__(self) -> None:
        check_types(self)
        share("validation_share", self.validation_share)
        one_of("corrupt", self.corrupt, get_args(Corrupt))
        one_of("tokens", self.tokens, get_args(Pieces))
        at_least("vocabulary", self.vocabulary, 256 if self.tokens == "bpe" else 3)
        at_least("rarest", self.rarest, 1)
        at_least("longest", self.longest, 1)
        for name in ("vocabulary", "longest", "rarest"):
            at_most(name, getattr(self, name), MOST)
        if self.image_column == self.caption_column:
            raise OptionError(
                f"caption_column must be another column than image_column, got "
                f"{self.caption_column} for both; name two."
            )


@dataclass(frozen=True)
class CaptionerOptions:
    """The network: a recurrent decoder that is started by the picture and looks at its places."""

    cell: Literal["lstm", "gru", "rnn", "none"] = "lstm"
    """The recurrent cell; with none a word is chosen by the one before it and the picture."""

    hidden: int = 512
    """Hidden units per layer."""

    layers: int = 1
    """Stacked recurrent layers."""

    embedding: int = 256
    """Size of a word's embedding."""

    attention: Literal["after", "before", "none"] = "after"
    """Look at places by the state after a word, which is faster, or before it, or not at all."""

    places: int = 512
    """Size of the vector of a place, and of the mean of all."""

    queries: int = 256
    """Size in which a state and a place are compared."""

    dropout: float = 0.5
    """Share of values dropped of words, of what is seen and before the readout while training."""

    beam: int = 5
    """Captions kept side by side while one is written; 1 takes the likeliest word each time."""

    def __post_init__(self) -> None:
        check_types(self)
        one_of("cell", self.cell, get_args(Cell))
        one_of("attention", self.attention, get_args(Attention))
        for name in ("hidden", "layers", "embedding", "places", "queries", "beam"):
            at_least(name, getattr(self, name), 1)
            at_most(name, getattr(self, name), MOST - 1)
        share("dropout", self.dropout)
        if self.cell == "none" and self.attention == "before":
            raise OptionError(
                "attention must be after or none without a cell, got before; there is no state "
                "before a word."
            )


@dataclass(frozen=True)
class CaptioningTraining(LoopOptions):
    """The optimiser, on the captions in a new order every epoch."""

    batch: int = 64
    """Captions side by side in an update, of similar lengths."""

    epochs: int = 10
    """Passes over the training captions."""

    lr: float = 0.001
    """Learning rate at its highest."""

    clip: float = 5.0
    """Largest global norm of the gradient; 0 switches clipping off."""

    label_smoothing: float = 0.1
    """Share of the target's probability that is spread over all words."""

    doubly_stochastic: float = 0.0
    """Weight of the wish that a caption looks at every place equally long."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share("label_smoothing", self.label_smoothing)
        at_least("doubly_stochastic", self.doubly_stochastic, 0)


@dataclass(frozen=True)
class CaptioningOptions:
    """Everything a captioning run is made from."""

    text: CaptionedOptions = field(default_factory=CaptionedOptions)
    model: CaptionerOptions = field(default_factory=CaptionerOptions)
    training: CaptioningTraining = field(default_factory=CaptioningTraining)

    def __post_init__(self) -> None:
        own_files(self.text.validation, self.text.paths)


def read_captioning_options(run: Path) -> CaptioningOptions:
    """The full options of a captioning run.

    Raises:
        RunError: the folder is no captioning run, or its configuration is damaged.
    """
    return read_task(run, {CAPTIONING: CaptioningOptions})[1]
