"""Cells that are the same from call to call, so that what follows from them is found out once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from torch import Tensor

from throughtime.cells import AnyCell
from throughtime.native import _kernels
from throughtime.native.checks import check_weights
from throughtime.native.twins import Call, has_one_noise, kernel_of, noise_of
from throughtime.sequences import WHOLE, Rows


class Steady(list[AnyCell]):
    """The cells of a layer's directions over parameters, none of which is ever replaced in them."""

    _known: tuple[Call, list[Tensor], list[tuple[int, ...]]] | None = None

    @cached_property
    def refusal(self) -> str | None:
        """What `refusal_of` says."""
        return refusal_of(self)

    def call(self, x: Tensor, rows: Rows) -> tuple[Call, list[Tensor]]:
        """What `call_of` gives."""
        if rows.reset is not None:  # then there are more weights
            return call_of(self, x, rows)
        if self._known is None or not self._fits(x):
            call, weights = call_of(self, x, WHOLE)
            self._known = call, weights, [weight.shape for weight in weights]
        call, weights, _ = self._known
        return call if rows is WHOLE else call._replace(rows=rows), weights

    def _fits(self, x: Tensor) -> bool:
        """Whether the weights are still such as they were; `weight.data = other` changes them."""
        assert self._known is not None
        _, weights, shapes = self._known
        return shapes[0][1] == x.shape[-1] and _kernels.are_alike(weights, shapes, x.dtype)


def refusal_of(cells: Sequence[AnyCell]) -> str | None:
    """What is against these cells in a kernel, whatever the input; None for nothing."""
    kernel = kernel_of(cells[0])
    if kernel is None:
        return "this cell has no kernel"
    if len(cells) > 1:
        if any(kernel_of(cell) is not kernel for cell in cells):
            return "the two directions have cells of different kinds"
        if not has_one_noise(cells):
            return "the two directions draw, or keep, in different shares"
    return None


def call_of(cells: Sequence[AnyCell], x: Tensor, rows: Rows) -> tuple[Call, list[Tensor]]:
    """What a call is about, and the weights of every direction, which are checked.

    Raises:
        ShapeError: as of `check_weights`.
    """
    kernel = kernel_of(cells[0])
    assert kernel is not None
    kinds, weights = check_weights(cells, kernel, x, rows)
    return Call(kernel, len(cells), rows, kinds, noise_of(cells)), weights
