"""The nats of tokens that are written one after the other."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def token_losses(logits: Tensor, target: Tensor, steps: Tensor, smoothing: float = 0.0) -> Tensor:
    """-ln p of each target, 0 behind the end of a sequence, [T, B].

    With smoothing e, the target has 1 - e of the probability and every token e / V
    (Szegedy et al. 2016).

    Args:
        logits: [T, B, V].
        target: int64 [T, B].
        steps: of each sequence, int64 [B].
        smoothing: e.
    """
    losses = cross_entropy(
        logits.flatten(0, 1), target.flatten(), reduction="none", label_smoothing=smoothing
    ).view(target.shape)
    return torch.where(is_read(steps, len(target)), losses, 0.0)


def is_read(steps: Tensor, longest: int) -> Tensor:
    """Which steps belong to a sequence, bool [T, B]."""
    return torch.arange(longest)[:, None] < steps
