"""Clipping per value: no number of a gradient is larger than a limit."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from throughtime.bptt.clipping import Clipped, check_limit, finite_norm, gradients_of


def clip_values(parameters: Iterable[Tensor], max_value: float) -> Clipped:
    """Limits every number of the gradient to [-max_value, max_value].

        g_i <- max(-max_value, min(max_value, g_i))

    The direction changes. Source: Mikolov 2012 (thesis).

    Args:
        parameters: what was differentiated; those without a gradient are passed over.
        max_value: the largest size allowed, above 0; `math.inf` only measures.

    Returns:
        The norm of all together before, after, and whether any number was limited.

    Raises:
        OptionError: max_value is not above 0.
        FloatingPointError: the norm is infinite or not a number; the gradients are left as
            they are.
    """
    check_limit("max_value", max_value, "math.inf only measures")
    gradients = gradients_of(parameters)
    before = finite_norm(gradients)
    if not any((gradient.abs() > max_value).any() for gradient in gradients):
        return Clipped(before, before, False)
    for gradient in gradients:
        gradient.clamp_(-max_value, max_value)
    return Clipped(before, finite_norm(gradients), True)
