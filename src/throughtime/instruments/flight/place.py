"""The place of a number that is not finite: module, layer, step, row, unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Place:
    """Where a number stands that is not finite, or too large to be squared.

    Args:
        passage: "weights", "input", "forward", "backward" or "norm": what was being computed.
        module: name in the model; "the loss", "batch" or "carry" outside of it.
        what: which of the module's numbers, such as "h", "forget gate" or "output".
        value: the number.
        index: in the tensor it stands in.
        layer: of a recurrent module, from 0; None elsewhere. This and what follows.
        direction: "forward" or "reverse".
        time: step of the window, from 0; None where the tensor has no such axis.
        row: of the batch.
        unit: of the layer, or the feature.
    """

    passage: str
    module: str
    what: str
    value: float
    index: tuple[int, ...] = ()
    layer: int | None = None
    direction: str | None = None
    time: int | None = None
    row: int | None = None
    unit: int | None = None

    def __str__(self) -> str:
        """As a reader would say it.

        Example:
            >>> place = Place("forward", "encoder", "h", float("inf"), layer=0, time=7, row=2)
            >>> str(place)
            'forward pass, encoder, layer 0: h at step 7, row 2 is inf'
        """
        module = self.module or "the model"
        if self.layer is not None:
            module += f", layer {self.layer}" + " (reverse)" * (self.direction == "reverse")
        names = (("step", self.time), ("row", self.row), ("unit", self.unit))
        at = ", ".join(f"{name} {number}" for name, number in names if number is not None)
        if not at and self.index:
            at = f"index {list(self.index)}"
        passage = {"forward": "forward pass", "backward": "backward pass"}.get(
            self.passage, self.passage
        )
        return f"{passage}, {module}: {self.what}{f' at {at}' if at else ''} is {self.value:.4g}"


def first_not_finite(tensor: Tensor) -> tuple[tuple[int, ...], float] | None:
    """Index and value of the first number of a tensor that is not finite; None if all are."""
    if not tensor.is_floating_point() or bool(torch.isfinite(tensor).all()):
        return None
    index = tuple((~torch.isfinite(tensor)).nonzero()[0].tolist())
    return index, float(tensor[index])


def axes_of(
    shape: Sequence[int],
    index: Sequence[int],
    windows: Sequence[tuple[int, int]],
    is_batch_first: bool,
) -> dict[str, int]:
    """Step, row and unit that an index stands for, as far as the sizes tell.

    [T, B, ...], [B, T, ...] and, of a readout over all steps at once, [T*B, ...]; [B, ...].

    Args:
        shape: of the tensor.
        index: into it.
        windows: T and B of the recurrent calls of the step, the likeliest first.
        is_batch_first: which of the first two layouts to try first.

    Example:
        >>> axes_of([15, 7], [4, 6], [(5, 3)], is_batch_first=False)
        {'time': 1, 'row': 1, 'unit': 6}
    """
    sizes, at = tuple(shape), tuple(index)
    for steps, batch in windows:
        orders = [("time", "row", (steps, batch)), ("row", "time", (batch, steps))]
        for first, second, pair in reversed(orders) if is_batch_first else orders:
            if sizes[:2] == pair:
                return {first: at[0], second: at[1]} | _unit(at[2:])
            if sizes[:1] == (steps * batch,):
                return {first: at[0] // pair[1], second: at[0] % pair[1]} | _unit(at[1:])
        if sizes[:1] == (batch,):
            return {"row": at[0]} | _unit(at[1:])
    return {}


def _unit(rest: tuple[int, ...]) -> dict[str, int]:
    return {"unit": rest[-1]} if rest else {}
