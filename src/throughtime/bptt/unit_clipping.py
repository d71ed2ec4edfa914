"""Adaptive clipping: a unit's gradient is measured by the unit's weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from throughtime.bptt.clipping import Clipped, check_limit, finite_norm, gradients_of


def clip_unit_norms(parameters: Iterable[Tensor], max_ratio: float, eps: float = 1e-3) -> Clipped:
    """Shortens the gradient of every unit to a share of the norm of the unit's weights (AGC).

        g_i <- g_i min(1, max_ratio max(|w_i|, eps) / |g_i|)   for every row i of every weight

    A row [I] of a weight [G*H, I] is one gate of one unit; a bias counts as one unit.
    Source: Brock et al. 2021, section 4; lambda there is max_ratio.

    Args:
        parameters: what was differentiated; those without a gradient are passed over. The paper
            leaves out the last, linear layer.
        max_ratio: the largest |g_i| / |w_i| allowed, above 0; the paper's 0.01 is for batches of
            4096, smaller batches want more; `math.inf` only measures.
        eps: norm that small weights count with, so that a weight of 0 can grow, above 0.

    Returns:
        The norm of all together before, after, and whether any unit's was shortened.

    Raises:
        OptionError: max_ratio or eps is not above 0.
        FloatingPointError: the norm is infinite or not a number; the gradients are left as
            they are.
    """
    check_limit("max_ratio", max_ratio, "math.inf only measures")
    check_limit("eps", eps, "without it a weight of 0 would stay 0")
    moved = [parameter for parameter in parameters if parameter.grad is not None]
    gradients = gradients_of(moved)
    before, acted = finite_norm(gradients), False
    for parameter, gradient in zip(moved, gradients, strict=True):
        limits = max_ratio * _unit_norms(parameter.detach()).clamp(min=eps)
        norms = _unit_norms(gradient)
        long = norms > limits
        gradient.mul_(torch.where(long, limits / norms, 1.0))
        acted = acted or bool(long.any())
    return Clipped(before, finite_norm(gradients) if acted else before, acted)


def _unit_norms(weight: Tensor) -> Tensor:
    """Norms over all axes but the first, to be broadcast: [H, 1, ...]; of a vector, []."""
    axes = tuple(range(1, weight.dim())) or None
    norms: Tensor = torch.linalg.vector_norm(weight, dim=axes, keepdim=axes is not None)
    return norms
