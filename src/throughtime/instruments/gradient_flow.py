"""Gradient flow: how far back in time the gradient of one loss reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from throughtime.cells import AnyCell, State
from throughtime.errors import OptionError, ShapeError
from throughtime.layers.unroll import unroll

VANISHED = 0.01
"""Share of its value at lag 0 under which a gradient counts as small."""

LOST = 2.0**-23
"""Share of its value at lag 0 that is lost when both are added up in float32."""


@dataclass(frozen=True)
class GradientFlow:
    """The norm of dL_T/dh_{T-k}, for every lag k, layer and row of the batch.

    Args:
        norm: Euclidean norm over the units, [L, K, B]; index k is the lag, 0 the step of the loss.
    """

    norm: NDArray[np.float64]

    @property
    def lag(self) -> NDArray[np.int64]:
        """The steps back in time, [K]: 0, 1, ... T - 1."""
        return np.arange(self.norm.shape[1])

    @property
    def mean(self) -> NDArray[np.float64]:
        """The norm averaged over the rows, [L, K]."""
        mean: NDArray[np.float64] = self.norm.mean(axis=2)
        return mean

    def memory_horizon(self, layer: int = -1, share: float = VANISHED) -> int | None:
        """The smallest lag at which the mean norm is under a share of its value at lag 0.

        Args:
            layer: which layer, counted from the input; the last by default.
            share: of the value at lag 0, in (0, 1).

        Returns:
            The lag in steps, or None if the gradient reaches beyond everything measured.

        Raises:
            OptionError: the share is not in (0, 1).

        Example:
            >>> GradientFlow(np.array([1.0, 0.1, 0.001]).reshape(1, 3, 1)).memory_horizon()
            2
        """
        if not 0 < share < 1:
            raise OptionError(f"share must be in (0, 1), got {share:g}; 0.01 is one per cent.")
        mean = self.mean[layer]
        under = np.flatnonzero(mean < share * mean[0])
        return int(under[0]) if len(under) else None


def gradient_flow(
    cells: Sequence[AnyCell],
    x: Tensor,
    loss: Callable[[Tensor], Tensor],
    states: Sequence[State] | None = None,
) -> GradientFlow:
    """Measures how the gradient of the loss at the last step shrinks or grows back in time.

        dL_T/dh_{T-k} = dL_T/dh_T  dh_T/dh_{T-1} ... dh_{T-k+1}/dh_{T-k}

    For tanh without gates each factor is diag(1 - h_t^2) W_hh: the product shrinks at least as
    fast as the power of the largest singular value when that is below 1 (Hochreiter 1991;
    Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and Bengio 2013, eq. 5).

    Note:
        All paths from h to the loss count: through later steps, and in a stack through the
        layers above. An LSTM's cell state also carries the past; its path enters where c_t
        became h_t, so the norm of an LSTM is that of h alone, as for the other cells.

    Args:
        cells: one cell per layer, the first reads x. Run in the plain loop, without dropout.
        x: inputs of the first layer, [T, B, I].
        loss: from h of the last layer at the last step, [B, H], to the loss of each row, [B];
            a row's loss may depend on that row only.
        states: each layer's state before the first step; the cells' initial ones without it.

    Returns:
        The norms for lags 0 to T - 1, exact: one backward pass, no approximation.

    Raises:
        ShapeError: x is not [T, B, I] with at least one step, or the loss is not [B].
    """
    if x.dim() != 3 or len(x) == 0:
        raise ShapeError(
            f"x must be [T, B, I] with at least one step, got {list(x.shape)}; "
            "stack the windows along B."
        )
    batch = x.shape[1]
    starts = [cell.initial_state(batch) for cell in cells] if states is None else states
    with torch.enable_grad():
        hidden, top = _run(cells, x, starts)
        losses = loss(top)
        if losses.shape != (batch,):
            raise ShapeError(
                f"loss must give [B={batch}], one number per row, got {list(losses.shape)}; "
                "do not average over rows."
            )
        # Rows do not mix, so the gradient of the sum holds each row's own gradient.
        flat = [h for layer in hidden for h in layer]
        gradients = torch.autograd.grad(losses.sum(), flat, materialize_grads=True)
    norms = torch.stack([gradient.norm(dim=-1) for gradient in gradients])
    by_time = norms.double().cpu().numpy().reshape(len(cells), len(x), batch)  # [L, T, B]
    return GradientFlow(by_time[:, ::-1])


def _run(
    cells: Sequence[AnyCell], x: Tensor, starts: Sequence[State]
) -> tuple[list[list[Tensor]], Tensor]:
    """Every h as a node of the graph, by layer and step, and the last layer's last h."""
    x = x.detach().requires_grad_()  # the graph exists even if no weight wants a gradient
    hidden = []
    for cell, start in zip(cells, starts, strict=True):
        watched = _Watched(cell)
        x, _ = unroll(cast(AnyCell, watched), x, type(start)(*(part.detach() for part in start)))
        hidden.append(watched.hidden)
    return hidden, x[-1]


class _Watched:
    """A cell that keeps each h it hands out, before anything else is computed from it."""

    def __init__(self, cell: AnyCell) -> None:
        self.project = cell.project
        self.initial_state = cell.initial_state
        self.cell = cell
        self.hidden: list[Tensor] = []

    def step(self, z: Tensor, state: Any) -> Any:
        state = self.cell.step(z, state)
        self.hidden.append(state[0])
        return state
