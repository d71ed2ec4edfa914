"""What decoding asks of a model and its state, what it looks for, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from throughtime.errors import OptionError


class Reorderable(Protocol):
    """The state of a model in several rows; it chooses and repeats rows by itself.

    Where coverage is to count it also has `coverage`, [B, S]: how much attention each place of
    the source has had so far; 1 for a place that is padding.
    """

    def reorder(self, index: Tensor) -> Any:
        """New row k continues from old row index[k], int64 [B']."""
        ...


R = TypeVar("R", bound=Reorderable)
Step = Callable[[Tensor, R], tuple[Tensor, R]]
"""A model over time: tokens [T, B] and a state to logits [T, B, V] and the next state."""


class Hypothesis(NamedTuple):
    """A sequence that a model might mean."""

    tokens: tuple[int, ...]
    """Without the one that ends it."""

    score: float
    """What it was chosen by; higher is better."""

    log_probability: float
    """ln p(tokens, end), in nats; without the end where it was not reached."""

    is_finished: bool
    """Whether its end came within the longest length."""

    @property
    def rank(self) -> tuple[bool, float]:
        """What the best is the highest of: the finished ones come first."""
        return self.is_finished, self.score


@dataclass(frozen=True)
class Bounds:
    """Which sequences are looked for.

    Args:
        end: the token that ends one.
        longest: most tokens before the end.
        shortest: fewest tokens before the end.
        block_ngrams: no stretch of so many tokens comes twice (Paulus et al. 2018); 0 allows all.

    Raises:
        OptionError: a number is out of its range.
    """

    end: int
    longest: int
    shortest: int = 0
    block_ngrams: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.shortest <= self.longest or self.longest < 1:
            raise OptionError(
                "a sequence must have 0 <= shortest <= longest tokens and longest >= 1, got "
                f"{self.shortest} and {self.longest}; change one of them."
            )
        if self.block_ngrams < 0:
            raise OptionError(
                f"block_ngrams must be at least 0, got {self.block_ngrams}; 0 allows all."
            )

    def forbid(self, scores: Tensor, written: Tensor) -> Tensor:
        """The scores with minus infinity for what may not follow.

        Args:
            scores: of every next token, [B, V].
            written: tokens so far, [B, n].
        """
        length, n = written.shape[1], self.block_ngrams
        allowed = scores.clone()
        if length < self.shortest:
            allowed[:, self.end] = -torch.inf
        if n and length >= n:
            for b, tokens in enumerate(written.tolist()):
                last = tokens[length - n + 1 :]
                starts = range(length - n + 1)
                known = {tokens[i + n - 1] for i in starts if tokens[i : i + n - 1] == last}
                allowed[b, list(known - {self.end})] = -torch.inf
        return allowed


@dataclass(frozen=True)
class Scoring:
    """What a sequence is chosen by.

        score = ln p / ((5 + n) / 6)^alpha + beta sum_s ln min(1, sum_t a_{t,s})

    with n tokens, the end among them, and the attention a of step t to place s.

    Source: Wu et al. 2016, eq. 14.

    Args:
        length_penalty: alpha, at least 0; more favours long sequences.
        coverage_penalty: beta, at least 0; more favours those that attend to all of the source.

    Raises:
        OptionError: a number is out of its range.

    Example:
        >>> Scoring(length_penalty=1.0)(torch.tensor([-3.0]), 13).item()
        -1.0
    """

    length_penalty: float = 0.0
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        for name in ("length_penalty", "coverage_penalty"):
            if not 0 <= (value := getattr(self, name)) < float("inf"):
                raise OptionError(f"{name} must be at least 0, got {value}; 0 switches it off.")

    def __call__(self, log_probability: Tensor, length: int, state: Any = None) -> Tensor:
        """The scores of rows of one length, [B].

        Args:
            log_probability: of each, [B] or [B, ...].
            length: n.
            state: of the rows, asked for its `coverage` where that counts.

        Raises:
            OptionError: coverage counts and the state has none.
        """
        scores = log_probability / self.divisor(length)
        if not self.coverage_penalty:
            return scores
        coverage = getattr(state, "coverage", None)
        if coverage is None:
            raise OptionError(
                "coverage_penalty needs a model with attention, got one without; leave it at 0."
            )
        missing: Tensor = self.coverage_penalty * coverage.double().clamp(1e-9, 1.0).log().sum(-1)
        return scores + missing.view(-1, *[1] * (scores.dim() - 1))

    def divisor(self, length: int) -> float:
        """What a log-probability is divided by at n tokens."""
        return float(((5 + length) / 6) ** self.length_penalty)


PLAIN = Scoring()
"""The log-probability itself."""
