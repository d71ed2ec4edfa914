"""States as strategies see them: tensors in nested tuples, whatever the unroll."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from throughtime.errors import OptionError


def map_state(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """The same nesting of tuples, lists and named tuples with every tensor replaced.

    Raises:
        OptionError: something in it is neither a tensor, a tuple, a list nor None.
    """
    if state is None:
        return None
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(map_state(function, part) for part in state))
    if isinstance(state, tuple | list):
        return type(state)(map_state(function, part) for part in state)
    raise OptionError(
        f"a state must be a tensor or tuples of tensors, got {type(state).__name__}; "
        "let the unroll return its state as a tuple."
    )


def tensors_of(state: Any) -> list[Tensor]:
    """Every tensor of a state, in a fixed order."""
    found: list[Tensor] = []
    map_state(lambda tensor: found.append(tensor) or tensor, state)  # type: ignore[func-returns-value]
    return found


def detach(state: Any) -> Any:
    """The same state as a constant."""
    return map_state(Tensor.detach, state)


def own(state: Any) -> Any:
    """The same state in memory of its own: a view would keep all that it looks into."""
    return map_state(_own, state)


def _own(tensor: Tensor) -> Tensor:
    is_view = tensor.untyped_storage().nbytes() > tensor.nbytes
    return tensor.clone() if is_view else tensor


def leaves(state: Any) -> Any:
    """The same state as constants that a gradient is asked for, where they are real numbers."""
    return map_state(_leaf, state)


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.is_floating_point())
