"""How well a unit follows a property: by ranks alone, whatever the scale of either.

For a property that holds or not, the score of a unit is the area under its ROC curve: the chance
that it is higher where the property holds than where it does not; 0.5 for no relation (Hanley and
McNeil 1982). For one that has a size it is the rank correlation, 0 for no relation (Spearman 1904).
With the ranks r of the unit's values over N tokens, their mean taken off,

    AUC - 1/2 = sum of r where it holds / (n n')          (Mann and Whitney 1947)
    rho = r q / (|r| |q|)                                 q the ranks of the property, likewise

n and n' the tokens where it holds and where not. Both are linear in r: one product of matrices
scores many units against many shifts of a property.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def is_bool(target: NDArray[Any]) -> bool:
    """Whether a property holds or not, rather than having a size."""
    return bool(target.dtype == np.bool_)


def centred_ranks(values: NDArray[Any]) -> NDArray[np.float32]:
    """Ranks within each row, equal values sharing the mean of theirs, minus the mean of all.

    Args:
        values: [..., N], N below 2^23, so that float32 holds every rank.

    Example:
        >>> centred_ranks(np.array([5.0, 1.0, 5.0, 7.0])).tolist()
        [0.0, -1.5, 0.0, 1.5]
    """
    num = values.shape[-1]
    rows = values.reshape(-1, num)
    ranks = np.empty(rows.shape, np.float32)
    places = np.arange(num, dtype=np.float32) - (num - 1) / 2
    for row, order, out in zip(rows, np.argsort(rows), ranks, strict=True):
        ordered = row[order]
        is_new = ordered[1:] != ordered[:-1]
        if is_new.all():
            out[order] = places
            continue
        begins = np.flatnonzero(np.append(True, is_new))
        sizes = np.diff(begins, append=num)
        out[order] = np.repeat(begins + (sizes - num) / 2, sizes)
    return ranks.reshape(values.shape)


def weights(target: NDArray[Any]) -> Floats:
    """What ranks are multiplied by to give the score of a property, [N], as `scores` takes it."""
    if not is_bool(target):
        ranks = centred_ranks(target).astype(np.float64)
        normed: Floats = ranks / np.linalg.norm(ranks)
        return normed
    holds = np.count_nonzero(target)
    return (target - holds / len(target)) / (holds * (len(target) - holds))


def scores(ranks: NDArray[np.float32], weights: NDArray[Any], is_bool: bool) -> NDArray[Any]:
    """How far each unit's score lies above or below that of no relation.

    Args:
        ranks: centred, [units, N].
        weights: of one property, [N], or of many, [N, properties].
        is_bool: whether they hold or not.

    Returns:
        AUC - 1/2, or rho; [units] or [units, properties]. 0 for a unit that never changes.
    """
    found: NDArray[Any] = _product(ranks.astype(weights.dtype, copy=False), weights)
    if is_bool:
        return found
    norms = np.sqrt((ranks * ranks).sum(axis=1, dtype=np.float64))
    found = found.T / np.where(norms == 0, 1, norms)
    return found.T


def _product(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """By torch: numpy's product has threads of its own, which would fight torch's."""
    product: NDArray[Any] = (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()
    return product


def shifted(weights: Floats, num: int, seed: int) -> NDArray[np.float32]:
    """A property moved along the text by random distances, its end to the beginning, [N, num].

    It keeps its own rhythm and loses its relation to the text: the distribution of a score by
    chance for values that hang on their neighbours (a shift test; Harris 2020). No distance is
    below a twentieth of the text.
    """
    size = len(weights)
    least = size // 20 + 1
    distances = np.random.default_rng(seed).integers(least, size - least, num, endpoint=True)
    moved = np.empty((size, num), np.float32)
    for column, distance in enumerate(distances):
        moved[:, column] = np.roll(weights, distance)
    return moved


def best_threshold(values: NDArray[Any], holds: NDArray[np.bool_]) -> float:
    """The threshold above which a property is said to hold, for the best balanced accuracy.

    It maximises share of holds above + share of holds not below (Youden 1950), halfway between
    two values.

    Args:
        values: of a unit that is higher where the property holds, [N].
        holds: the property, [N].
    """
    order = np.argsort(values)
    ordered, holds = values[order].astype(np.float64), holds[order]
    missed = np.cumsum(holds) / np.count_nonzero(holds)
    rejected = np.cumsum(~holds) / np.count_nonzero(~holds)
    is_step = np.append(ordered[1:] != ordered[:-1], False)
    if not is_step.any():
        return float(ordered[0])
    at = int(np.argmax(np.where(is_step, rejected - missed, -np.inf)))
    return float((ordered[at] + ordered[at + 1]) / 2)


def balanced_accuracy(is_above: NDArray[np.bool_], holds: NDArray[np.bool_]) -> float:
    """Mean of the share that is above where a property holds and that is not where it does not."""
    return float((is_above[holds].mean() + (~is_above[~holds]).mean()) / 2)
