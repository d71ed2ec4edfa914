"""What a kernel will read through pointers: every weight and state is checked before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

from torch import Tensor

from throughtime.cells import AnyCell, State
from throughtime.errors import ShapeError
from throughtime.native.compiled import Kernel
from throughtime.native.layout import sizes_of
from throughtime.native.twins import WEIGHTS, Call, weights_of
from throughtime.sequences import Rows


def check_weights(
    cells: Sequence[AnyCell], kernel: Kernel, x: Tensor, rows: Rows
) -> tuple[tuple[str, ...], list[Tensor]]:
    """Their kinds, and the weights of every direction, each as the kernel reads it.

    Raises:
        ShapeError: a weight does not fit the others or the input, or directions differ in kinds.
    """
    found = [weights_of(cell, rows) for cell in cells]
    kinds, dtype, weights = tuple(found[0]), x.dtype, []
    shapes = _shapes(kinds, found[0]["weight_hh"].shape, kernel.num_gates, x.shape[-1])
    for own in found:
        if own.keys() != found[0].keys():
            _refuse_kinds(kinds, own)
        for (kind, weight), shape in zip(own.items(), shapes, strict=True):
            if weight.shape != shape or weight.dtype is not dtype or not weight.is_cpu:
                _explain_misfit(kind, weight, shape, x)
            weights.append(weight)
    return kinds, weights


def _shapes(
    kinds: tuple[str, ...], weight_hh: Sequence[int], num_gates: int, num_inputs: int
) -> Sequence[tuple[int, ...]]:
    """What the shape of each kind of weight must be beside W_hh."""
    total, outputs = weight_hh if len(weight_hh) == 2 else (0, 0)
    H = total // num_gates
    if kinds == WEIGHTS[:4]:  # in most calls
        return (total, num_inputs), (num_gates * H, H), (total,), (total,)
    _check_pairs(kinds)
    shapes = {
        "weight_ih": (total, num_inputs),
        "weight_hh": (num_gates * H, outputs if "weight_hr" in kinds else H),
        "peepholes": ((num_gates - 1) * H,),
        "weight_hr": (outputs, H),
        "h_0": (outputs,),
        "c_0": (H,),
    }
    return [shapes.get(kind, (total,)) for kind in kinds]


def _check_pairs(kinds: tuple[str, ...]) -> None:
    for first, second in (("bias_ih", "bias_hh"), ("norm_ih", "norm_hh")):
        if (first in kinds) != (second in kinds):
            raise ShapeError(
                f"{first} and {second} must both be there or not, got one; add the other."
            )


def _refuse_kinds(kinds: Sequence[str], other: Iterable[str]) -> NoReturn:
    raise ShapeError(
        f"both directions must have the same weights, got {', '.join(kinds)} and "
        f"{', '.join(other)}; make them alike."
    )


def check_states(state: State, call: Call, weight_hh: Tensor, x: Tensor) -> None:
    """Refuses initial states that do not fit.

    Raises:
        ShapeError: a field has another shape, kind of number or device.
    """
    lead = call.num_directions, call.rows.batch(x)
    for name, field, size in zip(
        state._fields, state, sizes_of(call.kernel, weight_hh), strict=False
    ):
        shape = (*lead, size)
        if field.shape != shape or field.dtype is not x.dtype or not field.is_cpu:
            _explain_misfit(name, field, shape, x)


def _explain_misfit(name: str, tensor: Tensor, shape: tuple[int, ...], x: Tensor) -> NoReturn:
    raise ShapeError(
        f"{name} must be {list(shape)} in {x.dtype} on {x.device} to go with the input, got "
        f"{list(tensor.shape)} in {tensor.dtype} on {tensor.device}; make them fit."
    )
