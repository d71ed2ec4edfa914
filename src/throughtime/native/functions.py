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
from throughtime.native.kernels import Kernel, Sizes

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
    """Projects all steps in one product, then runs the kernel over time.

    Returns:
        results: y [T, B, D*H] or [N, D*H], and the final states [D, B, H].
        saved: in training, what the backward pass reads beside them (see `kernels.forward`).
    """
    x, states, weights = layer.parts(tensors)
    sizes = Sizes.of(x, states[0], layer.batch_sizes)
    weight_ih, weight_hh, *biases = stacked(weights, sizes.D)
    rows = x.reshape(sizes.N, x.shape[-1])
    rotated = weight_ih.flatten(0, 1).t()
    z = torch.addmm(biases[0].flatten(), rows, rotated) if biases else rows @ rotated
    bias_hh = biases[1] if biases else None
    inputs = (z, weight_hh, bias_hh, states, layer.batch_sizes, sizes)
    y, finals, saved = kernels.forward(layer.kernel, *inputs, x.shape[:-1], training)
    return (y, *finals), saved


def run_backward(
    layer: Layer, grads: Sequence[Tensor], tensors: Sequence[Tensor], y: Tensor, saved: Tensors
) -> Tensors:
    """Runs the kernel back through time, then one product per weight.

        dL/dW_ih = sum_t dz_t^T x_t,   dL/dW_hh = sum_t da_t^T h_{t-1},   dL/dx_t = dz_t W_ih

    Args:
        layer: of the forward call.
        grads: dL/dy and the gradient of every final state.
        tensors: inputs of the forward call.
        y: its output.
        saved: what it kept.

    Returns:
        The gradients of `tensors`.
    """
    x, states, weights = layer.parts(tensors)
    sizes = Sizes.of(x, states[0], layer.batch_sizes)
    D, G_H, H = sizes.D, layer.kernel.num_gates * sizes.H, sizes.H
    weight_ih, weight_hh, *biases = stacked(weights, D)
    rows, y = x.reshape(sizes.N, x.shape[-1]), y.reshape(sizes.N, D * H)
    dz, da, dstates = kernels.backward(
        layer.kernel, grads, y, states, saved, weight_hh, layer.batch_sizes, sizes
    )
    dweights = []
    with full_precision():
        for d in range(D):
            dz_d, da_d = (grad[:, d * G_H : (d + 1) * G_H] for grad in (dz, da))  # [N, G*H]
            y_d = y[:, d * H : (d + 1) * H]
            before = previous_states(y_d, states[0][d], layer.batch_sizes, reverse=d == 1)
            dweights += [dz_d.t() @ rows, sum_of_products(da_d, before)]
            if biases:
                dweights += [dz_d.sum(0), da_d.sum(0)]
        dx = (dz @ weight_ih.flatten(0, 1)).view_as(x)
    return (dx, *dstates, *dweights)


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
        gradients = LayerBackward.apply(  # type: ignore[no-untyped-call]  # torch's own
            layer, *filled, *kept
        )
        return None, *gradients

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], layer: Layer, *tensors: Tensor) -> Any:
        """The loop under `torch.vmap`; its backward pass is the loop's and reads nothing saved."""
        looped = torch.vmap(layer.loop, in_dims[1:], randomness=info.randomness)(*tensors)
        saved = tensors[0].new_empty(0)
        nothing = layer.kernel.num_saved_tensors
        return (*looped, *[saved] * nothing), (*[0] * len(looped), *[None] * nothing)


class LayerBackward(Function):
    """Gradients of x, states and weights from those of y and the final states.

    `LayerBackward.apply(layer, dy, *dstates, *inputs, y, *saved)`.
    """

    @staticmethod
    def forward(layer: Layer, *tensors: Tensor) -> Tensors:
        """Runs the kernel back through time."""
        grads, inputs, (y, *saved) = _parts_of_backward(layer, tensors)
        return run_backward(layer, grads, inputs, y, tuple(saved))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        """Keeps the gradients that came and the layer's inputs: what the result depends on."""
        ctx.layer, *tensors = inputs
        grads, layer_inputs, others = _parts_of_backward(ctx.layer, tensors)
        ctx.num_others = len(others)
        ctx.save_for_backward(*grads, *layer_inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Differentiates the loop's own backward pass."""
        pull_back = torch.func.vjp(loop_backward_of(ctx.layer), *ctx.saved_tensors)[1]
        # y and what was saved stand for the inputs they were computed from
        return None, *pull_back(grads), *[None] * ctx.num_others

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], layer: Layer, *tensors: Tensor) -> Any:
        """The loop's backward pass under `torch.vmap`."""
        grads, inputs, _ = _parts_of_backward(layer, tensors)
        used = len(grads) + len(inputs)
        looped = torch.vmap(
            loop_backward_of(layer), in_dims[1 : used + 1], randomness=info.randomness
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


BLOCKS = 8
"""Blocks of rows in which the gradient of the recurrent weights is added up."""


def sum_of_products(da: Tensor, h: Tensor) -> Tensor:
    """sum_n da_n^T h_n, added up in blocks of rows.

    One long sum in float32 loses twice as much as torch's own sum step by step; a few shorter
    ones lose no more.

    Args:
        da: [N, G*H].
        h: [N, H].

    Returns:
        [G*H, H].
    """
    total = da.new_zeros(da.shape[1], h.shape[1])
    rows = max(1, -(-len(da) // BLOCKS))
    for da_block, h_block in zip(torch.split(da, rows), torch.split(h, rows), strict=True):
        total.addmm_(da_block.t(), h_block)
    return total


def stacked(weights: Tensors, num_directions: int) -> list[Tensor]:
    """Each kind of weight for all directions, [D, ...], contiguous."""
    kinds = len(weights) // num_directions
    if num_directions == 1:
        return [kernels.dense(weight).unsqueeze(0) for weight in weights]
    return [kernels.dense(torch.stack(weights[kind::kinds])) for kind in range(kinds)]


def previous_states(y: Tensor, h0: Tensor, batch_sizes: Tensor | None, reverse: bool) -> Tensor:
    """h_{t-1} of every row of every step (in reverse: h_{t+1}), as the cell saw it.

    Args:
        y: outputs of one direction, [N, H].
        h0: its initial state, [B, H].
        batch_sizes: rows of each step, [T], or None for B rows in all.
        reverse: the direction runs from the end.

    Returns:
        [N, H].
    """
    B = h0.shape[0]
    if batch_sizes is None:
        return torch.cat([y[B:], h0] if reverse else [h0, y[: len(y) - B]])
    offsets = batch_sizes.cumsum(0) - batch_sizes
    step = torch.repeat_interleave(torch.arange(len(batch_sizes), device=y.device), batch_sizes)
    row = torch.arange(len(y), device=y.device) - offsets[step]
    neighbour = step + 1 if reverse else step - 1
    inside = neighbour.clamp(0, len(batch_sizes) - 1)
    begins = (neighbour != inside) | (row >= batch_sizes[inside])
    source = torch.where(begins, row, B + offsets[inside] + row)
    return torch.cat([h0, y]).index_select(0, source)
