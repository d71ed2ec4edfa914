"""What a translation run can be told, and the defaults; the run folder keeps all of it."""

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

TRANSLATION = "translation"
"""The task's name in the run folder and on the command line."""

Cell = Literal["lstm", "gru", "rnn", "none"]
Attention = Literal["multiplicative", "additive", "none"]
Bridge = Literal["dense", "none"]
Pieces = Literal["shared", "apart"]
Drawn = Literal["dates", "reversals"]
Tied = Literal["none", "target", "all"]


@dataclass(frozen=True)
class ParallelOptions:
    """Which pairs of sentences are read, and how."""

    paths: tuple[str, ...] = ()
    """Two files a set, a sentence a line, or tables; none: drawn pairs."""

    drawn: Literal["dates", "reversals"] = "dates"
    """What is drawn where no file is named: dates and their ISO form, or letters and backwards."""

    validation: tuple[str, ...] = ()
    """Files to choose the best weights on; without them, a share of the training pairs."""

    validation_share: float = 0.1
    """Share of the training pairs kept for validation when there is no file for it."""

    source_column: str = "source"
    """Column of the sentences that are read, in a table."""

    target_column: str = "target"
    """Column of the sentences that are written, in a table."""

    pieces: Literal["shared", "apart"] = "shared"
    """One vocabulary of byte-pair pieces for both languages, or one for each."""

    vocabulary: int | None = None
    """Most pieces of a vocabulary, the 256 bytes among them; without it 6,000, or 256 for drawn
    pairs."""

    longest: int = 100
    """Pieces of a sentence; longer pairs are not learnt from, which is said, nor written."""

    @property
    def vocabulary_size(self) -> int:
        """`vocabulary`, or what stands for it."""
        return self.vocabulary or (6000 if self.paths else 256)

    def __post_init__(self) -> None:
        check_types(self)
        share("validation_share", self.validation_share)
        one_of("pieces", self.pieces, get_args(Pieces))
        one_of("drawn", self.drawn, get_args(Drawn))
        at_least("vocabulary", self.vocabulary, 256)
        at_least("longest", self.longest, 1)
        for name in ("vocabulary", "longest"):
            at_most(name, getattr(self, name), MOST)
        if self.source_column == self.target_column:
            raise OptionError(
                f"target_column must be another column than source_column, got "
                f"{self.source_column} for both; name two."
            )


@dataclass(frozen=True)
class TranslatorOptions:
    """The network: a bidirectional encoder, and a decoder that looks at what it left."""

    cell: Literal["lstm", "gru", "rnn", "none"] = "gru"
    """The recurrent cell; with none a piece is chosen by the one before it and the source."""

    hidden: int = 512
    """Hidden units per layer of the decoder, and of the encoder's two directions together."""

    layers: int = 1
    """Stacked recurrent layers, of the encoder and of the decoder."""

    embedding: int = 256
    """Size of a piece's embedding, and of what the readout reads."""

    attention: Literal["multiplicative", "additive", "none"] = "multiplicative"
    """How a state and a place of the source are compared; with none the summary is read."""

    input_feeding: bool = False
    """A step reads what the one before it was read out from, too; slower, one step at a time."""

    bridge: Literal["dense", "none"] = "dense"
    """The decoder begins from the encoder's last states, or from zeros."""

    tied: Literal["none", "target", "all"] = "all"
    """Which embeddings the readout shares: none, the decoder's, or the encoder's, too."""

    dropout: float = 0.3
    """Share of values dropped of pieces, between layers and before the readout in training."""

    beam: int = 5
    """Translations kept side by side while one is written; 1 takes the likeliest piece."""

    def __post_init__(self) -> None:
        check_types(self)
        one_of("cell", self.cell, get_args(Cell))
        one_of("attention", self.attention, get_args(Attention))
        one_of("bridge", self.bridge, get_args(Bridge))
        one_of("tied", self.tied, get_args(Tied))
        for name in ("hidden", "layers", "embedding", "beam"):
            at_least(name, getattr(self, name), 1)
            at_most(name, getattr(self, name), MOST - 1)
        share("dropout", self.dropout)
        if self.hidden % 2:
            raise OptionError(
                f"hidden must be even, half for each direction of the encoder, got {self.hidden}; "
                "add one."
            )
        if self.cell == "none" and self.input_feeding:
            raise OptionError(
                "input_feeding must be left out without a cell, got it; there is no state to feed."
            )


@dataclass(frozen=True)
class TranslationTraining(LoopOptions):
    """The optimiser, on the pairs in a new order every epoch."""

    batch: int = 64
    """Pairs side by side in an update, of similar lengths."""

    epochs: int = 15
    """Passes over the training pairs."""

    lr: float = 0.001
    """Learning rate at its highest."""

    label_smoothing: float = 0.1
    """Share of the target's probability that is spread over all pieces."""

    sampling: float = 0.0
    """Share of the pieces read that the network drew itself, at the end; it rises from zero."""

    def __post_init__(self) -> None:
        super().__post_init__()
        share("label_smoothing", self.label_smoothing)
        share("sampling", self.sampling)


@dataclass(frozen=True)
class TranslationOptions:
    """Everything a translation run is made from."""

    text: ParallelOptions = field(default_factory=ParallelOptions)
    model: TranslatorOptions = field(default_factory=TranslatorOptions)
    training: TranslationTraining = field(default_factory=TranslationTraining)

    def __post_init__(self) -> None:
        own_files(self.text.validation, self.text.paths)
        if self.model.tied == "all" and self.text.pieces == "apart":
            raise OptionError(
                "tied must be target or none with pieces apart, got all; the two vocabularies "
                "have different pieces."
            )


def read_translation_options(run: Path) -> TranslationOptions:
    """The full options of a translation run.

    Raises:
        RunError: the folder is no translation run, or its configuration is damaged.
    """
    return read_task(run, {TRANSLATION: TranslationOptions})[1]
