"""Units that follow a property of the text, found rather than looked for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import DataError, OptionError
from throughtime.instruments import unit_scores
from throughtime.instruments.code_properties import inside_comment, inside_if
from throughtime.instruments.dataset import DIRECTIONS
from throughtime.instruments.found_units import FoundUnits
from throughtime.instruments.properties import (
    Property,
    indentation,
    inside_brackets,
    inside_quotes,
    line_position,
    matching,
    to_tokens,
    upper_case_word,
)
from throughtime.instruments.reading import Reading, Unit

if TYPE_CHECKING:
    from xarray import Dataset

PROPERTIES: dict[str, Property] = {
    "inside quotes": inside_quotes,
    "line position": line_position,
    "indentation": indentation,
    "inside brackets": inside_brackets,
    "inside if": inside_if,
    "inside comment": inside_comment,
    "upper-case word": upper_case_word,
}
"""The properties that have a name."""

_BLOCK = 64  # units ranked at once
_LEAST = 20  # tokens of the text that chooses, and of the one that is held out
_ROUNDING = 1e-6  # of scores in float32: it alone decides which of two equal ones is greater


def find_units(
    reading: Reading,
    pattern: str | re.Pattern[str] | Property,
    *,
    of: Sequence[str] | None = None,
    held_out: float = 0.5,
    shifts: int = 200,
    seed: int = 1,
    ranks: int = 10,
) -> FoundUnits:
    r"""Ranks the units that follow a property, such as "inside quotes", best first.

    The interpretable cells of Karpathy, Johnson and Li 2015, found rather than looked for. Units
    are chosen, with their sign and threshold, on the first part of the text, and scored on the rest
    of it, which had no say: area under the ROC curve for a property that holds or not, rank
    correlation for one that has a size (`unit_scores`).

    The baseline moves the property along the held-out text by random distances, and takes the best
    score of *any* unit each time, as who searches among many finds much by chance (Westfall and
    Young 1993):

        p = (1 + number of shifts whose best score is at least the unit's) / (1 + shifts)

    Note:
        A small p says that a unit's relation to the text is no accident, not that it was learnt: a
        random network remembers some steps too. The same network before training tells how much.

    Args:
        reading: a text as a model read it.
        pattern: a name in `PROPERTIES`, a compiled regular expression (see `properties.matching`),
            or a function from a text to a bool or number per character.
        of: fields of the state and gates that are searched; all of the state's without it.
        held_out: share of the tokens, at the end, that the score is of; in (0, 1).
        shifts: of the baseline.
        seed: of the shifts.
        ranks: how many of the best units to report.

    Raises:
        OptionError: there is no such property, field or share; or a unit is NaN.
        ShapeError: a function does not give one value per character.
        DataError: there are too few tokens, or the property is the same at all of one part.

    Example:
        >>> import torch, throughtime as tt
        >>> rnn, text = tt.RNN(1, 8), "to be or\nnot to be\n" * 20
        >>> with tt.watch(rnn) as tape:
        ...     y, h = rnn(torch.tensor([float(ord(c)) for c in text]).view(-1, 1, 1))
        >>> found = find_units(Reading(list(text), tape), "line position")
        >>> found.measure, found.data.sizes["rank"]
        ('rank correlation', 8)
    """
    if not 0 < held_out < 1:
        raise OptionError(f"held_out must be in (0, 1), got {held_out:g}; 0.5 is usual.")
    for name, number in (("shifts", shifts), ("ranks", ranks)):
        if number < 1:
            raise OptionError(f"{name} must be at least 1, got {number}; leave it out.")
    name, function = _property(pattern)
    target = to_tokens(np.asarray(function(reading.text)), reading.tokens)
    cut = round((1 - held_out) * len(target))
    _check_target(name, target[:cut], "first")
    _check_target(name, target[cut:], "held-out")
    found = _score_all(reading, of, target, cut, shifts, seed)
    best = np.argsort(-np.abs(found.first), kind="stable")[:ranks]
    return FoundUnits(
        reading, name, target, cut, _table(reading, target, cut, found, best), len(found.units)
    )


def _property(pattern: str | re.Pattern[str] | Property) -> tuple[str, Property]:
    """A property and what it is called."""
    if isinstance(pattern, re.Pattern):
        return f"matching {pattern.pattern}", matching(pattern)
    if callable(pattern):
        return getattr(pattern, "__name__", "property").replace("_", " "), pattern
    if pattern not in PROPERTIES:
        raise OptionError(
            f"pattern must be one of {', '.join(PROPERTIES)}, a compiled regular expression or a "
            f"function, got {pattern!r}; re.compile it if it is an expression."
        )
    return pattern, PROPERTIES[pattern]


def _check_target(name: str, target: NDArray[Any], part: str) -> None:
    if len(target) < _LEAST:
        raise DataError(
            f"the {part} part of the text must have at least {_LEAST} tokens, got {len(target)}; "
            "give more text."
        )
    if target.dtype.kind not in "biuf":
        raise DataError(
            f"the property {name} must be of bools or numbers, got {target.dtype}; convert it."
        )
    if not np.isfinite(target).all():
        raise DataError(
            f"the property {name} must be finite, it is not in the {part} part; mend the function."
        )
    if (target == target[0]).all():
        raise DataError(
            f"the property {name} must vary in the {part} part of the text, it is {target[0]} at "
            f"all of its {len(target):,} tokens; give another text or property."
        )


class _Scores(NamedTuple):
    """Of every unit how far it is from no relation, signed; and the farthest of any, by shift."""

    units: list[Unit]
    first: NDArray[np.float64]  # on the first part, [units]
    held_out: NDArray[np.float64]  # [units]
    baseline: NDArray[np.float64]  # [shifts]


def _score_all(
    reading: Reading,
    of: Sequence[str] | None,
    target: NDArray[Any],
    cut: int,
    shifts: int,
    seed: int,
) -> _Scores:
    is_bool = unit_scores.is_bool(target)
    weights = [unit_scores.weights(part) for part in (target[:cut], target[cut:])]
    moved = unit_scores.shifted(weights[1], shifts, seed)
    found = _Scores([], np.zeros(0), np.zeros(0), np.zeros(shifts))
    for units, values in _blocks(reading, of):
        _check_finite(units, values)
        ranks = [unit_scores.centred_ranks(part) for part in (values[:, :cut], values[:, cut:])]
        first, held_out = map(unit_scores.scores, ranks, weights, [is_bool] * 2)
        by_chance = np.abs(unit_scores.scores(ranks[1], moved, is_bool)).max(axis=0)
        found = _Scores(
            found.units + units,
            np.append(found.first, first),
            np.append(found.held_out, held_out),
            np.maximum(found.baseline, by_chance),
        )
    return found


def _blocks(
    reading: Reading, of: Sequence[str] | None
) -> Iterator[tuple[list[Unit], NDArray[Any]]]:
    """Units side by side, with their values [units, N]."""
    for layer, recorded in enumerate(reading.recording.layers):
        for name in recorded.states._fields if of is None else of:
            size = reading.tensor(name, layer).shape[-1]
            for d, start in product(range(recorded.num_directions), range(0, size, _BLOCK)):
                places = slice(start, min(start + _BLOCK, size))
                units = [Unit(layer, DIRECTIONS[d], name, u) for u in range(size)[places]]
                yield units, reading.values(name, layer, d, places)


def _check_finite(units: Sequence[Unit], values: NDArray[Any]) -> None:
    is_finite = np.isfinite(values).all(axis=1)
    if not is_finite.all():
        raise OptionError(
            f"units must be finite, {units[int(np.argmin(is_finite))]} is not; look for the step "
            "where it began."
        )


def _table(
    reading: Reading, target: NDArray[Any], cut: int, found: _Scores, best: NDArray[np.int64]
) -> Dataset:
    """The data of `FoundUnits`."""
    from xarray import Dataset

    chance = 0.5 if unit_scores.is_bool(target) else 0.0
    sign = np.where(found.first[best] < 0, -1, 1)
    held_out = sign * found.held_out[best]
    better = (found.baseline >= held_out[:, None] - _ROUNDING).sum(axis=1)
    units = [found.units[i] for i in best]
    thresholds = [_threshold(reading, u, s, target, cut) for u, s in zip(units, sign, strict=True)]
    columns = {
        **{name: [getattr(unit, name) for unit in units] for name in Unit._fields},
        "sign": sign,
        "score_first": chance + np.abs(found.first[best]),
        "score": chance + held_out,
        "p_value": (1 + better) / (1 + len(found.baseline)),
        "threshold": [threshold for threshold, _ in thresholds],
        "balanced_accuracy": [accuracy for _, accuracy in thresholds],
    }
    data = {name: ("rank", np.asarray(column)) for name, column in columns.items()}
    return Dataset(data | {"baseline": ("shift", chance + found.baseline)})


def _threshold(
    reading: Reading, unit: Unit, sign: int, target: NDArray[Any], cut: int
) -> tuple[float, float]:
    """The threshold of sign times a unit from the first part, and how well it tells the rest."""
    if not unit_scores.is_bool(target):
        return math.nan, math.nan
    values = sign * reading.unit(unit)
    threshold = unit_scores.best_threshold(values[:cut], target[:cut])
    return threshold, unit_scores.balanced_accuracy(values[cut:] > threshold, target[cut:])
