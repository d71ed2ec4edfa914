"""What every strategy is: a value that says how far gradients travel, and lets them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from throughtime.errors import OptionError

Unroll = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""Outputs [T, ...] and last state from inputs [T, ...] and a first state (None: its own)."""

StepsLoss = Callable[[Tensor, slice], Tensor]
"""The loss of some steps, a number, from their outputs and the slice of the sequence they are.

The loss of a sequence is the sum over its steps, however they are cut: `loss(outputs, steps)` has
to sum over steps, not average."""


class Carry(NamedTuple):
    """What one call hands to the next; no gradient passes through it."""

    state: Any  # the state before `inputs`: a tensor, nested tuples of them, or None
    inputs: Tensor | None = None  # inputs to be run again, [<= k2 - k1, B, ...]; None for none


class Strategy(Protocol):
    """How far a gradient travels back: `Full`, `Truncated` or `Checkpointed`.

    A training loop is handed one and need not know which; x [T, B, I], targets [T, B, ...]:

        for inputs, target in zip(bptt.windows(x), bptt.windows(targets)):
            outputs, carry = bptt.advance(layer, inputs, carry)
            loss(outputs, target).backward()

    or, for a sequence whose outputs are too many to keep, `bptt.backward(layer, x, loss)`.
    """

    def windows(self, x: Tensor) -> Sequence[Tensor]:
        """The pieces of a sequence, [T, ...], that `advance` takes one after the other."""
        ...

    def advance(
        self, unroll: Unroll, inputs: Tensor, carry: Carry | None = None
    ) -> tuple[Tensor, Carry]:
        """Runs one window.

        Args:
            unroll: gives outputs and last state from inputs and first state, like a layer.
            inputs: steps of the window, [T, B, ...].
            carry: from the call before; `Carry(state)` to begin with a state; None for the
                unroll's own.

        Returns:
            Outputs, [T, B, ...], to be differentiated, and the carry for the next call.
        """
        ...

    def backward(
        self, unroll: Unroll, inputs: Tensor, loss: StepsLoss, carry: Carry | None = None
    ) -> tuple[Tensor, Carry]:
        """Adds the gradient of a sequence's loss to `.grad`, of parameters and of inputs.

        Args:
            unroll: as in `advance`.
            inputs: the whole sequence, [T, B, ...].
            loss: of the steps it is given; called for pieces of the sequence, all of which add up.
            carry: as in `advance`.

        Returns:
            The loss of the sequence, without a graph, and the carry after it.
        """
        ...


def check_can_be_cut(unroll: Unroll) -> None:
    """Refuses layers whose sequence cannot be cut along its first axis.

    Raises:
        OptionError: a layer is bidirectional, or the unroll is batch-first.
    """
    if getattr(unroll, "batch_first", False):
        raise OptionError(
            "inputs must be [T, B, ...] to be cut in time, got a layer with batch_first=True; "
            "build it without, or pass a function that transposes."
        )
    modules = unroll.modules() if isinstance(unroll, nn.Module) else [unroll]
    if any(getattr(module, "bidirectional", False) for module in modules):
        raise OptionError(
            "a sequence cut in time must run forward only, got a bidirectional layer, which reads "
            "what comes later; use Full() for it."
        )
