"""Clipping: a gradient that is too long is shortened, its direction kept."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from throughtime.errors import OptionError


class Clipped(NamedTuple):
    """What clipping saw and did."""

    before: float  # global norm of the gradient as it came
    after: float  # global norm of the gradient as it is now
    acted: bool  # whether any of it was shortened


def gradients_of(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradients that are there; parameters without one are passed over."""
    return [p.grad for p in parameters if p.grad is not None]


def finite_norm(gradients: list[Tensor]) -> float:
    """The Euclidean norm of all gradients together.

    Raises:
        FloatingPointError: it is infinite or not a number.
    """
    norm = torch.nn.utils.get_total_norm(gradients).item()
    if not math.isfinite(norm):
        raise FloatingPointError(
            f"the gradient's norm must be finite, got {norm}; "
            "lower the learning rate or the weights' scale, or look for a division by zero."
        )
    return norm


def shorten(gradients: list[Tensor], norm: float, max_norm: float) -> Clipped:
    """Scales gradients whose norm together is known to at most max_norm."""
    if norm <= max_norm:
        return Clipped(norm, norm, False)
    for gradient in gradients:
        gradient.mul_(max_norm / norm)
    return Clipped(norm, max_norm, True)


def check_limit(name: str, limit: float, remedy: str) -> None:
    """Refuses a limit that would leave nothing, or is not a number.

    Raises:
        OptionError: it is not above 0.
    """
    if not limit > 0:
        raise OptionError(f"{name} must be above 0, got {limit}; {remedy}.")


def clip_global_norm(parameters: Iterable[Tensor], max_norm: float) -> Clipped:
    """Shortens the gradient of all parameters together to a norm of at most max_norm.

        g <- g min(1, max_norm / |g|),   |g|^2 = sum over all parameters of g_i^2

    Source: Pascanu, Mikolov and Bengio 2013, algorithm 1.

    Args:
        parameters: what was differentiated; those without a gradient are passed over.
        max_norm: the largest norm allowed, above 0; `math.inf` only measures.

    Returns:
        The norm before, the norm after, and whether it was shortened.

    Raises:
        OptionError: max_norm is not above 0.
        FloatingPointError: the norm is infinite or not a number; the gradients are left as
            they are, and a step with them would spoil the weights.

    Note:
        torch's `clip_grad_norm_` adds 1e-6 to the norm; this does not.
    """
    check_limit("max_norm", max_norm, "math.inf only measures")
    gradients = gradients_of(parameters)
    return shorten(gradients, finite_norm(gradients), max_norm)
