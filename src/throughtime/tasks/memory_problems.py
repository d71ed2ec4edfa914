"""The memory tasks as what a network sees, gives and is scored by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from throughtime.data.adding import ADDING_BASELINE, adding
from throughtime.data.copying import BLANK, ENTRIES, LENGTH, copying, copying_baseline

CLOSE = 0.04
"""An answer of the adding problem counts as right this close (Hochreiter and Schmidhuber 1997)."""


@dataclass(frozen=True)
class Problem:
    """One memory task of one length.

    Args:
        inputs: I, features of a step.
        outputs: O, numbers the readout gives.
        asked: how many of the last steps are read out, A; None for all.
        watched: what the loss is.
        baseline: the loss of the best answer without memory.
        draw: inputs [T, B, I] and targets from batch, seed and step.
        loss: from what is read out, [A, B, O], and the targets.
        right: share of right answers, from the same.
    """

    inputs: int
    outputs: int
    asked: int | None
    watched: str
    baseline: float
    draw: Callable[[int, int, int], tuple[Tensor, Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor]
    right: Callable[[Tensor, Tensor], Tensor]


def build_problem(task: str, steps: int) -> Problem:
    """The problem of a name, `adding` or `copy`, at a length T."""
    if task == "adding":
        draw = partial(adding, steps)
        return Problem(2, 1, 1, "squared_error", ADDING_BASELINE, draw, _error, _close)
    baseline, draw_copy = copying_baseline(steps), partial(_copying, steps)
    return Problem(
        ENTRIES, ENTRIES - 1, None, "nats_per_step", baseline, draw_copy, _nats, _repeated
    )


def _error(y: Tensor, target: Tensor) -> Tensor:
    return mse_loss(y.flatten(), target)


def _close(y: Tensor, target: Tensor) -> Tensor:
    return (y.flatten() - target).abs().lt(CLOSE).float().mean()


def _copying(steps: int, batch: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    inputs, targets = copying(steps, batch, seed, step)
    return one_hot(inputs, ENTRIES).float(), targets


def _nats(logits: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(logits.flatten(0, 1), targets.flatten())


def _repeated(logits: Tensor, targets: Tensor) -> Tensor:
    """Of the ten symbols alone: all else is blank and easy."""
    best = logits[-LENGTH:, :, :BLANK].argmax(-1)
    return best.eq(targets[-LENGTH:]).float().mean()
