"""Checks of what a user passes to a layer, with the kinds of error `torch.nn` raises."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from throughtime.cells import LSTMState, State
from throughtime.errors import OptionError, ShapeError


def check_type(name: str, value: Any, kind: type) -> None:
    """Refuses an argument of another type; a bool is not a number here."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise OptionError(
            f"{name} must be of type {kind.__name__}, got {type(value).__name__} {value!r}; "
            f"pass {'a whole number' if kind is int else 'True or False'}."
        )


def check_sizes(input_size: int, hidden_size: int, num_layers: int) -> None:
    """Refuses sizes below one."""
    for name, size in (
        ("input_size", input_size),
        ("hidden_size", hidden_size),
        ("num_layers", num_layers),
    ):
        if size <= 0:
            raise OptionError(f"{name} must be at least 1, got {size}; pass a positive number.")


def check_projection(proj_size: int, hidden_size: int, layer: str, is_possible: bool) -> None:
    """Refuses a projection that does not make h smaller, or that the layer cannot have."""
    if proj_size and not is_possible:
        raise OptionError(
            f"proj_size must be 0 for a {layer}, got {proj_size}; only the LSTM has a projection."
        )
    if not 0 <= proj_size < hidden_size:
        raise OptionError(
            f"proj_size must be 0 (none) or from 1 to hidden_size - 1 = {hidden_size - 1}, "
            f"got {proj_size}; make it smaller."
        )


def check_dropout(dropout: float, num_layers: int) -> None:
    """Refuses what is not a share, and warns where dropout has no place to act."""
    is_number = isinstance(dropout, int | float) and not isinstance(dropout, bool)
    if not is_number or not 0 <= dropout <= 1:
        raise OptionError(f"dropout must be a number in [0, 1], got {dropout!r}; pass a share.")
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            f"dropout={dropout} acts between layers, and num_layers=1 has no such place; "
            "use more layers or torch.nn.Dropout on the output.",
            stacklevel=3,
        )


def check_batch_sizes(batch_sizes: Tensor, num_rows: int) -> None:
    """Refuses what no `PackedSequence` of these rows can hold: its sizes decide what is read."""
    fits = (
        batch_sizes.dim() == 1
        and batch_sizes.dtype == torch.int64
        and batch_sizes.device.type == "cpu"
        and len(batch_sizes) > 0
        and int(batch_sizes[-1]) > 0
        and bool((batch_sizes[1:] <= batch_sizes[:-1]).all())
        and int(batch_sizes.sum()) == num_rows
    )
    if not fits:
        raise ShapeError(
            "batch_sizes must be int64 [T] on the CPU, positive, never increasing, with the sum "
            f"{num_rows} of the packed rows, got {batch_sizes}; make it with pack_sequence."
        )


def refuse_rows(input: Any, lengths: Any, reset: Any) -> None:
    """Refuses lengths and resets beside a packed input or one without a batch."""
    if lengths is None and reset is None:
        return
    if isinstance(input, Tensor):
        raise OptionError(
            f"lengths and reset must come with a batch, got an input {list(input.shape)} without "
            "one; give it a batch axis or leave them out."
        )
    raise OptionError(
        "lengths and reset must come with a tensor, got a PackedSequence, which has lengths of its "
        "own; pass the padded tensor or leave them out."
    )


def to_lstm_state(hx: Any) -> LSTMState:
    """The pair (h_0, c_0) as a tuple with names."""
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        raise ShapeError(
            f"hx must be the pair (h_0, c_0), got {type(hx).__name__}; pass both states."
        )
    return LSTMState(*hx)


def match_autocast(x: Tensor, state: State | None, weight: Tensor) -> tuple[Tensor, State | None]:
    """Under autocast, what comes in the precision of the layers before is made that of ours."""
    if not torch.is_autocast_enabled("cpu" if x.is_cpu else x.device.type):
        return x, state
    if state is not None:
        state = type(state)(*(field.to(weight.dtype) for field in state))
    return x.to(weight.dtype), state


def check_like(name: str, tensor: Tensor, like: Tensor) -> None:
    """Refuses a tensor whose dtype or device is not that of the weights."""
    if tensor.dtype != like.dtype:
        raise ShapeError(
            f"{name} must be {like.dtype} like the weights, got {tensor.dtype}; "
            f"convert it with .to({like.dtype}) or the layer with .to({tensor.dtype})."
        )
    if tensor.device != like.device:
        raise ShapeError(
            f"{name} must be on {like.device} like the weights, got {tensor.device}; "
            f"move it with .to('{like.device}')."
        )
