"""Fixed points: the states that a network stays in, and what it does beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from throughtime.axes import check_shape
from throughtime.cells import Zoneout
from throughtime.errors import DataError, OptionError
from throughtime.instruments.speed import minimise_speed
from throughtime.instruments.step_map import MEMORY, StepMap, check_memory, in_double
from throughtime.instruments.tape import Tape
from throughtime.instruments.walk import walks_of

if TYPE_CHECKING:
    from xarray import Dataset


def fixed_points(
    tape: Tape,
    name: str | None = None,
    call: int = -1,
    *,
    x: Tensor | None = None,
    candidates: int = 512,
    noise: float = 0.0,
    slowest: float = 1e-12,
    same: float = 1e-3,
    reach: float = 2.0,
    steps: int = 300,
    seed: int = 0,
    memory: float = MEMORY,
) -> Dataset:
    """The fixed and slow points of a recurrent module under a constant input, and their dynamics.

        q(s) = 1/2 |F(s, x) - s|^2,   minimised over s from states that were visited
        near a fixed point s*:   s_t - s* = J (s_{t-1} - s*),   J = dF/ds at s*

    s is the state of all layers together: h of Elman cells and GRUs, (h, c) of LSTMs, every field
    of a cell of one's own. An eigenvalue lambda of J is a direction that decays where |lambda| < 1
    and grows where it is above, e-fold in -1/log|lambda| steps (below 0: that grows), and that
    turns by angle(lambda) / 2 pi of a circle a step. A point is stable where no direction grows. A
    local minimum of q above 0 is a slow point: the state passes it in many small steps.

    All candidates go down at once in float64, each with a step size of its own (`minimise_speed`).
    Then those with q above `slowest` are rejected; of those closer together than `same` one stays,
    that of the smallest q; those further than `reach` from every visited state are rejected, since
    the network never comes there. Both distances are in units of the spread of the visited states,
    the root of their mean squared distance from their mean.

    Source: Sussillo and Barak 2013; the rejection, the step sizes and the candidates side by side
    are lessons of Golub and Sussillo 2018.

    Args:
        tape: of `watch`, with inputs, states and weights kept, of a call in evaluation mode.
        name: the recurrent module; may be left out where there is one.
        call: which of its calls, the last by default.
        x: the input at every step, [I]; zeros when None.
        candidates: visited states to begin at, drawn without replacement.
        noise: standard deviation of what is added to them, in spreads; finds saddles beside paths.
        slowest: q up to which a minimum is kept. A fixed point has about 1e-28, a slow point more.
        same: distance within which two points are one.
        reach: distance from the nearest visited state beyond which a point is an outlier.
        steps: at most so many for each candidate.
        seed: of the drawing.
        memory: bytes that the Jacobians of the points may take.

    Returns:
        Dims are point, the most stable first, then the most visited; state, with its coordinates
        layer, field and unit; mode; time and batch:

        - s [point, state], q [point], jacobian [point, state, state_before];
        - eigenvalues [point, mode], complex, the largest first; time_constant [point, mode] in
          steps; frequency [point, mode], turns a step, from -1/2 to 1/2;
        - num_unstable [point]: eigenvalues with |lambda| > 1; stable [point]: whether there is
          none;
        - num_candidates [point]: how many arrived there;
        - visited [time, batch, state]: the states of the tape, NaN where a row has no step.

        Its attributes count the candidates, those not_slow and the outliers among them.

    Raises:
        OptionError: an option is out of range; the module runs in two directions; inputs, states or
            weights were not kept; cells drew, in training mode; more memory is needed.
        ShapeError: x is not [I].
        DataError: a state, x or a weight is not finite.

    Example:
        >>> import throughtime as tt
        >>> rnn = tt.RNN(1, 1, bias=False)
        >>> _ = rnn.weight_hh_l0.data.fill_(2.0)  # h = tanh(2 h) at 0 and at +-0.9575
        >>> with tt.watch(rnn) as tape:
        ...     y, h = rnn(torch.randn(20, 8, 1))
        >>> points = fixed_points(tape, noise=0.5)
        >>> sorted(points.s.values[points.stable.values].round(4).ravel().tolist())
        [-0.9575, 0.9575]
        >>> points.num_unstable.values
        array([0, 0, 1])
    """
    _check_options(candidates, steps, noise, slowest, same, reach)
    (walk,) = walks_of(tape, name, call, True, None, memory).values()
    walk.check_agreement()
    cells = [run.cells[0] for run in walk.runs]
    _check_quiet(cells)
    step = StepMap([in_double(cell) for cell in cells], walk.is_residual)
    x = _read_input(x, walk.runs[0].x.shape[-1])
    cloud = Cloud(walk.states().double())
    begin = cloud.draw(candidates, noise, torch.Generator().manual_seed(seed))
    found = minimise_speed(step, x, begin, steps)
    is_slow = found.is_minimum & (found.q <= slowest)
    s, q, arrived = _distinct(found.s[is_slow], found.q[is_slow], same * cloud.spread)
    is_near = cloud.distance(s) <= reach * cloud.spread
    counts = {
        "candidates": len(begin),
        "not_slow": int((~is_slow).sum()),
        "outliers": int(arrived[~is_near].sum()),
    }
    points = Points(s[is_near], q[is_near], arrived[is_near])
    check_memory(len(points.s), walk.size, memory, "raise memory=, or same= to merge points")
    return _describe(step, x, points, cloud).assign_attrs(counts)


class Points(NamedTuple):
    """Minima of q, each once."""

    s: Tensor  # [P, S]
    q: Tensor  # [P]
    arrived: Tensor  # candidates that came there, [P]


class Cloud:
    """The visited states, and how far from each other they lie.

    Args:
        states: [T, B, S]; NaN where a row has no step.

    Raises:
        DataError: all are equal.
    """

    def __init__(self, states: Tensor) -> None:
        self.states = states
        self.all = states[states.isfinite().all(-1)]
        self.spread = float((self.all - self.all.mean(0)).square().sum(-1).mean().sqrt())
        if bool((self.all == self.all[:1]).all()):
            raise DataError(
                f"the visited states must differ, got {len(self.all)} that are equal; watch a "
                "call with inputs that move the state."
            )

    def draw(self, num: int, noise: float, generator: torch.Generator) -> Tensor:
        """States to begin at, at most num, with noise of so many spreads."""
        chosen = self.all[torch.randperm(len(self.all), generator=generator)[:num]]
        drawn = torch.randn(chosen.shape, dtype=chosen.dtype, generator=generator)
        size = noise * self.spread / math.sqrt(chosen.shape[1])  # of one number of the state
        return chosen + size * drawn

    def distance(self, s: Tensor) -> Tensor:
        """From each state, [P, S], to the nearest visited one, [P]."""
        nearest = [torch.cdist(piece, self.all).amin(1) for piece in torch.split(s, 64)]
        return torch.cat([s.new_empty(0), *nearest])


def _distinct(s: Tensor, q: Tensor, tolerance: float) -> Points:
    """One state of each group within the tolerance, that of the smallest q."""
    order = q.argsort(stable=True)
    kept, arrived = [], []
    while len(order):
        kept.append(order[0])
        is_same = (s[order] - s[order[0]]).norm(dim=-1) <= tolerance
        arrived.append(is_same.sum())
        order = order[~is_same]
    index = torch.tensor(kept, dtype=torch.int64)
    return Points(s[index], q[index], torch.tensor(arrived, dtype=torch.int64))


def _describe(step: StepMap, x: Tensor, points: Points, cloud: Cloud) -> Dataset:
    """The dynamics beside each point, the most stable and most visited first."""
    from xarray import Dataset

    s, q, arrived = points
    _, jacobian = step.linearised(s, x.expand(len(s), -1))
    values = torch.linalg.eigvals(jacobian)
    num_unstable = (values.abs() > 1).sum(-1)
    order = (num_unstable * (arrived.sum() + 1) - arrived).argsort(stable=True)
    values = values.gather(-1, values.abs().argsort(-1, descending=True))[order]
    states, modes = ("point", "state"), ("point", "mode")
    labels = {name: ("state", values) for name, values in step.labels().items()}
    return Dataset(
        {
            "s": (states, s[order].numpy()),
            "q": ("point", q[order].numpy()),
            "jacobian": ((*states, "state_before"), jacobian[order].numpy()),
            "eigenvalues": (modes, values.numpy()),
            "time_constant": (modes, (1 / (0 - values.abs().log())).numpy()),
            "frequency": (modes, (values.angle() / (2 * np.pi)).numpy()),
            "num_unstable": ("point", num_unstable[order].numpy()),
            "stable": ("point", (num_unstable == 0)[order].numpy()),
            "num_candidates": ("point", arrived[order].numpy()),
            "visited": (("time", "batch", "state"), cloud.states.numpy()),
        },
        labels,
    )


def _check_quiet(cells: Sequence[Any]) -> None:
    """Refuses what drew: a point that is fixed under one draw is not under the next."""
    for cell in cells:
        inner = cell.cell if isinstance(cell, Zoneout) else cell
        shares = cell.keep if isinstance(cell, Zoneout) else ()
        if any(isinstance(drawn, Tensor) for drawn in (getattr(inner, "mask", None), *shares)):
            raise OptionError(
                "fixed points must be those of evaluation mode, got a call in which recurrent "
                "dropout or zoneout drew; watch after model.eval()."
            )


def _read_input(x: Any, size: int) -> Tensor:
    """The constant input in float64."""
    if x is None:
        return torch.zeros(size, dtype=torch.float64)
    constant: Tensor = torch.as_tensor(x, dtype=torch.float64).detach()
    check_shape("x", constant.shape, "I", {"I": size}, "pass what the layer reads at every step")
    if not constant.isfinite().all():
        raise DataError(f"x must be finite, got {constant.tolist()}; leave it out for zeros.")
    return constant


def _check_options(
    candidates: int, steps: int, noise: float, slowest: float, same: float, reach: float
) -> None:
    for name, number in (("candidates", candidates), ("steps", steps)):
        if not isinstance(number, int) or number < 1:
            raise OptionError(f"{name} must be a whole number from 1, got {number!r}; raise it.")
    shares = {"noise": noise, "slowest": slowest, "same": same, "reach": reach}
    for name, share in shares.items():
        if not 0 <= share < float("inf"):
            raise OptionError(f"{name} must be a number from 0, got {share!r}; see its default.")
