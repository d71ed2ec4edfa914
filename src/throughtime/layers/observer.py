"""Who looks on while a layer runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from throughtime.cells import AnyCell
from throughtime.layers.trace import Trace
from throughtime.sequences import Rows


class Watched(NamedTuple):
    """One layer in one call as its observers see it; sequences are [T, B, ·] or packed [N, ·]."""

    cells: Sequence[AnyCell]  # those of this call, with what was drawn for it
    x: Tensor  # what the layer got, after dropout
    start: Any  # states before the first step, fields [D, B, ·]; None for the cells' own
    rows: Rows
    trace: Trace
    dropped: Tensor | None  # what dropout multiplied the output below by, like x
    is_residual: bool  # whether that output is added to the layer's own


class Observer(Protocol):
    """Is asked before every call of a layer, and sees the calls that it wants to see.

    What it sees belongs to the call: x, start and the weights with their graph.
    """

    wants_gradients: bool

    def wants(self) -> bool:
        """Whether to keep the call that begins."""
        ...

    def see(self, layers: Sequence[Watched], order: Tensor | None) -> None:
        """Gets what every layer computed; gradients come later, with the backward pass.

        Args:
            layers: from the input upwards.
            order: of packed rows: where row b of the user's batch stands, int64 [B]; None where
                it stands at b.
        """
        ...


class Watch:
    """Those who look on in one call, and what they are going to see.

    Args:
        observers: those who want to, at least one.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers
        self._layers: list[Watched] = []

    def new_trace(self) -> Trace:
        """Where the next layer leaves what it computes."""
        return Trace(any([observer.wants_gradients for observer in self._observers]))

    def add(self, layer: Watched) -> None:
        """Takes up one layer, from the input upwards."""
        self._layers.append(layer)

    def show(self, order: Tensor | None) -> None:
        """Shows all layers to everybody; order as in `Observer.see`."""
        for observer in self._observers:
            observer.see(self._layers, order)
