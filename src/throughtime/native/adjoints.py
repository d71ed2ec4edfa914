"""The adjoints of every step: what a backward pass computes on its way, for who wants to see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from throughtime.native.layout import sizes_of
from throughtime.native.twins import Call

NO_ADJOINTS = (None, None, None)


@dataclass(slots=True)
class Adjoints:
    """Derivatives of the loss L by what a layer computed at every step, of its last backward pass.

        dh_t = dL/dh_t,   dc_t = dL/dc_t,   dz_t = dL/dz_t   with z_t = W_ih x_t + b_ih

    Each is the whole derivative, what comes through later steps included, as autograd gives it for
    the tensors of the plain loop. z stands behind LayerNorm and is as good as the pre-activations
    of the gates, which are sums of it and others; of a GRU's candidate that is z_n + r a_n.

    All are None before a backward pass, and after one that was itself to be differentiated,
    transformed or batched. Padding is 0.

    Note:
        h_t follows from c_t, so that dc_t holds what comes from h_t. With zoneout h_t follows from
        the cell's own c~_t, of which c_t is one share: then nothing comes from h_t.

    Attributes:
        dh: [N, D, P], N the places of the sequence, T*B or those of a packed one.
        dc: [N, D, H]; None for a cell without c.
        dz: [N, D, G, H], in the order of the cell's gates.
    """

    dh: Tensor | None = None
    dc: Tensor | None = None
    dz: Tensor | None = None

    def renew(self, call: Call, x: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
        """New dh, dc and dz for a kernel to write, which leaves padding alone."""
        new = x.new_empty if call.rows.lengths is None else x.new_zeros
        lead = math.prod(x.shape[:-1]), call.num_directions
        P, H = sizes_of(call.kernel, weights[1])
        G, has_c = call.kernel.num_gates, call.kernel.has_cell_state
        widths = [math.prod(lead) * width for width in (P, has_c * H, G * H)]
        # memory that is new takes fewer pages in one piece than in three
        dh, dc, dz = new(sum(widths)).split_with_sizes(widths)
        self.dh = dh.view(*lead, P)
        self.dc = dc.view(*lead, H) if has_c else None
        self.dz = dz.view(*lead, G, H)
        return self.dh, self.dc, self.dz

    def clear(self) -> None:
        """Forgets all numbers."""
        self.dh = self.dc = self.dz = None
