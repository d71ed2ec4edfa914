"""The kernels as registered operators, for `torch.compile` and `torch.export` alone.

In eager mode crossing into a registered operator costs more than an `autograd.Function`; a
compiler needs one, because it cannot look into a kernel. The derivative of the gradient is not
registered: compiled code has first derivatives only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

from throughtime.errors import OptionError
from throughtime.native.compiled import KERNELS
from throughtime.native.functions import Layer
from throughtime.native.kernels import backward, forward
from throughtime.native.twins import WEIGHTS, Call
from throughtime.sequences import Rows, check_range


def _no_loop(*tensors: Tensor) -> tuple[Tensor, ...]:
    raise AssertionError("a registered operator never takes the loop")


def _refuse_forward_mode() -> None:
    """Stops what would lose its tangents without a word; torch counts levels per process."""
    if forward_ad._current_level >= 0:
        raise OptionError(
            "operators of throughtime must run without forward-mode differentiation, one was "
            "called under it; differentiate the layer itself, not what was compiled or exported."
        )


def _layer(tensors: Sequence[Tensor], name: str, D: int, *rows: Tensor | None) -> Layer:
    kernel = KERNELS[name]
    kinds = WEIGHTS[: (len(tensors) - 1 - kernel.num_states) // D]
    return Layer(Call(kernel, D, Rows(*rows), kinds), _no_loop)


def _checked_layer(tensors: Sequence[Tensor], name: str, D: int, *rows: Tensor | None) -> Layer:
    """The layer of real tensors: a graph that was recorded may run with any lengths."""
    layer = _layer(tensors, name, D, *rows)
    if layer.call.rows.lengths is not None:
        check_range(layer.call.rows.lengths, layer.call.rows.num_steps(tensors[0]))
    return layer


@torch.library.custom_op("throughtime::layer", mutates_args=())
def layer_operator(
    name: str,
    num_directions: int,
    tensors: Sequence[Tensor],
    batch_sizes: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
) -> list[Tensor]:
    """(y, *final states, *saved) of a layer; see `functions`."""
    _refuse_forward_mode()
    layer = _checked_layer(tensors, name, num_directions, batch_sizes, lengths, reset)
    results, saved = forward(layer.call, tuple(tensors), training=True)
    return [*results, *saved]


@layer_operator.register_fake
def _(
    name: str,
    num_directions: int,
    tensors: Sequence[Tensor],
    batch_sizes: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
) -> list[Tensor]:
    layer = _layer(tensors, name, num_directions, batch_sizes, lengths, reset)
    x, states = tensors[0], tensors[1 : layer.num_results]
    kernel = KERNELS[name]
    D, _, H = states[0].shape
    rows = x.shape[0] if batch_sizes is not None else x.shape[0] * x.shape[1]
    outputs = [x.new_empty(*x.shape[:-1], D * H)]
    outputs += [torch.empty_like(state).contiguous() for state in states]
    if kernel.num_values:
        outputs.append(x.new_empty(rows, D, kernel.num_values, H))
    if kernel.has_cell_state:
        outputs.append(x.new_empty(rows, D, H))
    return outputs


@torch.library.custom_op("throughtime::layer_backward", mutates_args=())
def layer_backward_operator(
    name: str,
    num_directions: int,
    grads: Sequence[Tensor],
    tensors: Sequence[Tensor],
    y: Tensor,
    saved: Sequence[Tensor],
    batch_sizes: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
) -> list[Tensor]:
    """The gradients of x, states and weights; see `functions`."""
    _refuse_forward_mode()
    layer = _checked_layer(tensors, name, num_directions, batch_sizes, lengths, reset)
    gradients = backward(layer.call, grads, (*tensors, y, *saved), True)
    return cast(list[Tensor], list(gradients))


@layer_backward_operator.register_fake
def _(
    name: str,
    num_directions: int,
    grads: Sequence[Tensor],
    tensors: Sequence[Tensor],
    y: Tensor,
    saved: Sequence[Tensor],
    batch_sizes: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
) -> list[Tensor]:
    return [torch.empty_like(tensor).contiguous() for tensor in tensors]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    name, num_directions, tensors, *ctx.rows = inputs
    ctx.name, ctx.num_directions, ctx.num_tensors = name, num_directions, len(tensors)
    saved = output[1 + KERNELS[name].num_states :]
    ctx.save_for_backward(*tensors, output[0], *saved)


def _backward(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    kept = ctx.saved_tensors
    tensors, (y, *saved) = list(kept[: ctx.num_tensors]), kept[ctx.num_tensors :]
    states = tensors[1 : 1 + KERNELS[ctx.name].num_states]
    filled = [
        torch.zeros_like(result) if grad is None else grad
        for grad, result in zip(grads, (y, *states), strict=False)
    ]
    dtensors = layer_backward_operator(
        ctx.name, ctx.num_directions, filled, tensors, y, saved, *ctx.rows
    )
    return None, None, dtensors, *[None] * len(Rows._fields)


layer_operator.register_autograd(_backward, setup_context=_setup_context)


def run_operator(call: Call, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Y and the final states, through the registered operator."""
    kernel, num_directions, rows, *_ = call
    outputs = layer_operator(kernel.name, num_directions, list(tensors), *rows)
    return tuple(outputs[: 1 + kernel.num_states])
