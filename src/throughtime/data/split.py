"""What is learnt from and what is held out."""

from __future__ import annotations

import numpy as np


def hold_out(count: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Places that are learnt from, and those that are held out, each in order.

    Args:
        count: how many there are, N.
        share: of those that are held out, drawn from the seed.
        seed: decides which.

    Example:
        >>> learnt, held_out = hold_out(5, 0.4, seed=1)
        >>> len(held_out), sorted(learnt + held_out)
        (2, [0, 1, 2, 3, 4])
    """
    order = np.random.default_rng(seed).permutation(count).tolist()
    first = round(share * count)
    return sorted(order[first:]), sorted(order[:first])
