"""The bias of truncation: what a window costs, measured against the whole gradient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from throughtime.bptt.full import Full
from throughtime.bptt.states import detach
from throughtime.bptt.strategy import Carry, StepsLoss, Strategy, Unroll
from throughtime.errors import OptionError


class Bias(NamedTuple):
    """How a truncated gradient g lies to the full one, f."""

    cosine: float  # <g, f> / (|g| |f|), in [-1, 1]; below 0 a step of g raises the loss
    norm_ratio: float  # |g| / |f|


@dataclass(frozen=True)
class TruncationBias:
    """How truncated gradients lie to the full ones.

    Without a gradient there is no direction: where one of the two is 0 the cosine is not a
    number, and so is the ratio where both are.

    Args:
        whole: of all parameters together.
        parameters: of every parameter, by its name.
    """

    whole: Bias
    parameters: Mapping[str, Bias]


def truncation_bias(
    strategy: Strategy,
    unroll: Unroll,
    inputs: Tensor,
    loss: StepsLoss,
    state: Any = None,
    parameters: Mapping[str, Tensor] | None = None,
    exact: Strategy = Full(),  # noqa: B008  a constant
) -> TruncationBias:
    """Compares the gradient that a strategy gives with the whole one, weights unchanged.

        cosine = <g, f> / (|g| |f|),   norm ratio = |g| / |f|,   g truncated, f full

    A truncated gradient leaves out the paths that are longer than the window. It is biased: no
    number of sequences averages that away, and it may point the wrong way (Tallec and Ollivier
    2017). Costs one `backward` of either strategy; `.grad` stays as it is.

    Args:
        strategy: the one to judge, `Truncated(k1, k2)`.
        unroll: as in `Strategy.advance`.
        inputs: a whole sequence, [T, B, ...].
        loss: as in `Strategy.backward`.
        state: before the first step, a constant; None for the unroll's own.
        parameters: what to differentiate by, with names; those of the unroll if it is a module.
        exact: gives the full gradient; `Checkpointed()` for sequences too long to keep.

    Raises:
        OptionError: there are no parameters, or the strategy cannot take the unroll.

    Note:
        Random numbers would be drawn anew for either gradient: switch dropout off with `eval()`.

    Example:
        >>> from throughtime.bptt import Truncated
        >>> layer, x = torch.nn.RNN(2, 4).double(), torch.ones(12, 3, 2).double()
        >>> bias = truncation_bias(Truncated(12), layer, x, lambda y, steps: y.square().sum())
        >>> round(bias.whole.cosine, 12), round(bias.parameters["weight_hh_l0"].norm_ratio, 12)
        (1.0, 1.0)
    """
    named = _named(unroll, parameters)
    inputs, carry = inputs.detach(), Carry(detach(state))
    found, full = (
        _gradients(judged, unroll, inputs, loss, carry, named) for judged in (strategy, exact)
    )
    parts = {name: _bias(found[name], full[name]) for name in named}
    return TruncationBias(_bias(*(torch.cat(list(g.values())) for g in (found, full))), parts)


def _named(unroll: Unroll, parameters: Mapping[str, Tensor] | None) -> Mapping[str, Tensor]:
    if parameters is None and isinstance(unroll, nn.Module):
        parameters = {n: p for n, p in unroll.named_parameters() if p.requires_grad}
    if not parameters:
        raise OptionError(
            f"parameters must name what to differentiate by, got none from {type(unroll).__name__}"
            "; pass them as {name: tensor}."
        )
    return parameters


def _gradients(
    strategy: Strategy,
    unroll: Unroll,
    inputs: Tensor,
    loss: StepsLoss,
    carry: Carry,
    named: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Every parameter's gradient as a flat vector in float64."""
    with _restored() as put_aside:
        put_aside(*named.values())

        def watched(outputs: Tensor, steps: slice) -> Tensor:
            total = loss(outputs, steps)
            put_aside(*_leaves(total))  # what else the loss is computed from
            return total

        strategy.backward(unroll, inputs, watched, carry)
        return {name: _flat(p, p.grad) for name, p in named.items()}


def _flat(parameter: Tensor, gradient: Tensor | None) -> Tensor:
    gradient = torch.zeros_like(parameter) if gradient is None else gradient
    return gradient.detach().double().flatten()


def _bias(found: Tensor, full: Tensor) -> Bias:
    cosine = (found @ full) / (found.norm() * full.norm())
    return Bias(cosine.clamp(-1, 1).item(), (found.norm() / full.norm()).item())


@contextmanager
def _restored() -> Iterator[Any]:
    """Puts the `.grad` of tensors aside, and at the end back."""
    aside: dict[Tensor, Tensor | None] = {}

    def put_aside(*tensors: Tensor) -> None:
        for tensor in tensors:
            if tensor not in aside:
                aside[tensor], tensor.grad = tensor.grad, None

    try:
        yield put_aside
    finally:
        for tensor, gradient in aside.items():
            tensor.grad = gradient


def _leaves(total: Tensor) -> list[Tensor]:
    """Every leaf that a number was computed from."""
    seen, waiting, found = set(), [total.grad_fn], []
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        waiting.extend(following for following, _ in node.next_functions)
    return found
