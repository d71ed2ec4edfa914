"""Copy memory: ten symbols are to be repeated after a long wait."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

SYMBOLS, LENGTH = 8, 10
"""Kinds of symbols, and how many are to be remembered."""

BLANK, MARK = SYMBOLS, SYMBOLS + 1
"""The input while waiting, and the one that asks for the answer."""

ENTRIES = SYMBOLS + 2


def copying(steps: int, batch: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """One batch of copy memory, a pure function of seed and step.

        input    s_1 ... s_10   T - 1 blanks   the mark   10 blanks
        target   T + 10 blanks                            s_1 ... s_10

    Source: Hochreiter and Schmidhuber 1997; in this form Arjovsky, Shah and Bengio 2016.

    Args:
        steps: T, the steps to wait, at least 1.
        batch: B.
        seed: of a whole training.
        step: which batch, from 0.

    Returns:
        Inputs and targets, each int64 [T + 20, B]; 0 to 7 are symbols, 8 blank, 9 the mark.

    Example:
        >>> inputs, targets = copying(steps=4, batch=3, seed=1, step=0)
        >>> tuple(inputs.shape), torch.equal(inputs[:10], targets[-10:])
        ((24, 3), True)
    """
    symbols = np.random.default_rng((seed, step)).integers(0, SYMBOLS, (LENGTH, batch))
    inputs = np.full((steps + 2 * LENGTH, batch), BLANK)
    targets = inputs.copy()
    inputs[:LENGTH] = targets[-LENGTH:] = symbols
    inputs[LENGTH + steps - 1] = MARK
    return torch.from_numpy(inputs), torch.from_numpy(targets)


def copying_baseline(steps: int) -> float:
    """Nats per step of an answer without memory, 10 ln 8 / (T + 20).

    It knows when to answer, and each of the ten symbols only by guessing among eight.

    Args:
        steps: T, the steps to wait.
    """
    return LENGTH * math.log(SYMBOLS) / (steps + 2 * LENGTH)
