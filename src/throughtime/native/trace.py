"""What the passes of a kernel compute at every step, for who looks on: numbers without a graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from throughtime.cells import HiddenState, LSTMState, State
from throughtime.native.layout import sizes_of
from throughtime.native.twins import Call

NOWHERE = (0, 0, 0)
"""The addresses of dh, dc and dz where nobody wants them."""


class Adjoints:
    """Derivatives of the loss L by what a layer computed at every step, of its last backward pass.

        dh_t = dL/dh_t,   dc_t = dL/dc_t,   dz_t = dL/dz_t   with z_t = W_ih x_t + b_ih

    Each is the whole derivative, what comes through later steps included, as autograd gives it for
    the tensors of the plain loop. z stands behind LayerNorm and is as good as the pre-activations
    of the gates, which are sums of it and others; of a GRU's candidate that is z_n + r a_n.

    All are None before a backward pass, and after one that was itself to be differentiated,
    transformed or batched. Padding is 0. Views are made when asked for.

    Note:
        h_t follows from c_t, so that dc_t holds what comes from h_t. With zoneout h_t follows from
        the cell's own c~_t, of which c_t is one share: then nothing comes from h_t.

    Attributes:
        dy: what came to y, dL/dh_t without the part through later steps, in the layout of y; None
            where nothing did.
        memory: where the next backward pass puts its numbers, if they fit; None for new memory.
    """

    __slots__ = ("_call", "_numbers", "_sizes", "dy", "memory")

    def __init__(self) -> None:
        self.dy: Tensor | None = None
        self.memory: Tensor | None = None
        self._call: Call | None = None
        self._numbers: Tensor | None = None  # dh, dc and dz one after the other
        self._sizes = (0, 0)

    def renew(
        self, call: Call, dy: Tensor | None, x: Tensor, weight_hh: Tensor
    ) -> tuple[int, int, int]:
        """Where a kernel is to write dh, dc and dz; it leaves padding alone."""
        self._call, self.dy, self._sizes = call, dy, sizes_of(call.kernel, weight_hh)
        dh, dc, dz = self._widths(call, math.prod(x.shape[:-1]) * call.num_directions)
        # memory that is new takes fewer pages in one piece than in three
        memory, self.memory = self.memory, None
        if memory is None or memory.dtype != x.dtype or len(memory) != dh + dc + dz:
            memory = x.new_empty(dh + dc + dz)
        self._numbers = memory if call.rows.lengths is None else memory.zero_()
        first, size = self._numbers.data_ptr(), x.element_size()
        return first, first + dh * size if dc else 0, first + (dh + dc) * size

    def give_up(self) -> Tensor | None:
        """Forgets all numbers, and leaves the memory where they were."""
        memory = self.memory if self._numbers is None else self._numbers
        self.clear()
        # what was made in inference mode can not be used outside of it
        return None if memory is None or memory.is_inference() else memory

    def clear(self) -> None:
        """Forgets all numbers."""
        self.dy = self._numbers = self.memory = None

    @property
    def dh(self) -> Tensor | None:
        """dL/dh_t, [N, D, P], N the places of the sequence, T*B or those of a packed one."""
        return self._part(0)

    @property
    def dc(self) -> Tensor | None:
        """dL/dc_t, [N, D, H]; None for a cell without c."""
        return self._part(1)

    @property
    def dz(self) -> Tensor | None:
        """dL/dz_t, [N, D, G, H], in the order of the cell's gates."""
        dz = self._part(2)
        return None if dz is None else dz.view(*dz.shape[:2], -1, self._sizes[1])

    def _widths(self, call: Call, places: int) -> tuple[int, int, int]:
        kernel, (P, H) = call.kernel, self._sizes
        return places * P, places * H * kernel.has_cell_state, places * kernel.num_gates * H

    def _part(self, index: int) -> Tensor | None:
        call, numbers = self._call, self._numbers
        if call is None or numbers is None:
            return None
        each = self._widths(call, 1)
        places = len(numbers) // sum(each)
        part = numbers.split_with_sizes([places * width for width in each])[index]
        return part.view(-1, call.num_directions, each[index]) if each[index] else None


class Trace:
    """What a kernel computed at every step of a call, and where its backward passes leave theirs.

    Args:
        adjoints: where those are left; None where nobody wants them.
    """

    __slots__ = ("_call", "_saved", "_y", "adjoints")

    def __init__(self, adjoints: Adjoints | None) -> None:
        self.adjoints = adjoints
        self._call: Call | None = None
        self._y: Tensor | None = None
        self._saved: tuple[Tensor, ...] = ()

    def see(self, call: Call, y: Tensor, saved: Sequence[Tensor]) -> None:
        """Keeps what a forward pass computed."""
        self._call = call
        self._y, self._saved = y.detach(), tuple([kept.detach() for kept in saved])

    @property
    def kept(self) -> list[Tensor]:
        """Every tensor it keeps; none before a forward pass."""
        return [] if self._y is None else [self._y, *self._saved]

    def states(self, lead: Sequence[int]) -> State:
        """The state after every step, fields [*lead, D, ·]."""
        assert self._call is not None and self._y is not None
        return states_of(self._call, lead, self._y, self._saved)

    def gates(self, lead: Sequence[int]) -> Tensor | None:
        """The gates as `gates_of` gives them."""
        return None if self._call is None else gates_of(self._call, lead, *self.kept)


def states_of(call: Call, lead: Sequence[int], y: Tensor, saved: Sequence[Tensor]) -> State:
    """The state after every step out of y and what the kernel saved, fields [*lead, D, ·]."""
    D, kernel = call.num_directions, call.kernel
    h = y.view(*lead, D, y.shape[-1] // D)
    if not kernel.has_cell_state:
        return HiddenState(h)
    c = saved[int(kernel.num_values > 0)]
    return LSTMState(h, c.view(*lead, *c.shape[1:]))


def gates_of(call: Call, lead: Sequence[int], y: Tensor, *saved: Tensor) -> Tensor | None:
    """The gates after their activation, [*lead, D, G, H]; None where the kernel keeps others."""
    kernel, D = call.kernel, call.num_directions
    if kernel.name in ("lstm", "gru"):
        gates = saved[0].view(*lead, *saved[0].shape[1:])
        return gates[..., : kernel.num_gates, :]
    if kernel.num_values == 0:  # h is the gate
        return y.detach().view(*lead, D, 1, y.shape[-1] // D)
    return None
