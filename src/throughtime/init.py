"""Initialisations by name: how the weights of a recurrent layer begin.

Each function draws into a layer of this library, or a one-step cell of it, in place, and gives the
layer back; weights that it does not mention are left as they are.

    >>> import throughtime as tt
    >>> lstm = tt.init.chrono_(tt.init.orthogonal_(tt.LSTM(2, 4)), longest=784)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from throughtime import cells
from throughtime.errors import OptionError
from throughtime.layers import Recurrent
from throughtime.layers.single import SingleStep

Layer = TypeVar("Layer", bound=nn.Module)

_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
IDENTITY_STD = 0.001
"""Standard deviation of an IRNN's input weights."""


@torch.no_grad()
def default_(layer: Layer, generator: Generator | None = None) -> Layer:
    """Every weight uniform in [-1/sqrt(H), 1/sqrt(H)], as layers begin in `torch.nn`.

    Args:
        layer: an RNN, LSTM or GRU, or a one-step cell.
        generator: of the random numbers; torch's global one without it.

    Raises:
        OptionError: the layer is of another kind.
    """
    for cell in _cells(layer, "default_", cells.Elman, cells.LSTM, cells.GRU):
        bound = 1 / math.sqrt(_hidden_size(cell))
        for name in _WEIGHTS:
            if (weight := getattr(cell, name, None)) is not None:
                weight.uniform_(-bound, bound, generator=generator)
    return layer


@torch.no_grad()
def orthogonal_(layer: Layer, generator: Generator | None = None) -> Layer:
    """Every gate's recurrent matrix orthogonal: h keeps its length from step to step.

        W W^T = 1   for each gate's block W, [H, H], of W_hh      (Saxe, McClelland, Ganguli 2014)

    With a projection the blocks are [H, P] and have orthonormal columns, W^T W = 1.

    Args:
        layer: an RNN, LSTM or GRU, or a one-step cell.
        generator: of the random numbers; torch's global one without it.

    Raises:
        OptionError: the layer is of another kind.
    """
    for cell in _cells(layer, "orthogonal_", cells.Elman, cells.LSTM, cells.GRU):
        for block in cell.weight_hh.chunk(len(cell.gates)):
            nn.init.orthogonal_(block, generator=generator)
    return layer


@torch.no_grad()
def identity_(layer: Layer, generator: Generator | None = None) -> Layer:
    """The IRNN: without an input, h stays what it is.

        W_hh = 1,   b_ih = b_hh = 0,   W_ih ~ N(0, 0.001^2)       (Le, Jaitly and Hinton 2015)

    Args:
        layer: an RNN, the paper's with `nonlinearity="relu"`, or an RNNCell.
        generator: of the random numbers; torch's global one without it.

    Raises:
        OptionError: the layer is of another kind; with gates, h is not kept by W_hh = 1.
    """
    for cell in _cells(layer, "identity_", cells.Elman):
        nn.init.eye_(cell.weight_hh)
        cell.weight_ih.normal_(0, IDENTITY_STD, generator=generator)
        for bias in (cell.bias_ih, cell.bias_hh):
            if bias is not None:
                bias.zero_()
    return layer


@torch.no_grad()
def forget_bias_(layer: Layer, value: float = 1.0) -> Layer:
    """The forget gate begins open, so that the cell state outlives the first updates.

        b_f = value                      (Gers et al. 2000; 1: Jozefowicz et al. 2015)

    Args:
        layer: an LSTM or LSTMCell with biases.
        value: of b_f, which is the sum of its parts in b_ih and b_hh; the second becomes 0.

    Raises:
        OptionError: the layer is of another kind or has no biases.
    """
    for cell in _cells(layer, "forget_bias_", cells.LSTM):
        _set_bias(cell, "forget_bias_", "forget", torch.tensor(value))
    return layer


@torch.no_grad()
def chrono_(layer: Layer, longest: int, generator: Generator | None = None) -> Layer:
    """Gates that begin with memories of every length up to the longest dependency.

        b_f ~ log U(1, T_max - 1),   b_i = -b_f                   (Tallec and Ollivier 2018)

    A forget gate of bias b_f keeps its unit for 1 / (1 - sigmoid(b_f)) = 1 + e^b_f steps, so
    that the units' memories last from 2 to T_max steps, evenly spread.

    Args:
        layer: an LSTM or GRU, or a one-step cell of them, with biases.
        longest: T_max, steps of the longest dependency expected; at least 2.
        generator: of the random numbers; torch's global one without it.

    Raises:
        OptionError: longest is below 2, the layer is of another kind or has no biases.

    Note:
        The parts of b_hh become 0, as the bias that acts is b_ih + b_hh. A GRU's update gate
        is both gates in one: it gets b_f.
    """
    if longest < 2:
        raise OptionError(
            f"longest must be at least 2 steps, got {longest}; pass the length of the memory."
        )
    for cell in _cells(layer, "chrono_", cells.LSTM, cells.GRU):
        keeps = torch.empty(_hidden_size(cell), dtype=cell.weight_hh.dtype)
        bias = keeps.uniform_(1, longest - 1, generator=generator).log_()
        _set_bias(cell, "chrono_", "forget" if "forget" in cell.gates else "update", bias)
        if "input" in cell.gates:
            _set_bias(cell, "chrono_", "input", -bias)
    return layer


def _cells(layer: nn.Module, function: str, *kinds: type[Any]) -> Iterator[Any]:
    """The cells of all layers and directions, over the parameters themselves."""
    found = []
    if isinstance(layer, Recurrent | SingleStep):
        found = [
            cell.cell if isinstance(cell, cells.Zoneout) else cell
            for directions in layer.cells()
            for cell in directions
        ]
    if not found or not isinstance(found[0], kinds):
        names = ", ".join(kind.__name__ for kind in kinds).replace("Elman", "RNN")
        raise OptionError(
            f"{function} must get a layer of this library of the kind {names}, got "
            f"{type(layer).__name__}; tt.convert makes such layers of torch.nn's."
        )
    if is_parametrized(layer):
        raise OptionError(
            f"{function} must get a layer with weights of its own, got {type(layer).__name__}; "
            "initialise it before it is parametrized."
        )
    return iter(found)


def _hidden_size(cell: Any) -> int:
    return int(cell.weight_hh.shape[0]) // len(cell.gates)


def _set_bias(cell: Any, function: str, gate: str, value: Tensor) -> None:
    """Gives one gate's bias a value, in the first of its two parts."""
    if cell.bias_ih is None:
        raise OptionError(
            f"{function} must get a layer with biases, got bias=False; make it with bias=True."
        )
    index = cell.gates.index(gate)
    cell.bias_ih.chunk(len(cell.gates))[index].copy_(value)
    cell.bias_hh.chunk(len(cell.gates))[index].zero_()
