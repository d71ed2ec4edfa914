"""Lyapunov exponents: the mean rates at which nearby states part, or come together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from throughtime.errors import OptionError
from throughtime.instruments.labels import labelled
from throughtime.instruments.step_map import MEMORY
from throughtime.instruments.tape import Tape
from throughtime.instruments.walk import Walk, walks_of

if TYPE_CHECKING:
    from xarray import Dataset

DIMS = {
    "exponents": ("mode",),
    "standard_error": ("mode",),
    "by_segment": ("segment", "batch", "mode"),
    "steps": ("segment", "batch"),
}


def lyapunov(
    tape: Tape,
    name: str | None = None,
    call: int = -1,
    *,
    stack: bool = False,
    warm_up: int = 0,
    segments: int = 1,
    rows: Sequence[int] | None = None,
    memory: float = MEMORY,
) -> Dataset:
    """The Lyapunov spectrum of a layer along the steps of a tape.

        J_t Q_{t-1} = Q_t R_t,    lambda_i = mean over t of log |R_t,ii|

    in nats per step: a small ball of states becomes an ellipsoid whose axes grow like
    exp(lambda_i t). The largest is below 0 where the state forgets how it began, above 0 in chaos.
    Source: Benettin, Galgani, Giorgilli and Strelcyn 1980; for recurrent networks Vogt et al. 2022,
    Engelken, Wolf and Abbott 2023.

    Q begins as the same random rotation in every row, and once more where a row begins afresh. It
    needs some steps to turn towards the axes, and a trajectory to reach its attractor: `warm_up`.
    The spectrum of an autonomous run is that of a tape of one, `layer(torch.zeros(T, B, I))`.

    Note:
        An exponent is the limit of long sequences; those of one row are one sample of it. The
        standard error takes the segments of all rows as independent samples, which needs segments
        longer than the network's memory. A direction that a step shrinks to nothing, as dead
        units do, gives log 1e-16 = -37 or so, the rounding of float64, or -inf.

    Args:
        tape: of `watch`, with inputs, states and weights kept.
        name: the recurrent module; may be left out where there is one.
        call: which of its calls, the last by default.
        stack: whether the state is that of all layers together.
        warm_up: steps of each row, from where it begins, that turn Q and do not count.
        segments: equal pieces of the sequence whose means are the samples of the standard error.
        rows: rows of the batch to look at; all when None.
        memory: bytes that Jacobians may take.

    Returns:
        Dims are layer and direction (neither with `stack`) and those given here:

        - exponents [mode], the largest first, and their standard_error, NaN for a single sample;
        - by_segment [segment, batch, mode], the same of every segment and row, in the order of
          modes; NaN where no step counts;
        - steps [segment, batch]: those that count.

    Raises:
        OptionError: no step is left to count; inputs, states or weights were not kept; more
            memory is needed; the cells drew what the tape does not hold; a stack runs in two
            directions.
        DataError: a state or an input is not finite.

    Example:
        >>> import throughtime as tt
        >>> rnn = tt.RNN(2, 4, nonlinearity="identity")
        >>> _ = rnn.weight_hh_l0.data.copy_(torch.eye(4) / 2)
        >>> with tt.watch(rnn) as tape:
        ...     y, h = rnn(torch.ones(5, 3, 2))
        >>> lyapunov(tape).exponents.values.round(4)  # log 1/2
        array([[[-0.6931, -0.6931, -0.6931, -0.6931]]])
    """
    for option, value, least in (("warm_up", warm_up, 0), ("segments", segments, 1)):
        if not isinstance(value, int) or value < least:
            raise OptionError(
                f"{option} must be a whole number from {least}, got {value!r}; count steps."
            )
    walks = walks_of(tape, name, call, stack, rows, memory)
    found = {place: _measure(walk, warm_up, segments) for place, walk in walks.items()}
    batch = {"batch": next(iter(walks.values())).rows.numpy()}
    return labelled(found, DIMS, batch, stack)


def _measure(walk: Walk, warm_up: int, segments: int) -> dict[str, NDArray[Any]]:
    """The numbers of one direction of a layer, by name, with the dims of `DIMS`."""
    B, S = len(walk.rows), walk.size
    begin = _rotation(S).expand(B, S, S)
    Q, age = begin, torch.zeros(B, dtype=torch.int64)
    total = torch.zeros(segments, B, S, dtype=torch.float64)
    count = torch.zeros(segments, B, dtype=torch.int64)
    for moment in walk:
        Q = torch.where(moment.is_fresh[:, None, None], begin, Q)
        goes_on = moment.is_step & ~moment.is_fresh
        turned, R = torch.linalg.qr(moment.jacobian @ Q)
        Q = torch.where(goes_on[:, None, None], turned, Q)
        age = torch.where(goes_on, age + 1, 0)
        counts = age > warm_up
        growth = R.diagonal(dim1=-2, dim2=-1).abs().log()
        segment = moment.t * segments // walk.num_steps
        total[segment, counts] += growth[counts]
        count[segment, counts] += 1
    if not count.any():
        raise OptionError(
            f"a row must have more than warm_up = {warm_up} steps in one piece, got none that has; "
            "watch a longer sequence or lower it."
        )
    return _summary(total, count)


def _rotation(S: int) -> Tensor:
    """A random orthogonal matrix, [S, S], always the same."""
    generator = torch.Generator().manual_seed(0)
    rotation: Tensor = torch.linalg.qr(
        torch.randn(S, S, dtype=torch.float64, generator=generator)
    ).Q
    return rotation


def _summary(total: Tensor, count: Tensor) -> dict[str, NDArray[Any]]:
    """Means over all steps, and how far those of the samples lie apart."""
    has = count > 0
    order = (total.sum((0, 1)) / count.sum()).argsort(descending=True, stable=True)
    total = total[..., order]
    means = total / count[..., None].where(has[..., None], 1)
    exponents = total.sum((0, 1)) / count.sum()
    share = count[has].double() / count.sum()
    apart = (means[has] - exponents).square()
    n = len(share)
    error = (share.square() @ apart * n / (n - 1)).sqrt() if n > 1 else exponents * torch.nan
    return {
        "exponents": exponents.numpy(),
        "standard_error": error.where(exponents.isfinite(), torch.nan).numpy(),
        "by_segment": means.masked_fill(~has[..., None], torch.nan).numpy(),
        "steps": count.numpy(),
    }
