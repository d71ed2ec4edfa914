"""Beam search: several sequences kept side by side, and the best of them found."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from throughtime.decode.greedy import greedy, log_probabilities
from throughtime.decode.hypothesis import PLAIN, Bounds, Hypothesis, R, Scoring, Step
from throughtime.errors import OptionError


def beam(
    step: Step[R],
    begin: Tensor,
    state: R,
    bounds: Bounds,
    scoring: Scoring = PLAIN,
    *,
    width: int = 5,
    best: int = 1,
) -> list[list[Hypothesis]]:
    """The best sequences of each row that a beam of some width finds, the best first.

    At every step all continuations of the W sequences that are open compete by log-probability;
    of the first W those with an end are finished, and the first W others go on. A row is done
    once no open sequence can come to a better score than the finished ones have. The greedy
    sequence is always among those that are compared, so that no width gives a worse one.

    Source: Graves 2012; scores and the end of the search, Wu et al. 2016.

    Args:
        step: as in `greedy`, as are begin, state and bounds.
        begin: see step.
        state: see step.
        bounds: see step.
        scoring: what the finished sequences are compared by.
        width: W, sequences kept side by side; 1 is greedy.
        best: how many are given for each row, at most W.

    Returns:
        For each row at least one and at most `best`.

    Raises:
        OptionError: width or best is out of its range.
        RunError: a row's largest logit is not finite.
    """
    if not 1 <= best <= width:
        raise OptionError(
            f"a beam must have 1 <= best <= width, got best {best} and width {width}; "
            "raise the width."
        )
    found = [{one.tokens: one} for one in greedy(step, begin, state, bounds, scoring)]
    if width > 1:
        search = _Search(step, bounds, scoring, width, best, found)
        search.run(begin, state)
    ordered = (sorted(own.values(), key=lambda one: one.rank, reverse=True) for own in found)
    return [sequences[:best] for sequences in ordered]


class _Search:
    """Rows times W sequences, those of one row side by side."""

    def __init__(
        self,
        step: Step[Any],
        bounds: Bounds,
        scoring: Scoring,
        width: int,
        best: int,
        found: list[dict[tuple[int, ...], Hypothesis]],
    ) -> None:
        self.step, self.bounds, self.scoring = step, bounds, scoring
        self.width, self.best, self.found = width, best, found

    def run(self, begin: Tensor, state: Any) -> None:
        """Adds to what was found."""
        W, rows = self.width, torch.arange(len(begin))
        state = state.reorder(rows.repeat_interleave(W))
        tokens, written = begin.repeat_interleave(W), begin.new_empty(len(begin) * W, 0)
        total = torch.full((len(begin), W), -torch.inf, dtype=torch.float64)
        total[:, 0] = 0.0  # all W are the same at first
        while len(rows):
            with torch.inference_mode():
                logits, state = self.step(tokens[None], state)
                each = self.bounds.forbid(log_probabilities(logits[-1]), written)
            self._finish(rows, total, each, written, state)
            if written.shape[1] == self.bounds.longest:
                self._give_up(rows, total, written, state)
                return
            total, source, tokens = self._extend(total, each)
            left = [k for k, row in enumerate(rows.tolist()) if self._may_win(row, total[k, 0])]
            chosen = source.view(-1, W)[left].flatten()
            tokens = tokens.view(-1, W)[left].flatten()
            rows, total = rows[left], total[left]
            written = torch.cat([written[chosen], tokens[:, None]], 1)
            state = state.reorder(chosen)

    def _finish(
        self, rows: Tensor, total: Tensor, each: Tensor, written: Tensor, state: Any
    ) -> None:
        """Keeps the sequences that may end here: their end is among the first W continuations."""
        W, end = self.width, self.bounds.end
        every = (total.view(-1, 1) + each).view(len(rows), -1)
        lowest = every.topk(W, dim=1).values[:, -1:]
        ended = total + each[:, end].view(-1, W)
        scores = self.scoring(ended.flatten(), written.shape[1] + 1, state).view(-1, W)
        for k, w in ((ended >= lowest) & ended.isfinite()).nonzero().tolist():
            self._keep(rows[k], written[k * W + w], scores[k, w], ended[k, w], True)

    def _keep(
        self, row: Tensor, tokens: Tensor, score: Tensor, log_p: Tensor, is_finished: bool
    ) -> None:
        one = Hypothesis(tuple(tokens.tolist()), score.item(), log_p.item(), is_finished)
        known = self.found[int(row)].get(one.tokens)
        if known is None or one.rank > known.rank:
            self.found[int(row)][one.tokens] = one

    def _give_up(self, rows: Tensor, total: Tensor, written: Tensor, state: Any) -> None:
        """Keeps the sequences that came to no end within the longest length."""
        W = self.width
        scores = self.scoring(total.flatten(), written.shape[1] + 1, state).view(-1, W)
        for k, w in total.isfinite().nonzero().tolist():
            self._keep(rows[k], written[k * W + w], scores[k, w], total[k, w], False)

    def _extend(self, total: Tensor, each: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The W likeliest continuations of each row that do not end, [rows, W].

        Returns:
            Their log-probabilities, the sequence each continues, [rows * W], and its token.
        """
        W, V = self.width, each.shape[1]
        open_ = each.clone()
        open_[:, self.bounds.end] = -torch.inf
        every = (total.view(-1, 1) + open_).view(-1, W * V)
        total, place = every.topk(W, dim=1)
        source = place // V + W * torch.arange(len(every))[:, None]
        return total, source.flatten(), (place % V).flatten()

    def _may_win(self, row: int, highest: Tensor) -> bool:
        """Whether a sequence of this log-probability can still come to one of the best scores."""
        known = self.found[row].values()
        finished = sorted((one.score for one in known if one.is_finished), reverse=True)
        if not highest.isfinite():
            return False
        if len(finished) < self.best:
            return True
        # it can only fall from here, and nothing divides it by more than the longest length
        bound = highest.item() / self.scoring.divisor(self.bounds.longest + 1)
        return bound > finished[self.best - 1]
