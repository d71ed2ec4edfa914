"""The way back through a sequence of which only some states were kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from throughtime.bptt.draws import Draws, draws_from
from throughtime.bptt.pieces import piece_of
from throughtime.bptt.states import detach, leaves, own, tensors_of
from throughtime.bptt.strategy import StepsLoss, Unroll
from throughtime.errors import OptionError


class Edge(NamedTuple):
    """All it takes to run a segment again."""

    state: Any  # before its first step
    draws: Draws


class Run(NamedTuple):
    """A segment that was run with a graph of its own."""

    steps: slice
    before: Any  # state, leaves
    outputs: Tensor
    after: Any  # state


def walk(
    unroll: Unroll, x: Tensor, segments: Sequence[slice], state: Any
) -> tuple[list[Edge], Any]:
    """Runs segments and keeps the edge before each; gives the state after the last, too."""
    edges: list[Edge] = []
    x, state = x.detach(), detach(state)
    with torch.no_grad():
        for steps in segments:
            edges.append(Edge(state, draws_from([x], edges[-1].draws if edges else None)))
            state = own(unroll(x[steps], state)[1])
    return edges, state


def run(unroll: Unroll, x: Tensor, steps: slice, state: Any) -> Run:
    """Runs a segment for its gradients."""
    before = leaves(state)
    return Run(steps, before, *unroll(piece_of(x, steps), before))


class WayBack:
    """Pulls the gradient of the loss back through segments, the last of a sequence first.

    Args:
        loss: of the steps of a segment.
    """

    def __init__(self, loss: StepsLoss) -> None:
        self.loss = loss
        self._losses: list[Tensor] = []
        self._has_gradient = False
        self._gradients: list[Tensor | None] | None = None  # of the state after the segment to come

    def pull(self, run: Run) -> None:
        """Adds the gradients of a segment."""
        part, after = self.loss(run.outputs, run.steps), tensors_of(run.after)
        gradients = self._gradients or [None] * len(after)
        _add_gradients([part, *after], [torch.ones_like(part), *gradients])
        self._gradients = [tensor.grad for tensor in tensors_of(run.before)]
        self._has_gradient |= part.requires_grad
        self._losses.append(part.detach())

    def finish(self, first: Any) -> Tensor:
        """Hands the gradient on to the first state, and gives the loss of all segments.

        Raises:
            OptionError: no loss had a gradient.
        """
        if not self._has_gradient:
            raise OptionError(
                "the loss must depend on something that wants a gradient, got constants for all "
                "segments; compute it from the outputs, without detach or no_grad."
            )
        if first is not None:
            _add_gradients(tensors_of(first), self._gradients or [])
        return torch.stack(self._losses).sum()


def _add_gradients(tensors: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """Pulls these gradients back from those tensors that have a graph."""
    pairs = zip(tensors, gradients, strict=True)
    wanted = [(t, g) for t, g in pairs if t.requires_grad and g is not None]
    if wanted:
        torch.autograd.backward([t for t, _ in wanted], [g for _, g in wanted])
