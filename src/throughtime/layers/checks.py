"""Checks of what a user passes to a layer, with the kinds of error `torch.nn` raises."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from throughtime.axes import check_shape
from throughtime.cells import AnyCell, LSTMState
from throughtime.errors import OptionError, ShapeError


def check_type(name: str, value: Any, kind: type) -> None:
    """Refuses an argument of another type; a bool is not a number here."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise OptionError(
            f"{name} must be of type {kind.__name__}, got {type(value).__name__} {value!r}; "
            f"pass {'a whole number' if kind is int else 'True or False'}."
        )


def check_positive(name: str, size: int) -> None:
    """Refuses a size below one."""
    if size <= 0:
        raise OptionError(f"{name} must be at least 1, got {size}; pass a positive number.")


def read_sizes(input_size: int, hidden_size: Any, num_layers: int) -> tuple[int, ...]:
    """H of every layer, from one number for all or one for each; refuses sizes below one."""
    is_one = isinstance(hidden_size, int) or not isinstance(hidden_size, Sequence)
    sizes = (hidden_size,) if is_one else tuple(hidden_size)
    for size in sizes:
        check_type("hidden_size", size, int)
    check_positive("input_size", input_size)
    check_positive("hidden_size", min(sizes, default=0))
    check_positive("num_layers", num_layers)
    if not is_one and num_layers not in (1, len(sizes)):
        raise OptionError(
            f"hidden_size must have one number for each of the num_layers = {num_layers} layers, "
            f"got {list(sizes)}; make them agree or leave num_layers out."
        )
    return sizes * num_layers if is_one else sizes


def check_residual(outputs: Sequence[int]) -> None:
    """Refuses layers whose inputs and outputs cannot be added."""
    if len(set(outputs)) > 1:
        raise OptionError(
            f"residual must come with layers of one output size, got {list(outputs)}; use the same "
            "hidden_size for all layers."
        )


def check_share(name: str, share: Any) -> None:
    """Refuses what is not a number in [0, 1]."""
    is_number = isinstance(share, int | float) and not isinstance(share, bool)
    if not is_number or not 0 <= share <= 1:
        raise OptionError(f"{name} must be a number in [0, 1], got {share!r}; pass a share.")


def read_zoneout(zoneout: Any, fields: tuple[str, ...]) -> tuple[float, ...]:
    """One share for each field of the state."""
    shares = zoneout if isinstance(zoneout, tuple | list) else (zoneout,) * len(fields)
    if len(shares) != len(fields):
        raise OptionError(
            f"zoneout must be one share or one for each of {', '.join(fields)}, got {zoneout!r}; "
            "pass as many."
        )
    for share in shares:
        check_share("zoneout", share)
    return tuple(map(float, shares))


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
    check_share("dropout", dropout)
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


def check_return_all(return_all: Any, input: Any) -> None:
    """Refuses what is no bool, and packed rows, which stand in no [T, B]."""
    check_type("return_all", return_all, bool)
    if not isinstance(input, Tensor):
        raise OptionError(
            "return_all must come with a tensor, got a PackedSequence; pass the padded tensor and "
            "its lengths."
        )


def to_lstm_state(hx: Any) -> LSTMState:
    """The pair (h_0, c_0) as a tuple with names."""
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        raise ShapeError(
            f"hx must be the pair (h_0, c_0), got {type(hx).__name__}; pass both states."
        )
    return LSTMState(*hx)


def check_torch_state(
    hx: Any,
    fields: tuple[str, ...],
    hidden_sizes: tuple[int, ...],
    widths: tuple[int, ...],
    x: Tensor,
    sizes: dict[str, int],
) -> tuple[Tensor, ...]:
    """The fields of a state in the form of `torch.nn`, each [L*D, B, ·]."""
    if len(set(hidden_sizes)) > 1:
        raise OptionError(
            f"hx must be States where the layers have different sizes, {list(hidden_sizes)}, got "
            f"{type(hx).__name__}; begin with layer.initial_state(batch)."
        )
    state = tuple(to_lstm_state(hx)) if len(fields) == 2 else (hx,)
    for name, field, width in zip(fields, state, widths, strict=True):
        if not isinstance(field, Tensor):
            raise ShapeError(
                f"{name}_0 must be a tensor [L*D, B, H], got {type(field).__name__}; pass one, or "
                "none for zeros."
            )
        remedy = "pass one state per layer, direction and row, or none for zeros"
        check_shape(f"{name}_0", field.shape, "L*D B H", {**sizes, "H": width}, remedy)
        check_like(f"{name}_0", field, x)
    return state


def check_states(hx: Any, cells: Sequence[Sequence[AnyCell]], batch: int, x: Tensor) -> None:
    """Refuses states that are not those of these cells, [D, B, ·] for each layer."""
    if not isinstance(hx, tuple) or len(hx) != len(cells):
        raise ShapeError(
            f"hx must be States of {len(cells)} layers, got {type(hx).__name__} of "
            f"{len(hx) if isinstance(hx, tuple | list) else 1}; begin with "
            "layer.initial_state(batch)."
        )
    for index, (state, directions) in enumerate(zip(hx, cells, strict=True)):
        expected = directions[0].initial_state(batch)
        if type(state) is not type(expected):
            raise ShapeError(
                f"hx[{index}] must be {type(expected).__name__}, got {type(state).__name__}; begin "
                "with layer.initial_state(batch)."
            )
        for name, field, like in zip(expected._fields, state, expected, strict=True):
            shape = [len(directions), *like.shape]
            if list(field.shape) != shape:
                raise ShapeError(
                    f"hx[{index}].{name} must be [D, B, ...] = {shape}, got {list(field.shape)}; "
                    "begin with layer.initial_state(batch)."
                )
            if like.dtype == x.dtype:
                check_like(f"hx[{index}].{name}", field, x)


def check_step(cell: AnyCell, new: Any, before: Any) -> None:
    """Refuses what is no state like the one before the step."""
    fields = type(before).__name__ + f"({', '.join(before._fields)})"
    if type(new) is not type(before):
        raise ShapeError(
            f"the step of {type(cell).__name__} must return {fields}, got {type(new).__name__}; "
            "return the next state."
        )
    for name, field, old in zip(new._fields, new, before, strict=True):
        if not isinstance(field, Tensor) or (field.shape, field.dtype) != (old.shape, old.dtype):
            is_tensor = isinstance(field, Tensor)
            came = f"{list(field.shape)} of {field.dtype}" if is_tensor else type(field).__name__
            raise ShapeError(
                f"{name} from the step of {type(cell).__name__} must be {list(old.shape)} of "
                f"{old.dtype} like the state before, got {came}; make both the same."
            )


def match_autocast(x: Tensor, hx: Any, weight: Tensor) -> tuple[Tensor, Any]:
    """Under autocast, what comes in the precision of the layers before is made that of ours."""
    if not torch.is_autocast_enabled("cpu" if x.is_cpu else x.device.type):
        return x, hx
    return x.to(weight.dtype), _to(hx, weight.dtype)


def _to(hx: Any, dtype: torch.dtype) -> Any:
    """A state of any form with its real numbers in this precision."""
    if isinstance(hx, Tensor):
        return hx.to(dtype) if hx.is_floating_point() else hx
    if hasattr(hx, "_fields"):
        return type(hx)(*(_to(part, dtype) for part in hx))
    return type(hx)(_to(part, dtype) for part in hx) if isinstance(hx, tuple | list) else hx


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
