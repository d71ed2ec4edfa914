"""What a captioner learns from: the nats of words, and whether every place was looked at."""

from __future__ import annotations

import torch
from torch import Tensor

from throughtime.tasks.captioning_options import CaptioningTraining
from throughtime.tasks.token_losses import is_read, token_losses


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
        looked = torch.where(is_read(steps, len(target))[..., None], weights, 0.0).sum(0)  # [B, P]
        losses = losses + options.doubly_stochastic * ((1 - looked) ** 2).sum(-1)
    return losses
