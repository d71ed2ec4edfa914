"""The Elman cell: the plain recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from throughtime.cells.cell import HiddenState, Inside
from throughtime.cells.weights import Weights
from throughtime.errors import OptionError

Pointwise = Callable[[Tensor], Tensor]

NONLINEARITIES: dict[str, Pointwise] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "identity": lambda a: a,
    "sigmoid": torch.sigmoid,
    "hardtanh": functional.hardtanh,
    "softsign": functional.softsign,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "softplus": functional.softplus,
    "silu": functional.silu,
    "gelu": functional.gelu,
}
"""g by name, each as the function of that name in torch with its defaults."""


@dataclass(eq=False)
class Elman(Weights):
    """The plain recurrent cell.

        h_t = g(z_t + a_t) = g(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)       (Elman 1990)

    Args:
        weight_ih: W_ih, [H, I]; this and what follows up to `mask` as in `Weights`, with G = 1.
        weight_hh: W_hh, [H, H].
        nonlinearity: g, one of the names in `NONLINEARITIES` or any pointwise function.

    Raises:
        OptionError: there is no such nonlinearity.
    """

    gates: ClassVar[tuple[str, ...]] = ("hidden",)

    nonlinearity: str | Pointwise = "tanh"

    def __post_init__(self) -> None:
        check_nonlinearity(self.nonlinearity)

    def step(self, z: Tensor, state: HiddenState) -> HiddenState:
        """One step from the projected input z, [B, H]."""
        return HiddenState(self._g(z + self.recur(state.h)))

    def inside(self, z: Tensor, state: HiddenState) -> Inside:
        """What the step is made of: h before and after g."""
        a = z + self.recur(state.h)
        h = self._g(a)
        return Inside({"hidden": a}, {"hidden": h}, HiddenState(h))

    def _g(self, a: Tensor) -> Tensor:
        g = self.nonlinearity
        return NONLINEARITIES[g](a) if isinstance(g, str) else g(a)

    def initial_state(self, batch: int) -> HiddenState:
        """H [B, H]: the learned one, or zeros."""
        return HiddenState(self.start(self.h_0, batch, self.weight_hh.shape[1]))


def check_nonlinearity(g: object) -> None:
    """Refuses what is neither a name we know nor a function.

    Raises:
        OptionError: as said.
    """
    known = g in NONLINEARITIES if isinstance(g, str) else callable(g)
    if not known:
        raise OptionError(
            f"nonlinearity must be one of {', '.join(NONLINEARITIES)} or a pointwise function, "
            f"got {g!r}; choose one of them."
        )
