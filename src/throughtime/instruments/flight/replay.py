"""A kept step taken again, to the bit, and the first number in it that is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten_with_path

from throughtime import record
from throughtime.bptt.clipping import gradients_of
from throughtime.errors import RunError
from throughtime.generators import restore_generators
from throughtime.instruments.flight.kept_step import KeptStep, read_step
from throughtime.instruments.flight.place import Place, first_not_finite
from throughtime.instruments.flight.search import Search

Step = Callable[[Any, Any], tuple[Tensor, Any]]
"""Loss and next carry of a model, from the batch and the carry."""


@dataclass(frozen=True)
class Replay:
    """What a kept step came to when it was taken again.

    Args:
        update: its number, from 1.
        loss: of now.
        norm: of the gradient, now.
        is_exact: whether loss and norm have the bits they had then.
        place: of the first number that is not finite; None if all are.
    """

    update: int
    loss: float
    norm: float
    is_exact: bool
    place: Place | None


def replay(folder: Path, model: nn.Module, step: Step) -> Replay:
    """Takes the step again that a flight recorder kept, and looks for where it went wrong.

    Weights that are not finite come first, then the batch and the carry; then modules in the
    order in which they give results, within a recurrent one layer by layer and step by step; the
    loss; and the gradients on their way back. Where all of them are finite and only the norm is
    not, because squares add up beyond the largest number, it is the largest h or dL/dh of all.

    Args:
        folder: of the run, or its folder `crash`.
        model: of the same kind; it gets the weights of the step.
        step: from batch and carry to the loss, as in the training.

    Raises:
        RunError: no step was kept, or it is damaged, or does not fit the model.
    """
    kept = read_step(folder / record.CRASH if (folder / record.CRASH).is_dir() else folder)
    try:
        model.load_state_dict(dict(kept.weights))
        model.train(kept.is_training)
        model.zero_grad()
        restore_generators(kept.generators)
        with Search(model) as search:
            loss, _ = step(kept.batch, kept.carry)
            loss.backward()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        last = str(error).strip().splitlines()[-1:] or ["no reason given"]
        raise RunError(
            f"the step in {folder} must fit the model, it gives {type(error).__name__}: "
            f"{last[0].strip().rstrip('.')}; restore the folder, or pass the model it is of."
        ) from error
    norm = float(torch.nn.utils.get_total_norm(gradients_of(model.parameters())))
    value = float(loss.detach())
    place = _before(kept, model) or search.find(loss.detach())
    if place is None and not math.isfinite(norm):
        place = search.largest()
    is_exact = _same(kept.loss, value) and _same(kept.norm, norm)
    return Replay(kept.update, value, norm, is_exact, place)


def _before(kept: KeptStep, model: nn.Module) -> Place | None:
    """What was not finite when the step began."""
    for name, tensor in kept.weights.items():
        if (found := first_not_finite(tensor)) is not None:
            return Place("weights", name, "the weight before the step", found[1], found[0])
    for name, value in (("batch", kept.batch), ("carry", kept.carry)):
        for path, tensor in tree_flatten_with_path(value)[0]:
            if isinstance(tensor, Tensor) and (found := first_not_finite(tensor)) is not None:
                part = name + torch.utils._pytree.keystr(path)
                return Place("input", name, part, found[1], found[0])
    return None


def _same(then: float | None, now: float) -> bool:
    return then is None or then == now or (math.isnan(then) and math.isnan(now))
