"""The average of the weights over a training, which is validated and kept in their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@torch.no_grad()
def take_in(
    average: Sequence[Tensor] | None, network: nn.Module, decay: float, update: int
) -> list[Tensor]:
    """The average with the weights of one more update in it, in place.

        m_t = (1 - a_t) m_{t-1} + a_t w_t,   a_t = (1 - d) / (1 - d^t)
            = sum_{s <= t} d^{t-s} w_s / sum_{s <= t} d^{t-s}

    so that the weights before the training have no part in it.

    Source: Polyak and Juditsky 1992; exponential and without bias, Kingma and Ba 2015, 7.2.

    Args:
        average: m_{t-1}, a tensor for each parameter; None before the first update.
        network: has the weights w_t.
        decay: d, in (0, 1); about the last 1 / (1 - d) updates count.
        update: t, from 1.

    Example:
        >>> layer, average = nn.Linear(1, 1, bias=False), None
        >>> for update, weight in enumerate([1.0, 4.0], start=1):
        ...     _ = nn.init.constant_(layer.weight, weight)
        ...     average = take_in(average, layer, 0.5, update)
        >>> average[0].item()  # (0.5 * 1 + 4) / 1.5
        3.0
    """
    weights = list(network.parameters())
    if average is None:
        return [weight.detach().clone() for weight in weights]
    share = (1 - decay) / (1 - decay**update)
    for mean, weight in zip(average, weights, strict=True):
        mean.lerp_(weight, share)
    return list(average)


@contextmanager
def averaged(network: nn.Module, average: Sequence[Tensor] | None) -> Iterator[None]:
    """Puts the average in the place of the weights for as long as the block lasts.

    Args:
        network: gets its own weights back, to the bit.
        average: as `take_in` gives it; None leaves the weights as they are.
    """
    if average is None:
        yield
        return
    weights = list(network.parameters())
    own = [weight.detach().clone() for weight in weights]
    _put(weights, average)
    try:
        yield
    finally:
        _put(weights, own)


@torch.no_grad()
def _put(weights: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)
