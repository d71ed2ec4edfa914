"""What a backward pass finds in one layer: the gradient of every state and pre-activation."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor

from throughtime.native import adjoints as native


class Adjoints:
    """The gradients of one layer in one call, there once a backward pass has been through it.

    Attributes:
        dy: dL/dh_t by all that reads the output of step t, [T, B, D, P] or packed [N, D, P]: what
            came through the layer's own later steps is not in it.
        kernel: what the kernel handed out, if the layer ran there.
        notes: of each direction what its loop noted, if it ran there.
    """

    def __init__(self) -> None:
        self.dy: Tensor | None = None
        self.kernel = native.Adjoints()
        self.notes: list[StepNotes] = []

    @property
    def are_known(self) -> bool:
        """Whether a backward pass has been here."""
        return self.kernel.dh is not None or any(notes.has_grads for notes in self.notes)

    def watch_output(self, h: Tensor) -> None:
        """Notes the gradient of the layer's output once it is known."""
        if h.requires_grad:
            h.register_hook(self._note_output)  # type: ignore[no-untyped-call]

    def _note_output(self, grad: Tensor | None) -> None:
        if grad is not None and not is_legacy_batchedtensor(grad):
            self.dy = grad.detach()

    def new_notes(self) -> StepNotes:
        """Where the loop notes what the next direction computes."""
        self.notes.append(StepNotes())
        return self.notes[-1]


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
