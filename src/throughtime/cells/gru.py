"""The GRU: two gates, and no state beside the output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from throughtime.cells.cell import HiddenState, Inside
from throughtime.cells.weights import Weights, affine


@dataclass(eq=False)
class GRU(Weights):
    """The gated recurrent unit.

        r = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)
        u = sigmoid(W_iu x_t + b_iu + W_hu h_{t-1} + b_hu)
        n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn))    (Cho et al. 2014, version 1)
        h_t = (1 - u) n + u h_{t-1}

    Without `reset_after`, r acts before the product, which makes a different network:

        n = tanh(W_in x_t + b_in + W_hn (r h_{t-1}) + b_hn)    (Cho et al. 2014, version 3)

    Note:
        The first form is that of cuDNN and `torch.nn`. A layer normalisation of the second one
        takes mean and variance of a_t over the 2H numbers of both gates, and over the H of n.

    Args:
        weight_ih: W_ih, [3H, I]; this and what follows up to `mask` as in `Weights`, with G = 3.
        weight_hh: W_hh, [3H, H].
        reset_after: whether r multiplies the product, not h_{t-1}.
    """

    gates: ClassVar[tuple[str, ...]] = ("reset", "update", "candidate")

    reset_after: bool = True

    def step(self, z: Tensor, state: HiddenState) -> HiddenState:
        """One step from the projected input z, [B, 3H]."""
        new: HiddenState = self.inside(z, state).state
        return new

    def inside(self, z: Tensor, state: HiddenState) -> Inside:
        """What the step is made of."""
        z_r, z_u, z_n = z.chunk(3, dim=-1)
        if self.reset_after:
            a_r, a_u, a_n = self.recur(state.h).chunk(3, dim=-1)
        else:
            a_r, a_u = self._recur(state.h, 0, 2).chunk(2, dim=-1)
        a_r, a_u = z_r + a_r, z_u + a_u
        r, u = torch.sigmoid(a_r), torch.sigmoid(a_u)
        a_n = z_n + (r * a_n if self.reset_after else self._recur(r * state.h, 2, 3))
        n = torch.tanh(a_n)
        h = (1 - u) * n + u * state.h
        names = self.gates
        return Inside(
            dict(zip(names, (a_r, a_u, a_n), strict=True)),
            dict(zip(names, (r, u, n), strict=True)),
            HiddenState(h),
        )

    def _recur(self, h: Tensor, first: int, last: int) -> Tensor:
        """The product of the gates from first to last alone."""
        H = self.weight_hh.shape[1]
        rows = slice(first * H, last * H)
        bias, gain = (None if v is None else v[rows] for v in (self.bias_hh, self.norm_hh))
        return affine(self.masked(h), self.weight_hh[rows], bias, gain)

    def initial_state(self, batch: int) -> HiddenState:
        """H [B, H]: the learned one, or zeros."""
        return HiddenState(self.start(self.h_0, batch, self.weight_hh.shape[1]))
