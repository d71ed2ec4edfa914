"""The layer over any cell: what you write a step for runs over time like an LSTM."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from torch import Tensor, nn

from throughtime.cells import AnyCell, Cell
from throughtime.errors import OptionError
from throughtime.layers.checks import check_positive, check_residual, check_type
from throughtime.layers.recurrent import Recurrent


class Layer(Recurrent):
    """Stacked layers of cells of your own; see `cells.Cell`, and `Recurrent.forward` for a call.

    States are `States` in any case. It runs in the plain loop.

    Args:
        make_cell: from the number of inputs to a new cell; called once for each layer and
            direction. A class whose constructor asks for no more is one;
            `functools.partial(MyCell, hidden_size=32)` tells the rest.
        input_size: I, features of a step.
        num_layers: L, layers on top of each other.
        batch_first: whether inputs and outputs are [B, T, ·] instead of [T, B, ·].
        dropout: share of values dropped between layers while training, in [0, 1].
        bidirectional: whether each layer also runs from the end (D = 2 instead of 1).
        input_dropout: share of input values dropped while training, in [0, 1].
        residual: whether every layer above the first adds its input to its output.

    Raises:
        OptionError: an argument has the wrong type or range, or `make_cell` makes no cell.

    Example:
        >>> import torch
        >>> class Sum(Cell):
        ...     def step(self, x, state):
        ...         return self.State(state.h + x)
        >>> y, states = Layer(Sum, input_size=1)(torch.ones(4, 2, 1), lengths=[4, 2])
        >>> states[0].h.flatten().tolist()
        [4.0, 2.0]
    """

    def __init__(
        self,
        make_cell: Callable[[int], Cell],
        input_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        input_dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        for name, size in (("input_size", input_size), ("num_layers", num_layers)):
            check_type(name, size, int)
            check_positive(name, size)
        super().__init__(
            input_size,
            num_layers,
            batch_first,
            dropout,
            bidirectional,
            input_dropout=input_dropout,
            residual=residual,
        )
        self.layers = nn.ModuleList()
        outputs: list[int] = []
        for _ in range(num_layers):
            made = [_make(make_cell, input_size) for _ in range(2 if bidirectional else 1)]
            self.layers.append(nn.ModuleList(made))
            outputs.append(made[0].state_sizes[0])
            input_size = len(made) * outputs[-1]
        if residual:
            check_residual(outputs)

    def cells(self) -> list[list[AnyCell]]:
        """The cells of each layer's directions, the modules themselves.

        While training they draw what they draw; `layer.eval().cells()` do not.
        """
        return [list(cast("Iterable[AnyCell]", directions)) for directions in self.layers]

    def _reference(self) -> Tensor | None:
        cell: Any = self.cells()[0][0]
        return cast("Tensor | None", cell.reference())


def _make(make_cell: Any, input_size: int) -> Cell:
    """A new cell, or the reason why there is none."""
    remedy = "pass the class of a tt.Cell, or functools.partial(it, hidden_size=...)"
    if not callable(make_cell) or isinstance(make_cell, nn.Module):
        raise OptionError(
            "make_cell must be a function from the input size to a new cell, got "
            f"{type(make_cell).__name__}; {remedy}."
        )
    cell = make_cell(input_size)
    if not isinstance(cell, Cell):
        raise OptionError(f"make_cell must give a tt.Cell, got {type(cell).__name__}; {remedy}.")
    return cell
