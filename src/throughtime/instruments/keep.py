"""What a tape keeps, and how often."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from throughtime.errors import OptionError

PARTS = ("inputs", "states", "gates", "pre_activations", "gradients", "weights")
"""What can be kept of a call of a layer."""


@dataclass(frozen=True)
class Keep:
    """What a tape keeps of the calls of a layer, and of which calls.

    A step is one forward call of the watched model; where the model is used through other methods
    than its forward, each call of a recurrent module is a step of that module.

    Args:
        what: of "inputs", "states", "gates", "pre_activations", "gradients" and "weights". Weights
            are copied, so that what instruments compute later is that of the call. From inputs,
            states and weights the rest of the forward pass is computed when asked for; where one
            of them is not kept, it is computed at once.
        every: keeps the first step and then each `every`-th; the others cost nothing.
        last: how many of the kept steps stay, the latest; None for all.

    Raises:
        OptionError: a part has another name, or a number is below one.

    Example:
        >>> Keep(what={"states"}, every=50, last=10).every
        50
    """

    what: Collection[str] = PARTS
    every: int = 1
    last: int | None = 1

    def __post_init__(self) -> None:
        if isinstance(self.what, str) or not set(self.what) <= set(PARTS) or not self.what:
            raise OptionError(
                f"what must be a set of {', '.join(PARTS)}, got {self.what!r}; leave it out to "
                "keep all."
            )
        last = 1 if self.last is None else self.last
        for name, number in (("every", self.every), ("last", last)):
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise OptionError(
                    f"{name} must be a whole number of at least 1, got {number!r}; count steps."
                )
