"""What a language-model run can be told, and the defaults; the run folder keeps all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from reprlib import repr as brief
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from throughtime import record
from throughtime.errors import OptionError, RunError
from throughtime.training.options import (
    MOST,
    TrainingOptions,
    above_zero,
    at_least,
    at_most,
    check_types,
    one_of,
    share,
)

__all__ = ["LanguageModelOptions", "ModelOptions", "TextOptions", "TrainingOptions"]

TASK = "language-model"
"""The task's name in the run folder and on the command line."""

Cell = Literal["lstm", "gru", "rnn", "rnn-relu", "irnn"]
Kind = Literal["characters", "bpe", "words"]


@dataclass(frozen=True)
class TextOptions:
    """What is read and how it is cut into tokens."""

    paths: tuple[str, ...] = ()
    """Text files, folders or globs; none: the source code of Python's standard library."""

    validation: str | None = None
    """A text to validate on; without it, the end of the training text."""

    validation_share: float = 0.1
    """Share of the text kept for validation when there is no validation file."""

    tokens: Literal["characters", "bpe", "words"] = "characters"
    """Characters, byte-pair pieces, or words between blanks with an end-of-line mark."""

    vocabulary: int = 8000
    """Most entries in the vocabulary of byte-pair pieces or words."""

    def __post_init__(self) -> None:
        check_types(self)
        share("validation_share", self.validation_share)
        one_of("tokens", self.tokens, get_args(Kind))
        at_least("vocabulary", self.vocabulary, 256 if self.tokens == "bpe" else 3)
        at_most("vocabulary", self.vocabulary, MOST)


@dataclass(frozen=True)
class ModelOptions:
    """The network."""

    cell: Literal["lstm", "gru", "rnn", "rnn-relu", "irnn"] = "lstm"
    """The recurrent cell; an irnn is a relu network whose recurrent weights begin as identity."""

    hidden: int = 256
    """Hidden units per layer."""

    layers: int = 2
    """Stacked recurrent layers."""

    embedding: int | None = None
    """Size of a token's embedding; without it, that of a hidden state, at most 256 if untied."""

    tied: bool = False
    """Share the embedding's weights with the readout; needs an embedding of the hidden size."""

    dropout: float = 0.2
    """Share of values dropped before, between and after the layers while training."""

    init_scale: float | None = None
    """Draw every weight from [-s, s]; without it, torch's own initialisation."""

    def __post_init__(self) -> None:
        check_types(self)
        one_of("cell", self.cell, get_args(Cell))
        for name in ("hidden", "layers", "embedding"):
            at_least(name, getattr(self, name), 1)
            at_most(name, getattr(self, name), MOST)
        share("dropout", self.dropout)
        above_zero("init_scale", self.init_scale)
        at_most("init_scale", self.init_scale, 1e38)  # float32 ends at 3.4e38, and 2 s must fit
        if self.cell == "irnn" and self.init_scale is not None:
            raise OptionError(
                f"init_scale must be left out for an irnn, which begins as identity, got "
                f"{self.init_scale:g}; leave it out or train an rnn-relu."
            )
        if self.tied and self.embedding not in (None, self.hidden):
            raise OptionError(
                f"embedding must equal hidden = {self.hidden} when tied, got {self.embedding}; "
                "leave --embedding out or train untied."
            )

    @property
    def embedding_size(self) -> int:
        """Size of a token's embedding, E, once the default is filled in."""
        if self.embedding is not None:
            return self.embedding
        return self.hidden if self.tied else min(self.hidden, 256)


@dataclass(frozen=True)
class LanguageModelOptions:
    """Everything a language-model run is made from."""

    text: TextOptions = field(default_factory=TextOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)


Options = TypeVar("Options")


def read_options(run: Path) -> LanguageModelOptions:
    """The full options of a language-model run.

    Raises:
        RunError: the folder is no run of this task, or its configuration is damaged.
    """
    return read_task(run, {TASK: LanguageModelOptions})[1]


def read_task(run: Path, kinds: Mapping[str, type[Options]]) -> tuple[str, Options]:
    """The task of a run and its full options.

    Args:
        run: the run folder.
        kinds: the class of the options of each task that is expected.

    Raises:
        RunError: the folder is no run of these tasks, or its configuration is damaged.
    """
    config = record.read_config(run)
    task = config["task"]
    if task not in kinds:
        raise RunError(
            f"the run must be of the task {' or '.join(kinds)}, {run} is of {task}; "
            "name another run."
        )
    try:
        return task, options_from_dict(config["options"], kinds[task])
    except OptionError as error:
        raise RunError(f"{run / record.CONFIG} must hold a run's options: {error}") from error


def options_from_dict(data: Mapping[str, Any], kind: type[Options]) -> Options:
    """Options from nested dictionaries, as `dataclasses.asdict` or a YAML file gives them.

    Args:
        data: a dictionary for each part of the options; what is left out keeps its default.
        kind: the class of the options; each of its fields is a part, itself a dataclass.

    Raises:
        OptionError: a name is unknown or a value does not fit.
    """
    parts = get_type_hints(kind)
    _known("options", data, parts)
    return kind(**{name: _part(part, name, data) for name, part in parts.items()})


def _part(kind: Any, name: str, data: Mapping[str, Any]) -> Any:
    given = {} if data.get(name) is None else data[name]
    _known(name, given, [f.name for f in fields(kind)])
    hints = get_type_hints(kind)
    values = {
        field: _as_tuple(value) if hints[field] == tuple[str, ...] else value
        for field, value in given.items()
    }
    return kind(**values)


def _as_tuple(value: Any) -> Any:
    """A list of texts as options hold it; anything else as it is, to be refused there."""
    if isinstance(value, str):
        return (value,)
    return tuple(value or ()) if value is None or isinstance(value, list) else value


def _known(name: str, data: Any, known: Any) -> None:
    if not isinstance(data, Mapping):
        raise OptionError(
            f"{name} must be a mapping, got {brief(data)}; write `name: value` lines."
        )
    for key in data:
        if key not in known:
            raise OptionError(
                f"{name} has {', '.join(known)}, got {brief(key)}; choose one of them."
            )
