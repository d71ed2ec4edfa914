"""Gradients of weights that several backward passes add up as if they were one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.nn import Parameter

from throughtime.native.kernels import GradientSums
from throughtime.native.twins import FRESH, Call

_Sums = dict[tuple[int, int], GradientSums]  # by the identity of W_hh and the number of rows
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
    for kept in sums.values():
        for weight, total in zip(kept.weights, kept.gradients(), strict=True):
            if weight.requires_grad:
                torch.autograd.backward(weight, total)


def sums_of(call: Call, row: Sequence[Tensor]) -> GradientSums | None:
    """Where the backward pass of a call adds the gradients of its weights; None to set them."""
    sums = _sums.get()
    if sums is None:
        return None
    weights, batch = row[1 + call.kernel.num_states :], call.rows.batch(row[0])
    if any(type(weight) is not Parameter for weight in weights):
        return None
    if any(kind in FRESH for kind in call.kinds):  # their gradients are no sums of blocks
        return None
    return sums.setdefault((id(weights[1]), batch), GradientSums(call, weights, batch))
