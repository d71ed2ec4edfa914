"""The way back of many losses: the gradients of all of them travel through a stack together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import hardshrink

from throughtime.instruments.direct import check_sum, direct
from throughtime.instruments.pull import Pulled, Steps
from throughtime.instruments.recording import LayerRecording
from throughtime.sequences import without_padding

Arriving = Iterable[tuple[int, Tensor | None]]
"""By lag what comes to h from above, [n, B, D*P] for the losses that have a step there."""


class Found(NamedTuple):
    """The gradients of losses L_t, all at the same lag t - k, in one direction of one layer."""

    layer: int
    direction: int
    lag: int  # t - k
    losses: slice  # which of the losses have a step k
    steps: Tensor  # k of each, [n]
    pulled: Pulled


def go_back(
    layers: Sequence[LayerRecording],
    losses: Tensor,
    see: Callable[[Found], None],
    wants_weights: bool = False,
) -> None:
    """Takes the gradients of losses back through layers and time, all at once.

        dL_t/ds_k = (ds_{k+1}/ds_k)^T dL_t/ds_{k+1} + (what comes from the layer above)

    for the joint state s of all fields. What has the lag t - k = j comes from lag j - 1 (in the
    reverse direction from j + 1) through one step, for all t at once: T pulls of up to T steps.
    Numbers next to the smallest that there are count as 0, as they do in the kernels.

    Args:
        layers: of a recording with gradients, from the input upwards.
        losses: t of each, int64 [n], rising.
        see: is called with what is found at each lag, layer by layer.
        wants_weights: whether gradients of weights are asked for.

    Raises:
        OptionError: a cell gives other states when it runs again, or the gradients of the losses
            of all steps do not add up to those of the recording.
    """
    way = _WayBack(layers, losses, see, wants_weights)
    arriving = way.begin()
    for index in reversed(range(len(layers))):
        arriving = way.through(index, arriving)
    deque(arriving, maxlen=0)  # lag by lag, what one layer gives the next one takes


class _WayBack:
    """The arguments of `go_back`, and its parts."""

    def __init__(
        self,
        layers: Sequence[LayerRecording],
        losses: Tensor,
        see: Callable[[Found], None],
        wants_weights: bool,
    ) -> None:
        self._layers, self._losses, self._see = layers, losses, see
        self._wants_weights = wants_weights
        self._num_steps = layers[0].shape[0]

    def begin(self) -> Arriving:
        """What the losses give to the last layer."""
        first = direct(self._layers[-1])[self._losses].flatten(2)
        if self._layers[0].num_directions == 2:
            return [(0, first)]
        return ((lag, None if lag else first) for lag in range(int(self._losses[-1]) + 1))

    def through(self, index: int, arriving: Arriving) -> Arriving:
        """Takes gradients through one layer; gives what comes to the layer below."""
        if self._layers[index].num_directions == 1:
            return self._through_one(index, arriving)
        return self._through_two(index, dict(arriving))

    def _through_one(self, index: int, arriving: Arriving) -> Arriving:
        for lag, arrived, dx in self._carry(index, 0, arriving):
            yield lag, self._below(index, lag, arrived, dx)

    def _through_two(self, index: int, arriving: Mapping[int, Tensor | None]) -> Arriving:
        """Both directions, each of which needs all that arrives; lags fall in the reverse one."""
        last, sizes = self._num_steps - 1, [self._layers[index].dy.shape[-1]] * 2
        forward = range(min(arriving), int(self._losses[-1]) + 1)
        reverse = range(max(arriving), int(self._losses[0]) - last - 1, -1)
        sums: dict[int, Tensor | None] = {}
        for d, lags in enumerate((forward, reverse)):
            own = ((lag, _part(arriving.get(lag), sizes, d)) for lag in lags)
            for lag, _, dx in self._carry(index, d, own):
                sums[lag] = _sum([sums.get(lag), dx])
        return [(lag, self._below(index, lag, arriving.get(lag), dx)) for lag, dx in sums.items()]

    def _carry(
        self, index: int, direction: int, arriving: Arriving
    ) -> Iterator[tuple[int, Tensor | None, Tensor | None]]:
        """One direction, from lag to lag; yields the lag, what arrived, and dL_t/dx_k."""
        run, total = self._layers[index].run, self._layers[index].dstates[0][:, :, direction]
        steps = Steps(run, direction, wants_x=index > 0, wants_weights=self._wants_weights)
        size = len(self._losses), run.x.shape[1]
        found = torch.zeros_like(total)
        # what is smaller is multiplied to denormal numbers, which take a hundred times as long
        smallest = torch.finfo(total.dtype).tiny / torch.finfo(total.dtype).eps
        carried = [run.x.new_zeros(*size, width) for width in steps.sizes]
        for lag, arrived in arriving:
            active = self._active(lag)
            at = self._losses[active] - lag
            gradients = [field[active] for field in carried]
            if arrived is not None:
                gradients[0] = gradients[0] + arrived
            if steps.valid is not None:
                gradients = [without_padding(field, steps.valid[at]) for field in gradients]
            gradients = [hardshrink(field, smallest) for field in gradients]
            if not any(field.any() for field in gradients):
                for field in carried:
                    field[active] = 0
                yield lag, arrived, None
                continue
            pulled = steps.pull(at, gradients)
            found[at] += pulled.at[0]
            self._see(Found(index, direction, lag, active, at, pulled))
            # last, since what was pulled may be a view of what was carried
            for field, before in zip(carried, pulled.before, strict=True):
                field[active] = before
            yield lag, arrived, pulled.x
        if len(self._losses) == self._num_steps:
            check_sum(found, total, index)

    def _active(self, lag: int) -> slice:
        """The losses that have a step k = t - lag."""
        first = torch.tensor([lag, lag + self._num_steps], device=self._losses.device)
        begin, end = torch.searchsorted(self._losses, first).tolist()
        return slice(begin, end)

    def _below(
        self, index: int, lag: int, arrived: Tensor | None, dx: Tensor | None
    ) -> Tensor | None:
        """What comes to h of the layer below: through the input, around it, from its own end."""
        if index == 0:
            return None
        run, below = self._layers[index].run, self._layers[index - 1]
        if dx is not None and run.dropped is not None:
            dx = dx * run.dropped[self._losses[self._active(lag)] - lag]
        around = arrived if run.is_residual else None
        end = (direct(below) - below.dy)[self._losses].flatten(2) if lag == 0 else None
        return _sum([dx, around, end])


def _part(arrived: Tensor | None, sizes: list[int], direction: int) -> Tensor | None:
    return None if arrived is None else torch.split(arrived, sizes, dim=-1)[direction]


def _sum(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Of those that there are."""
    there = [part for part in parts if part is not None]
    return reduce(torch.add, there) if there else None
