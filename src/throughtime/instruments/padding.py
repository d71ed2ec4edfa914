"""A layer's run over packed rows as the same run over padded ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from throughtime.cells import Zoneout
from throughtime.layers.run import Run
from throughtime.sequences import Rows


def padded(sequence: Tensor, rows: Rows, order: Tensor | None) -> Tensor:
    """[N, ·] as [T, B, ·] with zeros, row b of the user's batch at b; others as they are."""
    if rows.batch_sizes is None:
        return sequence
    full, _ = pad_packed_sequence(PackedSequence(sequence, rows.batch_sizes))
    return full if order is None else full.index_select(1, order)


def padded_run(run: Run, order: Tensor | None) -> Run:
    """The same run with sequences [T, B, ·] and lengths.

    Args:
        run: over packed rows or not.
        order: where row b of the user's batch stands among the packed rows; None for at b.
    """
    sizes = run.rows.batch_sizes
    if sizes is None:
        return run
    lengths = (sizes > torch.arange(int(sizes[0]))[:, None]).sum(1)
    lengths = lengths if order is None else lengths[order.cpu()]

    def pad(sequence: Tensor) -> Tensor:
        return padded(sequence, run.rows, order)

    start = run.start
    if start is not None and order is not None:
        start = type(start)(*(field.index_select(1, order) for field in start))
    gates = None if run.gates is None else pad(run.gates)
    states = type(run.states)(*map(pad, run.states))
    cells = [_padded_cell(cell, run.rows, order) for cell in run.cells]
    dropped = None if run.dropped is None else pad(run.dropped)
    rows = Rows(lengths=lengths)
    return Run(cells, pad(run.x), start, rows, states, gates, dropped, run.is_residual)


def _padded_cell(cell: Any, rows: Rows, order: Tensor | None) -> Any:
    """The cell with what was drawn for packed rows in its place among padded ones."""
    if isinstance(cell, Zoneout):
        keep = tuple(
            padded(share, rows, order) if isinstance(share, Tensor) else share
            for share in cell.keep
        )
        return Zoneout(_padded_cell(cell.cell, rows, order), keep)
    mask = getattr(cell, "mask", None)
    if order is None or not isinstance(mask, Tensor):
        return cell
    return replace(cell, mask=mask.index_select(0, order))
