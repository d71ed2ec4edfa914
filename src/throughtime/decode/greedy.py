"""One sequence for each row, until its end: of the likeliest tokens, or of drawn ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from throughtime.decode.hypothesis import PLAIN, Bounds, Hypothesis, R, Scoring, Step
from throughtime.decode.sample import choose, finite_highest


def greedy(
    step: Step[R], begin: Tensor, state: R, bounds: Bounds, scoring: Scoring = PLAIN
) -> list[Hypothesis]:
    """The sequence of the likeliest tokens, for each row.

        x_t = argmax_x p(x | x_1 ... x_{t-1})

    Args:
        step: tokens [1, B] and a state to logits [1, B, V] and the next state.
        begin: what each row begins with, int64 [B]; not part of the result.
        state: of the rows; those that have ended are dropped from it.
        bounds: end, lengths, and what may not come twice.
        scoring: what the scores are.

    Raises:
        RunError: a row's largest logit is not finite.

    Example:
        >>> from throughtime.cells import HiddenState
        >>> from throughtime.layers.states import States
        >>> def count(tokens, state):  # the next token is the last one plus 1
        ...     return 9 * torch.eye(10)[(tokens + 1) % 10], state
        >>> nothing = States([HiddenState(torch.zeros(1, 2, 1))])
        >>> [h.tokens for h in greedy(count, torch.tensor([5, 7]), nothing, Bounds(9, 20))]
        [(6, 7, 8), (8,)]
    """
    return _follow(step, begin, state, bounds, scoring, partial(choose, temperature=0))


def draw(
    step: Step[R],
    begin: Tensor,
    state: R,
    bounds: Bounds,
    scoring: Scoring = PLAIN,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> list[Hypothesis]:
    """A sequence drawn for each row, token by token as `choose` draws them.

        x_t ~ choose(p(x | x_1 ... x_{t-1}))

    Args:
        step: as in `greedy`, as are begin, state, bounds and scoring.
        begin: see step.
        state: see step.
        bounds: see step.
        scoring: see step.
        temperature: as in `choose`, as are top_k, top_p and generator.
        top_k: see temperature.
        top_p: see temperature.
        generator: see temperature.

    Raises:
        OptionError: an option is out of its range.
        RunError: a row's largest logit is not finite.
    """
    pick = partial(choose, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
    return _follow(step, begin, state, bounds, scoring, pick)


def _follow(
    step: Step[Any],
    begin: Tensor,
    state: Any,
    bounds: Bounds,
    scoring: Scoring,
    pick: Callable[[Tensor], Tensor],
) -> list[Hypothesis]:
    """The sequence of each row whose tokens are picked from scores [B, V]."""
    found: dict[int, Hypothesis] = {}
    rows, tokens = torch.arange(len(begin)), begin
    written, total = begin.new_empty(len(begin), 0), torch.zeros(len(begin), dtype=torch.float64)
    while len(rows):
        with torch.inference_mode():
            logits, state = step(tokens[None], state)
            each = log_probabilities(logits[-1])
            tokens = pick(bounds.forbid(each, written))
        length, has_ended = written.shape[1], tokens == bounds.end
        goes_on = ~has_ended & (length < bounds.longest)
        summed = total + each.gather(1, tokens[:, None])[:, 0]
        total = torch.where(has_ended | goes_on, summed, total)
        scores = scoring(total, length + 1, state)
        for k in (~goes_on).nonzero()[:, 0].tolist():
            found[int(rows[k])] = Hypothesis(
                *(tuple(written[k].tolist()), scores[k].item(), total[k].item()),
                bool(has_ended[k]),
            )
        left = goes_on.nonzero()[:, 0]
        rows, tokens, total = rows[left], tokens[left], total[left]
        written, state = torch.cat([written[left], tokens[:, None]], 1), state.reorder(left)
    return [found[row] for row in range(len(begin))]


def log_probabilities(logits: Tensor) -> Tensor:
    """The log-probability of every token in float64, [B, V].

    Raises:
        RunError: a row's largest logit is not finite.
    """
    finite_highest(logits)
    return logits.double().log_softmax(-1)
