"""Zoneout: units that keep their value of the step before, around any cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from throughtime.cells.cell import Inside, OpenCell


@dataclass(frozen=True)
class Zoneout:
    """A cell whose units now and then stay as they were.

        s_t = k_t s_{t-1} + (1 - k_t) step(z_t, s_{t-1})       for h, and c of an LSTM

    k_t is 1 where a unit stays and 0 elsewhere, drawn anew at every step while training; in
    evaluation it is the share p of those that stay (Krueger et al. 2017).

    Args:
        cell: the cell within.
        keep: k of each field of the state, in their order: a number, or of every step of the
            sequence it is called for, [T, B, H] or packed [N, H].
    """

    cell: OpenCell[Any]
    keep: tuple[float | Tensor, ...]

    @property
    def gates(self) -> Sequence[str]:
        """Those of the cell within."""
        return self.cell.gates

    def project(self, x: Tensor) -> Tensor:
        """Z of the cell within, and beside it what is kept: [..., G*H] and H for every tensor."""
        z = self.cell.project(x)
        drawn = [k for k in self.keep if isinstance(k, Tensor)]
        return torch.cat([z, *drawn], dim=-1) if drawn else z

    def step(self, z: Tensor, state: Any) -> Any:
        """One step from z as `project` gives it."""
        z, keep = self._parts(z)
        return _mix(keep, state, self.cell.step(z, state))

    def inside(self, z: Tensor, state: Any) -> Inside:
        """What the step is made of: the gates of the cell within, the state that is kept."""
        z, keep = self._parts(z)
        inside = self.cell.inside(z, state)
        return inside._replace(state=_mix(keep, state, inside.state))

    def _parts(self, z: Tensor) -> tuple[Tensor, list[float | Tensor]]:
        drawn = [k.shape[-1] for k in self.keep if isinstance(k, Tensor)]
        z, *tensors = torch.split(z, [z.shape[-1] - sum(drawn), *drawn], dim=-1)
        return z, [tensors.pop(0) if isinstance(k, Tensor) else k for k in self.keep]

    def initial_state(self, batch: int) -> Any:
        """That of the cell within."""
        return self.cell.initial_state(batch)


def _mix(keep: Sequence[float | Tensor], old: Any, new: Any) -> Any:
    fields = zip(keep, old, new, strict=True)
    return type(new)(*(k * before + (1 - k) * after for k, before, after in fields))
