"""One recurrent layer as two differentiable torch functions over the compiled kernels.

`LayerForward` and its gradient `LayerBackward` are both `autograd.Function`s, so that first
derivatives run in the kernel wherever autograd or `torch.func` asks for them. What lies beyond,
the gradient of a gradient and `vmap`, is the derivative of the plain loop.

Tensors travel in one order: x, the states (h0, and c0 of an LSTM), then of each direction
weight_ih, weight_hh and, with biases, bias_ih, bias_hh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import Function

from throughtime.native import kernels
from throughtime.native.kernels import Kernel

Tensors = tuple[Tensor, ...]


@dataclass(frozen=True)
class Layer:
    """What a call is about beside its tensors."""

    kernel: Kernel
    batch_sizes: Tensor | None  # rows of each step of a packed input, [T]
    loop: Callable[..., Tensors]  # (x, *states, *weights) -> (y, *final states), plain torch

    def parts(self, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensors, Tensors]:
        """x, states and weights out of the one row of tensors."""
        count = 1 + self.kernel.num_states
        return tensors[0], tuple(tensors[1:count]), tuple(tensors[count:])


def full_precision() -> AbstractContextManager[Any]:
    """Keeps CPU autocast away: recurrence runs in the precision of its weights."""
    if torch.is_autocast_enabled("cpu"):
        return torch.autocast("cpu", enabled=False)
    return nullcontext()


def run_forward(layer: Layer, tensors: Sequence[Tensor], training: bool) -> tuple[Tensors, Tensors]:
    """Results and what is saved for the backward pass; see `kernels.forward`."""
    x, states, weights = layer.parts(tensors)
    return kernels.forward(layer.kernel, x, states, weights, layer.batch_sizes, training)


def run_backward(
    layer: Layer,
    grads: Sequence[Tensor | None],
    tensors: Sequence[Tensor],
    y: Tensor,
    saved: Tensors,
    wants_dx: bool = True,
) -> Tensors:
    """The gradients of `tensors`, from those of y and the final states; see `kernels.backward`."""
    parts = layer.parts(tensors)
    return kernels.backward(layer.kernel, grads, *parts, y, saved, layer.batch_sizes, wants_dx)


class LayerForward(Function):
    """(y, *final states, *saved) of a layer: `LayerForward.apply(layer, x, *states, *weights)`."""

    @staticmethod
    def forward(layer: Layer, *tensors: Tensor) -> Tensors:
        """Runs the kernel."""
        results, saved = run_forward(layer, tensors, training=True)
        return results + saved

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        """Keeps the inputs, y and what the kernel saved; that has no gradient of its own."""
        ctx.layer, *tensors = inputs
        saved = output[1 + ctx.layer.kernel.num_states :]
        ctx.mark_non_differentiable(*saved)
        ctx.set_materialize_grads(False)
        # the final states are not kept: a user may overwrite them
        ctx.save_for_backward(*tensors, output[0], *saved)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients of x, states and weights, by `LayerBackward`."""
        layer: Layer = ctx.layer
        kept = ctx.saved_tensors  # once: hooks may count
        y = kept[len(kept) - layer.kernel.num_saved_tensors - 1]
        _, states, _ = layer.parts(kept)
        filled = [
            torch.zeros_like(result) if grad is None else grad
            for grad, result in zip(grads, (y, *states), strict=False)
        ]
        if any(map(is_legacy_batchedtensor, filled)):  # of grad(..., is_grads_batched=True)
            inputs = kept[: len(kept) - layer.kernel.num_saved_tensors - 1]
            return None, *loop_backward_of(layer)(*filled, *inputs)
        wants_dx = ctx.needs_input_grad[1]
        dx, *gradients = LayerBackward.apply(  # type: ignore[no-untyped-call]  # torch's own
            layer, wants_dx, *filled, *kept
        )
        return None, (dx if wants_dx else None), *gradients

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], layer: Layer, *tensors: Tensor) -> Any:
        """The loop under `torch.vmap`; its backward pass is the loop's and reads nothing saved."""
        looped = torch.vmap(layer.loop, in_dims[1:], randomness=info.randomness)(*tensors)
        saved = tensors[0].new_empty(0)
        nothing = layer.kernel.num_saved_tensors
        return (*looped, *[saved] * nothing), (*[0] * len(looped), *[None] * nothing)


class LayerBackward(Function):
    """Gradients of x, states and weights from those of y and the final states.

    `LayerBackward.apply(layer, wants_dx, dy, *dstates, *inputs, y, *saved)`; where the gradient of
    x is not wanted, an empty tensor stands for it.
    """

    @staticmethod
    def forward(layer: Layer, wants_dx: bool, *tensors: Tensor) -> Tensors:
        """Runs the kernel back through time."""
        grads, inputs, (y, *saved) = _parts_of_backward(layer, tensors)
        return run_backward(layer, grads, inputs, y, tuple(saved), wants_dx)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        """Keeps the gradients that came and the layer's inputs: what the result depends on."""
        ctx.layer, ctx.wants_dx, *tensors = inputs
        grads, layer_inputs, others = _parts_of_backward(ctx.layer, tensors)
        ctx.num_others = len(others)
        ctx.save_for_backward(*grads, *layer_inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Differentiates the loop's own backward pass."""
        looped, pull_back = torch.func.vjp(loop_backward_of(ctx.layer), *ctx.saved_tensors)
        if not ctx.wants_dx:
            grads = (torch.zeros_like(looped[0]), *grads[1:])
        # y and what was saved stand for the inputs they were computed from
        return None, None, *pull_back(grads), *[None] * ctx.num_others

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], layer: Layer, wants_dx: bool, *tensors: Tensor
    ) -> Any:
        """The loop's backward pass under `torch.vmap`, which gives every gradient."""
        grads, inputs, _ = _parts_of_backward(layer, tensors)
        used = len(grads) + len(inputs)
        looped = torch.vmap(
            loop_backward_of(layer), in_dims[2 : used + 2], randomness=info.randomness
        )(*tensors[:used])
        return looped, (0,) * len(looped)


def loop_backward_of(layer: Layer) -> Callable[..., Tensors]:
    """(dy, *dstates, x, *states, *weights) -> gradients, through the plain loop."""
    num_grads = 1 + layer.kernel.num_states

    def loop_backward(*tensors: Tensor) -> Tensors:
        pull_back = torch.func.vjp(layer.loop, *tensors[num_grads:])[1]
        gradients: Tensors = pull_back(tensors[:num_grads])
        return gradients

    return loop_backward


def _parts_of_backward(layer: Layer, tensors: Sequence[Tensor]) -> tuple[Tensors, ...]:
    """Gradients, inputs, and y with what was saved, out of one row."""
    first = 1 + layer.kernel.num_states
    last = len(tensors) - layer.kernel.num_saved_tensors - 1
    return tuple(tensors[:first]), tuple(tensors[first:last]), tuple(tensors[last:])
