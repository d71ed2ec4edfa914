"""Drawn pairs, translation in its smallest form: dates and their ISO form, letters backwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from string import ascii_lowercase

import numpy as np

from throughtime.data.parallel import Parallel

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
SHORTEST, LONGEST = 3, 12
"""Letters of a drawn sequence."""

FIRST, DAYS = date(1900, 1, 1), 73_000
"""The first day that is drawn, and how many there are: two hundred years."""


def dates(count: int, seed: int) -> Parallel:
    """Days between 1900 and 2099 in one of five forms, and in ISO form.

    Args:
        count: pairs, N.
        seed: decides them.

    Example:
        >>> found = dates(2, seed=0)
        >>> found.sources, found.targets
        (['May 15, 1912', 'May 13, 1926'], ['1912-05-15', '1926-05-13'])
    """
    draw = np.random.default_rng((seed, 31))
    days = [FIRST + timedelta(int(n)) for n in draw.integers(DAYS, size=count)]
    forms = draw.integers(5, size=count)
    sources = [_write(day, int(form)) for day, form in zip(days, forms, strict=True)]
    return Parallel(sources, [day.isoformat() for day in days])


def reversals(count: int, seed: int) -> Parallel:
    """Sequences of 3 to 12 small letters, and the same backwards.

    Source: Sutskever, Vinyals and Le 2014, who read their sources so.

    Args:
        count: pairs, N.
        seed: decides them.

    Example:
        >>> found = reversals(2, seed=0)
        >>> found.sources, found.targets
        (['jeklvjtmjov', 'xslvnky'], ['vojmtjvlkej', 'yknvlsx'])
    """
    draw = np.random.default_rng((seed, 37))
    lengths = draw.integers(SHORTEST, LONGEST + 1, size=count)
    sources = ["".join(draw.choice(list(ascii_lowercase), size=n)) for n in lengths]
    return Parallel(sources, [letters[::-1] for letters in sources])


DRAWN: dict[str, Callable[[int, int], Parallel]] = {"dates": dates, "reversals": reversals}
"""What can be drawn, by name."""


def _write(day: date, form: int) -> str:
    month = MONTHS[day.month - 1]
    weekdays = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    return (
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{day.day}.{day.month}.{day.year}",
        f"{weekdays[day.weekday()]}, {day.day} {month} {day.year}",
        f"{month[:3]} {day.day} {day.year}",
    )[form]
