"""Where to cut a long sequence: whole blocks of steps, and as many segments as memory asks for."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from throughtime.bptt.draws import drawn_again, draws_from
from throughtime.bptt.states import tensors_of
from throughtime.bptt.strategy import StepsLoss, Unroll
from throughtime.errors import OptionError
from throughtime.native import gradient_steps


def block_steps(inputs: Tensor) -> int:
    """Steps of a block, by `native.gradient_steps`; segments are whole blocks.

    Without a batch, [T] or [T, I] of real numbers, there is one row.
    """
    has_batch = inputs.dim() > 2 or (inputs.dim() == 2 and not inputs.is_floating_point())
    return gradient_steps(inputs.shape[1] if has_batch else 1)


def cut(num_steps: int, block: int, segments: int) -> list[slice]:
    """Segments of whole blocks, counted from the end, as even as these allow.

    Args:
        num_steps: T.
        block: steps of a block; the first of the sequence may be shorter.
        segments: how many; as many as there are blocks if those are fewer.

    Example:
        >>> cut(10, block=3, segments=2)
        [slice(0, 4, None), slice(4, 10, None)]
    """
    num_blocks = max(1, -(-num_steps // block))
    segments = min(segments, num_blocks)
    left = [num_blocks - num_blocks * s // segments for s in range(segments + 1)]  # blocks behind
    borders = [max(0, num_steps - blocks * block) for blocks in left]
    return [slice(begin, end) for begin, end in pairwise(borders)]


class Costs(NamedTuple):
    """Bytes that a backward pass keeps."""

    step: int  # the inner values of one step, and the gradients on their way through it
    edge: int  # a state between two steps, with the random state if the unroll draws


def measure(unroll: Unroll, inputs: Tensor, state: Any, loss: StepsLoss | None) -> Costs:
    """What an unroll and its loss keep, found by running the first step and the first two steps.

    What both keep (weights) cancels. No random number is used up.

    Args:
        unroll: what will run.
        inputs: the sequence, [T, B, ...], of at least two steps.
        state: the first state, or None.
        loss: of these steps, or None.
    """
    draws = draws_from([inputs])
    with drawn_again(draws, [inputs]):
        one, _ = _kept(unroll, inputs[:1], state, loss)
        two, after = _kept(unroll, inputs[:2], state, loss)
        is_random = draws_from([inputs], draws) is not draws
    edge = sum(tensor.nbytes for tensor in tensors_of(after)) + is_random * draws.nbytes
    return Costs(two - one, edge)


def _kept(unroll: Unroll, inputs: Tensor, state: Any, loss: StepsLoss | None) -> tuple[int, Any]:
    """Bytes of all memory that a graph holds, with the gradients in it, and the last state."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs, after = unroll(inputs.detach().requires_grad_(inputs.requires_grad), state)
        graph = outputs if loss is None else loss(outputs, slice(0, len(inputs)))
    del graph  # only now: what it holds has addresses of its own
    gradients = outputs.nbytes + inputs.requires_grad * inputs.nbytes
    return sum(kept.values()) + gradients, after


def count_segments(num_blocks: int, block: int, edge: int, memory: float | None) -> int:
    """The fewest segments that fit in a memory, or those that need the least without one.

        S - 1 edges  +  ceil(N / S) blocks  <=  memory

    The least is near S = sqrt(N block / edge) and grows as the root of N (Chen et al. 2016).

    Args:
        num_blocks: N, blocks of the sequence.
        block: bytes of the inner values of one block.
        edge: bytes of a state between segments.
        memory: bytes at most, or None.

    Raises:
        OptionError: no number of segments fits.

    Example:
        >>> [count_segments(100, block=4, edge=1, memory=m) for m in (400, 100, None)]
        [1, 5, 20]
    """

    def need(segments: int) -> int:
        return (segments - 1) * edge + -(-num_blocks // segments) * block

    least = min(range(1, num_blocks + 1), key=need)
    if memory is None:
        return least
    if need(least) > memory:
        raise OptionError(
            f"memory must be at least {need(least)} bytes for this sequence, got {memory:.0f}; "
            "allow more, or use fewer rows or units."
        )
    return next(segments for segments in range(1, least + 1) if need(segments) <= memory)
