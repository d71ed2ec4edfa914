"""A text coloured token by token, by what one unit did there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import OptionError, ShapeError
from throughtime.instruments.gates import OPEN, known_bounds
from throughtime.instruments.reading import Reading, Unit

LEVELS = 10
"""Colours on either side of the middle."""


class Colour(NamedTuple):
    """Red, green and blue, 0 to 255."""

    red: int
    green: int
    blue: int


_WHITE, _LOW, _HIGH = Colour(255, 255, 255), Colour(64, 150, 214), Colour(240, 140, 40)


def colour(level: int) -> Colour:
    """Of a level from -LEVELS to LEVELS: blue over white to orange.

    Blue and orange are told apart by colour-blind readers, and both carry black letters (a contrast
    of at least 6 to 1).
    """
    end, share = (_LOW, -level) if level < 0 else (_HIGH, level)
    parts = zip(_WHITE, end, strict=True)
    return Colour(*(round(a + (b - a) * share / LEVELS) for a, b in parts))


@dataclass(frozen=True)
class UnitText:
    """Tokens and one value at each, to be looked at.

    Args:
        tokens: pieces of a text, [N].
        values: [N]; NaN where there is none, shown without colour.
        title: what the values are.
        middle: the value that is white: 0, or 0.5 for a sigmoid's gate.
        reach: the distance from the middle that has the full colour; what lies farther has it too.
            That within which 99 % of the values lie, without it.

    Raises:
        ShapeError: there is not one value per token.
        OptionError: the middle is not finite, or reach not above 0.
    """

    tokens: Sequence[str]
    values: NDArray[Any]
    title: str = "unit"
    middle: float = 0.0
    reach: float | None = None

    def __post_init__(self) -> None:
        if np.shape(self.values) != (len(self.tokens),):
            raise ShapeError(
                f"values must be [{len(self.tokens)}], one per token, got "
                f"{list(np.shape(self.values))}; pass as many."
            )
        reach = 1.0 if self.reach is None else self.reach
        if not (math.isfinite(self.middle) and reach > 0):
            raise OptionError(
                f"middle must be finite and reach above 0, got {self.middle:g} and {reach:g}; "
                "leave them out."
            )

    def __getitem__(self, part: slice) -> UnitText:
        """A part of the text, in the same colours."""
        reach = self._reach()
        return replace(self, tokens=self.tokens[part], values=self.values[part], reach=reach)

    def __len__(self) -> int:
        return len(self.tokens)

    def levels(self) -> NDArray[np.int64]:
        """The colour of each token, from -LEVELS to LEVELS, [N]; 0 where there is no value."""
        share = (np.asarray(self.values, np.float64) - self.middle) / self._reach()
        share = np.nan_to_num(np.clip(share, -1, 1))
        return np.rint(share * LEVELS).astype(np.int64)

    def scale(self) -> tuple[float, float, float]:
        """The values of the last blue, of white and of the last orange."""
        reach = self._reach()
        return self.middle - reach, self.middle, self.middle + reach

    def _reach(self) -> float:
        if self.reach is not None:
            return self.reach
        far = np.abs(np.asarray(self.values, np.float64) - self.middle)
        far = far[np.isfinite(far)]
        reach = float(np.quantile(far, 0.99)) if len(far) else 0.0
        return reach or (float(far.max()) if far.any() else 1.0)

    def html(self) -> str:
        """A page that needs nothing else: see `unit_html.page`."""
        from throughtime.instruments.unit_html import page

        return page([self])

    def terminal(self, width: int = 80, is_coloured: bool = True) -> str:
        """As lines for a terminal: see `unit_terminal.render`."""
        from throughtime.instruments.unit_terminal import render

        return render(self, width, is_coloured)

    def show(self) -> None:
        """Prints it, as wide as the terminal, in colours where it has them."""
        from throughtime.instruments.unit_terminal import show

        show(self)


def units(
    reading: Reading, unit: int, *, of: str = "h", layer: int = -1, direction: str = "forward"
) -> UnitText:
    """One unit or gate over the text, to be looked at token by token.

    Args:
        reading: a text as a model read it.
        unit: which unit.
        of: a field of the state, "h" or an LSTM's "c", or the name of a gate.
        layer: counted from the input; the last by default.
        direction: "forward" or "reverse".

    Returns:
        The text with the unit's values; `html()` and `show()` show it, a slice of it a part. The
        colours of a gate go from bound to bound, those of a state as far as 99 % of its values.

    Raises:
        OptionError: there is no such unit, field, layer or direction.

    Note:
        The pictures of Karpathy, Johnson and Li 2015 show tanh(c) of an LSTM; c has no bounds.
    """
    reading.tensor(of, layer)  # refuses a layer that is not there before it is counted
    place = Unit(range(len(reading.recording.layers))[layer], direction, of, unit)
    bounds = known_bounds(reading.recording.layers[layer].cells[0]).get(of, OPEN)
    text = UnitText(reading.tokens, reading.unit(place), str(place))
    if not all(map(math.isfinite, bounds)):
        return text
    lower, upper = bounds
    return replace(text, middle=(lower + upper) / 2, reach=(upper - lower) / 2)
