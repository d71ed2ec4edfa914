"""Reviews of one sentence, generated: the last clause decides, and a `not` turns it round."""

from __future__ import annotations

import numpy as np

from throughtime.data.labelled import Labelled

_THINGS = ("film", "plot", "acting", "music", "ending", "camera", "cast", "story")
_GOOD = ("great", "funny", "moving", "fresh", "clever")
_BAD = ("dull", "awful", "flat", "silly", "tired")
_WEIGHTS = ("", "very ", "really ", "quite ")


def reviews(count: int, seed: int) -> Labelled:
    """Sentences such as `the plot was dull but the music was not very bad`.

    A sentence has one clause, or two with `but` between them. It is `positive` if its last clause
    praises without a `not` or blames with one, else `negative`. Words without their order do not
    tell: `not dull but great` and `dull but not great` hold the same.

    Args:
        count: how many, N.
        seed: which ones; the sentences are a pure function of both.

    Example:
        >>> found = reviews(2, seed=1)
        >>> found.texts[0], found.labels[0]
        ('the music was flat but the cast was quite dull', 'negative')
    """
    draw = np.random.default_rng((seed, count))
    texts, labels = [], []
    for _ in range(count):
        clauses = [_clause(draw) for _ in range(draw.integers(1, 3))]
        texts.append(" but ".join(text for text, _ in clauses))
        labels.append("positive" if clauses[-1][1] else "negative")
    return Labelled(texts, labels)


def _clause(draw: np.random.Generator) -> tuple[str, bool]:
    """A clause, and whether it is a good word for the film."""
    praises, is_turned = bool(draw.integers(2)), not draw.integers(4)
    thing, weight, word = (
        words[draw.integers(len(words))]
        for words in (_THINGS, _WEIGHTS, _GOOD if praises else _BAD)
    )
    return f"the {thing} was {'not ' * is_turned}{weight}{word}", praises != is_turned
