"""Which cells have a compiled twin, and what a call of one is about beside its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from throughtime.cells import GRU, LSTM, AnyCell, Elman, Zoneout
from throughtime.cells.elman import NONLINEARITIES
from throughtime.native.compiled import KERNELS, Kernel
from throughtime.sequences import WHOLE, Rows, bare, is_batched

WEIGHTS = (
    "weight_ih",
    "weight_hh",
    "bias_ih",
    "bias_hh",
    "peepholes",
    "norm_ih",
    "norm_hh",
    "weight_hr",
)
"""The weights of one direction in the order of the kernels; the first two are always there."""

FRESH = ("h_0", "c_0")
"""The states that rows begin afresh with; they are needed where there are resets."""

_ALL = (*WEIGHTS, *FRESH)

_ELMAN = {"tanh": KERNELS["elman_tanh"], "relu": KERNELS["elman_relu"]}
_ANY_ELMAN = {name: replace(KERNELS["elman"], nonlinearity=name) for name in NONLINEARITIES}

KernelCell = Elman | LSTM | GRU
"""The cells that have a compiled twin."""


def kernel_of(cell: AnyCell) -> Kernel | None:
    """The compiled twin of a cell, zoneout around it or not; None for a cell that has none."""
    keeps = type(cell) is Zoneout
    inner = cell.cell if isinstance(cell, Zoneout) else cell
    if type(inner) is LSTM:
        return KERNELS["coupled_lstm" if inner.is_coupled else "lstm"]
    if type(inner) is GRU:
        if inner.reset_after:
            return KERNELS["gru"]
        # its two products of a step would be two rows of LayerNorm
        return KERNELS["gru_reset_before"] if inner.norm_ih is None else None
    if type(inner) is Elman and isinstance(inner.nonlinearity, str):
        # the first two tell their slope from h, which zoneout mixes with the h before
        tuned = None if keeps else _ELMAN.get(inner.nonlinearity)
        return tuned or _ANY_ELMAN[inner.nonlinearity]
    return None


def inner_of(cell: Any) -> KernelCell:
    """The cell itself, without zoneout."""
    return cell.cell if isinstance(cell, Zoneout) else cell  # type: ignore[return-value]


def with_weights(cell: Any, given: dict[str, Any]) -> Any:
    """The same cell over other weights."""
    if isinstance(cell, Zoneout):
        return replace(cell, cell=with_weights(cell.cell, given))
    return replace(cell, **given)


class Noise(NamedTuple):
    """What a call draws for its cells, or keeps in evaluation: constants of any derivative."""

    mask: Tensor | None = None  # [D, B, H], that h is multiplied by on its way into the product
    keeps: tuple[Tensor | None, Tensor | None] = (None, None)  # zoneout of h and c, [..., D, H]
    shares: tuple[float, float] = (0.0, 0.0)  # where there is no tensor


QUIET = Noise()


def noise_of(cells: Sequence[AnyCell]) -> Noise:
    """The noise in the cells of a layer's directions, side by side."""
    first, mask = inner_of(cells[0]), None
    if first.mask is not None:
        mask = _stack([inner_of(cell).mask for cell in cells], 0)
    if not isinstance(cells[0], Zoneout):
        return QUIET if mask is None else Noise(mask)
    keeps: list[Tensor | None] = [None, None]
    shares = [0.0, 0.0]
    for field, keep in enumerate(cells[0].keep):
        if isinstance(keep, Tensor):
            keeps[field] = _stack([cast(Zoneout, cell).keep[field] for cell in cells], -2)
        else:
            shares[field] = keep
    return Noise(mask, (keeps[0], keeps[1]), (shares[0], shares[1]))


def has_one_noise(cells: Sequence[Any]) -> bool:
    """Whether all cells draw, or keep in evaluation, in the same places and shares."""
    return len({_places_of_noise(cell) for cell in cells}) == 1


def _places_of_noise(cell: Any) -> tuple[Any, ...]:
    keep = cell.keep if isinstance(cell, Zoneout) else ()
    drawn = [None if isinstance(share, Tensor) else share for share in keep]
    return inner_of(cell).mask is None, *drawn


def _stack(tensors: Sequence[Any], dim: int) -> Tensor:
    stacked = tensors[0].unsqueeze(dim) if len(tensors) == 1 else torch.stack(list(tensors), dim)
    return bare(stacked.contiguous().resolve_neg())


def has_batched_noise(cells: Sequence[AnyCell]) -> bool:
    """Whether `vmap` draws anew for each of its examples."""
    inner = inner_of(cells[0])
    keep = cells[0].keep if isinstance(cells[0], Zoneout) else ()
    return any(isinstance(part, Tensor) and is_batched(part) for part in (inner.mask, *keep))


class Call(NamedTuple):
    """What a call is about beside its tensors."""

    kernel: Kernel
    num_directions: int  # D
    rows: Rows  # which steps the rows have, and where they begin afresh
    kinds: tuple[str, ...] = WEIGHTS[:4]  # weights of each direction, of WEIGHTS and FRESH
    noise: Noise = QUIET

    @property
    def normalises(self) -> bool:
        """Whether the products of a step are layer-normalised."""
        return "norm_ih" in self.kinds

    @property
    def is_plain(self) -> bool:
        """Whether `torch.nn` has such a cell; a registered operator has no other."""
        known = self.kernel.name in ("elman_tanh", "elman_relu", "lstm", "gru")
        return known and self.noise is QUIET and self.kinds in (WEIGHTS[:2], WEIGHTS[:4])

    @property
    def num_saved_tensors(self) -> int:
        """Tensors kept for the backward pass beside y: gates, c of an LSTM, two of LayerNorm."""
        kernel = self.kernel
        return (kernel.num_values > 0) + kernel.has_cell_state + 2 * self.normalises


def weights_of(cell: AnyCell, rows: Rows = WHOLE) -> dict[str, Tensor]:
    """The weights that a cell has, by kind, in the order of the kernels."""
    own, kinds = vars(inner_of(cell)), WEIGHTS if rows.reset is None else _ALL
    return {kind: weight for kind in kinds if (weight := own.get(kind)) is not None}
