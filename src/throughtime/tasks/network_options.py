"""What a recurrent layer with a readout can be told, for every task that uses one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from throughtime.training.options import MOST, at_least, at_most, check_types, one_of

Beginning = Literal["default", "orthogonal", "forget-bias", "chrono", "identity"]

BEGINNINGS: dict[str, tuple[Beginning, ...]] = {
    "lstm": ("default", "orthogonal", "forget-bias", "chrono"),
    "gru": ("default", "orthogonal", "chrono"),
    "rnn": ("default", "orthogonal"),
    "irnn": ("identity",),
}
"""The cells, and how the weights of each may begin; the first is its own."""


@dataclass(frozen=True)
class NetworkOptions:
    """The network: a recurrent layer and a readout."""

    cell: Literal["lstm", "gru", "rnn", "irnn"] = "lstm"
    """The recurrent cell; an irnn is a relu network whose recurrent weights begin as identity."""

    hidden: int = 128
    """Hidden units."""

    init: Literal["default", "orthogonal", "forget-bias", "chrono", "identity"] | None = None
    """How the recurrent layer begins; without it, torch's default, and identity for an irnn."""

    def __post_init__(self) -> None:
        check_types(self)
        one_of("cell", self.cell, tuple(BEGINNINGS))
        at_least("hidden", self.hidden, 1)
        at_most("hidden", self.hidden, MOST)
        one_of("init", self.beginning, BEGINNINGS[self.cell])

    @property
    def beginning(self) -> Beginning:
        """How the recurrent layer begins, once the default is filled in."""
        return self.init or BEGINNINGS[self.cell][0]
