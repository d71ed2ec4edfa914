"""Credit: which loss teaches which step, all pairs of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from throughtime.errors import OptionError
from throughtime.instruments.dataset import DIRECTIONS
from throughtime.instruments.direct import norm_of, with_gradients
from throughtime.instruments.horizon import VANISHED, Horizon, Numbers, find_horizon
from throughtime.instruments.losses_back import Found, go_back
from throughtime.instruments.recording import Recording
from throughtime.instruments.tape import Tape

if TYPE_CHECKING:
    import xarray

_AXES = ("layer", "direction", "loss", "time", "batch")


@dataclass(frozen=True, eq=False)
class Credit:
    """The norm of dL_t/dh_k for losses L_t and all steps k; made by `credit`.

    Args:
        norm: a variable for every field of the state, h, and c of an LSTM, with the axes layer,
            direction, loss (t), time (k) and batch; missing where a row has no step t or k.
    """

    norm: xarray.Dataset

    def by_lag(
        self, layer: int = -1, direction: str = "forward", field: str = "h"
    ) -> xarray.DataArray:
        """Of every row the mean norm at a lag, as a share of that of all rows at lag 0, [J, B].

            share[j, b] = mean_t |dL_t/dh_{t-j}|_b / mean_b' mean_t |dL_t/dh_t|_b'

        Both means are over the losses that have a step so far back, so that a curve falls because
        gradients do and not because losses differ. The mean over rows is the curve.

        Args:
            layer: counted from the input; the last by default.
            direction: "forward", or "reverse", whose lag counts steps ahead, k - t.
            field: of the state.

        Returns:
            Shares with the axes lag (0 to T - 1) and batch; missing where a row has no such pair.

        Raises:
            OptionError: there is no such layer, direction or field.
        """
        at_lag, at_zero = self._means(layer, direction, field)
        rows = (~np.isnan(at_lag)).sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):  # 0 / 0 where no loss has a gradient
            shares = at_lag * rows / np.nansum(at_zero, axis=1, keepdims=True)
        import xarray

        return xarray.DataArray(shares, dims=("lag", "batch"), coords={"lag": np.arange(len(rows))})

    def memory_horizon(
        self,
        layer: int = -1,
        direction: str = "forward",
        field: str = "h",
        share: float = VANISHED,
        confidence: float = 0.95,
        resamples: int = 1000,
        seed: int = 0,
    ) -> Horizon:
        """The smallest lag at which the mean is under a share of that at lag 0 (`find_horizon`).

        Args:
            layer: as in `by_lag`.
            direction: as in `by_lag`.
            field: as in `by_lag`.
            share: in (0, 1).
            confidence: of the interval over rows, in (0, 1).
            resamples: batches that are drawn for it.
            seed: the same seed draws the same ones.

        Raises:
            OptionError: as of `by_lag` and `find_horizon`.
            DataError: no loss has a gradient there.
        """
        means = self._means(layer, direction, field)
        return find_horizon(*means, share, confidence, resamples, seed)

    def _means(self, layer: int, direction: str, field: str) -> tuple[Numbers, Numbers]:
        """Mean norms of the losses that have a lag: at that lag, and at lag 0, [J, B]."""
        norm = self.select(layer, direction, field).values.astype(np.float64)  # [n, T, B]
        losses, (_, steps, batch) = self.norm["loss"].values, norm.shape
        sign = 1 if direction == "forward" else -1
        at_lag, at_zero = np.full((2, steps, batch), np.nan)
        index = np.arange(len(losses))
        for lag in range(steps):
            at = losses - sign * lag
            has = (0 <= at) & (at < steps)
            pairs = norm[index[has], at[has]]
            zero = np.where(np.isnan(pairs), np.nan, norm[index[has], losses[has]])
            count = (~np.isnan(pairs)).sum(axis=0)
            some = count > 0
            at_lag[lag, some] = (np.nansum(pairs, axis=0) / count.clip(1))[some]
            at_zero[lag, some] = (np.nansum(zero, axis=0) / count.clip(1))[some]
        return at_lag, at_zero

    def select(
        self, layer: int = -1, direction: str = "forward", field: str = "h"
    ) -> xarray.DataArray:
        """The norms of one layer, direction and field, with the axes loss, time and batch.

        Args:
            layer: counted from the input; the last by default.
            direction: "forward" or "reverse".
            field: of the state.

        Raises:
            OptionError: there is no such layer, direction or field.
        """
        known = {
            "field": (field, list(self.norm.data_vars)),
            "direction": (direction, list(self.norm["direction"].values)),
        }
        for name, (value, values) in known.items():
            if value not in values:
                raise OptionError(
                    f"{name} must be one of {', '.join(values)}, got {value!r}; name one of them."
                )
        layers = self.norm.sizes["layer"]
        if not -layers <= layer < layers:
            raise OptionError(
                f"layer must be one of the {layers} of the module, got {layer}; count from 0 at "
                "the input."
            )
        return self.norm[field].sel(direction=direction).isel(layer=layer)


def credit(
    tape: Tape,
    name: str | None = None,
    call: int = -1,
    *,
    last: int | None = None,
    every: int = 1,
    memory_gb: float = 2.0,
) -> Credit:
    """Measures which loss teaches which step: the norm of dL_t/dh_k for all t and k.

        dL_t/dh_k = (ds_t/ds_k)^T dL_t/ds_t = (J_{k+1}^T ... J_t^T) dL_t/ds_t,   J_t = ds_t/ds_{t-1}

    with the joint state s of all fields, (h, c) for an LSTM, and in a stack all ways through the
    layers above. dL_t/dh_t comes from the tape: what the loss gave to the output of step t, so
    that L = sum_t L_t with L_t a function of y_t alone. A loss that reads h_n is one of the last
    step. The gradients of all losses travel back together (`go_back`), T pulls of up to T steps
    instead of T backward passes; their sum is compared with the tape's. Zero where a reset or the
    order of time lies between.

    Source: Hochreiter 1991; Bengio, Simard and Frasconi 1994, for the single loss.

    Args:
        tape: of a forward and a backward pass.
        name: of the module; None where only one is watched.
        call: which of its calls on the tape; the latest by default.
        last: only losses of the last so many steps; None for all.
        every: only each so-manieth loss, counted from the last step.
        memory_gb: what the norms, and in a bidirectional stack the gradients, may take.

    Raises:
        OptionError: as of `Tape.recording` and `go_back`; the tape has no gradients; the numbers
            are out of range; or the norms would take more memory.
        DataError: a gradient is not finite.

    Example:
        >>> import throughtime as tt
        >>> rnn = tt.RNN(2, 4)
        >>> with tt.watch(rnn) as tape:
        ...     rnn(torch.ones(5, 3, 2))[0].sum().backward()
        >>> credit(tape).norm["h"].sizes["loss"]
        5
    """
    recording = with_gradients(tape, name, call)
    losses = _losses(recording, last, every)
    _check_memory(recording, len(losses), memory_gb)
    fields = recording.layers[0].states._fields
    steps, batch = recording.layers[0].shape
    shape = len(recording.layers), recording.layers[0].num_directions, len(losses), steps, batch
    norms = {field: recording.layers[0].x.new_zeros(shape) for field in fields}

    def see(found: Found) -> None:
        index = torch.arange(len(losses), device=losses.device)[found.losses]
        for field, gradient in zip(fields, found.pulled.at, strict=True):
            norms[field][found.layer, found.direction, index, found.steps] = norm_of(gradient)

    go_back(recording.layers, losses, see)
    return Credit(_labelled(recording, losses, norms))


def _losses(recording: Recording, last: int | None, every: int) -> torch.Tensor:
    """T of the losses that are asked for, rising."""
    layer = recording.layers[0]
    steps = layer.shape[0]
    for name, number in (("last", steps if last is None else last), ("every", every)):
        if not 1 <= number <= steps:
            raise OptionError(
                f"{name} must be from 1 to T = {steps}, got {number}; leave it out for all losses."
            )
    first = 0 if last is None else steps - last
    return torch.arange(steps - 1, first - 1, -every, device=layer.x.device).flip(0)


def _check_memory(recording: Recording, losses: int, memory_gb: float) -> None:
    """Refuses a matrix that does not fit.

    Raises:
        OptionError: as said.
    """
    layers = recording.layers
    directions, (steps, batch) = layers[0].num_directions, layers[0].shape
    per_pair = directions * len(layers) * len(layers[0].states)
    if directions == 2 and len(layers) > 1:  # what comes from above waits for both directions
        per_pair += 2 * 2 * layers[0].states[0].shape[-1]
    needed = losses * steps * batch * per_pair * layers[0].x.element_size() / 2**30
    if needed > memory_gb:
        raise OptionError(
            f"the credit matrix must fit into memory_gb = {memory_gb:g}, {losses} losses by "
            f"{steps} steps and {batch} rows take {needed:.3g}; ask for fewer losses with last= or "
            "every=, watch fewer rows, or allow more."
        )


def _labelled(
    recording: Recording, losses: torch.Tensor, norms: dict[str, torch.Tensor]
) -> xarray.Dataset:
    """The norms with names, missing where a row has no step."""
    import xarray

    first = recording.layers[0]
    if first.valid is not None:
        pairs = first.valid[losses][:, None] & first.valid[None]  # [n, T, B]
        norms = {field: norm.masked_fill(~pairs, torch.nan) for field, norm in norms.items()}
    return xarray.Dataset(
        {field: (_AXES, norm.cpu().numpy()) for field, norm in norms.items()},
        {
            "layer": np.arange(len(recording.layers)),
            "direction": list(DIRECTIONS[: first.num_directions]),
            "loss": losses.cpu().numpy(),
            "time": np.arange(first.shape[0]),
        },
        {"module": recording.name, "step": recording.step},
    )
