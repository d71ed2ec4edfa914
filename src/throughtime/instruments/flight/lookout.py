"""Who judges every update, and says each warning once until its condition has gone."""

from __future__ import annotations

from typing import Any, NamedTuple

from throughtime.instruments.flight import rules
from throughtime.instruments.flight.history import History
from throughtime.instruments.flight.rules import Layers

CALM = {
    "exploding": 10,
    "diverging": 10,
    "vanishing": 2,
    "saturated": 2,
    "dead": 2,
    "clipping": 2,
}
"""Judgements without it after which a condition counts as gone: of updates, or of readings."""


class Warned(NamedTuple):
    """A warning that is new, or a condition that has gone."""

    rule: str
    text: str | None  # None where it has gone


class Lookout:
    """Judges updates and readings.

    Args:
        clip: threshold of the clipping; None without clipping.
    """

    def __init__(self, clip: float | None) -> None:
        self.clip = clip
        self.history = History()
        self.wants_reading = False
        """Whether the norms grow and the next update should be read, to see where."""
        self._left: dict[str, int] = {}  # judgements until a condition has gone
        self._limit: float | None = None  # above which the loss is still diverging

    def judge(self, layers: Layers | None) -> list[Warned]:
        """What there is to say after an update that is in the history.

        Args:
            layers: what was read in this update; None where nothing was.
        """
        history = self.history
        is_growing = rules.is_growing(history)
        self.wants_reading = is_growing and layers is None and "exploding" not in self._left
        diverged = rules.diverging(history, self._limit if "diverging" in self._left else None)
        text, self._limit = diverged or (None, self._limit)
        found = {"diverging": text}
        if layers is not None:
            history.add_reading(layers)
            found["exploding"] = rules.exploding(history, layers)
            found["vanishing"] = rules.vanishing(history)
            found["saturated"] = rules.stuck(layers)
            found["dead"] = rules.dead(layers)
            found["clipping"] = rules.clipping(history, self.clip)
        elif not self.wants_reading:
            found["exploding"] = "still" if is_growing else None
        return [said for rule, text in found.items() if (said := self._say(rule, text))]

    def _say(self, rule: str, text: str | None) -> Warned | None:
        if text is not None:
            is_new = rule not in self._left
            self._left[rule] = CALM[rule]
            return Warned(rule, text) if is_new else None
        if rule not in self._left:
            return None
        self._left[rule] -= 1
        if self._left[rule]:
            return None
        del self._left[rule]
        return Warned(rule, None)

    def state_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for a checkpoint."""
        return {
            "history": self.history.state_dict(),
            "wants_reading": self.wants_reading,
            "left": dict(self._left),
            "limit": self._limit,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where another one stood."""
        self.history.load_state_dict(state["history"])
        self.wants_reading, self._left = state["wants_reading"], dict(state["left"])
        self._limit = state["limit"]
