"""The Elman cell: the plain recurrent network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from throughtime.cells.cell import HiddenState
from throughtime.errors import OptionError


@dataclass(frozen=True)
class Elman:
    """The plain recurrent cell.

        a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        h_t = g(a_t),   g = tanh or relu                       (Elman 1990)

    Args:
        weight_ih: W_ih, [H, I].
        weight_hh: W_hh, [H, H].
        bias_ih: b_ih, [H], or None.
        bias_hh: b_hh, [H], or None.
        nonlinearity: `"tanh"` or `"relu"`.

    Raises:
        OptionError: there is no such nonlinearity.
    """

    gates: ClassVar[tuple[str, ...]] = ("hidden",)

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    nonlinearity: str = "tanh"

    def __post_init__(self) -> None:
        if self.nonlinearity not in ("tanh", "relu"):
            raise OptionError(
                f"nonlinearity must be 'tanh' or 'relu', got {self.nonlinearity!r}; "
                "choose one of them."
            )

    def project(self, x: Tensor) -> Tensor:
        """W_ih x + b_ih, [..., I] to [..., H]."""
        return linear(x, self.weight_ih, self.bias_ih)

    def step(self, z: Tensor, state: HiddenState) -> HiddenState:
        """One step from the projected input z, [B, H]."""
        a = z + linear(state.h, self.weight_hh, self.bias_hh)
        return HiddenState(torch.tanh(a) if self.nonlinearity == "tanh" else torch.relu(a))

    def initial_state(self, batch: int) -> HiddenState:
        """Zeros, [B, H]."""
        return HiddenState(self.weight_hh.new_zeros(batch, self.weight_hh.shape[1]))
