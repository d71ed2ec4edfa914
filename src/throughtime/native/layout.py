"""How a call's tensors lie behind the pointers that a kernel reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from throughtime.native import _kernels
from throughtime.native.compiled import Kernel
from throughtime.native.twins import FRESH, WEIGHTS, Call

Row = tuple[Tensor | None, ...]
"""x, the states or None for each, then of every direction the weights that `Call.kinds` names."""


def dense(tensors: Sequence[Tensor | None]) -> Sequence[Any]:
    """The same numbers as they must lie behind pointers: in order, no sign left to apply."""
    if _kernels.are_dense(tensors):
        return tensors
    return [None if t is None else t.contiguous().resolve_neg() for t in tensors]


def pair(states: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
    """H and c, None for what is not there."""
    return (*states, None, None)[:2]  # type: ignore[return-value]  # mypy counts no slices


def sizes_of(kernel: Kernel, weight_hh: Tensor) -> tuple[int, int]:
    """P, the size of h, which a projection makes smaller, and H, that of c."""
    rows, outputs = weight_hh.shape
    return outputs, rows // kernel.num_gates


def parts_of(call: Call, row: Sequence[Any]) -> tuple[Tensor, Sequence[Any], Sequence[Tensor]]:
    """x, the states and the weights out of the row of a call, as they lie behind pointers."""
    row, first = dense(row), 1 + call.kernel.num_states
    return row[0], row[1:first], row[first:]


def parts_saved(call: Call, saved: Sequence[Tensor]) -> list[Tensor | None]:
    """Gates, c, normalised and scales: what `forward` saved, None for what the cell has not."""
    left = list(saved)
    gates = left.pop(0) if call.kernel.num_values else None
    c = left.pop(0) if call.kernel.has_cell_state else None
    return [gates, c, *(left or (None, None))]


def fresh_states(call: Call, weights: Sequence[Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """The states that rows begin afresh with, [D, H] each; None for zeros."""
    D, kinds = call.num_directions, call.kinds
    if kinds[-1] not in FRESH:
        return None, None
    fresh = [
        torch.stack([weights[d * len(kinds) + kinds.index(name)] for d in range(D)])
        if name in kinds
        else None
        for name in FRESH
    ]
    return fresh[0], fresh[1]


def hand_out_fresh(call: Call, dfresh: Sequence[Tensor | None], dweights: Sequence[Any]) -> None:
    """The gradients of fresh states to those of the directions' weights."""
    for name, gradient in zip(FRESH, dfresh, strict=True):
        if gradient is not None:
            place = call.kinds.index(name)
            for d, part in enumerate(gradient):
                dweights[d * len(call.kinds) + place].copy_(part)


def by_direction(call: Call, addresses: Sequence[int]) -> list[int]:
    """The addresses of all weights of each direction in the order of the kernels, 0 for absent."""
    kinds = call.kinds
    if kinds == WEIGHTS[:4] and call.num_directions == 1:  # in most calls
        return [*addresses, 0, 0, 0, 0]
    by_kind = [
        dict(zip(kinds, addresses[d * len(kinds) :], strict=False))
        for d in range(call.num_directions)
    ]
    return [own.get(kind, 0) for own in by_kind for kind in WEIGHTS]
