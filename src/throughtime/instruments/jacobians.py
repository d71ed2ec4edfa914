"""Jacobians: how one step stretches the state, and many steps together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from throughtime.cells import Elman
from throughtime.errors import OptionError
from throughtime.instruments.labels import labelled
from throughtime.instruments.step_map import MEMORY
from throughtime.instruments.tape import Tape
from throughtime.instruments.walk import Walk, walks_of

if TYPE_CHECKING:
    from xarray import Dataset

Numbers = dict[str, NDArray[Any]]

DIMS = {
    "singular_values": ("time", "batch", "mode"),
    "eigenvalues": ("time", "batch", "mode"),
    "spectral_radius": ("time", "batch"),
    "log_norm": ("lag", "batch"),
    "log_bound": ("lag", "batch"),
    "jacobian": ("time", "batch", "state", "state_before"),
}


def jacobians(
    tape: Tape,
    name: str | None = None,
    call: int = -1,
    *,
    stack: bool = False,
    rows: Sequence[int] | None = None,
    matrices: bool = False,
    memory: float = MEMORY,
) -> Dataset:
    """How every step of a layer, and the steps of a lag together, stretch its state.

        J_t = ds_t/ds_{t-1},    ds_T/ds_{T-k} = J_T J_{T-1} ... J_{T-k+1}

    s is h of an Elman cell or a GRU, (h, c) of an LSTM side by side, all fields of a cell of one's
    own. The norm of a matrix is its largest singular value. For an Elman cell it has a bound,

        |ds_T/ds_{T-k}| <= (sigma_max(W_hh) max|g'|)^k

    with the largest slope g' that a row's units had in the call, at most 1 for tanh (Hochreiter
    1991; Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and Bengio 2013). Logarithms are
    natural; of a product that is zero, -inf. They hold for any lag: the product is scaled to norm 1
    after every step.

    Where a row begins afresh, J_t is zero. T is a row's last step; in the reverse direction its
    first, and t-1 stands for t+1. What a row has no step for is NaN.

    Note:
        Eigenvalues are what takes time: of 100 steps of 8 rows of an LSTM of 128 units, 20 seconds
        on one core. `rows=[0]` is quick.

    Args:
        tape: of `watch`, with inputs, states and weights kept.
        name: the recurrent module; may be left out where there is one.
        call: which of its calls, the last by default.
        stack: whether s is the state of all layers together, as of one cell; the layers below then
            act on those above within a step.
        rows: rows of the batch to look at; all when None.
        matrices: whether to return J_t itself.
        memory: bytes that Jacobians may take, those of one step and those returned.

    Returns:
        Dims are layer and direction (neither with `stack`) and those given here; S is the size of
        s, and layers with less have NaN beyond it:

        - singular_values [time, batch, mode], the largest first;
        - eigenvalues [time, batch, mode], complex, the largest first, and the absolute value of
          that, spectral_radius [time, batch];
        - log_norm [lag, batch], log |ds_T/ds_{T-k}| for k = 0 ... T, and its bound, log_bound, NaN
          for other cells, with normalisation, zoneout or as a stack;
        - jacobian [time, batch, state, state_before] where asked for.

    Raises:
        OptionError: inputs, states or weights were not kept; more memory is needed; the cells drew
            what the tape does not hold; a stack runs in two directions.
        DataError: a state or an input is not finite.

    Example:
        >>> import throughtime as tt
        >>> rnn = tt.RNN(2, 4)
        >>> with tt.watch(rnn) as tape:
        ...     y, h = rnn(torch.ones(5, 3, 2))
        >>> found = jacobians(tape)
        >>> dict(found.log_norm.sizes)
        {'layer': 1, 'direction': 1, 'lag': 6, 'batch': 3}
    """
    walks = walks_of(tape, name, call, stack, rows, memory)
    first = next(iter(walks.values()))
    if matrices:
        moments = first.num_steps * len(walks)
        _check_kept(
            moments * len(first.rows) * max(walk.size for walk in walks.values()) ** 2, memory
        )
    found = {place: _measure(walk, matrices) for place, walk in walks.items()}
    lags = {"lag": np.arange(first.num_steps + 1), "batch": first.rows.numpy()}
    return labelled(found, DIMS, lags, stack)


def _measure(walk: Walk, keeps_matrices: bool) -> Numbers:
    """The numbers of one direction of a layer, by name, with the dims of `DIMS`."""
    T, B, S = walk.num_steps, len(walk.rows), walk.size
    found: Numbers = {
        "singular_values": np.full((T, B, S), np.nan),
        "eigenvalues": np.full((T, B, S), np.nan, dtype=np.complex128),
        "log_norm": np.full((T + 1, B), np.nan),
    }
    if keeps_matrices:
        found["jacobian"] = np.full((T, B, S, S), np.nan)
    product = _Product(B, S)
    found["log_norm"][0] = 0
    for moment in reversed(walk):
        has = moment.is_step
        rows = np.flatnonzero(has)
        matrices, at = moment.jacobian[has], (moment.t, rows)
        found["singular_values"][at] = torch.linalg.svdvals(matrices)
        values = torch.linalg.eigvals(matrices)
        found["eigenvalues"][at] = values.gather(-1, values.abs().argsort(-1, descending=True))
        if keeps_matrices:
            found["jacobian"][at] = matrices
        product.multiply(moment.jacobian, has)
        found["log_norm"][product.lag[has].numpy(), rows] = product.log_norm[has]
    found["spectral_radius"] = np.abs(found["eigenvalues"][..., 0])
    stretch = _log_stretch(walk)
    none = np.where(np.isnan(stretch), np.nan, 0)  # 0 times -inf would be NaN
    found["log_bound"] = np.vstack([none, np.arange(1, T + 1)[:, None] * stretch])
    return found


class _Product:
    """ds_T/ds_{T-k} of every row: a matrix of norm 1, and the logarithm of its norm."""

    def __init__(self, B: int, S: int) -> None:
        self.matrix = torch.eye(S, dtype=torch.float64).repeat(B, 1, 1)
        self.log_norm = torch.zeros(B, dtype=torch.float64)
        self.lag = torch.zeros(B, dtype=torch.int64)

    def multiply(self, jacobian: Tensor, rows: Tensor) -> None:
        """One more step back, of some rows, bool [B]."""
        product = self.matrix[rows] @ jacobian[rows]
        norm = torch.linalg.matrix_norm(product, ord=2)
        self.log_norm[rows] += norm.log()  # -inf once the product is zero
        self.matrix[rows] = product / norm.where(norm > 0, 1)[:, None, None]
        self.lag[rows] += 1


def _log_stretch(walk: Walk) -> NDArray[Any]:
    """The logarithm of sigma_max(W_hh) max|g'|, [B]; NaN where the cell is no plain Elman cell."""
    cell = walk.runs[0].cells[walk.d]
    if len(walk.runs) > 1 or not isinstance(cell, Elman) or cell.norm_hh is not None:
        return np.full(len(walk.rows), np.nan)
    weight = cell.weight_hh.detach().to("cpu", torch.float64).expand(len(walk.rows), -1, -1)
    if cell.mask is not None:
        weight = weight * cell.mask[walk.rows, None].cpu()
    stretch = torch.linalg.matrix_norm(weight, ord=2) * walk.steepest().double()
    logarithm: NDArray[Any] = stretch.log().numpy()
    return logarithm


def _check_kept(numbers: int, memory: float) -> None:
    """Refuses to return more matrices than fit."""
    if 8 * numbers > memory:
        raise OptionError(
            f"the Jacobians of all steps must fit into {memory / 2**30:.3g} GiB, they need "
            f"{8 * numbers / 2**30:.3g}; look at fewer with rows=[...], raise memory=, or do "
            "without matrices=True."
        )
