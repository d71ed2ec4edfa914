"""Where a map moves least: the speed of its states, minimised from many of them at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from throughtime.instruments.step_map import StepMap, memory_of

PIECE = 2**28
"""Bytes of Jacobians at a time; candidates beyond that wait for their turn."""

FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1.0, 1e-12, 1e12
FLAT = 1e-6
"""Gradient of q, as a share of the speed, under which a state that moves counts as a minimum.

About the square root of the rounding of q: less cannot be told.
"""
REST = 1e-14
"""Speed, as a share of 1 + |s|, under which float64 cannot tell a state from a fixed point."""


class Slowest(NamedTuple):
    """What a search from N candidates came to."""

    s: Tensor  # states, [N, S]
    q: Tensor  # half their squared speed, [N]
    is_minimum: Tensor  # whether q has no slope there, bool [N]


def minimise_speed(step: StepMap, x: Tensor, s: Tensor, steps: int) -> Slowest:
    """Goes down from every candidate to a state that the map leaves where it is, or nearly.

        q(s) = 1/2 |F(s, x) - s|^2
        (A^T A + m a I) d = -A^T (F(s, x) - s),   A = dF/ds - I,   s <- s + d  if q falls

    a is the largest entry of the diagonal of A^T A. The damping m of each candidate is its own: it
    falls by 4 where a step was accepted, down to Newton's method, and grows by 8 where it was not,
    which shortens the next one (Levenberg 1944; Marquardt 1963). Candidates that have arrived cost
    nothing more.

    Args:
        step: the map, in float64.
        x: constant input, [I].
        s: candidates, [N, S].
        steps: at most so many for each.

    Returns:
        Where they arrived, in their order.
    """
    size = max(1, PIECE // memory_of(1, s.shape[1]))
    found = [_descend(step, x, piece, steps) for piece in torch.split(s, size)]
    return Slowest(*map(torch.cat, zip(*found, strict=True)))


@torch.no_grad()
def _descend(step: StepMap, x: Tensor, s: Tensor, steps: int) -> Slowest:
    s = s.clone()
    q = (step(s, x.expand(len(s), -1)) - s).square().sum(-1) / 2
    damping = s.new_full((len(s),), FIRST_DAMPING)
    is_minimum = torch.zeros(len(s), dtype=torch.bool)
    going = torch.arange(len(s))
    residual, normal, slope = s.clone(), s.new_empty(len(s), s.shape[1], s.shape[1]), s.clone()
    renew = going
    for _ in range(steps):
        if len(renew):
            after, jacobian = step.linearised(s[renew], x.expand(len(renew), -1))
            residual[renew] = after - s[renew]
            A = jacobian - torch.eye(s.shape[1], dtype=s.dtype)
            normal[renew] = A.mT @ A
            slope[renew] = (A.mT @ residual[renew, :, None])[..., 0]
        speed = residual[going].norm(dim=-1)
        arrived = slope[going].norm(dim=-1) <= FLAT * speed
        arrived |= speed <= REST * (1 + s[going].norm(dim=-1))
        is_minimum[going] = arrived
        going = going[~arrived & (damping[going] < MOST_DAMPING)]
        if len(going) == 0:
            break
        curved = normal[going]
        weight = damping[going] * curved.diagonal(dim1=1, dim2=2).amax(1)
        curved.diagonal(dim1=1, dim2=2).add_(weight[:, None])
        move = torch.linalg.solve(curved, -slope[going])
        trial = s[going] + move
        speed = (step(trial, x.expand(len(trial), -1)) - trial).square().sum(-1) / 2
        is_better = speed < q[going]
        damping[going] = torch.where(
            is_better, (damping[going] / 4).clamp(min=LEAST_DAMPING), damping[going] * 8
        )
        renew = going[is_better]
        s[renew], q[renew] = trial[is_better], speed[is_better]
    return Slowest(s, q, is_minimum)
