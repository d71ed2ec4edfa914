"""What a page is made of: for each run the numbers of its sections, or why there are none.

Axes: S updates of the training, K lags, T steps of the text, H units, U units that are shown,
G gates, N eigenvalues, P points. Norms travel as they are; a page draws them on logarithmic axes.
`sampling` says in a sentence which part of what was measured is shown; it stands under the chart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from throughtime.web.answers import Attention, Labelling, Saliency

Floats = NDArray[Any]
Whole = NDArray[Any]


@dataclass(frozen=True)
class Missing:
    """Stands in the place of a section that a run has no data for."""

    reason: str
    """One sentence for the reader of the page."""


@dataclass(frozen=True)
class Curves:
    """Losses by update."""

    loss: str
    """What the loss is, with its unit: `nats per token`."""

    update: Whole
    """Updates made before each point of the training loss, [S]."""

    training: Floats
    """Training loss, [S]."""

    validation_update: Whole
    """[S'], empty without validation."""

    validation: Floats
    """Validation loss, [S']."""

    baseline: float | None
    """The loss of the best answer without memory, where the task has one."""

    sampling: str


@dataclass(frozen=True)
class Flow:
    """How far back the gradient of one loss reaches: after training, and through it."""

    layers: Sequence[str]
    """Names of the layers, [L]."""

    norm: Floats
    """After training, the mean of |dL_T/dh_{T-k}| over rows, [L, K]."""

    update: Whole
    """Updates at which a flight recorder read a training, [S]; empty without one."""

    reach: Floats
    """Of each reading the norm as a share of that at lag 0, [L, S, K']; NaN where it is gone."""

    sampling: str


@dataclass(frozen=True)
class Credit:
    """Which loss teaches which step: |dL_t/dh_k|."""

    layers: Sequence[str]

    loss_step: Whole
    """Steps t of the losses that are shown, [R]."""

    state_step: Whole
    """Steps k of the states that are shown, [C]."""

    norm: Floats
    """|dL_t/dh_k|, mean over rows, [L, R, C]; NaN for k > t."""

    lag: Whole
    """Lags t - k, [K]."""

    by_lag: Floats
    """Mean of the norm over all pairs of a lag, as a share of that at lag 0, [L, K]."""

    horizon: Sequence[str]
    """Per layer, in words, the lag where that falls under 1 %, with its interval."""

    sampling: str


@dataclass(frozen=True)
class GateLayer:
    """The gates of one layer over all steps and rows."""

    layer: str
    gates: Sequence[str]
    edges: Floats
    """Bounds of the bins of each gate's value, [G, bins + 1]."""

    share: Floats
    """Share of all values in each bin, [G, bins]."""

    left: Floats
    """Per unit, the share of steps within `margin` of the gate's lower bound, [G, H]."""

    right: Floats
    """The same of its upper bound, [G, H]."""

    time_constant: Floats | None
    """Per unit, -1 / mean log f in steps, [H]; None for a cell without a gate that forgets."""


@dataclass(frozen=True)
class Gates:
    """How open gates are."""

    margin: float
    """Distance from a bound within which a gate counts as saturated."""

    layers: Sequence[GateLayer]
    sampling: str


@dataclass(frozen=True)
class LayerUnits:
    """What some units of one layer did at every token."""

    layer: str
    units: Whole
    """Which units are kept, [U]."""

    signals: Mapping[str, Floats]
    """By name of the signal, `h`, `c` or a gate: values, [T, U]."""


@dataclass(frozen=True)
class FoundUnit:
    """A unit that was found to follow a property of the text."""

    property: str
    layer: str
    signal: str
    unit: int
    measure: str
    """What the score is: `AUC`."""

    score: float
    """On held-out text."""

    baseline: float
    """The score that 95 % of searches for a shifted property stay below."""


@dataclass(frozen=True)
class Units:
    """Units over a text."""

    tokens: Sequence[str]
    """The text, token by token, [T]; anything may stand in them."""

    layers: Sequence[LayerUnits]
    found: Sequence[FoundUnit]
    sampling: str


@dataclass(frozen=True)
class LayerSpectra:
    """Jacobians dh_t/dh_{t-1} of one layer, for the LSTM of (h, c)."""

    layer: str
    step: Whole
    """Steps whose eigenvalues are shown, [S]."""

    real: Floats
    """[S, N]."""

    imaginary: Floats
    """[S, N]."""

    radius: Floats
    """Largest |eigenvalue| at each of those steps, [S]."""

    product: Floats
    """|dh_T/dh_{T-k}|, the largest singular value of the product over a lag, [K], from lag 0."""

    bound: Floats | None
    """(sigma_max(W_h) max|g'|)^k, [K]; None for a cell that has none."""

    lyapunov: Floats | None
    """Lyapunov exponents per step, falling, or None."""


@dataclass(frozen=True)
class Spectra:
    """Spectra of Jacobians."""

    layers: Sequence[LayerSpectra]
    sampling: str


@dataclass(frozen=True)
class LayerPoints:
    """Fixed and slow points of the network with a constant input."""

    name: str
    """Which input."""

    points: Floats
    """Coordinates on the first two principal components of visited states, [P, 2]."""

    speed: Floats
    """q = 1/2 |F(x) - x|^2 of each, [P]."""

    radius: Floats
    """Largest |eigenvalue| of the Jacobian at each, [P]."""

    unstable: Whole
    """Eigenvalues outside the unit circle, [P]; 0 is stable."""

    paths: Floats
    """Trajectories in the same coordinates, [R, T, 2]."""

    explained: Sequence[float]
    """Share of the variance of visited states along both components, (a, b)."""


@dataclass(frozen=True)
class FixedPoints:
    """Fixed and slow points."""

    layers: Sequence[LayerPoints]
    sampling: str


@dataclass(frozen=True)
class ReportData:
    """All that a page shows of one run."""

    name: str
    """How the page calls the run."""

    task: str
    facts: Mapping[str, str]
    """What a reader should know of the run: cell, sizes, updates, text."""

    curves: Curves | Missing
    flow: Flow | Missing
    credit: Credit | Missing
    gates: Gates | Missing
    units: Units | Missing
    spectra: Spectra | Missing
    points: FixedPoints | Missing

    # None where the task has no such section
    saliency: Saliency | Missing | None = None
    attention: Attention | Missing | None = None
    labels: Labelling | Missing | None = None


Section = (
    Curves
    | Flow
    | Credit
    | Gates
    | Units
    | Spectra
    | FixedPoints
    | Saliency
    | Attention
    | Labelling
    | Missing
)
"""What stands in a field of `ReportData`."""
