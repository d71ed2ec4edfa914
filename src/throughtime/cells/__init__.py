"""One step: the cells, each the equations of its paper over explicit weights."""

from throughtime.cells.cell import AnyCell, Cell, HiddenState, LSTMState, State
from throughtime.cells.elman import Elman
from throughtime.cells.gru import GRU
from throughtime.cells.lstm import LSTM

__all__ = ["GRU", "LSTM", "AnyCell", "Cell", "Elman", "HiddenState", "LSTMState", "State"]
