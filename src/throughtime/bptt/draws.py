"""Random numbers drawn again: a step that is run twice drops the same units."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import get_device_states, set_device_states


class Draws(NamedTuple):
    """Where torch's generators stand, of the CPU and of the devices of some tensors."""

    cpu: Tensor
    device: str
    devices: list[int]
    states: list[Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes they take."""
        return sum(state.nbytes for state in (self.cpu, *self.states))


def draws_from(tensors: list[Tensor], last: Draws | None = None) -> Draws:
    """Where the generators stand that a function of these tensors may draw from.

    Args:
        tensors: what tells the devices.
        last: given again, to take no memory, if nothing was drawn since.
    """
    devices, states = get_device_states(*tensors)
    device = next((t.device.type for t in tensors if t.device.type != "cpu"), "cpu")
    now = Draws(torch.get_rng_state(), device, list(devices), list(states))
    if last is None or last.devices != now.devices:
        return now
    pairs = zip((last.cpu, *last.states), (now.cpu, *now.states), strict=True)
    return last if all(torch.equal(a, b) for a, b in pairs) else now


@contextmanager
def drawn_again(draws: Draws, tensors: list[Tensor]) -> Iterator[None]:
    """Draws what was drawn from there on; afterwards the generators stand where they stood."""
    now = draws_from(tensors)
    _set(draws)
    try:
        yield
    finally:
        _set(now)


def _set(draws: Draws) -> None:
    torch.set_rng_state(draws.cpu)
    if draws.devices:
        set_device_states(draws.devices, draws.states, device_type=draws.device)
