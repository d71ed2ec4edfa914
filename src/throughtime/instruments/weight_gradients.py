"""The gradient of a weight, taken apart: by the step at which it acts, by the lag to the loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from throughtime.cells import AnyCell, Cell, State
from throughtime.errors import OptionError, ShapeError

WeightGradients = list[dict[str, Tensor]]
"""For each layer, for each weight by its name in the cell: parts, [T, *shape of the weight]."""


def by_step(
    cells: Sequence[AnyCell],
    x: Tensor,
    losses: Callable[[Tensor], Tensor],
    states: Sequence[State] | None = None,
) -> WeightGradients:
    """Takes the gradient of every weight apart by the step k at which the weight acts.

        dL/dW = sum_k G_k,   G_k = sum_{t>=k} dL_t/dh_t  dh_t/dh_k  d+h_k/dW

    where d+ holds h_{k-1} constant. Exact, in the plain loop. Costs one backward pass, and memory
    for T gradients of every weight.

    Args:
        cells: one cell per layer, the first reads x. Run without dropout.
        x: inputs of the first layer, [T, B, I].
        losses: from the last layer's h of all steps, [T, B, H], to L_t of each step, [T], with
            L = sum_t L_t; L_t may depend on h_t only.
        states: each layer's state before the first step, constants; the cells' initial ones
            without it.

    Returns:
        For each layer G_k of every weight, [T, ...], k = 0 ... T - 1; their sum over k is dL/dW.

    Raises:
        ShapeError: x is not [T, B, I] with at least one step, or the losses are not [T].
        OptionError: a cell has no weights.

    Example:
        >>> import throughtime as tt
        >>> cells = [cell for (cell,) in tt.LSTM(2, 4).cells()]
        >>> parts = by_step(cells, torch.ones(5, 3, 2), lambda h: h.sum(dim=(1, 2)))
        >>> parts[0]["weight_hh"].shape
        torch.Size([5, 16, 4])
    """
    steps, gradients = _run(cells, x, losses, states)
    found = _zeros(cells, len(steps))
    for k, parts in _way_back(steps, gradients, torch.add):
        _add(found, parts, slice(k, k + 1))
    return found


def by_lag(
    cells: Sequence[AnyCell],
    x: Tensor,
    losses: Callable[[Tensor], Tensor],
    states: Sequence[State] | None = None,
) -> WeightGradients:
    """Takes the gradient of every weight apart by the lag t - k from its action to the loss.

        dL/dW = sum_j G_j,   G_j = sum_k dL_{k+j}/dh_{k+j}  dh_{k+j}/dh_k  d+h_k/dW

    G_0 is what a window of one step sees; what lies at lags from k2 on, no window of k2 steps
    sees. Exact, in the plain loop. The gradients of all losses travel back side by side: T^2/2
    steps of a backward pass, in T batched ones, and memory for 2 T gradients of every weight.

    Args:
        cells: as in `by_step`.
        x: as in `by_step`.
        losses: as in `by_step`.
        states: as in `by_step`.

    Returns:
        For each layer G_j of every weight, [T, ...], j = 0 ... T - 1; their sum over j is dL/dW.

    Raises:
        ShapeError: x is not [T, B, I] with at least one step, or the losses are not [T].
        OptionError: a cell has no weights.

    Example:
        >>> import throughtime as tt
        >>> cells = [cell for (cell,) in tt.RNN(2, 4).cells()]
        >>> parts = by_lag(cells, torch.ones(5, 3, 2), lambda h: h.sum(dim=(1, 2)))
        >>> parts[0]["weight_hh"].flatten(1).norm(dim=1).shape  # how much each lag gives, [T]
        torch.Size([5])
    """
    steps, gradients = _run(cells, x, losses, states)
    found = _zeros(cells, len(steps))
    for k, parts in _way_back(steps, gradients, lambda own, later: torch.cat([own, later])):
        _add(found, parts, slice(0, len(x) - k))
    return found


class _Step(NamedTuple):
    """One step of all layers, with a graph of its own; states are the last layer's first."""

    before: list[Tensor]  # every layer's state, leaves
    after: list[Tensor]  # the same, after the step
    weights: list[Tensor]  # leaves of this step alone


def _run(
    cells: Sequence[AnyCell],
    x: Tensor,
    losses: Callable[[Tensor], Tensor],
    states: Sequence[State] | None,
) -> tuple[list[_Step], Tensor]:
    """All steps, and dL_t/dh_t of the last layer, [T, B, H]."""
    if x.dim() != 3 or len(x) == 0:
        raise ShapeError(
            f"x must be [T, B, I] with at least one step, got {list(x.shape)}; "
            "stack the windows along B."
        )
    now = [cell.initial_state(x.shape[1]) for cell in cells] if states is None else list(states)
    steps, outputs = [], []
    with torch.enable_grad():
        for x_t in x.detach():
            step, now = _step(cells, x_t, now)
            steps.append(step)
            outputs.append(now[-1][0].detach())
        h = torch.stack(outputs).requires_grad_()
        each = losses(h)
        if each.shape != (len(x),):
            raise ShapeError(
                f"losses must give [T={len(x)}], one number per step, got {list(each.shape)}; "
                "sum over rows and units, not over steps."
            )
        return steps, torch.autograd.grad(each.sum(), h)[0]


def _step(cells: Sequence[AnyCell], x: Tensor, states: Sequence[Any]) -> tuple[_Step, list[Any]]:
    """One step of a stack whose states and weights nothing else shares."""
    before: list[Tensor] = []
    after: list[Tensor] = []
    weights: list[Tensor] = []
    new_states = []
    for cell, state in zip(cells, states, strict=True):
        own = _own_weights(cell)
        start = [field.detach().requires_grad_() for field in state]
        new = _step_with(cell, own, x, type(state)(*start))
        before, after, weights = [*start, *before], [*new, *after], [*weights, *own.values()]
        new_states.append(new)
        x = new[0]
    return _Step(before, after, weights), new_states


def _way_back(
    steps: list[_Step], gradients: Tensor, join: Callable[[Tensor, Tensor], Tensor]
) -> Iterator[tuple[int, list[Tensor]]]:
    """Pulls gradients back, the last step first, and lets go of the steps.

    Args:
        steps: of the sequence.
        gradients: dL_t/dh_t of the last layer, [T, B, H].
        join: from a step's own gradient, [1, B, ·], and those that came from later steps,
            [N, B, ·], to what goes on, [N', B, ·].

    Yields:
        k, and what every weight gets from the losses since step k, [N', *shape].
    """
    later: list[Tensor] = []
    while steps:
        before, after, weights = steps.pop()
        own = [torch.zeros_like(part).unsqueeze(0) for part in after]
        own[0] = gradients[len(steps)].unsqueeze(0)  # the last layer's h alone has a loss
        both = [join(*pair) for pair in zip(own, later, strict=True)] if later else own
        found = _pull(after, [*before, *weights], both)
        later = found[: len(before)]
        yield len(steps), found[len(before) :]


def _pull(outputs: list[Tensor], inputs: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
    """The gradients of inputs, [N, *shape], from N gradients of outputs."""
    found = torch.autograd.grad(
        outputs, inputs, gradients, is_grads_batched=True, allow_unused=True
    )
    num = len(gradients[0])
    return [
        tensor.new_zeros(num, *tensor.shape) if gradient is None else gradient
        for tensor, gradient in zip(inputs, found, strict=True)
    ]


def _own_weights(cell: AnyCell) -> dict[str, Tensor]:
    """A cell's weights, by name, as leaves that share its memory."""
    named = dict(cell.named_parameters()) if isinstance(cell, Cell) else vars(cell)
    own = {
        name: value.detach().requires_grad_()
        for name, value in named.items()
        if isinstance(value, Tensor)
    }
    if not own:
        raise OptionError(
            f"a cell must hold its weights as attributes, got {type(cell).__name__} without one; "
            "pass the cells of a layer, `[cell for (cell,) in layer.cells()]`."
        )
    return own


def _step_with(cell: AnyCell, weights: dict[str, Tensor], x: Tensor, state: Any) -> Any:
    """One step of the same cell over other weights."""
    if isinstance(cell, Cell):
        return torch.func.functional_call(cell, weights, (x, state))
    twin = copy.copy(cell)
    vars(twin).update(weights)
    return twin.step(twin.project(x), state)


def _zeros(cells: Sequence[AnyCell], num_parts: int) -> WeightGradients:
    return [
        {name: w.new_zeros(num_parts, *w.shape) for name, w in _own_weights(cell).items()}
        for cell in cells
    ]


def _add(found: WeightGradients, parts: list[Tensor], at: slice) -> None:
    """Adds what every weight got, [N, *shape], to N of its parts."""
    totals = [total for layer in found for total in layer.values()]
    for total, part in zip(totals, parts, strict=True):
        total[at] += part
