"""What one layer computed in one call, and the cells' own account of it for all steps at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function

from throughtime.cells import AnyCell, Inside, OpenCell, Zoneout
from throughtime.errors import OptionError
from throughtime.native.functions import full_precision
from throughtime.native.twins import with_weights
from throughtime.sequences import Rows, without_padding


class Run(NamedTuple):
    """One layer in one call; sequences are [T, B, ·]."""

    cells: Sequence[AnyCell]  # those of this call, with what was drawn for it
    x: Tensor  # what the layer got, after dropout
    start: Any  # states before the first step, fields [D, B, ·]; None for the cells' own
    rows: Rows
    states: Any  # of every step, fields [T, B, D, ·]
    gates: Tensor | None = None  # numbers alone, [T, B, D, G, H], where the kernel kept them
    dropped: Tensor | None = None  # what dropout multiplied the output below by, like x
    is_residual: bool = False  # whether that output is added to the layer's own

    def inside(self) -> Inside:
        """Gates and pre-activations [T, B, D, H]: the cells' `inside` of all steps at once.

        Zeros where a row has no step.

        Raises:
            OptionError: a cell has no `inside`.
        """
        valid = self.rows.valid(self.x)
        x = without_padding(self.x, valid)
        found = []
        with full_precision():
            cell: Any
            for d, cell in enumerate(self.cells):
                if not hasattr(cell, "inside"):
                    raise OptionError(
                        "gates and pre_activations must come from a cell that has the method "
                        f"`inside`, got {type(cell).__name__}; give it one or look at its states."
                    )
                found.append(cell.inside(cell.project(x), self.states_before(d)))
        gates, pre_activations = (
            {
                name: torch.stack([without_padding(part[name], valid) for part in parts], dim=2)
                for name in parts[0]
            }
            for parts in ([i.gates for i in found], [i.pre_activations for i in found])
        )
        return Inside(pre_activations, gates, self.states)

    def by_gate(self, values: Tensor) -> dict[str, Tensor]:
        """Values [..., G, H] by the names of the cell's gates."""
        return dict(zip(self._names, values.unbind(-2), strict=True))

    @property
    def _names(self) -> Sequence[str]:
        return cast(OpenCell[Any], self.cells[0]).gates

    def known_gates(self) -> dict[str, Tensor] | None:
        """The gates that the kernel kept, [T, B, D, H], now with their derivative."""
        if self.gates is None:
            return None

        def compute(*tensors: Tensor) -> Tensor:
            gates = self._over(tensors).inside().gates
            return torch.stack([gates[name] for name in self._names], dim=-2)

        known = Known.apply(compute, self.gates, *self.tensors())  # type: ignore[no-untyped-call]
        return self.by_gate(known)

    def tensors(self) -> list[Tensor]:
        """All that the gates are a function of."""
        weights = [weight for cell in self.cells for weight in _weights(cell).values()]
        return [self.x, *self.states, *(self.start or ()), *weights]

    def _over(self, tensors: Sequence[Tensor]) -> Run:
        """The same run over other tensors, in the order of `tensors`."""
        left = iter(tensors)
        x, states = next(left), type(self.states)(*(next(left) for _ in self.states))
        start = self.start and type(self.start)(*(next(left) for _ in self.start))
        cells = [
            with_weights(cell, {name: next(left) for name in _weights(cell)}) for cell in self.cells
        ]
        return Run(cells, x, start, self.rows, states)

    def states_before(self, d: int) -> Any:
        """What every step of a direction began with, fields [T, B, ·].

        h_{t-1}, in the reverse direction h_{t+1}; the initial state at a row's first step there,
        and the cell's own where the row is reset.
        """
        fresh = self.cells[d].initial_state(self.x.shape[1])
        start = fresh if self.start is None else type(fresh)(*(field[d] for field in self.start))
        valid, carried = self.rows.valid(self.x), self.rows.carried(self.x, reverse=d == 1)
        before = []
        for field, first, own in zip(self.states, start, fresh, strict=True):
            states = field[:, :, d]
            if d == 0:
                states = torch.cat([first[None], states[:-1]])
            else:
                later = states[1:]
                if valid is not None:
                    later = torch.where(valid[1:, :, None], later, first)
                states = torch.cat([later, first[None]])
            before.append(
                states if carried is None else torch.where(carried[..., None], states, own)
            )
        return type(fresh)(*before)


class Known(Function):
    """Numbers that are known already, with the derivative of what they would be computed by.

    `Known.apply(compute, values, *tensors)` gives the values, `compute(*tensors)` their gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, compute: Callable[..., Tensor], values: Tensor, *tensors: Tensor
    ) -> Tensor:
        """The values."""
        ctx.compute = compute
        ctx.save_for_backward(*tensors)
        return values.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Computes what was known, and goes back through that alone."""
        wanted, is_recorded = ctx.needs_input_grad[2:], torch.is_grad_enabled()
        with torch.enable_grad():
            # other names for the tensors: one may have been computed from another
            own = [tensor.view_as(tensor) for tensor in ctx.saved_tensors]
            asked = [tensor for tensor, is_wanted in zip(own, wanted, strict=True) if is_wanted]
            gradients = torch.autograd.grad(
                ctx.compute(*own), asked, grad, create_graph=is_recorded, allow_unused=True
            )
        left = iter(gradients)
        return None, None, *[next(left) if is_wanted else None for is_wanted in wanted]


def _weights(cell: Any) -> dict[str, Tensor]:
    """The tensors that a cell computes with, by name; of a zoneout those of the cell within."""
    inner = cell.cell if isinstance(cell, Zoneout) else cell
    found = inner.named_parameters() if isinstance(inner, nn.Module) else vars(inner).items()
    return {name: value for name, value in found if isinstance(value, Tensor)}
