"""Layers whose cells are made over parameters of their own, and are the same from call to call."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn

from throughtime import native
from throughtime.cells import AnyCell, Zoneout
from throughtime.layers.recurrent import Recurrent


class OverParameters(Recurrent):
    """What makes the cells of a layer out of its parameters.

    Cells that draw nothing are kept until an attribute is set or a parameter replaced. What is
    known belongs to an age of the layer, so that cells which one thread makes while another sets an
    option are not taken for those of after.
    """

    zoneout: tuple[float, ...]
    _weight_names: list[list[list[tuple[str, str]]]]  # kinds and attributes, by layer and direction
    _age = 0  # how often an attribute was set
    _known: tuple[int, tuple[Any, ...], list[native.Steady]] | None = None  # as of such an age

    def cells(self) -> list[list[AnyCell]]:
        """The cells of each layer's directions, over the parameters as they are now.

        They are those of evaluation: nothing random is in them.
        """
        found = self._plain_cells()
        if any(self.zoneout):
            return [[Zoneout(cell, self.zoneout) for cell in layer] for layer in found]
        return found

    def _plain_cells(self) -> list[list[Any]]:
        own: Any = self._parameters  # faster than attributes; a parametrized weight is not there
        return [
            [
                self._cell({k: own[n] if n in own else getattr(self, n) for k, n in names})
                for names in directions
            ]
            for directions in self._weight_names
        ]

    def _cell(self, weights: dict[str, Tensor]) -> AnyCell:
        raise NotImplementedError

    def _steady_cells(self) -> Sequence[Sequence[AnyCell]]:
        """The cells of evaluation; the same ones until an attribute is set or a weight replaced."""
        if torch.compiler.is_compiling():
            return self.cells()
        known, age, weights = self._known, self._age, tuple(self._parameters.values())
        if known is not None and known[0] == age and len(weights) == len(known[1]):
            if all(map(is_, weights, known[1])):
                return known[2]
        cells = [native.Steady(directions) for directions in self.cells()]
        names = {name for _, name in chain(*chain(*self._weight_names))}
        is_whole = self._parameters.keys() == names and set(map(type, weights)) == {nn.Parameter}
        is_own = (
            getattr(self.cells, "__func__", None) is OverParameters.cells
        )  # others may draw some
        vars(self)["_known"] = (age, weights, cells) if is_whole and is_own else None
        return cells

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self._forget_cells()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._forget_cells()

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        """What `to` and the like do to every parameter; some get others in their place."""
        applied = super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]  # torch's own
        self._forget_cells()
        return applied

    def _forget_cells(self) -> None:
        vars(self).update(_age=self._age + 1, _known=None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: own for name, own in vars(self).items() if name not in ("_age", "_known")}
