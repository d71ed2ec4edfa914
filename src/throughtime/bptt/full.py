"""Full BPTT: a gradient travels back to the first step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from throughtime.bptt.states import detach
from throughtime.bptt.strategy import Carry, StepsLoss, Unroll


@dataclass(frozen=True)
class Full:
    """Backpropagation through time, through all steps of a sequence.

        dL/dw = sum_t sum_{k<=t} dL_t/dh_t  dh_t/dh_k  d+h_k/dw     (d+: h_{k-1} held constant)

    Every step stays in memory until the gradient has come back to it: O(T).
    Source: Rumelhart, Hinton and Williams 1986; Werbos 1990.

    Example:
        >>> layer, x = torch.nn.LSTM(2, 4), torch.ones(12, 3, 2)
        >>> outputs, carry = Full().advance(layer, x)
        >>> loss, carry = Full().backward(layer, x, lambda outputs, steps: outputs.sum(), carry)
        >>> bool(loss == layer(x, Full().advance(layer, x)[1].state)[0].sum())
        True
    """

    def windows(self, x: Tensor) -> tuple[Tensor]:
        """The whole sequence, [T, ...], as one piece."""
        return (x,)

    def advance(
        self, unroll: Unroll, inputs: Tensor, carry: Carry | None = None
    ) -> tuple[Tensor, Carry]:
        """Runs a sequence; see `Strategy.advance`. No gradient goes back beyond its first step."""
        outputs, state = unroll(inputs, None if carry is None else carry.state)
        return outputs, Carry(detach(state))

    def backward(
        self, unroll: Unroll, inputs: Tensor, loss: StepsLoss, carry: Carry | None = None
    ) -> tuple[Tensor, Carry]:
        """Adds the gradient of a sequence's loss to `.grad`; see `Strategy.backward`."""
        outputs, carry = self.advance(unroll, inputs, carry)
        total = loss(outputs, slice(0, len(inputs)))
        torch.autograd.backward(total)
        return total.detach(), carry
