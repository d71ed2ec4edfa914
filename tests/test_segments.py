"""Segmental scores: worked by hand, and beside other definitions of the same."""

import itertools

import numpy as np
import pytest

from throughtime.tasks.segments import OVERLAPS, Hits, edit_score, overlap_hits, segments


@pytest.mark.parametrize(
    ("truth", "found", "score"),
    [
        ("aabbcc", "abbbbc", 100),  # the same order; lengths do not count
        ("aabbcc", "aacccc", 100 * 2 / 3),  # b is missing: 1 edit of 3
        ("aabbcc", "ababcc", 100 * 3 / 5),  # a b c to a b a b c: 2 edits of 5
        ("aaaa", "bbbb", 0),
        ("abab", "baba", 50),  # take the first away, put one at the end: 2 edits of 4
        ("", "", 100),
    ],
)
def test_the_edit_score_is_what_it_is_by_hand(truth, found, score):
    assert edit_score(truth, found) == pytest.approx(score)


def fewest_edits(ours, theirs):
    """Levenshtein's distance straight from its recursion."""
    if not ours or not theirs:
        return len(ours) + len(theirs)
    replaced = fewest_edits(ours[1:], theirs[1:]) + (ours[0] != theirs[0])
    return min(replaced, fewest_edits(ours[1:], theirs) + 1, fewest_edits(ours, theirs[1:]) + 1)


def test_the_edit_score_is_levenshteins_distance_of_the_orders():
    draw = np.random.default_rng(0)
    for _ in range(40):
        truth, found = (draw.integers(0, 3, 6).tolist() for _ in range(2))
        ours, theirs = ([k for k, _ in itertools.groupby(labels)] for labels in (truth, found))
        expected = 100 * (1 - fewest_edits(ours, theirs) / max(len(ours), len(theirs)))
        assert edit_score(truth, found) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("truth", "found", "percent", "hits"),
    [
        ("aaaabbbb", "aaaabbbb", 100, (2, 0, 0)),
        ("aaaabbbb", "aabbbbbb", 50, (2, 0, 0)),  # IoU 2/4 and 4/6
        ("aaaabbbb", "aabbbbbb", 51, (1, 1, 1)),
        ("aaaaaaaa", "aaabaaaa", 25, (1, 2, 0)),  # IoU 3/8 and 4/8 of one: the second is false
        ("aabbaa", "aaaaaa", 25, (1, 0, 2)),  # IoU 2/6 with the first a; the other one is missed
        ("aabbaa", "aaaaaa", 50, (0, 1, 3)),
        ("aaaa", "bbbb", 10, (0, 1, 1)),
        ("aaaaaaaaab", "bbbbbbbbbb", 10, (1, 0, 1)),  # IoU 1/10 is enough
        ("abcabc", "bcabca", 10, (0, 6, 6)),  # right labels, never at the right time
    ],
)
def test_hits_are_what_they_are_by_hand(truth, found, percent, hits):
    assert overlap_hits(truth, found, percent) == Hits(*hits)


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    found = Hits(3, 1, 2)  # precision 3/4, recall 3/5
    assert found.f1 == pytest.approx(100 * 2 / (4 / 3 + 5 / 3))
    assert (found + Hits(1, 0, 1)) == Hits(4, 1, 3)
    assert Hits().f1 == 100 and Hits(0, 2, 0).f1 == 0


def test_hits_are_those_of_sets_of_frames():
    draw = np.random.default_rng(1)
    for percent in OVERLAPS:
        for _ in range(30):
            truth, found = (np.repeat(draw.integers(0, 3, 6), draw.integers(1, 5, 6)) for _ in "ab")
            size = min(len(truth), len(found))
            truth, found = truth[:size].tolist(), found[:size].tolist()
            assert overlap_hits(truth, found, percent) == by_sets(truth, found, percent)


def by_sets(truth, found, percent):
    """The same, with every segment as a set of frames."""
    ours, theirs = (
        [(part.label, set(range(part.first, part.end))) for part in segments(labels)]
        for labels in (truth, found)
    )
    free, hits = set(range(len(ours))), 0
    for label, frames in theirs:
        scores = [len(frames & true) / len(frames | true) * (label == mine) for mine, true in ours]
        best = int(np.argmax(scores))
        if scores[best] >= percent / 100 and best in free:
            free.remove(best)
            hits += 1
    return Hits(hits, len(theirs) - hits, len(free))
