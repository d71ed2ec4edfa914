"""Sentences that a network wrote, as `predict` prints them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from throughtime.decode import Hypothesis


def to_json(name: str, texts: Sequence[str], found: Sequence[Hypothesis]) -> dict[str, object]:
    """The best sentence and how likely it is; under `best` all of them, where there are several.

    Args:
        name: what the texts are.
        texts: the best first.
        found: what each was spelt from.
    """
    candidates: list[dict[str, object]] = [
        {
            name: text,
            "score": one.score,
            "log_probability": one.log_probability,
            "finished": one.is_finished,
        }
        for text, one in zip(texts, found, strict=True)
    ]
    return candidates[0] | ({"best": candidates} if len(candidates) > 1 else {})


def note_unfinished(count: int, what: str) -> None:
    """Says on stderr how many sentences came to no end."""
    if count:
        print(f"note: {count:,} {what} came to no end within the longest length", file=sys.stderr)
