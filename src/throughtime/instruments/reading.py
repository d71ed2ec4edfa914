"""A text as a model read it: the tokens, and what every unit did at each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from throughtime.errors import OptionError, ShapeError
from throughtime.instruments.dataset import DIRECTIONS
from throughtime.instruments.recording import LayerRecording, Recording
from throughtime.instruments.tape import Tape


class Unit(NamedTuple):
    """One number that a recurrent module computes at every step."""

    layer: int
    direction: str
    of: str  # a field of the state or a gate
    unit: int

    def __str__(self) -> str:
        reverse = "" if self.direction == DIRECTIONS[0] else f" {self.direction}"
        return f"{self.of}[{self.unit}] of layer {self.layer}{reverse}"


@dataclass(frozen=True)
class Reading:
    """A text, token by token, beside the call that read it.

    The tokens fill the rows of the batch one after the other: the first row holds the first T
    tokens, the second those that follow. A long text is read in many rows at once, which is faster
    by far; a row other than the first begins with the state after the tokens before it.

    Args:
        tokens: pieces of the text, [N]; joined they are the text. Behind the last one, the last row
            may go on with steps that do not count.
        tape: on which the call is.
        name: of the module on the tape; the only one without it.
        call: which of its calls; the last by default.

    Attributes:
        recording: of that call.

    Raises:
        OptionError: there is no such module or call.
        ShapeError: the steps of the call are fewer than the tokens, or more by a whole row.
    """

    tokens: Sequence[str]
    tape: Tape
    name: str | None = None
    call: int = -1
    recording: Recording = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "recording", self.tape.recording(self.name, self.call))
        layer = self.recording.layers[0]
        lengths = _lengths(layer)
        steps, last = sum(lengths), lengths[-1] if lengths else 0
        if not max(steps - last, 0) < len(self.tokens) <= steps:
            raise ShapeError(
                f"tokens must be {steps}, one per step of the rows (the last row may be cut), got "
                f"{len(self.tokens)}; pass the tokens that the module was called with."
            )

    @property
    def text(self) -> str:
        """The tokens joined."""
        return "".join(self.tokens)

    def tensor(self, of: str, layer: int = -1) -> Tensor:
        """One field of a layer's state, or one of its gates, [T, B, D, H].

        Args:
            of: "h", an LSTM's "c", or the name of a gate.
            layer: counted from the input; the last by default.

        Raises:
            OptionError: there is no such layer, field or gate.
        """
        layers = self.recording.layers
        if not -len(layers) <= layer < len(layers):
            raise OptionError(
                f"layer must be from 0 to {len(layers) - 1}, got {layer}; count from the input."
            )
        states = layers[layer].states._asdict()
        known = states if of in states else states | layers[layer].gates
        if of not in known:
            raise OptionError(
                f"of must be one of {', '.join(known)}, got {of!r}; name a state or a gate."
            )
        field: Tensor = known[of]
        return field

    def values(
        self, of: str = "h", layer: int = -1, direction: int = 0, units: slice = slice(None)
    ) -> NDArray[Any]:
        """What units did at each token, [units, N].

        Args:
            of: as of `tensor`.
            layer: as of `tensor`.
            direction: 0 for forward, 1 for reverse.
            units: which of them.

        Raises:
            OptionError: as `tensor`; or there is no such direction.
        """
        field = self.tensor(of, layer)
        if not 0 <= direction < field.shape[2]:
            raise OptionError(
                f"direction must be from 0 to {field.shape[2] - 1}, got {direction}; 0 is forward."
            )
        recorded = self.recording.layers[layer]
        return by_unit(recorded, field, direction, units)[:, : len(self.tokens)]

    def unit(self, unit: Unit) -> NDArray[Any]:
        """What one unit did at each token, [N].

        Raises:
            OptionError: there is no such unit.
        """
        layer, direction, of, place = unit
        size = self.tensor(of, layer).shape[-1]
        if not (direction in DIRECTIONS and 0 <= place < size):
            raise OptionError(
                f"a unit must be from 0 to {size - 1}, forward or reverse, got {unit}; choose one."
            )
        d = DIRECTIONS.index(direction)
        values: NDArray[Any] = self.values(of, layer, d, slice(place, place + 1))[0]
        return values


def by_unit(
    layer: LayerRecording, field: Tensor, direction: int, units: slice = slice(None)
) -> NDArray[Any]:
    """The values of each unit at the steps that the rows have, one row after the other.

    Args:
        layer: what was recorded.
        field: of it, [T, B, D, H].
        direction: index into D.
        units: which of H.

    Returns:
        Values, [units, N], N steps of all rows.
    """
    values = field[:, :, direction, units].transpose(0, 1).cpu()  # [B, T, units]
    if values.dtype in (torch.float16, torch.bfloat16):
        values = values.float()  # numpy has no bfloat16, and sorts float16 slowly
    steps = values.flatten(0, 1) if layer.valid is None else values[layer.valid.T.cpu()]
    # two copies, of steps and of units: to move both axes at once takes ten times as long
    return np.asarray(steps.T.contiguous())


def _lengths(layer: LayerRecording) -> list[int]:
    steps, batch = layer.shape
    return [steps] * batch if layer.valid is None else layer.valid.sum(0).tolist()
