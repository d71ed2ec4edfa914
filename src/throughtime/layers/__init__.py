"""Time: the loop that defines everything, and the layers that run it, fast where they can."""

from throughtime.layers.conversion import convert
from throughtime.layers.gru import GRU
from throughtime.layers.layer import Layer
from throughtime.layers.lstm import LSTM
from throughtime.layers.recurrent import Recurrent
from throughtime.layers.rnn import RNN
from throughtime.layers.single import GRUCell, LSTMCell, RNNCell
from throughtime.layers.stack import run_layer, run_stack
from throughtime.layers.states import States
from throughtime.layers.steps import Steps
from throughtime.layers.unroll import unroll, unroll_directions

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "Layer",
    "RNNCell",
    "Recurrent",
    "States",
    "Steps",
    "convert",
    "run_layer",
    "run_stack",
    "unroll",
    "unroll_directions",
]
