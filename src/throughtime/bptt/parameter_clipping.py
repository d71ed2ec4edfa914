"""Clipping per layer: a parameter whose gradient is too long does not shorten the others'."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from throughtime.bptt.clipping import Clipped, check_limit, finite_norm, gradients_of


def clip_parameter_norms(parameters: Iterable[Tensor], max_norm: float) -> Clipped:
    """Shortens the gradient of each parameter by itself to a norm of at most max_norm.

        g_p <- g_p min(1, max_norm / |g_p|)   for every parameter p

    Every part keeps its direction, the whole does not.

    Args:
        parameters: what was differentiated; those without a gradient are passed over.
        max_norm: the largest norm allowed for one parameter, above 0; `math.inf` only measures.

    Returns:
        The norm of all together before, after, and whether any was shortened.

    Raises:
        OptionError: max_norm is not above 0.
        FloatingPointError: the norm is infinite or not a number; the gradients are left as
            they are.

    Example:
        >>> import torch
        >>> a, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
        >>> (3 * a + 8 * b).sum().backward()
        >>> clip_parameter_norms([a, b], max_norm=4).after
        5.0
    """
    check_limit("max_norm", max_norm, "math.inf only measures")
    gradients = gradients_of(parameters)
    before = finite_norm(gradients)
    long = [gradient for gradient in gradients if gradient.norm() > max_norm]
    for gradient in long:
        gradient.mul_(max_norm / gradient.norm())
    return Clipped(before, finite_norm(gradients) if long else before, bool(long))
