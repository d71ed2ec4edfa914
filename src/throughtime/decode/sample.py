"""Sampling: tokens drawn one by one from what a model finds likely."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from throughtime.errors import OptionError, RunError

S = TypeVar("S")
Step = Callable[[Tensor, S | None], tuple[Tensor, S]]
"""A model over time: tokens [T, B] and a state (None: the first) to logits [T, B, V], state."""


def sample(
    step: Step[S],
    prompt: Sequence[int],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[int]:
    """Continues a prompt without end, one token at a time.

        x_{t+1} ~ choose(step(x_t, s_{t-1}))

    Args:
        step: tokens [T, B] and a state, None at the start, to logits [T, B, V] and the next state.
        prompt: the tokens read before the first draw, at least one.
        temperature: divides the logits; below 1 plays safe, 0 always takes the likeliest.
        top_k: draw among the k likeliest tokens only.
        top_p: draw among the fewest tokens that hold this share of the probability.
        generator: source of the draws; the same seed gives the same tokens.

    Returns:
        An iterator over the tokens after the prompt; `itertools.islice` ends it.

    Raises:
        OptionError: the prompt is empty, or an option is out of its range.

    Example:
        >>> from itertools import islice
        >>> def count(tokens, state):  # the next token is the last one plus 1
        ...     return torch.eye(10)[(tokens + 1) % 10], state
        >>> list(islice(sample(count, [6, 7], temperature=0), 4))
        [8, 9, 0, 1]
    """
    if not prompt:
        raise OptionError(
            "a prompt needs at least one token, got none; pass what the text begins with."
        )
    _check(temperature, top_k, top_p)  # here, and not in the iterator: at the call, not the draw
    return _stream(step, prompt, temperature, top_k, top_p, generator)


def _stream(
    step: Step[S],
    prompt: Sequence[int],
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    generator: torch.Generator | None,
) -> Iterator[int]:
    state: S | None = None
    tokens = torch.tensor(prompt, dtype=torch.long)[:, None]  # [T, B=1]
    while True:
        with torch.no_grad():  # never across a yield: the caller would run without gradients
            logits, state = step(tokens, state)
            tokens = choose(
                logits[-1], temperature=temperature, top_k=top_k, top_p=top_p, generator=generator
            )[None]
        yield int(tokens.item())


def choose(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """One token per row, drawn from the logits or, at temperature 0, the likeliest.

        p = softmax(logits / temperature), then top_k (Fan et al. 2018), then top_p (nucleus,
        Holtzman et al. 2020), each renormalised over what it keeps

    Args:
        logits: scores, [B, V].
        temperature: finite, at least 0.
        top_k: at least 1; more than V keeps all.
        top_p: in (0, 1]; the token that crosses the share is kept.
        generator: source of the draws.

    Returns:
        Tokens, [B].

    Raises:
        OptionError: an option is out of its range.
        RunError: a row's largest logit is not finite.

    Example:
        >>> choose(torch.tensor([[0.0, 2.0, 1.0]]), temperature=0).tolist()
        [1]
    """
    _check(temperature, top_k, top_p)
    if temperature == 0:
        finite_highest(logits)
        return logits.argmax(dim=-1)
    probabilities = distribution(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


def distribution(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """The probabilities `choose` draws from, in float64.

    Args:
        logits: scores, [..., V].
        temperature: above 0.
        top_k: as in `choose`.
        top_p: as in `choose`.

    Returns:
        Probabilities, [..., V], zero for what is left out.

    Raises:
        RunError: a row's largest logit is not finite.

    Example:
        >>> distribution(torch.tensor([0.5, 0.3, 0.2]).log(), top_p=0.7)
        tensor([0.6250, 0.3750, 0.0000], dtype=torch.float64)
    """
    scores = logits.double()
    scores = (scores - finite_highest(scores)) / temperature  # 0 is the largest: no inf
    ordered, order = scores.sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        ordered[..., top_k:] = -math.inf
    likely = ordered.softmax(dim=-1)
    if top_p is not None:
        before = likely.cumsum(dim=-1) - likely  # what the likelier tokens hold already
        likely = likely.masked_fill(before >= top_p, 0.0)
        likely = likely / likely.sum(dim=-1, keepdim=True)
    return torch.zeros_like(likely).scatter(-1, order, likely)


def finite_highest(logits: Tensor) -> Tensor:
    """The largest logit of each row, [..., 1]; minus infinity below it rules a token out."""
    highest = logits.amax(dim=-1, keepdim=True)  # nan if one of them is
    if not highest.isfinite().all():
        raise RunError(
            "a model's logits must be finite to draw from, "
            f"got {highest[~highest.isfinite()][0].item()}; "
            "the training went astray, train anew with a lower --lr."
        )
    return highest


def _check(temperature: float, top_k: int | None, top_p: float | None) -> None:
    if not (math.isfinite(temperature) and temperature >= 0):
        raise OptionError(
            f"temperature must be a finite number of at least 0, got {temperature:g}; "
            "0 always takes the likeliest token, 1 keeps the model's own distribution."
        )
    if top_k is not None and top_k < 1:
        raise OptionError(
            f"top_k must be at least 1, got {top_k}; leave it out to draw among all tokens."
        )
    if top_p is not None and not 0 < top_p <= 1:
        raise OptionError(
            f"top_p must be in (0, 1], got {top_p:g}; leave it out to draw among all tokens."
        )
