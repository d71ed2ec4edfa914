"""What is measured: a cell, a shape and a mode, and how much arithmetic that is."""

from __future__ import annotations

from typing import NamedTuple

from throughtime.errors import OptionError

CELLS = {"rnn": 1, "lstm": 4, "gru": 3}
"""Names of the cells, and blocks of rows of their weights, G."""

MODES = ("inference", "training")


class Shape(NamedTuple):
    """Steps, rows, inputs and hidden units of one layer."""

    T: int
    B: int
    I: int  # noqa: E741  the axis
    H: int

    @classmethod
    def parse(cls, text: str) -> Shape:
        """The shape that `T,B,I,H` names.

        Raises:
            OptionError: these are not four numbers from 1 on.
        """
        parts = text.split(",")
        if len(parts) != 4 or not all(part.strip().isdecimal() and int(part) for part in parts):
            raise OptionError(
                f"shape must be T,B,I,H, four whole numbers from 1 on, got {text!r}; "
                "pass for example 100,32,256,256."
            )
        return cls(*map(int, parts))

    def __str__(self) -> str:
        return ",".join(map(str, self))

    def operations(self, cell: str, mode: str) -> float:
        """Floating-point operations of all products of a call.

            forward 2 T B G H (I + H);   training adds as much for dL/dW and 2 T B G H^2 for dL/dh

        The inputs want no gradient.
        """
        T, B, I, H = self  # noqa: E741
        forward = 2.0 * T * B * CELLS[cell] * H * (I + H)
        return forward if mode == "inference" else 2 * forward + 2.0 * T * B * CELLS[cell] * H * H

    def bytes_read(self, cell: str, mode: str) -> float:
        """Bytes of weights that the steps read one after the other: W_hh at each, W_ih once."""
        T, _, I, H = self  # noqa: E741
        once = 4.0 * CELLS[cell] * H * (T * H + I)
        return once if mode == "inference" else 2 * once


GRID = [
    Shape(*sizes)
    for sizes in [
        (1000, 1, 64, 64),
        (100, 1, 128, 128),
        (100, 1, 256, 256),
        (100, 1, 512, 512),
        (100, 1, 1024, 1024),
        (100, 8, 128, 128),
        (100, 32, 64, 64),
        (100, 32, 100, 100),
        (100, 7, 200, 200),
        (100, 32, 256, 256),
        (100, 64, 512, 512),
        (20, 128, 1024, 1024),
    ]
]
"""Small and large batches, sizes that vectors divide and sizes they do not."""
