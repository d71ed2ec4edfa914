"""What the flight recorder remembers of the last updates, to judge the next one."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from statistics import fmean, median
from typing import Any, NamedTuple

KEPT = 500
"""Updates in the ring."""

BEFORE = 50
"""Norms that a new one is compared with."""

LATEST = 5
"""Updates that are judged beside those before them."""

SMOOTH = 10
"""Losses whose median stands for the loss of now."""

READINGS = 5
"""Horizons in a row that are judged."""


class Update(NamedTuple):
    """One update, in numbers."""

    number: int
    loss: float
    norm: float  # of the gradient before clipping
    clipped: bool  # whether clipping acted


class History:
    """The last updates, the first loss, the best one, and the last horizons."""

    def __init__(self) -> None:
        self.recent: deque[Update] = deque(maxlen=KEPT)
        self.first: float | None = None
        self.best = math.inf
        self.horizons: deque[tuple[int, int | None]] = deque(maxlen=READINGS)

    def add(self, update: Update) -> None:
        """One more update."""
        self.recent.append(update)
        if self.first is None:
            self.first = self.best = update.loss
        if len(self.recent) >= SMOOTH:
            self.best = min(self.best, self.loss_now)

    def add_reading(self, layers: list[dict[str, Any]]) -> None:
        """The farthest horizon of one reading, with the window it lies in."""
        known = [layer for layer in layers if layer["reach"]]
        if known:
            farthest = max(known, key=lambda layer: layer["horizon"] or math.inf)
            self.horizons.append((farthest["steps"], farthest["horizon"]))

    @property
    def loss_now(self) -> float:
        """The median of the last losses: one bad batch does not move it."""
        return median(update.loss for update in self._last(SMOOTH))

    @property
    def noise(self) -> float:
        """Standard deviation of a loss, from what neighbours before the last ten differ by.

        |L_u - L_{u-1}| of normal losses has the median 0.954 sigma.
        """
        losses = [update.loss for update in self.recent][-SMOOTH - BEFORE : -SMOOTH]
        if len(losses) < SMOOTH:
            return 0.0
        return median(abs(b - a) for a, b in pairwise(losses)) / 0.954

    @property
    def usual_norm(self) -> float:
        """The median norm of the updates before the latest."""
        norms = [update.norm for update in self.recent]
        return median(norms[-BEFORE - LATEST : -LATEST] or norms[:1])

    def latest_norms(self) -> list[float]:
        """Of the latest updates."""
        return [update.norm for update in self._last(LATEST)]

    def mean_norm(self) -> float:
        """Of all in the ring."""
        return fmean(update.norm for update in self.recent)

    def norm_percentile(self, percent: float) -> float:
        """Of all in the ring, interpolated as `AutoClip` does."""
        norms = sorted(update.norm for update in self.recent)
        place = percent / 100 * (len(norms) - 1)
        low = int(place)
        high = min(low + 1, len(norms) - 1)
        return norms[low] + (place - low) * (norms[high] - norms[low])

    def _last(self, num: int) -> list[Update]:
        return list(self.recent)[-num:]

    def state_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for a checkpoint."""
        return {
            "recent": [list(update) for update in self.recent],
            "first": self.first,
            "best": self.best,
            "horizons": [list(pair) for pair in self.horizons],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where another one stood."""
        self.recent.extend(Update(*update) for update in state["recent"])
        self.first, self.best = state["first"], state["best"]
        self.horizons.extend((steps, horizon) for steps, horizon in state["horizons"])
