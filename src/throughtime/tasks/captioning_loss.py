"""What a captioner learns from: the nats of words, and whether every place was looked at."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime.tasks.captioning_options import CaptioningTraining


def caption_losses(
    logits: Tensor, weights: Tensor, target: Tensor, steps: Tensor, options: CaptioningTraining
) -> Tensor:
    """The loss of each caption, [B].

        L_b = sum_t l_bt + w sum_i (1 - sum_t a_bti)^2                  (Xu et al. 2015, eq. 14)

    Args:
        logits: [T, B, V].
        weights: of the places, a, [T, B, P].
        target: the words, int64 [T, B].
        steps: of each caption, int64 [B].
        options: label smoothing, and w.
    """
    losses = token_losses(logits, target, steps, options.label_smoothing).sum(0)
    if options.doubly_stochastic:
        looked = torch.where(_is_read(steps, len(target))[..., None], weights, 0.0).sum(0)  # [B, P]
        losses = losses + options.doubly_stochastic * ((1 - looked) ** 2).sum(-1)
    return losses


def token_losses(logits: Tensor, target: Tensor, steps: Tensor, smoothing: float = 0.0) -> Tensor:
    """-ln p of each target, 0 behind the end of a caption, [T, B].

    With smoothing e, the target has 1 - e of the probability and every word e / V
    (Szegedy et al. 2016).

    Args:
        logits: [T, B, V].
        target: int64 [T, B].
        steps: of each caption, int64 [B].
        smoothing: e.
    """
    losses = cross_entropy(
        logits.flatten(0, 1), target.flatten(), reduction="none", label_smoothing=smoothing
    ).view(target.shape)
    return torch.where(_is_read(steps, len(target)), losses, 0.0)


def _is_read(steps: Tensor, longest: int) -> Tensor:
    """Which steps belong to a caption, bool [T, B]."""
    return torch.arange(longest)[:, None] < steps
