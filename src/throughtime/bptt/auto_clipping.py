"""Automatic clipping: how long a gradient may be follows from how long gradients were."""

from __future__ import annotations

from array import array
from bisect import insort
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from throughtime.bptt.clipping import Clipped, finite_norm, gradients_of, shorten
from throughtime.errors import OptionError


class AutoClip:
    """Clips the global norm to a percentile of all norms so far.

        g <- g min(1, m / |g|),   m = percentile(|g_1|, ... |g_n|),   g_n = g as it came

    Between two norms the percentile is interpolated. The first gradient is never shortened. All
    norms are kept, 8 bytes per update. Source: Seetharaman et al. 2020, algorithm 1, who
    recommend the 10th percentile.

    Args:
        percentile: share of the norms that lie below the limit, in per cent, [0, 100].

    Raises:
        OptionError: the percentile is not in [0, 100].

    Example:
        >>> clip, w = AutoClip(percentile=50), torch.zeros(1, requires_grad=True)
        >>> for norm in (1.0, 3.0):
        ...     w.grad = torch.tensor([norm])
        ...     clipped = clip.clip([w])
        >>> clipped
        Clipped(before=3.0, after=2.0, acted=True)
    """

    def __init__(self, percentile: float = 10.0) -> None:
        if not 0 <= percentile <= 100:
            raise OptionError(
                f"percentile must be in [0, 100], got {percentile}; 10 is the paper's, 100 only "
                "measures."
            )
        self.percentile = percentile
        self._norms = array("d")  # rising: a percentile does not ask when they were

    def clip(self, parameters: Iterable[Tensor]) -> Clipped:
        """Remembers the norm of the gradient and shortens it to the percentile.

        Args:
            parameters: what was differentiated; those without a gradient are passed over.

        Returns:
            The norm before, the norm after, and whether it was shortened.

        Raises:
            FloatingPointError: the norm is infinite or not a number; it is not remembered, and
                the gradients are left as they are.
        """
        gradients = gradients_of(parameters)
        norm = finite_norm(gradients)
        insort(self._norms, norm)
        return shorten(gradients, norm, self._limit())

    def _limit(self) -> float:
        """The percentile, linear between two norms."""
        place = self.percentile / 100 * (len(self._norms) - 1)
        below = int(place)
        low, high = self._norms[below], self._norms[min(below + 1, len(self._norms) - 1)]
        return low + (place - below) * (high - low)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs: the percentile, and the norms so far, [n] rising."""
        return {
            "percentile": self.percentile,
            "norms": torch.tensor(self._norms, dtype=torch.float64),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where another one stood, to the last bit.

        Raises:
            OptionError: the other one had another percentile.
        """
        if state_dict["percentile"] != self.percentile:
            raise OptionError(
                f"percentile must be {self.percentile} as in this AutoClip, got "
                f"{state_dict['percentile']}; make it with the percentile that was saved."
            )
        self._norms = array("d", state_dict["norms"].tolist())
