"""The same step, faster: compiled kernels behind the cells, as differentiable torch functions.

The names are looked up when first used, so that the kernels can be had without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from throughtime.native.layer import refusal, run_layer, run_wave

__all__ = ["refusal", "run_layer", "run_wave"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'throughtime.native' has no attribute {name!r}")
    from throughtime.native import layer

    globals().update({name: getattr(layer, name) for name in __all__})
    return globals()[name]
