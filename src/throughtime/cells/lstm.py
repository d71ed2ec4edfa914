"""The LSTM: a cell state that gates write to, keep and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from throughtime.cells.cell import LSTMState


@dataclass(frozen=True)
class LSTM:
    """Long short-term memory with a forget gate.

        [i, f, g, o] = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
        h_t = W_hr (sigmoid(o) tanh(c_t))                      (W_hr only with a projection)

    Source: Hochreiter and Schmidhuber 1997; forget gate: Gers, Schmidhuber and Cummins 2000;
    projection: Sak, Senior and Beaufays 2014.

    Args:
        weight_ih: W_ih, [4H, I], rows in the order of `gates`.
        weight_hh: W_hh, [4H, H], or [4H, P] with a projection.
        bias_ih: b_ih, [4H], or None.
        bias_hh: b_hh, [4H], or None; the forget gate's part is b_hh[H:2H].
        weight_hr: W_hr, [P, H], or None.
    """

    gates: ClassVar[tuple[str, ...]] = ("input", "forget", "candidate", "output")

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    weight_hr: Tensor | None = None

    def project(self, x: Tensor) -> Tensor:
        """W_ih x + b_ih, [..., I] to [..., 4H]."""
        return linear(x, self.weight_ih, self.bias_ih)

    def step(self, z: Tensor, state: LSTMState) -> LSTMState:
        """One step from the projected input z, [B, 4H]."""
        i, f, g, o = (z + linear(state.h, self.weight_hh, self.bias_hh)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * state.c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return LSTMState(h if self.weight_hr is None else linear(h, self.weight_hr), c)

    def initial_state(self, batch: int) -> LSTMState:
        """Zeros: h [B, H] or [B, P], c [B, H]."""
        rows, outputs = self.weight_hh.shape
        new_zeros = self.weight_hh.new_zeros
        return LSTMState(new_zeros(batch, outputs), new_zeros(batch, rows // 4))
