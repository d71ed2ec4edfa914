"""Truncated BPTT: how many steps a gradient travels back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from throughtime.bptt.pieces import gradient_buffer, piece_of
from throughtime.bptt.states import detach
from throughtime.bptt.strategy import Carry, StepsLoss, Unroll, check_can_be_cut
from throughtime.errors import OptionError


@dataclass(frozen=True)
class Truncated:
    """BPTT(k2; k1): every k1 steps an update, whose gradient goes back through k2 steps.

        window n holds the steps  t_n - k2 + 1 ... t_n,   t_n = n k1
        dL_n/dw = sum over the window's paths only; the state before it is a constant

    L_n is the loss of the k1 new steps. With k2 = k1 the windows lie side by side. With
    k2 > k1 every window first runs the k2 - k1 steps before its own again, from the state
    kept before them, so that a gradient can travel through them; no more than k2 steps are
    ever in memory. Source: Williams and Peng 1990, algorithm BPTT(h; h').

    Args:
        k1: new steps per update.
        k2: steps a gradient travels back at most; k1 if None.

    Raises:
        OptionError: k1 < 1 or k2 < k1.

    Note:
        The repeated steps run with the weights of now, not those of the last window, and
        dropout draws anew for them.

    Example:
        Train on windows of a longer sequence, x [T, B, I], targets [T, B, H]:

        >>> layer = torch.nn.LSTM(2, 4)
        >>> optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        >>> x, targets = torch.ones(12, 3, 2), torch.zeros(12, 3, 4)
        >>> bptt, carry = Truncated(k1=3, k2=6), None
        >>> for inputs, target in zip(bptt.windows(x), bptt.windows(targets)):
        ...     outputs, carry = bptt.advance(layer, inputs, carry)
        ...     optimizer.zero_grad()
        ...     ((outputs - target) ** 2).mean().backward()
        ...     optimizer.step()
        >>> carry.inputs.shape[0]
        3
    """

    k1: int
    k2: int | None = None

    def __post_init__(self) -> None:
        if self.k1 < 1:
            raise OptionError(f"k1 must be at least 1, got {self.k1}; k1 counts an update's steps.")
        if self.k2 is not None and self.k2 < self.k1:
            raise OptionError(
                f"k2 must be at least k1 = {self.k1}, got {self.k2}; a gradient goes back at "
                "least through the new steps."
            )

    @property
    def repeated(self) -> int:
        """Steps run again before each window, k2 - k1."""
        return 0 if self.k2 is None else self.k2 - self.k1

    def windows(self, x: Tensor) -> tuple[Tensor, ...]:
        """A sequence, [T, ...], in pieces of k1 steps; the last may be shorter."""
        return torch.split(x, self.k1)

    def advance(
        self, unroll: Unroll, inputs: Tensor, carry: Carry | None = None
    ) -> tuple[Tensor, Carry]:
        """Runs one window, given what the window before it handed on.

        Args:
            unroll: gives outputs and last state from inputs and first state, like a layer.
            inputs: the new steps, [k1, B, ...]; the last window of a sequence may be shorter.
            carry: from the call before; None at the start of a sequence.

        Returns:
            Outputs of the new steps, [k1, B, ...], and the carry for the next call.

        Raises:
            OptionError: more than k1 new steps, or a layer that cannot be cut in time.
        """
        check_can_be_cut(unroll)
        if len(inputs) > self.k1:
            raise OptionError(
                f"a window must have at most k1 = {self.k1} new steps, got {len(inputs)}; "
                "split the inputs with windows(x)."
            )
        state, before = (None, None) if carry is None else carry
        old = 0 if before is None else len(before)
        steps = inputs if before is None else torch.cat([before, inputs])
        # By the split law two unrolls are one; the state between them is the one to keep.
        cut = max(0, len(steps) - self.repeated)
        outputs = []
        if cut:
            output, state = unroll(steps[:cut], state)
            outputs.append(output)
        kept = Carry(detach(state), steps[cut:].detach() if self.repeated else None)
        if cut < len(steps) or not outputs:  # without any step the unroll refuses
            outputs.append(unroll(steps[cut:], state)[0])
        joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return joined[old:], kept

    def backward(
        self, unroll: Unroll, inputs: Tensor, loss: StepsLoss, carry: Carry | None = None
    ) -> tuple[Tensor, Carry]:
        """Adds the truncated gradient of a sequence's loss to `.grad`; see `Strategy.backward`.

        The sum over the windows, with the same weights for all.
        """
        losses = []
        with gradient_buffer(inputs) as x:
            for begin in range(0, max(1, len(inputs)), self.k1):
                steps = slice(begin, min(begin + self.k1, len(inputs)))
                outputs, carry = self.advance(unroll, piece_of(x, steps), carry)
                part = loss(outputs, steps)
                torch.autograd.backward(part)
                losses.append(part.detach())
        assert carry is not None  # there is at least one window
        return torch.stack(losses).sum(), carry
