"""The contract of a cell: one step, and nothing about time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor


class HiddenState(NamedTuple):
    """What an Elman cell or a GRU remembers between steps."""

    h: Tensor  # hidden state, [B, H]


class LSTMState(NamedTuple):
    """What an LSTM remembers between steps."""

    h: Tensor  # hidden state, what the next layer sees, [B, H] or [B, P] with a projection
    c: Tensor  # cell state, [B, H]


State = HiddenState | LSTMState
S = TypeVar("S", bound=tuple[Tensor, ...])


class CellLike(Protocol[S]):
    """One step of a recurrent network.

        z_t = project(x_t),   state_t = step(z_t, state_{t-1})

    A cell holds its weights and knows nothing of sequences. `project` is the part that does
    not depend on the step before, so that a layer may compute it for all steps at once.
    The first field of every state is h, the output of the step.
    """

    def project(self, x: Tensor) -> Tensor:
        """The input's part of the pre-activations, [..., I] to [..., G*H]."""
        ...

    def step(self, z: Tensor, state: S, /) -> S:
        """The state after one step, from the projected input z, [B, G*H], and the state before."""
        ...

    def initial_state(self, batch: int) -> S:
        """The state before the first step: zeros, like `torch.nn`, or one that is learned."""
        ...


AnyCell = CellLike[Any]


class Inside(NamedTuple):
    """What a cell computes on the way from one state to the next; axes [..., H]."""

    pre_activations: dict[str, Tensor]  # by the names of the gates
    gates: dict[str, Tensor]  # after their activation
    state: Any  # the new one


class OpenCell(CellLike[S], Protocol[S]):
    """A cell that shows what a step is made of; all of ours do.

    `inside` may be asked for one step, [B, ·], or for all of a sequence at once, [T, B, ·].
    """

    @property
    def gates(self) -> Sequence[str]:
        """Names of the blocks of rows of the weights, in their order."""
        ...

    def inside(self, z: Tensor, state: S) -> Inside:
        """Gates, pre-activations and the new state, of which `step` is the last."""
        ...
