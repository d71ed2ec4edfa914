"""What a sentiment run can be told, and the defaults; the run folder keeps all of it."""

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

SENTIMENT = "sentiment"
"""The task's name in the run folder and on the command line."""

Cell = Literal["lstm", "gru", "rnn", "none"]
Pooling = Literal["last", "mean", "max", "attention"]
Weights = Literal["equal", "balanced"]


@dataclass(frozen=True)
class LabelledOptions:
    """Which texts are read, and how they are cut into words."""

    paths: tuple[str, ...] = ()
    """Tables of training texts; none: generated reviews."""

    validation: tuple[str, ...] = ()
    """Tables to choose the best weights on; without them, a share of the training texts."""

    validation_share: float = 0.1
    """Share of the training texts kept for validation when there is no table for it."""

    exclude: tuple[str, ...] = ()
    """Tables whose texts are taken out of the training, such as those of the test; counted."""

    text_column: str | None = None
    """Column of the texts; without it `text`, `sentence`, or the only other one."""

    label_column: str = "label"
    """Column of the labels."""

    punctuation: bool = True
    """Read marks of punctuation as words; without it they part words as a blank does."""

    vocabulary: int = 30_000
    """Most words known; the rarer ones are read as one unknown word."""

    longest: int = 500
    """Words read of a text; how many texts are longer is said."""

    def __post_init__(self) -> None:
        check_types(self)
        share("validation_share", self.validation_share)
        at_least("vocabulary", self.vocabulary, 3)
        for name in ("vocabulary", "longest"):
            at_most(name, getattr(self, name), MOST)
        at_least("longest", self.longest, 1)
        if self.label_column == self.text_column:
            raise OptionError(
                f"label_column must be another column than text_column, got {self.label_column} "
                "for both; name two."
            )


@dataclass(frozen=True)
class ClassifierOptions:
    """The network: embeddings, recurrent layers in both directions, a pooling, a readout."""

    cell: Literal["lstm", "gru", "rnn", "none"] = "lstm"
    """The recurrent cell; none pools the embeddings themselves, a bag of words."""

    hidden: int = 128
    """Hidden units of each direction."""

    layers: int = 1
    """Stacked recurrent layers."""

    bidirectional: bool = True
    """Read from the end, too."""

    embedding: int = 128
    """Size of a word's embedding."""

    subwords: int = 10_000
    """Vectors for the pieces of words, which words of one look share; 0 for none."""

    pooling: Literal["last", "mean", "max", "attention"] = "max"
    """How the states of all steps become one: last, mean, highest, or a learnt weighting."""

    dropout: float = 0.5
    """Share of values dropped before, between and after the layers while training."""

    word_dropout: float = 0.1
    """Share of words read as the unknown word while training."""

    def __post_init__(self) -> None:
        check_types(self)
        one_of("cell", self.cell, get_args(Cell))
        one_of("pooling", self.pooling, get_args(Pooling))
        for name in ("hidden", "layers", "embedding", "subwords"):
            at_least(name, getattr(self, name), 0 if name == "subwords" else 1)
            at_most(name, getattr(self, name), MOST - 1)
        share("dropout", self.dropout)
        share("word_dropout", self.word_dropout)
        if self.cell == "none" and self.pooling == "last":
            raise OptionError(
                "pooling must be mean, max or attention without a cell, got last; the last word "
                "alone says little."
            )


@dataclass(frozen=True)
class SentimentTraining(LoopOptions):
    """The optimiser, on the texts in a new order every epoch."""

    batch: int = 64
    """Texts side by side in an update, of similar lengths."""

    epochs: int = 5
    """Passes over the training texts."""

    lr: float = 0.003
    """Learning rate at its highest."""

    weight_decay: float = 0.01
    """Decoupled weight decay per update and unit of learning rate (Adam only)."""

    class_weights: Literal["equal", "balanced"] = "equal"
    """Weight of a text in the loss: equal, or balanced by how rare its class is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("class_weights", self.class_weights, get_args(Weights))


@dataclass(frozen=True)
class SentimentOptions:
    """Everything a sentiment run is made from."""

    text: LabelledOptions = field(default_factory=LabelledOptions)
    model: ClassifierOptions = field(default_factory=ClassifierOptions)
    training: SentimentTraining = field(default_factory=SentimentTraining)

    def __post_init__(self) -> None:
        own_files(self.text.validation, self.text.paths)


def read_sentiment_options(run: Path) -> SentimentOptions:
    """The full options of a sentiment run.

    Raises:
        RunError: the folder is no sentiment run, or its configuration is damaged.
    """
    return read_task(run, {SENTIMENT: SentimentOptions})[1]
