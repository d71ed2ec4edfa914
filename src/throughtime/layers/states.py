"""The states of all layers between two calls: to keep, cut, reorder and hand on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from throughtime.cells import HiddenState, LSTMState
from throughtime.errors import OptionError, ShapeError


class States(tuple[Any, ...]):
    """One named tuple per layer, whose fields are [D, B, ·]: `states[0].h`, `states[1].c`.

    A layer called with `States` returns `States`; `layer.initial_state(batch)` gives the first.

    Example:
        >>> import torch, throughtime as tt
        >>> gru = tt.GRU(2, 4, num_layers=2)
        >>> y, states = gru(torch.ones(5, 3, 2), gru.initial_state(3))
        >>> tuple(states[1].h.shape), tuple(states.reorder([2, 2])[1].h.shape)
        ((1, 3, 4), (1, 2, 4))
    """

    __slots__ = ()

    @property
    def batch(self) -> int:
        """B."""
        return int(self[0][0].shape[1])

    def map(self, function: Callable[[Tensor], Tensor]) -> States:
        """The same nesting with every field [D, B, ·] replaced."""
        return States(type(layer)(*map(function, layer)) for layer in self)

    def detach(self) -> States:
        """The same numbers, through which no gradient passes: the cut of truncated BPTT."""
        return self.map(Tensor.detach)

    def clone(self) -> States:
        """A copy that later changes in place do not reach; gradients pass."""
        return self.map(Tensor.clone)

    def select(self, rows: slice | Sequence[int] | Sequence[bool] | Tensor) -> States:
        """Some rows of the batch.

        Args:
            rows: a slice, row numbers, or a bool per row, [B].

        Raises:
            ShapeError: a row is not there, or there are not as many bools as rows.
        """
        if isinstance(rows, slice):
            return self.map(lambda field: field[:, rows])
        index = torch.as_tensor(rows)
        if index.dtype == torch.bool:
            if index.shape != (self.batch,):
                raise ShapeError(
                    f"rows must be bool [B={self.batch}], got {list(index.shape)}; "
                    "pass one for each row."
                )
            index = index.nonzero().flatten()
        return self.reorder(index)

    def reorder(self, index: Sequence[int] | Tensor) -> States:
        """New row k continues from old row index[k], which may come several times: beam search.

        Args:
            index: row numbers, int64 [B'], from 0 to B - 1.

        Raises:
            ShapeError: a number is no row, or the index is not a list of whole numbers.
        """
        index = torch.as_tensor(index)
        index = index.long() if index.numel() == 0 else index
        if index.dim() != 1 or index.dtype not in (torch.int64, torch.int32):
            raise ShapeError(
                f"index must be whole numbers [B'], got {index.dtype} {list(index.shape)}; "
                "pass one row number for each new row."
            )
        if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < self.batch:
            raise ShapeError(
                f"index must be from 0 to B - 1 = {self.batch - 1}, got {index.tolist()}; "
                "number the rows of the batch."
            )
        return self.map(lambda field: field.index_select(1, index.to(field.device)))

    def batch_first(self) -> States:
        """Views with the batch in front, fields [B, D, ·]; to look at, not to hand to a layer."""
        return self.map(lambda field: field.transpose(0, 1))

    def to_torch(self) -> Any:
        """The form of `torch.nn`: h_n [L*D, B, ·], or the pair (h_n, c_n).

        Raises:
            OptionError: the layers have different sizes or cells, which that form cannot hold.
        """
        if len(self) == 1:
            return self[0][0] if len(self[0]) == 1 else tuple(self[0])
        kinds = {(type(layer), *(field.shape for field in layer)) for layer in self}
        if len(kinds) > 1:
            raise OptionError(
                "states of torch.nn must be of one size and cell in all layers, got "
                f"{[[list(field.shape) for field in layer] for layer in self]}; keep the States."
            )
        fields = tuple(map(torch.cat, zip(*self, strict=True)))
        return fields[0] if len(fields) == 1 else fields

    @classmethod
    def from_torch(cls, hx: Any, num_directions: int = 1) -> States:
        """From h [L*D, B, ·], or the pair (h, c) of an LSTM; views of the same numbers.

        Args:
            hx: as a layer of `torch.nn` returns it.
            num_directions: D.

        Raises:
            ShapeError: it is neither, or has no such axes.
        """
        fields = (hx,) if isinstance(hx, Tensor) else tuple(hx) if _is_pair(hx) else ()
        fits = bool(fields) and all(
            field.dim() == 3 and field.shape[0] > 0 and field.shape[0] % num_directions == 0
            for field in fields
        )
        if not fits or len({field.shape[0] for field in fields}) > 1:
            raise ShapeError(
                f"hx must be h [L*D, B, H] with D = {num_directions}, or a pair (h, c) of them, "
                f"got {[list(f.shape) for f in fields] or type(hx).__name__}; pass what torch.nn "
                "returns."
            )
        kind: Any = HiddenState if len(fields) == 1 else LSTMState
        layers = zip(*(field.split(num_directions) for field in fields), strict=True)
        return cls(kind(*layer) for layer in layers)


# what torch.export and the transforms of torch.func take apart and put together
pytree.register_pytree_node(
    States,
    lambda states: (list(states), None),
    lambda layers, _: States(layers),
    serialized_type_name="throughtime.States",
)


def _is_pair(hx: Any) -> bool:
    return (
        isinstance(hx, tuple | list)
        and len(hx) == 2
        and all(isinstance(field, Tensor) for field in hx)
    )
