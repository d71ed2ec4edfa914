"""Checkpointed BPTT: the exact gradient of a sequence too long to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from throughtime.bptt.draws import drawn_again
from throughtime.bptt.pieces import gradient_buffer
from throughtime.bptt.segments import block_steps, count_segments, cut, measure
from throughtime.bptt.states import detach, own
from throughtime.bptt.strategy import Carry, StepsLoss, Unroll, check_can_be_cut
from throughtime.bptt.way_back import WayBack, run, walk
from throughtime.errors import OptionError
from throughtime.native import gradients_in_one_sum


@dataclass(frozen=True)
class Checkpointed:
    """Exact BPTT in O(sqrt T) memory: only states between segments are kept, the rest run again.

        forward:   state_s = unroll(x of segment s, state_{s-1}),   kept for s = 1 ... S - 1
        backward:  for s = S ... 1: run segment s again from state_{s-1}, then
                   dL/dstate_{s-1}, dL/dw += the segment's part, from its losses and dL/dstate_s

    It costs at most one more forward run: the last segment is run once only. Random numbers
    (dropout) are drawn again as they were. Sources: Chen et al. 2016; choosing for a memory
    budget: Gruslys et al. 2016, of whose schedules this is the one that runs no step three times.

    Layers that run in a kernel have the bits of `Full`: states, outputs, dL/dh and dL/dx, and of
    `backward` dL/dw too, since segments are whole blocks of `native.gradient_steps`. `advance`
    leaves dL/dw to autograd, which adds whole segments, and loops have sums of their own: there it
    agrees to rounding.

    Args:
        segments: S; as many as the sequence has blocks if those are fewer.
        memory: budget in bytes, from which the smallest S is chosen that fits. It covers what
            grows with the sequence or a segment: states between segments, and of one segment what
            `unroll` and `loss` keep and the gradients of outputs and inputs; not inputs, weights
            and their gradients. Without either, S is the one that needs least memory.

    Raises:
        OptionError: both are given, or one is below 1.

    Note:
        `advance` keeps all outputs; `backward` neither outputs nor projections, and calls `loss`
        once per segment, from the last one on. To choose S, `unroll` and `loss` are called for
        the first step and the first two steps.

    Example:
        >>> layer, x, targets = torch.nn.LSTM(2, 4), torch.ones(1000, 1, 2), torch.zeros(1000, 1, 4)
        >>> def loss(outputs, steps):
        ...     return (outputs - targets[steps]).square().sum() / len(x)
        >>> total, carry = Checkpointed(memory=100_000).backward(layer, x, loss)
        >>> bool(torch.isclose(total, loss(layer(x)[0], slice(0, 1000))))
        True
    """

    segments: int | None = None
    memory: float | None = None

    def __post_init__(self) -> None:
        if self.segments is not None and self.memory is not None:
            raise OptionError(
                f"segments or memory must be None, got {self.segments} and {self.memory}; the "
                "number of segments follows from the memory."
            )
        for name, value in (("segments", self.segments), ("memory", self.memory)):
            if value is not None and not value >= 1:
                raise OptionError(f"{name} must be at least 1, got {value}; pass a larger number.")

    def windows(self, x: Tensor) -> tuple[Tensor]:
        """The whole sequence, [T, ...], as one piece."""
        return (x,)

    def advance(
        self, unroll: Unroll, inputs: Tensor, carry: Carry | None = None
    ) -> tuple[Tensor, Carry]:
        """Runs a sequence; see `Strategy.advance`. No gradient goes back beyond its first step.

        Raises:
            OptionError: the memory is not enough, or a layer cannot be cut in time.
        """
        state = None if carry is None else carry.state
        segments = self._cut(unroll, inputs, state)
        outputs, last = [], len(segments) - 1
        pieces = torch.split(inputs, [steps.stop - steps.start for steps in segments])
        for index, piece in enumerate(pieces):
            if index == last:  # its values are the first to be asked for
                output, state = unroll(piece, state)
            else:
                output, state = checkpoint(unroll, piece, state, use_reentrant=False)
                state = own(state)
            outputs.append(output)
        return torch.cat(outputs), Carry(own(detach(state)))

    def backward(
        self, unroll: Unroll, inputs: Tensor, loss: StepsLoss, carry: Carry | None = None
    ) -> tuple[Tensor, Carry]:
        """Adds the gradient of a sequence's loss to `.grad`; see `Strategy.backward`.

        Raises:
            OptionError: the memory is not enough, a layer cannot be cut in time, or the loss
                depends on nothing that wants a gradient.
        """
        first = None if carry is None else carry.state
        *earlier, last = self._cut(unroll, inputs, first, loss)
        with gradient_buffer(inputs) as x, gradients_in_one_sum():
            edges, state = walk(unroll, x, earlier, first)
            way_back, segment = WayBack(loss), run(unroll, x, last, state)
            carry = Carry(own(detach(segment.after)))
            way_back.pull(segment)
            while edges:
                edge = edges.pop()
                del segment  # before the next takes its memory
                with drawn_again(edge.draws, [x]):
                    segment = run(unroll, x, earlier[len(edges)], edge.state)
                way_back.pull(segment)
            return way_back.finish(first), carry

    def _cut(
        self, unroll: Unroll, inputs: Tensor, state: Any, loss: StepsLoss | None = None
    ) -> list[slice]:
        """The steps of every segment."""
        check_can_be_cut(unroll)
        T, block, segments = len(inputs), block_steps(inputs), self.segments
        if segments is None and T > block:
            costs, num_blocks = measure(unroll, inputs, detach(state), loss), -(-T // block)
            segments = count_segments(num_blocks, block * costs.step, costs.edge, self.memory)
        return cut(T, block, segments or 1)
