"""The learning rate as a function of the update's number, and of nothing else."""

from __future__ import annotations

import math

from throughtime.training.options import LoopOptions

LOWEST = 0.02
"""Share of the highest learning rate at which the cosine ends."""


def learning_rate(options: LoopOptions, update: int, windows: int) -> float:
    """The learning rate of one update.

        constant   lr
        step       lr decay^max(0, e - decay_after),  e = 1, 2, ... the epoch
                                                               (Zaremba et al. 2014)
        cosine     lr (u + 1) / warmup                          while u < warmup, then
                   lr (m + (1 - m) (1 + cos(pi p)) / 2),  m = 0.02, p from 0 to 1
                                                               (Loshchilov and Hutter 2017)

    Args:
        options: `lr`, `schedule` and what belongs to it.
        update: number of the update, u, from 0.
        windows: updates per epoch.

    Example:
        >>> step = LoopOptions(lr=20.0, schedule="step", decay_after=4)
        >>> [learning_rate(step, update, windows=1) for update in range(6)]
        [20.0, 20.0, 20.0, 20.0, 10.0, 5.0]
    """
    if options.schedule == "constant":
        return options.lr
    if options.schedule == "step":
        epoch = update // windows + 1
        return options.lr * options.decay ** max(0, epoch - options.decay_after)
    total = options.epochs * windows
    # A run shorter than its warm-up spends at most half of its updates rising.
    warmup = min(options.warmup, total // 2)
    if update < warmup:
        return options.lr * (update + 1) / warmup
    p = (update - warmup) / max(1, total - 1 - warmup)
    return options.lr * (LOWEST + (1 - LOWEST) * (1 + math.cos(math.pi * p)) / 2)
