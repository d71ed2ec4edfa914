"""What an inspection looks at: the recurrent layers of a run, and what they are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from throughtime.instruments import Tape, watch
from throughtime.instruments.dataset import DIRECTIONS
from throughtime.training.progress import Announce
from throughtime.web import Missing, Section

WINDOW, ROWS = 128, 16
"""Steps that gradients are followed through, and how many rows of them."""

MOST_STEPS = 8192
"""Steps that are read, in all rows together."""

NO_CELL = Missing("This run has no recurrent layer, so there is none to look into.")


@dataclass(frozen=True)
class Subject:
    """A trained network in evaluation mode, and what it is shown."""

    network: nn.Module

    layers: str
    """The name of its recurrent layers in it."""

    losses: Callable[[], Tensor]
    """Reads some windows side by side: the loss of the last A steps of each, [A, B]."""

    read: Callable[[], None]
    """Reads the text from its beginning, one or more rows; without a text, what `losses` reads."""

    peek: Callable[[int], None]
    """Reads so many steps of one row, the last call of the layers, from a state it has reached."""

    tokens: tuple[str, ...]
    """What `read` reads, token by token, row after row; empty where it is no text."""

    typical: Tensor
    """The input of a usual step, [I]."""

    typical_name: str

    source: str
    """What `read` reads, for a note."""

    windows: str
    """What `losses` reads, for a note."""

    note: str = ""
    """A sentence on the losses, where they are not one for each step."""


@dataclass(frozen=True)
class View:
    """What a report of a run shows beside its curves."""

    subject: Subject | Missing
    """What instruments look at, or why there is nothing."""

    own: Mapping[str, Callable[[], Section]] = field(default_factory=dict)
    """The sections that this recipe has of its own, by name, and how they are measured."""


class Asked(NamedTuple):
    """What a user asks an inspection for."""

    text: Path | None = None
    """What a language model reads; without it, its validation text."""

    prompt: str | None = None
    """What a language model begins to write with, instead of a text."""

    announce: Announce = print
    """Prints a line."""


@dataclass(frozen=True)
class Recipe:
    """What a report needs to know of a task; one in each `tasks/inspection_NAME.py`."""

    open: Callable[[Path, Asked], View]
    """Opens a run for a look."""

    loss: str
    """The loss, as the metrics name it."""

    figures: Mapping[str, str] = field(default_factory=dict)
    """Other figures of a validation, the higher the better, by their names there: in words."""

    sections: tuple[str, ...] = ()
    """Names of the sections that its views have of their own."""

    reads_text: bool = False
    """Whether it can be asked to read a text or to write one."""


class Place(NamedTuple):
    """One direction of a layer."""

    layer: int
    direction: int
    name: str
    """How a page calls it."""

    @property
    def way(self) -> str:
        """The direction, as instruments name it."""
        return DIRECTIONS[self.direction]


def name_places(layers: int, directions: int) -> list[Place]:
    """Every direction of every layer, from the input upwards.

    Example:
        >>> [place.name for place in name_places(2, 1)]
        ['layer 0', 'layer 1']
        >>> [place.name for place in name_places(1, 2)]
        ['layer 0, forward', 'layer 0, reverse']
    """
    ways = ("",) if directions == 1 else (", forward", ", reverse")
    return [
        Place(layer, direction, f"layer {layer}{way}")
        for layer in range(layers)
        for direction, way in enumerate(ways)
    ]


def spread(count: int, most: int) -> list[int]:
    """At most so many places of `count`, from the first to the last, evenly.

    Example:
        >>> spread(9, 3), spread(2, 3)
        ([0, 4, 8], [0, 1])
    """
    places: list[int] = np.unique(np.linspace(0, count - 1, most).astype(int)).tolist()
    return places


def watch_losses(subject: Subject, which: slice) -> Tape:
    """The tape of a forward and a backward pass from some of the losses."""
    with watch(subject.network) as tape:
        torch.autograd.backward(subject.losses()[which].sum())
    return tape
