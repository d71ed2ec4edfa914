"""What one layer computed in one call, for who looks on: numbers without a graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor

from throughtime.native import trace as native


class Adjoints:
    """The gradients of one layer in one call, there once a backward pass has been through it.

    Attributes:
        kernel: what the kernel handed out, if the layer ran there.
        notes: of each direction what its loop noted, if it ran there.
        num_holders: how many keep them.
    """

    def __init__(self) -> None:
        self.num_holders = 0
        self.kernel = native.Adjoints()
        self.notes: list[StepNotes] = []
        self._dy: Tensor | None = None  # of the loop

    @property
    def are_known(self) -> bool:
        """Whether a backward pass has been here."""
        return self.kernel.dh is not None or any(notes.has_grads for notes in self.notes)

    @property
    def dy(self) -> Tensor | None:
        """What came to y, dL/dh_t without the part through later steps; None where nothing did.

        [T, B, D*P] or [T, B, D, P], or packed.
        """
        return self._dy if self.kernel.dy is None else self.kernel.dy

    def watch_output(self, h: Tensor) -> None:
        """Notes the gradient of the loop's output once it is known."""
        if h.requires_grad:
            h.register_hook(self._note_output)  # type: ignore[no-untyped-call]

    def _note_output(self, grad: Tensor | None) -> None:
        if grad is not None and not is_legacy_batchedtensor(grad):
            self._dy = grad.detach()

    def new_notes(self) -> StepNotes:
        """Where the loop notes what the next direction computes."""
        self.notes.append(StepNotes())
        return self.notes[-1]


class Trace:
    """States and gates of one layer in one call, and its gradients.

    Args:
        wants_gradients: whether backward passes are to leave theirs.

    Attributes:
        adjoints: where they leave them.
        kernel: what the kernel handed out, if the layer ran there.
    """

    def __init__(self, wants_gradients: bool) -> None:
        self.adjoints = Adjoints() if wants_gradients else None
        self.kernel = native.Trace(self.adjoints.kernel if self.adjoints else None)
        self._looped: Any = None  # the states of the loop

    def see(self, states: Any) -> None:
        """Keeps what the loop computed, fields [..., D, ·], and the gradients that come to h."""
        self._looped = type(states)(*(field.detach() for field in states))
        if self.adjoints is not None:
            self.adjoints.watch_output(states[0])

    @property
    def kept(self) -> list[Tensor]:
        """Every tensor it keeps of the forward pass."""
        return [*(self._looped or ()), *self.kernel.kept]

    def states(self, lead: Sequence[int]) -> Any:
        """The state after every step, fields [*lead, D, ·]."""
        return self.kernel.states(lead) if self._looped is None else self._looped

    def gates(self, lead: Sequence[int]) -> Tensor | None:
        """The gates that the kernel kept, [*lead, D, G, H]."""
        return self.kernel.gates(lead)


class StepNotes:
    """The gradients of every step of a direction in the loop, by name and then by step, [B, ·]."""

    def __init__(self) -> None:
        self.states: dict[str, dict[int, Tensor]] = {}
        self.pre_activations: dict[str, dict[int, Tensor]] = {}

    @property
    def has_grads(self) -> bool:
        """Whether a gradient came to a step."""
        return any(self.states.values())

    def step(self, t: int, cell: Any, z: Tensor, before: Any) -> Any:
        """The cell's step, of which each part tells its gradient once it is known."""
        if hasattr(cell, "inside"):
            inside = cell.inside(z, before)
            new = inside.state
            _watch(self.pre_activations, t, inside.pre_activations)
        else:
            new = cell.step(z, before)
        if isinstance(new, tuple) and hasattr(new, "_asdict"):
            _watch(self.states, t, new._asdict())
        return new


def _watch(grads: dict[str, dict[int, Tensor]], t: int, tensors: dict[str, Any]) -> None:
    for name, tensor in tensors.items():
        steps = grads.setdefault(name, {})
        if isinstance(tensor, Tensor) and tensor.requires_grad:
            tensor.register_hook(partial(_keep, steps, t))  # type: ignore[no-untyped-call]


def _keep(steps: dict[int, Tensor], t: int, grad: Tensor | None) -> None:
    if grad is not None and not is_legacy_batchedtensor(grad):
        steps[t] = grad.detach()


def spread(steps: dict[int, Tensor], like: Tensor) -> Tensor:
    """The gradients of all steps, [T, B, ·] as `like` is; zeros where there is none."""
    full = torch.zeros_like(like)
    for t, grad in steps.items():
        full[t, : len(grad)] = grad  # rows that have ended stand behind the others
    return full
