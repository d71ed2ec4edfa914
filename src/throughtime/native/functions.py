"""One recurrent layer as two differentiable torch functions over the compiled kernels.

`LayerForward` and its gradient `LayerBackward` are both `autograd.Function`s, so that first
derivatives run in the kernel wherever autograd or `torch.func` asks for them. What lies beyond,
the gradient of a gradient and `vmap`, is the derivative of the plain loop.

Tensors travel in one order: x, the states (h0, and c0 of an LSTM), then of each direction the
weights that `Call.kinds` names.
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
from throughtime.native.layout import sizes_of
from throughtime.native.sums import sums_of
from throughtime.native.trace import Adjoints, Trace
from throughtime.native.twins import Call

Tensors = tuple[Tensor, ...]


@dataclass(slots=True)
class Layer:
    """What a call is about beside its tensors.

    No tuple, or `torch.func` would look for tensors in it and wrap those of rows and noise.
    """

    call: Call
    loop: Callable[..., Tensors]  # (x, *states, *weights) -> (y, *final states), plain torch
    gives_c: bool = False  # whether c of every step is a result too, of the loop the last one
    trace: Trace | None = None  # where the passes leave what they compute at every step

    @property
    def num_results(self) -> int:
        """Y and the final states."""
        return 1 + self.call.kernel.num_states

    @property
    def adjoints(self) -> Adjoints | None:
        """Where backward passes leave what they compute at every step."""
        return None if self.trace is None else self.trace.adjoints

    @property
    def num_gradients(self) -> int:
        """Results that have a gradient: those, and c of every step where it is one."""
        return self.num_results + self.gives_c

    @property
    def num_saved(self) -> int:
        """Tensors kept for the backward pass beside y."""
        return self.call.num_saved_tensors

    @property
    def place_of_c(self) -> int:
        """Where c of every step is among all that the forward pass gives."""
        return self.num_results + (self.call.kernel.num_values > 0)

    def given(self, grads: Sequence[Any]) -> tuple[Any, ...]:
        """Gradients of y, the final states and c of every step out of those of all results."""
        given = tuple(grads[: self.num_results])
        return (*given, grads[self.place_of_c]) if self.gives_c else given


def with_states(call: Call, tensors: Sequence[Any]) -> Tensors:
    """The row of tensors with zeros where it has no states."""
    num_states = call.kernel.num_states
    if tensors[1] is not None:
        return tuple(tensors)
    x, *weights = tensors[0], *tensors[1 + num_states :]
    sizes = sizes_of(call.kernel, weights[1])[:num_states]
    lead = call.num_directions, call.rows.batch(x)
    return x, *[x.new_zeros(*lead, size) for size in sizes], *weights


def full_precision() -> AbstractContextManager[Any]:
    """Keeps CPU autocast away: recurrence runs in the precision of its weights."""
    if torch.is_autocast_enabled("cpu"):
        return torch.autocast("cpu", enabled=False)
    return _NOTHING


_NOTHING = nullcontext()


def _is_plain(grads: Sequence[Tensor | None]) -> bool:
    """Whether nobody differentiates, transforms or batches the backward pass itself."""
    if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        return False
    for grad in grads:  # a loop: `any` over a generator takes longer than all it asks
        if grad is not None and (type(grad) is not Tensor or is_legacy_batchedtensor(grad)):
            return False
    return True


class LayerForward(Function):
    """(y, *final states, *saved) of a layer: `LayerForward.apply(layer, x, *states, *weights)`."""

    @classmethod
    def apply_eagerly(cls, *args: Any) -> Tensors:
        """`apply` where no transform of `torch.func` is in force.

        `Function.apply` inspects the signature of `forward` at every call, which takes longer
        than a small layer; its base class goes straight to autograd.
        """
        results: Tensors = super(Function, cls).apply(*args)  # type: ignore[misc]  # in C++
        return results

    @staticmethod
    def forward(layer: Layer, *tensors: Tensor) -> Tensors:
        """Runs the kernel."""
        results, saved = kernels.forward(layer.call, tensors, training=True)
        if layer.trace is not None:
            layer.trace.see(layer.call, results[0], saved)
        return results + saved

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        """Keeps the inputs, y and what the kernel saved; of that only c may have a gradient."""
        layer, *tensors = inputs
        ctx.layer, ctx.num_inputs = layer, len(tensors)
        saved = output[layer.num_results :]
        c = output[layer.place_of_c] if layer.gives_c else None
        ctx.mark_non_differentiable(*[tensor for tensor in saved if tensor is not c])
        ctx.set_materialize_grads(False)
        # the final states are not kept: a user may overwrite them
        ctx.save_for_backward(*tensors, output[0], *saved)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients of x, states and weights, in the kernel or by `LayerBackward`."""
        layer: Layer = ctx.layer
        kept, num_inputs = ctx.saved_tensors, ctx.num_inputs  # asked once: hooks may count
        given, wants_dx = layer.given(grads), ctx.needs_input_grad[1]
        if _is_plain(given):
            sums = sums_of(layer.call, kept[:num_inputs])
            return None, *kernels.backward(layer.call, given, kept, wants_dx, sums, layer.adjoints)
        if layer.adjoints is not None:
            layer.adjoints.clear()
        inputs, y, saved = kept[:num_inputs], kept[num_inputs], kept[num_inputs + 1 :]
        gradients = _differentiable_backward(layer, given, inputs, y, saved, wants_dx)
        is_there = [tensor is not None for tensor in inputs]
        return None, *[g if i else None for g, i in zip(gradients, is_there, strict=True)]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], layer: Layer, *tensors: Tensor) -> Any:
        """The loop under `torch.vmap`; its backward pass is the loop's and reads nothing saved."""
        looped = torch.vmap(layer.loop, in_dims[1:], randomness=info.randomness)(*tensors)
        saved = tensors[0].new_empty(0)
        nothing = layer.num_saved
        return (*looped, *[saved] * nothing), (*[0] * len(looped), *[None] * nothing)


def _differentiable_backward(
    layer: Layer,
    grads: Sequence[Tensor | None],
    inputs: Sequence[Tensor],
    y: Tensor,
    saved: Sequence[Tensor],
    wants_dx: bool,
) -> Tensors:
    """The gradients of the inputs, where somebody may differentiate or batch them again."""
    inputs = with_states(layer.call, inputs)
    # the final states have the shapes of the first ones
    results = layer.given((y, *inputs[1 : layer.num_results], *saved))
    filled = [
        torch.zeros_like(result) if grad is None else grad
        for grad, result in zip(grads, results, strict=True)
    ]
    if any(map(is_legacy_batchedtensor, filled)):  # of grad(..., is_grads_batched=True)
        return loop_backward_of(layer)(*filled, *inputs)
    gradients: Tensors = LayerBackward.apply(  # type: ignore[no-untyped-call]  # torch's own
        layer, wants_dx, *filled, *inputs, y, *saved
    )
    return gradients


class LayerBackward(Function):
    """Gradients of x, states and weights from those of y and the final states.

    `LayerBackward.apply(layer, wants_dx, dy, *dstates, *inputs, y, *saved)`, behind dstates the
    gradient of c where it is a result; where that of x is not wanted, an empty tensor stands for
    it.
    """

    @staticmethod
    def forward(layer: Layer, wants_dx: bool, *tensors: Tensor) -> tuple[Tensor | None, ...]:
        """Runs the kernel back through time."""
        num_grads = layer.num_gradients
        grads, kept = tensors[:num_grads], tensors[num_grads:]
        dx, *others = kernels.backward(layer.call, grads, kept, wants_dx)
        return kept[0].new_empty(0) if dx is None else dx, *others

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
        pull_back = torch.func.vjp(loop_backward_of(ctx.layer), *ctx.saved_tensors)[1]
        if not ctx.wants_dx:
            x = ctx.saved_tensors[ctx.layer.num_gradients]
            grads = (torch.zeros_like(x), *grads[1:])
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
    num_grads = layer.num_gradients

    def loop_backward(*tensors: Tensor) -> Tensors:
        pull_back = torch.func.vjp(layer.loop, *tensors[num_grads:])[1]
        gradients: Tensors = pull_back(tensors[:num_grads])
        return gradients

    return loop_backward


def _parts_of_backward(layer: Layer, tensors: Sequence[Tensor]) -> tuple[Tensors, ...]:
    """Gradients, inputs, and y with what was saved, out of one row."""
    first = layer.num_gradients
    last = len(tensors) - layer.num_saved - 1
    return tuple(tensors[:first]), tuple(tensors[first:last]), tuple(tensors[last:])
