"""The gradient of a weight, taken apart: by the step at which it acts, by the lag to the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from throughtime.errors import OptionError
from throughtime.instruments.direct import check_sum, direct, with_gradients
from throughtime.instruments.losses_back import Found, go_back
from throughtime.instruments.pull import Steps, weights_of
from throughtime.instruments.recording import Recording
from throughtime.instruments.tape import Tape
from throughtime.native.twins import inner_of
from throughtime.sequences import without_padding

if TYPE_CHECKING:
    import xarray

Add = Callable[[int, int, int, dict[str, Tensor]], None]
"""Adds gradients of the weights of a layer and direction to the part at a place."""


def weight_gradient(
    tape: Tape,
    by: Literal["step", "lag"],
    name: str | None = None,
    call: int = -1,
    *,
    memory_gb: float = 2.0,
) -> xarray.Dataset:
    """Takes the gradient of every weight apart, by step k or by lag j = t - k to the loss.

        dL/dW = sum_k G_k,   G_k = sum_t dL_t/dh_k  d+h_k/dW
        dL/dW = sum_j G_j,   G_j = sum_k dL_{k+j}/dh_k  d+h_k/dW

    where d+ holds the state before step k constant, and dL_t/dh_k is that of `credit`. The part of
    lag 0 is what a window of one step sees; what lies at lags from k2 on, no window of k2 steps
    does. The parts add up to what the backward pass gives. By step it takes one way back; by lag
    the gradients of all losses travel together.

    Args:
        tape: of a forward and a backward pass.
        by: "step" or "lag". In the reverse direction, and in all layers below one that has it,
            lags are also negative.
        name: of the module; None where only one is watched.
        call: which of its calls on the tape; the latest by default.
        memory_gb: what the parts may take: as much for each step or lag as the weights do.

    Returns:
        A variable for every weight by its name in the module, with the axis step or lag and those
        of the weight, as of "weight_hh_l0" weight_hh_l0_0 and weight_hh_l0_1.

    Raises:
        OptionError: as of `credit`; or `by` is none of the two.
        DataError: a gradient is not finite.

    Example:
        >>> import throughtime as tt
        >>> rnn = tt.RNN(2, 4)
        >>> with tt.watch(rnn) as tape:
        ...     rnn(torch.ones(5, 3, 2))[0].sum().backward()
        >>> parts = weight_gradient(tape, by="lag")
        >>> np.allclose(parts["weight_hh_l0"].sum("lag"), rnn.weight_hh_l0.grad, atol=1e-6)
        True
    """
    import xarray

    if by not in ("step", "lag"):
        raise OptionError(f"by must be 'step' or 'lag', got {by!r}; choose one of them.")
    recording = with_gradients(tape, name, call)
    steps = recording.layers[0].shape[0]
    both_ways = by == "lag" and recording.layers[0].num_directions == 2
    places = np.arange(1 - steps if both_ways else 0, steps)
    cells = {
        (i, d): inner_of(cell)
        for i, layer in enumerate(recording.layers)
        for d, cell in enumerate(layer.run.cells)
    }
    weights = {place: weights_of(cell) for place, cell in cells.items()}
    _check_memory(weights.values(), len(places), memory_gb)
    parts = {
        place: {n: w.new_zeros(len(places), *w.shape) for n, w in own.items()}
        for place, own in weights.items()
    }

    def add(layer: int, direction: int, place: int, found: dict[str, Tensor]) -> None:
        for weight, gradient in found.items():
            parts[layer, direction][weight][place - places[0]] += gradient

    (_by_step if by == "step" else _by_lag)(recording, add)
    arrays = {}
    for place, own in parts.items():
        for weight, values in own.items():
            full = _full_name(cells[place], weight, *place)
            axes = [f"{full}_{axis}" for axis in range(values.dim() - 1)]
            arrays[full] = ([by, *axes], values.cpu().numpy())
    attributes = {"module": recording.name, "step": recording.step}
    return xarray.Dataset(arrays, {by: places}, attributes)


def weight_shares(parts: xarray.Dataset) -> xarray.DataArray:
    """What every part gives to the whole gradient, along its direction.

        share_j = <G_j, G> / <G, G>,   G = sum_j G_j

    The shares of a weight add up to 1; a part that points against the whole has one below 0.

    Args:
        parts: from `weight_gradient`.

    Returns:
        Shares with the axes weight and step or lag; the first weight is "all" of them together.
    """
    import xarray

    (by,) = parts.coords
    inner, squares, names = [], [], list(parts)
    for name in names:
        values = parts[name].values.reshape(parts.sizes[by], -1).astype(np.float64)
        whole = values.sum(axis=0)
        inner.append(values @ whole)
        squares.append(whole @ whole)
    with np.errstate(invalid="ignore", divide="ignore"):  # a weight without any gradient
        shares = np.stack(
            [np.sum(inner, axis=0) / np.sum(squares)]
            + [own / square for own, square in zip(inner, squares, strict=True)]
        )
    coordinates = {"weight": ["all", *names], by: parts[by].values}
    return xarray.DataArray(shares, coordinates, ("weight", by))


def _by_lag(recording: Recording, add: Add) -> None:
    def see(found: Found) -> None:
        add(found.layer, found.direction, found.lag, found.pulled.weights)

    layer = recording.layers[0]
    go_back(recording.layers, torch.arange(layer.shape[0], device=layer.x.device), see, True)


def _by_step(recording: Recording, add: Add) -> None:
    """One way back per layer and direction, of all losses in one; what is above is in `dy`."""
    for index, layer in enumerate(recording.layers):
        own = direct(layer)
        for d in range(layer.num_directions):
            steps = Steps(layer.run, d, wants_weights=True)
            found = torch.zeros_like(own[:, :, d])
            carried = [own.new_zeros(1, own.shape[1], width) for width in steps.sizes]
            order = range(len(own)) if d == 1 else reversed(range(len(own)))
            for k in order:
                gradients = [carried[0] + own[k, None, :, d], *carried[1:]]
                if steps.valid is not None:
                    gradients = [without_padding(g, steps.valid[k, None]) for g in gradients]
                pulled = steps.pull(torch.tensor([k], device=own.device), gradients)
                found[k], carried = pulled.at[0][0], pulled.before
                add(index, d, k, pulled.weights)
            check_sum(found, layer.dstates[0][:, :, d], index)


def _check_memory(weights: Iterable[dict[str, Tensor]], num_parts: int, memory_gb: float) -> None:
    """Refuses parts that do not fit.

    Raises:
        OptionError: as said.
    """
    sizes = [w.numel() * w.element_size() for own in weights for w in own.values()]
    needed = num_parts * sum(sizes) / 2**30
    if needed > memory_gb:
        raise OptionError(
            f"the parts of the gradient must fit into memory_gb = {memory_gb:g}, {num_parts} of "
            f"{sum(sizes) / 2**20:.3g} MB each take {needed:.3g}; watch a shorter window, or allow "
            "more."
        )


def _full_name(cell: Any, weight: str, layer: int, direction: int) -> str:
    """The weight's name in its module."""
    if isinstance(cell, nn.Module):
        return f"layers.{layer}.{direction}.{weight}"
    return f"{weight}_l{layer}" + ("_reverse" if direction else "")
