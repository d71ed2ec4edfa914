"""Who looks on while a layer runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from throughtime.layers.run import Run


class Observer(Protocol):
    """Is asked before every call of a layer, and sees the calls that it wants to see.

    What it sees belongs to the call: tensors with their graph, in the layout of the input.
    """

    wants_gradients: bool

    def wants(self) -> bool:
        """Whether to keep the call that begins."""
        ...

    def see(self, runs: Sequence[Run], order: Tensor | None) -> None:
        """Gets what every layer computed; gradients come later, with the backward pass.

        Args:
            runs: of every layer.
            order: of packed rows: where row b of the user's batch stands, int64 [B]; None where
                it stands at b.
        """
        ...
