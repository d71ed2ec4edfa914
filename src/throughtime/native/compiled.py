"""The compiled cells by name, and what each needs to know of its buffers; without torch."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kernel:
    """What a compiled cell needs to know of its buffers."""

    name: str
    num_gates: int  # G: blocks of rows of the weights
    num_values: int  # S: values per unit and step that the backward pass reads
    has_cell_state: bool = False
    nonlinearity: str = "tanh"  # g of the cell elman
    num_states: int = field(init=False)  # initial (and final) states: h, and c of an LSTM

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_states", 1 + self.has_cell_state)

    @property
    def num_peepholes(self) -> int:
        """Gates that may see c: of an LSTM every one but the candidate."""
        return self.num_gates - 1 if self.has_cell_state else 0


KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel("elman_tanh", 1, 0),
        Kernel("elman_relu", 1, 0),
        Kernel("elman", 1, 1),
        Kernel("lstm", 4, 4, has_cell_state=True),
        Kernel("coupled_lstm", 3, 3, has_cell_state=True),
        Kernel("gru", 3, 4),
        Kernel("gru_reset_before", 3, 3),
    )
}
"""By name, as the kernels know them."""
