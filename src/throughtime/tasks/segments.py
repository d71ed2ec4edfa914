"""Scores of segments: are the labels of a clip right in their order, and roughly in time?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, TypeVar

Label = TypeVar("Label")

OVERLAPS = (10, 25, 50)
"""Least overlaps of F1@k, in percent."""


class Segment(NamedTuple):
    """Frames with one label that follow each other: first, ..., end - 1."""

    label: object
    first: int
    end: int


def segments(labels: Sequence[object]) -> list[Segment]:
    """The segments of a clip, in order.

    Example:
        >>> [tuple(part) for part in segments("aabcc")]
        [('a', 0, 2), ('b', 2, 3), ('c', 3, 5)]
    """
    found, at = [], 0
    for label, run in groupby(labels):
        count = len(list(run))
        found.append(Segment(label, at, at + count))
        at += count
    return found


def edit_score(truth: Sequence[object], found: Sequence[object]) -> float:
    """How alike the segments of two labellings are in their order, whatever their lengths.

        100 (1 - d(G, P) / max(|G|, |P|))

    d is the least number of segments that are put in, taken out or replaced to turn one order
    into the other (Levenshtein 1966).

    Source: Lea et al. 2017, segmental edit score.

    Args:
        truth: the labels of a clip's frames, [T].
        found: those that were predicted, [T].

    Returns:
        0 to 100; 100 for clips without frames.

    Example:
        >>> edit_score("aabbc", "abbbb")  # a b c, a b: one of three is missing
        66.66666666666667
    """
    ours, theirs = ([part.label for part in segments(labels)] for labels in (truth, found))
    longest = max(len(ours), len(theirs), 1)
    return 100 * (longest - _edits(ours, theirs)) / longest


def _edits(ours: Sequence[object], theirs: Sequence[object]) -> int:
    """Levenshtein's distance, one row of its table after the other."""
    row = list(range(len(theirs) + 1))
    for i, mine in enumerate(ours, 1):
        before, row = row, [i]
        for j, other in enumerate(theirs, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (mine != other)))
    return row[-1]


@dataclass(frozen=True)
class Hits:
    """Predicted segments that meet a true one, those that do not, and true ones that none met."""

    hits: int = 0
    false_alarms: int = 0
    misses: int = 0

    def __add__(self, other: Hits) -> Hits:
        """Those of both."""
        return Hits(
            self.hits + other.hits,
            self.false_alarms + other.false_alarms,
            self.misses + other.misses,
        )

    @property
    def f1(self) -> float:
        """100 * 2 TP / (2 TP + FP + FN), from 0 to 100; 100 where there is nothing to find."""
        either = 2 * self.hits + self.false_alarms + self.misses
        return 200 * self.hits / either if either else 100.0


def overlap_hits(truth: Sequence[object], found: Sequence[object], percent: float) -> Hits:
    """Which predicted segments overlap a true one of their label by enough.

        IoU(p, g) = |p and g| / |p or g|        (frames)

    Segments are taken in order; each is a hit if, of the true segments of its label, the one with
    the highest IoU has at least `percent` and was not hit before. Else it is a false alarm.

    Source: Lea et al. 2017, F1@k; the hits of all clips are added before F1 is taken, as by Farha
    and Gall 2019. No class is left out as background.

    Args:
        truth: the labels of a clip's frames, [T].
        found: those that were predicted, [T].
        percent: k, least IoU in percent.

    Example:
        >>> overlap_hits("aaab", "aabb", 50), overlap_hits("aaab", "aabb", 60)  # IoU 2/3, 1/2
        (Hits(hits=2, false_alarms=0, misses=0), Hits(hits=1, false_alarms=1, misses=1))
    """
    targets = segments(truth)
    is_hit = [False] * len(targets)
    guesses = segments(found)
    for guess in guesses:
        overlaps = [(_overlap(guess, target), -i) for i, target in enumerate(targets)]
        best, place = max(overlaps, default=(0.0, 0))
        if best > 0 and 100 * best >= percent:
            is_hit[-place] = True
    hits = sum(is_hit)
    return Hits(hits, len(guesses) - hits, len(targets) - hits)


def _overlap(one: Segment, other: Segment) -> float:
    """Intersection over union of two segments; 0 for two labels."""
    if one.label != other.label:
        return 0.0
    both = min(one.end, other.end) - max(one.first, other.first)
    return max(0, both) / (max(one.end, other.end) - min(one.first, other.first))
