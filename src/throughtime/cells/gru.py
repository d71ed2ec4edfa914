"""The GRU: two gates, and no state beside the output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from throughtime.cells.cell import HiddenState


@dataclass(frozen=True)
class GRU:
    """The gated recurrent unit, with the reset gate applied after the recurrent product.

        r = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)
        u = sigmoid(W_iu x_t + b_iu + W_hu h_{t-1} + b_hu)
        n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn))
        h_t = (1 - u) n + u h_{t-1}                            (Cho et al. 2014, version 1)

    Note:
        This is the form of cuDNN and `torch.nn`. In the paper's third version r multiplies
        h_{t-1} before the product; the two are different networks.

    Args:
        weight_ih: W_ih, [3H, I], rows in the order of `gates`.
        weight_hh: W_hh, [3H, H].
        bias_ih: b_ih, [3H], or None.
        bias_hh: b_hh, [3H], or None.
    """

    gates: ClassVar[tuple[str, ...]] = ("reset", "update", "candidate")

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None

    def project(self, x: Tensor) -> Tensor:
        """W_ih x + b_ih, [..., I] to [..., 3H]."""
        return linear(x, self.weight_ih, self.bias_ih)

    def step(self, z: Tensor, state: HiddenState) -> HiddenState:
        """One step from the projected input z, [B, 3H]."""
        z_r, z_u, z_n = z.chunk(3, dim=-1)
        a_r, a_u, a_n = linear(state.h, self.weight_hh, self.bias_hh).chunk(3, dim=-1)
        r = torch.sigmoid(z_r + a_r)
        u = torch.sigmoid(z_u + a_u)
        n = torch.tanh(z_n + r * a_n)
        return HiddenState((1 - u) * n + u * state.h)

    def initial_state(self, batch: int) -> HiddenState:
        """Zeros, [B, H]."""
        return HiddenState(self.weight_hh.new_zeros(batch, self.weight_hh.shape[1]))
