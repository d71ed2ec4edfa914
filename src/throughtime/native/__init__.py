"""The same step, faster: compiled kernels behind the cells, as differentiable torch functions.

The names are looked up when first used, so that the kernels can be had without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from throughtime.native import _kernels

if TYPE_CHECKING:
    from throughtime.native.layer import refusal, run_layer, run_wave
    from throughtime.native.steady import Steady
    from throughtime.native.steps import run_layer_steps
    from throughtime.native.sums import gradients_in_one_sum

_HOME = {
    "Steady": "steady",
    "gradients_in_one_sum": "sums",
    "refusal": "layer",
    "run_layer": "layer",
    "run_layer_steps": "steps",
    "run_wave": "layer",
}

__all__ = [
    "Steady",
    "gradient_steps",
    "gradients_in_one_sum",
    "refusal",
    "run_layer",
    "run_layer_steps",
    "run_wave",
]


def gradient_steps(batch: int) -> int:
    """Steps whose gradients of the weights a kernel sums before it adds them to the whole.

    Such blocks are counted from the end of a sequence; see `gradients_in_one_sum`.

    Args:
        batch: B, rows of every step.

    Example:
        >>> gradient_steps(batch=1) > gradient_steps(batch=32) > gradient_steps(10**6)
        True
    """
    return _kernels.gradient_steps(batch)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'throughtime.native' has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"throughtime.native.{_HOME[name]}"), name)
    return globals()[name]
