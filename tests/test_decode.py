"""Greedy decoding and beam search, against every sequence written out."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from throughtime.decode import Bounds, Scoring, beam, draw, greedy
from throughtime.errors import OptionError, RunError

V, END, BEGIN = 4, 3, 0


class Read:
    """A state that is the tokens read, [B, n], and how much of each of two places was attended."""

    def __init__(self, tokens, coverage):
        self.tokens, self.coverage = tokens, coverage

    def reorder(self, index):
        return Read(self.tokens[index], self.coverage[index])


def model(seed):
    """A step whose logits hang on all tokens read, by a table drawn for each prefix."""
    tables = {}

    def logits_of(prefix):
        if prefix not in tables:
            generator = torch.Generator().manual_seed(hash((seed, prefix)) % 2**31)
            tables[prefix] = 2 * torch.randn(V, dtype=torch.float64, generator=generator)
        return tables[prefix]

    def step(tokens, state):
        read = torch.cat([state.tokens, tokens.T], 1)
        shares = torch.stack([tokens[-1] / V, 1 - tokens[-1] / V], 1).double()
        logits = torch.stack([logits_of(tuple(row)) for row in read.tolist()])
        return logits[None], Read(read, state.coverage + shares)

    return step


def begin(rows):
    """What rows begin with: each with another token, so that they differ."""
    tokens = torch.arange(rows) % (V - 1)
    return tokens, Read(torch.empty(rows, 0, dtype=torch.int64), torch.zeros(rows, 2).double())


def log_probability(step, first, tokens):
    """Of the tokens and the end behind them, one step after the other; and the coverage."""
    state, total, last = Read(torch.empty(1, 0).long(), torch.zeros(1, 2).double()), 0.0, first
    for token in (*tokens, END):
        logits, state = step(torch.tensor([[last]]), state)
        total, last = total + logits[-1, 0].log_softmax(-1)[token].item(), token
    return total, state.coverage[0]


def every_score(step, first, bounds, alpha=0.0, beta=0.0):
    """The score of every finished sequence, by its tokens."""
    found = {}
    for n in range(bounds.shortest, bounds.longest + 1):
        for tokens in product([t for t in range(V) if t != END], repeat=n):
            log_p, coverage = log_probability(step, first, tokens)
            score = log_p / ((5 + n + 1) / 6) ** alpha
            covered = sum(math.log(max(1e-9, min(1.0, share))) for share in coverage.tolist())
            found[tokens] = score + beta * covered
    return found


def likeliest(step, first, longest):
    """The tokens that a loop over one row takes, and their log-probability, the end's included."""
    tokens, total, state = [first], 0.0, Read(torch.empty(1, 0).long(), torch.zeros(1, 2).double())
    while True:
        logits, state = step(torch.tensor([tokens[-1:]]), state)
        each = logits[-1, 0].log_softmax(-1).tolist()
        best = each.index(max(each))
        if best == END or len(tokens) > longest:
            return tuple(tokens[1:]), total + each[best] * (best == END), best == END
        tokens, total = [*tokens, best], total + each[best]


@given(st.integers(0, 999), st.integers(1, 4), st.sampled_from([0.0, 1.0]))
def test_greedy_and_a_beam_of_width_one_take_the_likeliest_token_each_time(seed, rows, alpha):
    step, scoring = model(seed), Scoring(alpha)
    found = beam(step, *begin(rows), Bounds(END, 5), scoring, width=1)
    assert [one for (one,) in found] == greedy(step, *begin(rows), Bounds(END, 5), scoring)
    for first, (one,) in enumerate(found):
        tokens, log_p, is_finished = likeliest(step, first % (V - 1), 5)
        assert (one.tokens, one.is_finished) == (tokens, is_finished)
        assert one.log_probability == pytest.approx(log_p, abs=1e-9)
        assert one.score == pytest.approx(log_p / ((5 + len(tokens) + 1) / 6) ** alpha)


@given(st.integers(0, 999), st.integers(2, 5), st.sampled_from([0.0, 0.7, 1.5]))
def test_no_width_scores_worse_than_greedy(seed, width, alpha):
    step, scoring = model(seed), Scoring(alpha, 0.1)
    wide = beam(step, *begin(3), Bounds(END, 4), scoring, width=width)
    narrow = greedy(step, *begin(3), Bounds(END, 4), scoring)
    assert all(best.rank >= one.rank for (best, *_), one in zip(wide, narrow, strict=True))


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (1.3, 0.0), (0.6, 0.2)])
def test_a_beam_as_wide_as_there_are_sequences_finds_the_best_of_all(alpha, beta):
    for seed in range(5):
        step, bounds = model(seed), Bounds(END, 3, shortest=1)
        found = beam(step, *begin(2), bounds, Scoring(alpha, beta), width=120, best=4)
        for first, sequences in enumerate(found):
            scores = every_score(step, first, bounds, alpha, beta)
            best = sorted(scores, key=scores.get, reverse=True)[:4]
            assert [one.tokens for one in sequences] == best
            for one in sequences:
                assert one.score == pytest.approx(float(scores[one.tokens]), abs=1e-9)
                expected = log_probability(step, first, one.tokens)[0]
                assert one.log_probability == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 999))
def test_a_row_alone_is_what_it_is_among_others(seed):
    step, (tokens, state) = model(seed), begin(3)
    together = beam(step, tokens, state, Bounds(END, 6), Scoring(0.5), width=3, best=2)
    for k in range(3):
        row = torch.tensor([k])
        alone = beam(
            step, tokens[row], state.reorder(row), Bounds(END, 6), Scoring(0.5), width=3, best=2
        )
        assert alone[0] == together[k]


@given(st.integers(0, 999), st.integers(1, 3))
def test_sequences_keep_their_bounds(seed, width):
    bounds = Bounds(END, 6, shortest=3, block_ngrams=2)
    for sequences in beam(model(seed), *begin(3), bounds, width=width, best=width):
        for one in sequences:
            pairs = list(zip(one.tokens, one.tokens[1:], strict=False))
            assert 3 <= len(one.tokens) <= 6 and len(set(pairs)) == len(pairs)
            assert END not in one.tokens


def test_a_sequence_that_does_not_end_says_so():
    def never(tokens, state):
        return torch.tensor([5.0, 1.0, 1.0, -50.0]).repeat(1, tokens.shape[1], 1), state

    for found in (
        greedy(never, *begin(2), Bounds(END, 4)),
        [first for first, *_ in beam(never, *begin(2), Bounds(END, 4), width=1)],
    ):
        assert [(one.tokens, one.is_finished) for one in found] == [((0,) * 4, False)] * 2


def test_logits_that_are_not_finite_are_refused():
    def broken(tokens, state):
        return torch.full((1, tokens.shape[1], V), torch.nan), state

    with pytest.raises(RunError, match="must be finite"):
        greedy(broken, *begin(1), Bounds(END, 4))


def test_options_outside_their_range_are_refused():
    with pytest.raises(OptionError, match="best 3 and width 2"):
        beam(model(0), *begin(1), Bounds(END, 4), width=2, best=3)
    with pytest.raises(OptionError, match="shortest <= longest"):
        Bounds(END, 2, shortest=3)
    with pytest.raises(OptionError, match="length_penalty must be at least 0"):
        Scoring(-1.0)
    with pytest.raises(OptionError, match="block_ngrams must be at least 0"):
        Bounds(END, 2, block_ngrams=-1)
    state = begin(1)[1]
    state.coverage = None
    with pytest.raises(OptionError, match="needs a model with attention"):
        Scoring(0.0, 1.0)(torch.zeros(1), 1, state)


def test_drawn_sequences_come_as_often_as_they_are_likely():
    step, count = model(5), 4000
    state = Read(torch.empty(count, 0).long(), torch.zeros(count, 2).double())
    generator = torch.Generator().manual_seed(0)
    found = draw(step, torch.zeros(count).long(), state, Bounds(END, 3), generator=generator)
    for tokens in ((), (0,), (2,), (1, 1)):
        expected = math.exp(log_probability(step, 0, tokens)[0])
        drawn = [one for one in found if one.tokens == tokens and one.is_finished]
        spread = math.sqrt(expected * (1 - expected) / count)
        assert abs(len(drawn) / count - expected) < 4 * spread
        assert all(one.log_probability == pytest.approx(math.log(expected)) for one in drawn)


@given(st.integers(0, 999))
def test_drawing_without_heat_is_greedy(seed):
    step, bounds = model(seed), Bounds(END, 5, shortest=1, block_ngrams=2)
    assert draw(step, *begin(3), bounds, temperature=0) == greedy(step, *begin(3), bounds)
