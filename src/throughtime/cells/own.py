"""A cell of one's own: parameters and a step, in torch's operations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from throughtime.cells.cell import HiddenState
from throughtime.errors import OptionError


class Cell(nn.Module):
    """The base of a cell that you write: a module with parameters and one step.

        state_t = step(x_t, state_{t-1})

    `tt.Layer` makes a layer of it. What draws random numbers asks `self.training` first.

    Args:
        state_sizes: H; or one size for each field of the state, h first.

    Attributes:
        State: the state as a named tuple of tensors [B, ·], whose first field is h, what the
            layer above sees; (h,) unless a class names another.

    Raises:
        OptionError: there is no `step`, the state has no h, or a size is no positive number.

    Example:
        >>> class Leaky(Cell):
        ...     def __init__(self, input_size, hidden_size):
        ...         super().__init__(hidden_size)
        ...         self.input = nn.Linear(input_size, hidden_size)
        ...         self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)
        ...
        ...     def step(self, x, state):
        ...         new = torch.tanh(self.input(x) + self.recurrent(state.h))
        ...         return self.State(0.9 * state.h + 0.1 * new)
        >>> cell = Leaky(2, 4)
        >>> cell(torch.ones(3, 2), cell.initial_state(3)).h.shape
        torch.Size([3, 4])
    """

    State: ClassVar[type[Any]] = HiddenState

    def __init__(self, state_sizes: int | Sequence[int]) -> None:
        super().__init__()
        kind = type(self).__name__
        if type(self).step is Cell.step:
            raise OptionError(
                f"{kind} must have a method step(self, x, state) that returns the next state, got "
                "none; write one."
            )
        fields = getattr(self.State, "_fields", ())
        if fields[:1] != ("h",):
            raise OptionError(
                f"{kind}.State must be a named tuple whose first field is h, got "
                f"{fields or self.State!r}; put what the layer above sees first."
            )
        sizes = [state_sizes] * len(fields) if isinstance(state_sizes, int) else list(state_sizes)
        if len(sizes) != len(fields) or not all(map(_is_size, sizes)):
            raise OptionError(
                f"state_sizes of {kind} must be one positive whole number or one for each of "
                f"{', '.join(fields)}, got {state_sizes!r}; pass them to super().__init__."
            )
        self.state_sizes = tuple(sizes)

    def project(self, x: Tensor) -> Tensor:
        """The part of a step that hangs on x alone, for all steps at once: x itself.

        A cell that overrides it, [..., I] to [..., any], gets the result of its step as x.
        """
        return x

    def step(self, x: Tensor, state: Any, /) -> Any:
        """The state after one step, from the input x, [B, I], and the state before."""
        raise NotImplementedError

    def initial_state(self, batch: int) -> Any:
        """The state before the first step and after a reset, fields [B, ·]: zeros."""
        like = self.reference()
        like = torch.empty(0) if like is None else like
        return self.State(*(like.new_zeros(batch, size) for size in self.state_sizes))

    def reference(self) -> Tensor | None:
        """A parameter or buffer whose dtype and device states and inputs have, or None."""
        numbers = chain(self.parameters(), self.buffers())
        return next((tensor for tensor in numbers if tensor.is_floating_point()), None)

    def forward(self, x: Tensor, state: Any) -> Any:
        """One step of its own, from x, [B, I]."""
        return self.step(self.project(x), state)


def _is_size(size: Any) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size > 0
