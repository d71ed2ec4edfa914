"""The measures of captions against worked examples, and against their definitions written out."""

import math
from collections import Counter

import numpy as np
import pytest

from throughtime.errors import DataError
from throughtime.tasks.caption_measures import bleu, cider, measure, rouge

DRAW = np.random.default_rng(4)


def sentences(count):
    """Random sentences of one to nine words out of seven."""
    return [list(map(str, DRAW.choice(list("abcd"), DRAW.integers(1, 10)))) for _ in range(count)]


CAPTIONS = sentences(30)
REFERENCES = [sentences(DRAW.integers(1, 6)) for _ in CAPTIONS]


def grams(words, n):
    """How often each run of n words comes."""
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def test_bleu_of_a_worked_example_is_what_paper_and_pencil_give():
    caption = "the dog runs on the grass".split()
    references = ["the dog runs over the green grass".split(), "a dog is on the grass".split()]
    # 6 of 6 words, 4 of 5 pairs, 2 of 4 triples ("the dog runs", "on the grass"), 0 of 3 fours
    found = bleu([caption], [references])
    expected = [100, 100 * (4 / 5) ** 0.5, 100 * (4 / 5 * 2 / 4) ** (1 / 3), 0]
    assert found == pytest.approx(expected)


def test_bleu_of_short_captions_is_punished_by_the_closest_reference():
    found = bleu([["a", "dog"]], [["a dog runs".split(), "one big dog runs very fast".split()]])
    assert found[:2] == pytest.approx([100 * math.exp(1 - 3 / 2)] * 2)


def test_bleu_over_several_references_is_its_definition():
    expected = []
    for order in range(1, 5):
        logs = 0.0
        for n in range(1, order + 1):
            right = total = 0
            for caption, references in zip(CAPTIONS, REFERENCES, strict=True):
                for gram, count in grams(caption, n).items():
                    right += min(count, max(grams(r, n)[gram] for r in references))
                    total += count
            logs += math.log(right / total) / order
        ours = sum(map(len, CAPTIONS))
        theirs = sum(
            min((abs(len(r) - len(c)), len(r)) for r in references)[1]
            for c, references in zip(CAPTIONS, REFERENCES, strict=True)
        )
        expected.append(100 * math.exp(logs + min(0, 1 - theirs / ours)))
    assert bleu(CAPTIONS, REFERENCES) == pytest.approx(expected)


def test_cider_of_a_worked_example_is_what_paper_and_pencil_give():
    captions = ["a dog".split(), "a cat".split()]
    references = [["a dog".split(), "the dog".split()], ["a cat".split()]]
    # "a" is in both pictures and weighs nothing; "dog", "the" and every pair weigh ln 2.
    # a dog against "a dog": words 1, pairs 1; against "the dog": words 1/sqrt 2, pairs 0.
    first = 10 * (2 / 4 + (2**-0.5) / 4) / 2
    assert cider(captions, references) == pytest.approx([first, 5.0])


def test_cider_fades_with_the_difference_of_the_lengths():
    references = [["a b c d".split()], ["e f g h".split()]]
    caption = "a b c d e e e".split()
    # All runs weigh ln 2. Words: a b c d and 3 e; pairs: 3, and de, 2 ee; triples: 2, and cde, dee,
    # eee; fours: 1, and bcde, cdee, deee.
    words = 4 / (2 * math.sqrt(4 + 9))
    pairs = 3 / (math.sqrt(3) * math.sqrt(3 + 1 + 4))
    triples = 2 / (math.sqrt(2) * math.sqrt(2 + 3))
    fours = 1 / math.sqrt(1 + 3)
    expected = 10 * math.exp(-9 / 72) * (words + pairs + triples + fours) / 4
    assert cider([caption, references[1][0]], references) == pytest.approx([expected, 10])


def test_rouge_of_a_worked_example_is_what_paper_and_pencil_give():
    # longest in common: "a dog on grass", 4 of 5 words against 4 of 6
    found = rouge("a dog sits on grass".split(), ["a big dog on the grass".split()])
    assert found == pytest.approx((1 + 1.44) * 0.8 * (4 / 6) / (4 / 6 + 1.44 * 0.8))


def test_rouge_takes_the_longest_common_subsequence():
    def longest(one, other):
        if not one or not other:
            return 0
        if one[0] == other[0]:
            return 1 + longest(one[1:], other[1:])
        return max(longest(one[1:], other), longest(one, other[1:]))

    for caption, references in zip(CAPTIONS[:12], REFERENCES, strict=False):
        common = [longest(caption, of) for of in references]
        if not any(common):
            assert rouge(caption, references) == 0
            continue
        p = max(common) / len(caption)
        r = max(n / len(of) for n, of in zip(common, references, strict=True))
        assert rouge(caption, references) == pytest.approx(2.44 * p * r / (r + 1.44 * p))


def test_a_caption_like_its_reference_has_full_marks_and_one_without_words_none():
    texts = [[letter] * 5 + ["z"] for letter in "abc"]
    found = measure(texts, [[text] for text in texts])
    assert found.bleu == pytest.approx([100] * 4) and found.rouge == pytest.approx(100)
    assert found.cider == pytest.approx(10)
    found = measure([[], [], []], [[text] for text in texts])
    assert (found.bleu, found.cider, found.rouge) == ((0, 0, 0, 0), 0, 0)


def test_captions_without_references_are_refused():
    with pytest.raises(DataError, match="a reference each or more, got 1"):
        measure([["a"]], [[]])
