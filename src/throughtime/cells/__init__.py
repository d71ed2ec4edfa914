"""One step: the cells, each the equations of its paper over explicit weights."""

from throughtime.cells.cell import (
    AnyCell,
    CellLike,
    HiddenState,
    Inside,
    LSTMState,
    OpenCell,
    State,
)
from throughtime.cells.elman import NONLINEARITIES, Elman
from throughtime.cells.gru import GRU
from throughtime.cells.lstm import LSTM
from throughtime.cells.own import Cell
from throughtime.cells.zoneout import Zoneout

__all__ = [
    "GRU",
    "LSTM",
    "NONLINEARITIES",
    "AnyCell",
    "Cell",
    "CellLike",
    "Elman",
    "HiddenState",
    "Inside",
    "LSTMState",
    "OpenCell",
    "State",
    "Zoneout",
]
