"""A session in torch, for stacks that the kernels do not know."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from throughtime.errors import OptionError
from throughtime.native.weights import Array
from throughtime.stream.session import LayerState, Session

if TYPE_CHECKING:
    from throughtime.layers.stepper import Stepper


class TorchSession(Session):
    """A session whose steps run in torch, for any cell; `save` alone is not possible.

    Args:
        stepper: the stack.
    """

    def __init__(self, stepper: Stepper) -> None:
        self._native = stepper
        self.dtype, self.rows = stepper.dtype, stepper.rows
        self.num_inputs, self.num_outputs = stepper.num_inputs, stepper.num_outputs

    def step(self, x: Array, out: Array | None = None) -> Array:
        """Feeds one step and gives its output; see `Session.step`."""
        x = self._checked(x)
        out = np.empty((*x.shape[:-1], self.num_outputs), self.dtype) if out is None else out
        self._native.step(x, self._checked_out(out))
        return out

    def save(self, path: str | os.PathLike[str]) -> None:
        """Refuses.

        Raises:
            OptionError: always.
        """
        names = ", ".join(dict.fromkeys(cell for cell, _ in self._native.kinds))
        raise OptionError(
            "a session must be without layer_norm, residual, learn_initial, functions for "
            "nonlinearity and cells of your own to be saved, got one in torch, of "
            f"{names}; keep the model's state_dict and open it again with tt.stream."
        )

    def _fields(self) -> list[tuple[Callable[..., Any], tuple[int, ...]]]:
        kinds = [kind for _, kind in self._native.kinds]
        known = (("h",), ("h", "c"))
        makers = [LayerState if kind._fields in known else kind for kind in kinds]
        return list(zip(makers, self._native.widths, strict=True))

    def _sizes(self) -> tuple[tuple[str, int], ...]:
        kinds = zip(self._native.kinds, self._native.widths, strict=True)
        return tuple(
            (f"{cell}.{name}", width)
            for (cell, kind), widths in kinds
            for name, width in zip(kind._fields, widths, strict=True)
        )
