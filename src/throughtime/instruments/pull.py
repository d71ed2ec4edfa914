"""The derivative of single steps: gradients of the states after them pulled back through them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from throughtime.cells import Zoneout
from throughtime.cells.weights import Weights
from throughtime.errors import OptionError
from throughtime.layers.run import Run
from throughtime.native.functions import full_precision
from throughtime.native.twins import with_weights
from throughtime.sequences import without_padding

REUSED = 0.75
"""Share of the steps of a graph below which a smaller one is cheaper than to use it once more."""


class Pulled(NamedTuple):
    """Gradients that were pulled back through n steps."""

    at: list[Tensor]  # of every field of the states after the steps, [n, B, ·]
    before: list[Tensor]  # of the states before them; zeros where a row begins afresh
    x: Tensor | None  # of the inputs, [n, B, I]; None where nobody asked
    weights: dict[str, Tensor]  # of the weights by name, summed over steps and rows


class Steps:
    """The steps of one direction of a layer, each from the state that it began with.

    What every step began with is known, so steps are run again and gone back through in any
    order, and many at once: each is a row of its own.

    Args:
        run: the layer in one call, padded.
        direction: 0 forward, 1 reverse.
        wants_x: whether gradients of the inputs are asked for.
        wants_weights: whether gradients of the weights are.
    """

    def __init__(
        self, run: Run, direction: int, wants_x: bool = False, wants_weights: bool = False
    ) -> None:
        cell: Any = run.cells[direction]
        inner = cell.cell if isinstance(cell, Zoneout) else cell
        self.is_reverse = direction == 1
        self.valid = run.rows.valid(run.x)
        self._x = without_padding(run.x, self.valid)
        self._cell, self._weights = cell, weights_of(inner) if wants_weights else {}
        self._wants_x, self._is_own = wants_x, not isinstance(inner, Weights)
        with torch.no_grad():
            self._before = run.states_before(direction)
        self._begins = _begins(run, direction)
        self._graph: _Graph | None = None
        self._check(type(run.states)(*(field[:, :, direction] for field in run.states)))

    @property
    def sizes(self) -> list[int]:
        """Of the fields of the state."""
        return [field.shape[-1] for field in self._before]

    def pull(self, steps: Tensor, gradients: list[Tensor]) -> Pulled:
        """Pulls gradients of the states after some steps back through these steps.

        The gradient of a field counts what goes through other fields of the same step, too: that
        of an LSTM's c_t holds its way to the loss over h_t.

        Args:
            steps: which, int64 [n], rising.
            gradients: of every field of the state, [n, B, ·], zero where a row has no such step.
        """
        graph, places = self._graph, None
        if graph is not None:
            places = graph.places(steps)
        if graph is None or places is None:
            graph = self._graph = self._run(steps)
            places = slice(None)
        return graph.pull(places, gradients)

    def _run(self, steps: Tensor) -> _Graph:
        x = self._rows(self._x[steps]).requires_grad_(self._wants_x)
        before = [self._rows(field[steps]).requires_grad_() for field in self._before]
        weights = {name: value.detach().requires_grad_() for name, value in self._weights.items()}
        with torch.enable_grad():
            after = self._step(steps, x, before, weights)
        return _Graph(steps, x, before, list(after), weights)

    def _step(
        self, steps: Tensor, x: Tensor, before: list[Tensor], weights: dict[str, Tensor]
    ) -> Any:
        cell, begins = _at(self._cell, steps), self._rows(self._begins[steps])
        with full_precision():
            return _step_with(cell, weights, x, type(self._before)(*before), begins)

    def _rows(self, steps: Tensor) -> Tensor:
        """What a cell is called with: [n, B, ·]; of a cell of one's own, [n*B, ·]."""
        return steps.flatten(0, 1) if self._is_own else steps

    @torch.no_grad()
    def _check(self, states: Any) -> None:
        """Refuses a recording whose steps are not what its cell computes from the same numbers.

        Raises:
            OptionError: as said.
        """
        steps = torch.arange(len(self._x), device=self._x.device)
        again = self._step(steps, self._rows(self._x), list(map(self._rows, self._before)), {})
        for name, found, known in zip(states._fields, again, states, strict=True):
            found = without_padding(found.reshape(known.shape), self.valid)
            tolerance = torch.finfo(known.dtype).eps ** 0.5
            if not torch.allclose(found, known, rtol=tolerance, atol=tolerance):
                raise OptionError(
                    f"a step of {type(self._cell).__name__} must give the state that is on the "
                    f"tape when it is run again, {name} is another one; watch a cell that draws "
                    "random numbers in eval mode."
                )


class _Graph(NamedTuple):
    """Some steps that were run for their gradients."""

    steps: Tensor  # [m], rising
    x: Tensor
    before: list[Tensor]
    after: list[Tensor]
    weights: dict[str, Tensor]

    def places(self, steps: Tensor) -> Any:
        """Where those steps stand among the graph's own; None where a new graph is cheaper."""
        if len(steps) < REUSED * len(self.steps) or len(steps) > len(self.steps):
            return None
        at = torch.searchsorted(self.steps, steps)
        if int(at[-1]) >= len(self.steps) or not torch.equal(self.steps[at], steps):
            return None
        first, last = int(at[0]), int(at[-1]) + 1
        return slice(first, last) if last - first == len(at) else at

    def pull(self, places: Any, gradients: list[Tensor]) -> Pulled:
        known = [self._spread(gradient, places) for gradient in gradients]
        nodes = [node if node.requires_grad else node.requires_grad_() for node in self.after]
        asked = [*nodes, *self.before, *([self.x] if self.x.requires_grad else [])]
        found = torch.autograd.grad(
            nodes,
            [*asked, *self.weights.values()],
            [gradient.reshape(node.shape) for gradient, node in zip(known, nodes, strict=True)],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        lead, num = known[0].shape[:2], len(nodes)
        parts = [part.reshape(*lead, -1)[places] for part in found[: len(asked)]]
        x = parts[2 * num] if self.x.requires_grad else None
        weights = dict(zip(self.weights, found[len(asked) :], strict=True))
        return Pulled(parts[:num], parts[num : 2 * num], x, weights)

    def _spread(self, gradient: Tensor, places: Any) -> Tensor:
        """Gradients of some of the steps as those of all, zero elsewhere."""
        if len(gradient) == len(self.steps):
            return gradient
        full = gradient.new_zeros(len(self.steps), *gradient.shape[1:])
        full[places] = gradient
        return full


class _OneStep(nn.Module):
    """A step as a module, whose weights may be swapped."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, before: Any, begins: Tensor) -> Any:
        return _step_from(self.cell, x, before, begins)


def _step_with(
    cell: Any, weights: dict[str, Tensor], x: Tensor, before: Any, begins: Tensor
) -> Any:
    """One step of the same cell over other weights."""
    if isinstance(cell, nn.Module):
        own = {f"cell.{name}": value for name, value in weights.items()}
        return torch.func.functional_call(_OneStep(cell), own, (x, before, begins))
    return _step_from(with_weights(cell, weights), x, before, begins)


def _step_from(cell: Any, x: Tensor, before: Any, begins: Tensor) -> Any:
    """One step from the state before, or from the cell's own initial state in rows that begin."""
    own = cell.initial_state(x.shape[-2])
    pairs = zip(own, before, strict=True)
    start = type(own)(*(torch.where(begins[..., None], first, b) for first, b in pairs))
    return cell.step(cell.project(x), start)


def weights_of(cell: Any) -> dict[str, Tensor]:
    """A cell's weights by name; the mask of a recurrent dropout is none."""
    named = cell.named_parameters() if isinstance(cell, nn.Module) else vars(cell).items()
    return {n: value for n, value in named if isinstance(value, Tensor) and n != "mask"}


def _at(cell: Any, steps: Tensor) -> Any:
    """The cell with what it drew for these steps alone."""
    if not isinstance(cell, Zoneout):
        return cell
    keep = tuple(k[steps] if isinstance(k, Tensor) else k for k in cell.keep)
    return Zoneout(cell.cell, keep)


def _begins(run: Run, direction: int) -> Tensor:
    """Where a row takes the cell's own initial state, bool [T, B].

    At a reset; and at its first step, if no other state was given.
    """
    valid, carried = run.rows.valid(run.x), run.rows.carried(run.x, reverse=direction == 1)
    shape = run.x.shape[:2]
    everywhere = torch.ones(shape, dtype=torch.bool, device=run.x.device)
    valid = everywhere if valid is None else valid
    begins = ~everywhere if carried is None else valid & ~carried
    own = run.cells[direction].initial_state(shape[1])
    given = run.start
    if given is None or all(
        torch.equal(field[direction], first) for field, first in zip(given, own, strict=True)
    ):
        later = torch.cat([valid[1:], ~everywhere[:1]])
        begins = begins | (valid & ~later if direction == 1 else everywhere & _first(valid))
    return begins


def _first(valid: Tensor) -> Tensor:
    """The first step of every row that has one, bool [T, B]."""
    first = torch.zeros_like(valid)
    first[0] = valid[0]
    return first
