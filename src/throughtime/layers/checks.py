"""Checks of what a user passes to a layer, with the kinds of error `torch.nn` raises."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

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
