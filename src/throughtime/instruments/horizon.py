"""The memory horizon: the lag at which a gradient is as good as gone, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import DataError, OptionError

VANISHED = 0.01
"""Share of its value at lag 0 under which a gradient counts as small."""

LOST = 2.0**-23
"""Share of its value at lag 0 that is lost when both are added up in float32."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Horizon:
    """The smallest lag at which the mean gradient is under a share of that at lag 0.

    Where it stays above at every lag that was measured, there is no such lag: the horizon lies
    beyond. So may either end of the interval.

    Args:
        lag: in steps; None where it lies beyond what was measured.
        low: lower end of the interval over rows; None as of `lag`, and where there is one row.
        high: upper end, likewise.
        measured: the largest lag that was measured.
        share: of the value at lag 0.
        confidence: of the interval; None where one row gives none.
    """

    lag: int | None
    low: int | None
    high: int | None
    measured: int
    share: float
    confidence: float | None

    def __str__(self) -> str:
        """As a reader would say it.

        Example:
            >>> str(Horizon(14, 12, None, 127, share=0.01, confidence=0.95))
            '14 steps (95 %: 12 to over 127)'
        """
        beyond = f"over {self.measured}"
        lag, low, high = (beyond if n is None else f"{n}" for n in (self.lag, self.low, self.high))
        if self.confidence is None:
            return f"{lag} steps"
        interval = low if low == high else f"{low} to {high}"
        return f"{lag} steps ({100 * self.confidence:.3g} %: {interval})"


def find_horizon(
    at_lag: Numbers,
    at_zero: Numbers,
    share: float = VANISHED,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Horizon:
    """The memory horizon with a bootstrap interval over rows.

        share_j = sum_b at_lag[j, b] / sum_b at_zero[j, b],   horizon = min {j: share_j < share}

    The interval holds the middle of the horizons of as many batches drawn from the rows with
    replacement: the percentile interval (Efron 1979; Efron and Tibshirani 1993, chapter 13).

    Args:
        at_lag: of every row the mean norm of its losses at lag j, [J, B]; NaN where it has none.
        at_zero: the mean norm of the same losses at lag 0, [J, B].
        share: in (0, 1).
        confidence: of the interval, in (0, 1).
        resamples: batches that are drawn.
        seed: the same seed draws the same ones.

    Raises:
        OptionError: a share is not in (0, 1), or there is less than one resample.
        DataError: no loss has a gradient.
    """
    for name, value in (("share", share), ("confidence", confidence)):
        if not 0 < value < 1:
            raise OptionError(f"{name} must be in (0, 1), got {value:g}; 0.01 is one per cent.")
    if resamples < 1:
        raise OptionError(f"resamples must be at least 1, got {resamples}; 1000 is usual.")
    at_lag, at_zero = np.nan_to_num(at_lag), np.nan_to_num(at_zero)
    measured = np.flatnonzero(at_zero.sum(axis=1) > 0)
    if not len(measured):
        raise DataError(
            "a memory horizon must come from losses that have a gradient, all of them are 0; look "
            "at a layer and direction that a loss reads."
        )
    num_rows = at_lag.shape[1]
    drawn = np.random.default_rng(seed).multinomial(
        num_rows, np.full(num_rows, 1 / num_rows), resamples
    )
    counts = np.concatenate([np.ones((1, num_rows)), drawn])  # first of all the rows themselves
    zero = counts @ at_zero.T  # [1 + resamples, J]
    under = (counts @ at_lag.T < share * zero) & (zero > 0)
    horizons = np.where(under.any(axis=1), under.argmax(axis=1), np.inf)
    tail = (1 - confidence) / 2
    low, high = np.quantile(horizons[1:], (tail, 1 - tail), method="inverted_cdf")
    if num_rows == 1:
        return Horizon(_lag(horizons[0]), None, None, int(measured[-1]), share, None)
    ends = _lag(horizons[0]), _lag(low), _lag(high)
    return Horizon(*ends, int(measured[-1]), share, confidence)


def _lag(horizon: float) -> int | None:
    return int(horizon) if np.isfinite(horizon) else None
