"""How good captions are: BLEU-1 to 4, CIDEr-D and ROUGE-L against several references each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from throughtime.errors import DataError

Words = Sequence[str]
"""A caption as words."""

Grams = Counter[tuple[str, ...]]
"""Runs of one to four words, and how often each comes."""

_ORDER, _SIGMA, _BETA = 4, 6.0, 1.2


@dataclass(frozen=True)
class Measures:
    """Four kinds of agreement with the references, each for all captions together."""

    bleu: tuple[float, float, float, float]
    """BLEU-1 to BLEU-4, from 0 to 100."""

    cider: float
    """CIDEr-D, from 0 to 10; its usual percentages are a hundred times it."""

    rouge: float
    """ROUGE-L, from 0 to 100."""


def measure(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> Measures:
    """All measures of captions.

    Args:
        captions: of each picture, N, as words.
        references: of each picture, one or more, as words.

    Raises:
        DataError: there are no pictures, or one has no reference.
    """
    if not captions or not all(references):
        raise DataError(
            f"captions are measured against a reference each or more, got {len(captions):,} "
            "captions, some without; give references for all."
        )
    return Measures(
        bleu(captions, references),
        sum(cider(captions, references)) / len(captions),
        100 * sum(map(rouge, captions, references)) / len(captions),
    )


def bleu(
    captions: Sequence[Words], references: Sequence[Sequence[Words]]
) -> tuple[float, float, float, float]:
    """BLEU-1 to BLEU-4 over all captions, by sacreBLEU, without smoothing.

        BLEU-n = 100 min(1, e^(1 - r/c)) (prod_{k<=n} p_k)^(1/n)         (Papineni et al. 2002)

    c is the length of all captions, r that of the references closest in length.

    Args:
        captions: of each picture, N.
        references: of each picture, one or more.
    """
    from sacrebleu.metrics.bleu import BLEU

    most = max(map(len, references))
    # None where a picture has fewer references than another.
    joined: list[Any] = [
        [" ".join(of[k]) if k < len(of) else None for of in references] for k in range(most)
    ]
    found = []
    for order in range(1, _ORDER + 1):
        metric = BLEU(tokenize="none", smooth_method="none", max_ngram_order=order, force=True)
        found.append(metric.corpus_score([" ".join(words) for words in captions], joined).score)
    one, two, three, four = found
    return one, two, three, four


def cider(captions: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[float]:
    """CIDEr-D of each caption, from 0 to 10.

        g_n(s)_w  = count of w in s  ln(N / pictures with w in a reference),   w any run of n words
        sim_n     = sum_w min(g_n(c)_w, g_n(r)_w) g_n(r)_w / (|g_n(c)| |g_n(r)|)
        CIDEr-D   = 10 mean_n mean_r  e^(-(|c| - |r|)^2 / (2 6^2))  sim_n      n = 1 ... 4

    Source: Vedantam, Zitnick and Parikh 2015, eq. 2, 3 and 6.

    Args:
        captions: of each picture, N; for N = 1 every weight is 0.
        references: of each picture, one or more.

    Example:
        >>> cider(["a dog".split(), ["cats"]], [["a dog".split()], ["two big cats".split()]])[0]
        5.0
    """
    refs = [[_grams(words) for words in of] for of in references]
    held = Counter(gram for of in refs for gram in set().union(*of))
    weights = {gram: math.log(len(references) / count) for gram, count in held.items()}
    unseen = math.log(len(references))

    def weigh(grams: Grams) -> list[dict[tuple[str, ...], float]]:
        """tf-idf by the length of the run."""
        parts: list[dict[tuple[str, ...], float]] = [{} for _ in range(_ORDER)]
        for gram, count in grams.items():
            parts[len(gram) - 1][gram] = count * weights.get(gram, unseen)
        return parts

    scores = []
    for words, of, grams in zip(captions, references, refs, strict=True):
        ours, total = weigh(_grams(words)), 0.0
        for reference, theirs in zip(of, map(weigh, grams), strict=True):
            fade = math.exp(-((len(words) - len(reference)) ** 2) / (2 * _SIGMA**2))
            total += fade * sum(map(_similarity, ours, theirs)) / _ORDER
        scores.append(10 * total / len(of))
    return scores


def rouge(caption: Words, references: Sequence[Words]) -> float:
    """ROUGE-L of one caption, from 0 to 1.

        P = max_r lcs(c, r) / |c|,   R = max_r lcs(c, r) / |r|
        F = (1 + b^2) P R / (R + b^2 P),   b = 1.2

    lcs is the length of the longest common subsequence.

    Source: Lin 2004; b and the two maxima as in the evaluation of MS COCO (Chen et al. 2015).

    Args:
        caption: words.
        references: one or more.

    Example:
        >>> rouge("a dog runs fast".split(), ["a brown dog runs".split()])
        0.75
    """
    common = [_common(caption, reference) for reference in references]
    if not any(common):
        return 0.0
    precision = max(common) / len(caption)
    recall = max(n / max(1, len(of)) for n, of in zip(common, references, strict=True))
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _grams(words: Words) -> Grams:
    return Counter(
        tuple(words[first : first + n])
        for n in range(1, _ORDER + 1)
        for first in range(len(words) - n + 1)
    )


def _similarity(ours: dict[tuple[str, ...], float], theirs: dict[tuple[str, ...], float]) -> float:
    """The clipped cosine of two tf-idf vectors; 0 where one has no length."""
    norms = math.hypot(*ours.values()) * math.hypot(*theirs.values())
    found = sum(min(ours[gram], weight) * weight for gram, weight in theirs.items() if gram in ours)
    return found / norms if norms else 0.0


def _common(one: Words, other: Words) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0  # of the row above, one to the left
        for k, there in enumerate(other, 1):
            before, row[k] = row[k], before + 1 if word == there else max(row[k], row[k - 1])
    return row[-1]
