"""Pieces of a long input, whose gradients are written to one buffer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def gradient_buffer(inputs: Tensor) -> Iterator[Tensor]:
    """Inputs whose gradient, if one is wanted, has the memory that `piece_of` adds to.

    Inputs that were computed hand it on to what they were computed from, at the end.
    """
    if not inputs.requires_grad:
        yield inputs
        return
    leaf = inputs if inputs.is_leaf else inputs.detach().requires_grad_()
    if leaf.grad is None:
        leaf.grad = torch.zeros_like(leaf)
    yield leaf
    if leaf is not inputs:
        torch.autograd.backward(inputs, leaf.grad)


def piece_of(inputs: Tensor, steps: slice) -> Tensor:
    """Some steps as a leaf, whose gradient is added to its part of `inputs.grad`."""
    piece = inputs.detach()[steps]
    if inputs.requires_grad:
        assert inputs.grad is not None  # by `gradient_buffer`
        piece.requires_grad_().grad = inputs.grad[steps]
    return piece
