"""Pooling: the states of all steps of a row become one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from throughtime.errors import OptionError


class Pooling(nn.Module):
    """One vector per row from the states y_1 ... y_n of its n steps.

        last        y_n forward, y_1 backward: each direction after its last step
        mean        sum_t y_t / n
        max         max_t y_t, each unit for itself
        attention   sum_t a_t y_t,   a = softmax_t(v^T tanh(W y_t + b))

    What stands behind the end of a row has no part in it; a row of no steps gives zeros.

    Source: attention as in Yang et al. 2016, eq. 5 to 7.

    Args:
        name: `last`, `mean`, `max` or `attention`.
        size: of y, both directions together, Y.
        is_bidirectional: whether the second half of y was made from the end.

    Example:
        >>> y = torch.tensor([[[1.0, 5.0]], [[3.0, 4.0]], [[9.0, 9.0]]])  # [T, B, Y]
        >>> Pooling("mean", 2)(y, torch.tensor([2])).tolist()
        [[2.0, 4.5]]
        >>> Pooling("last", 2, is_bidirectional=True)(y, torch.tensor([2])).tolist()
        [[3.0, 5.0]]
    """

    def __init__(self, name: str, size: int, is_bidirectional: bool = False) -> None:
        super().__init__()
        if name not in ("last", "mean", "max", "attention"):
            raise OptionError(
                f"pooling must be one of last, mean, max, attention, got {name!r}; choose one."
            )
        self.name, self.is_bidirectional = name, is_bidirectional
        if name == "attention":
            self.project, self.query = nn.Linear(size, size), nn.Linear(size, 1, bias=False)

    def forward(self, y: Tensor, lengths: Tensor) -> Tensor:
        """The pooled vectors, [B, Y].

        Args:
            y: states, [T, B, Y].
            lengths: steps of each row, int64 [B].
        """
        valid = (torch.arange(len(y))[:, None] < lengths)[..., None]  # [T, B, 1]
        if self.name == "last":
            return torch.where(lengths[:, None] > 0, self._last(y, lengths), 0.0)
        if self.name == "mean":
            return torch.where(valid, y, 0.0).sum(0) / lengths.clamp(min=1)[:, None]
        if self.name == "max":
            highest = y.masked_fill(~valid, -torch.inf).amax(0)
            return torch.where(lengths[:, None] > 0, highest, 0.0)
        return torch.where(valid, self.weights(y, lengths) * y, 0.0).sum(0)

    def weights(self, y: Tensor, lengths: Tensor) -> Tensor:
        """The weights a_t of the attention, [T, B, 1]; zeros for a row of no steps."""
        valid = (torch.arange(len(y))[:, None] < lengths)[..., None]
        scores = self.query(torch.tanh(self.project(y)))
        # The lowest number rather than -inf: a row of no steps has no NaN then.
        scores = scores.masked_fill(~valid, torch.finfo(y.dtype).min)
        return torch.where(valid, scores.softmax(0), 0.0)

    def _last(self, y: Tensor, lengths: Tensor) -> Tensor:
        ends = (lengths - 1).clamp(min=0)
        last = y[ends, torch.arange(y.shape[1])]  # [B, Y]
        if not self.is_bidirectional:
            return last
        half = y.shape[-1] // 2
        return torch.cat([last[:, :half], y[0, :, half:]], dim=-1)
