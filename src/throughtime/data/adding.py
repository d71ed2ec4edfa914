"""The adding problem: two marked numbers of a long sequence are to be added at its end."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

ADDING_BASELINE = 1 / 6
"""Squared error of the constant answer 1: twice the variance 1/12 of a uniform number."""


def adding(steps: int, batch: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """One batch of the adding problem, a pure function of seed and step.

        x_t = (v_t, m_t),   v_t uniform in [0, 1),   m_t = 1 at two steps p < q and 0 elsewhere
        target = v_p + v_q

    p is drawn from the first half of the sequence and q from the second, so that what is added
    first lies T/2 steps back on average.

    Source: Hochreiter and Schmidhuber 1997, experiment 4; in this form Arjovsky, Shah and
    Bengio 2016.

    Args:
        steps: T, at least 2.
        batch: B.
        seed: of a whole training.
        step: which batch, from 0.

    Returns:
        Inputs, [T, B, 2], and targets, [B], in float32.

    Example:
        >>> x, target = adding(steps=5, batch=3, seed=1, step=0)
        >>> torch.allclose((x[..., 0] * x[..., 1]).sum(0), target)
        True
    """
    generator = np.random.default_rng((seed, step))
    values = generator.random((steps, batch), np.float32)
    marks = np.zeros((steps, batch), np.float32)
    rows, half = np.arange(batch), steps // 2
    for first, last in ((0, half), (half, steps)):
        marks[generator.integers(first, last, batch), rows] = 1
    targets = (values * marks).sum(0)
    return torch.from_numpy(np.stack([values, marks], axis=-1)), torch.from_numpy(targets)
