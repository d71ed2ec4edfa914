"""Gradients of weights that several backward passes add up as if they were one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.nn import Parameter

_Sums = dict[int, tuple[Tensor, Tensor]]  # weight and sum, by the identity of the weight
_sums: ContextVar[_Sums | None] = ContextVar("sums", default=None)


@contextmanager
def gradients_in_one_sum() -> Iterator[None]:
    """Lets the backward passes of kernels within go on adding where the one before stopped.

        dL/dW = ((block N + block N-1) + ...) + block 1

    A kernel adds the gradients of weights block by block, from the last step on. A sequence cut
    into pieces of whole blocks (`gradient_steps`), whose backward passes are made one by one from
    the last piece on, then has the bits of one pass over the whole.

    At the end every sum is added to `.grad` of its parameter, as one gradient. Weights that are
    computed from others, and cells without a kernel, keep to autograd: rounding may differ there.
    """
    sums: _Sums = {}
    token = _sums.set(sums)
    try:
        yield
    finally:
        _sums.reset(token)
    wanted = [pair for pair in sums.values() if pair[0].requires_grad]
    if wanted:
        weights, totals = zip(*wanted, strict=True)
        torch.autograd.backward(weights, totals)


def sums_of(weights: Sequence[Tensor]) -> list[Tensor] | None:
    """What a backward pass adds the gradients of these weights to; None where it sets them."""
    sums = _sums.get()
    if sums is None or any(type(weight) is not Parameter for weight in weights):
        return None
    for weight in weights:
        if id(weight) not in sums:
            new = torch.zeros_like(weight, memory_format=torch.contiguous_format)
            sums[id(weight)] = weight, new
    return [sums[id(weight)][1] for weight in weights]
