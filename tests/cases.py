"""The table of cases that every suite runs over: a new cell is one row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import throughtime as tt

T, B, I, H = 5, 3, 2, 4


class Tiring(tt.Cell):
    """A cell of one's own: units that three slow ones tire, with noise while training."""

    class State(NamedTuple):
        h: Tensor  # [B, H]
        slow: Tensor  # [B, 3]

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__([hidden_size, 3])
        self.input = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)
        self.tire = nn.Parameter(torch.randn(3, hidden_size))

    def project(self, x: Tensor) -> Tensor:
        return self.input(x)

    def step(self, z: Tensor, state: Any) -> Any:
        a = z + self.recurrent(state.h) - state.slow @ self.tire
        if self.training:
            a = a + 0.1 * torch.randn_like(a)
        h = torch.tanh(a)
        return self.State(h, 0.8 * state.slow + 0.2 * h @ self.tire.T)


def layer_of(
    cell: type[tt.Cell],
    input_size: int,
    hidden_size: int,
    dtype: Any = None,
    bias: bool = True,
    **options: Any,
) -> tt.Layer:
    """A layer of any cell, with the arguments of the others; biases are what the cell has."""
    make_cell = partial(cell, hidden_size=hidden_size)
    return tt.Layer(make_cell, input_size, **options).to(dtype)


own_layer = partial(layer_of, Tiring)


@dataclass(frozen=True)
class Case:
    """One kind of layer beside its counterpart in torch."""

    name: str
    layer: Callable[..., nn.Module]
    torch_layer: type[nn.Module] | None
    options: dict[str, Any] = field(default_factory=dict)

    def pair(self, seed: int = 0, **options: Any) -> tuple[nn.Module, nn.Module]:
        """Our layer and torch's, float64, with the same weights."""
        options = {"input_size": I, "hidden_size": H, "dtype": torch.float64} | options
        ours = self.make(seed, **options)
        torch.manual_seed(seed)
        theirs = self.torch_layer(**options, **self.options)
        ours.load_state_dict(theirs.state_dict())
        return ours, theirs

    def make(self, seed: int = 0, **options: Any) -> nn.Module:
        """Our layer, float64, with no weight at a value of its beginning."""
        options = {"input_size": I, "hidden_size": H, "dtype": torch.float64} | options
        torch.manual_seed(seed)
        layer = self.layer(**options, **self.options)
        with torch.no_grad():
            for weight in layer.parameters():
                weight += torch.randn_like(weight) / 9
        return layer


CASES = [
    Case("rnn-tanh", tt.RNN, nn.RNN),
    Case("rnn-relu", tt.RNN, nn.RNN, {"nonlinearity": "relu"}),
    Case("lstm", tt.LSTM, nn.LSTM),
    Case("gru", tt.GRU, nn.GRU),
]

OPTIONS = [
    Case("rnn-softsign", tt.RNN, None, {"nonlinearity": "softsign"}),
    Case("rnn-sin", tt.RNN, None, {"nonlinearity": torch.sin}),
    Case("lstm-peepholes", tt.LSTM, None, {"peepholes": True}),
    Case("lstm-coupled", tt.LSTM, None, {"coupled": True}),
    Case("lstm-coupled-peepholes", tt.LSTM, None, {"coupled": True, "peepholes": True}),
    Case("gru-reset-before", tt.GRU, None, {"reset_after": False}),
    *(
        Case(f"{case.name}-{name}", case.layer, None, case.options | options)
        for case in CASES
        for name, options in {
            "norm": {"layer_norm": True},
            "initial": {"learn_initial": True},
            "zoneout": {"zoneout": 0.3},
            "recurrent-dropout": {"recurrent_dropout": 0.4},
        }.items()
    ),
    Case(
        "lstm-everything",
        tt.LSTM,
        None,
        {
            "peepholes": True,
            "layer_norm": True,
            "learn_initial": True,
            "recurrent_dropout": 0.4,
            "zoneout": (0.2, 0.5),
        },
    ),
    Case(
        "gru-everything",
        tt.GRU,
        None,
        {
            "reset_after": False,
            "layer_norm": True,
            "learn_initial": True,
            "recurrent_dropout": 0.4,
            "zoneout": 0.2,
        },
    ),
    Case("own-cell", partial(layer_of, Tiring), None),
]
"""Every option that changes a cell, alone and together, and a cell of one's own.

Torch has no counterpart.
"""

SINGLE_CASES = [
    Case("rnn-tanh", tt.RNNCell, nn.RNNCell),
    Case("rnn-relu", tt.RNNCell, nn.RNNCell, {"nonlinearity": "relu"}),
    Case("lstm", tt.LSTMCell, nn.LSTMCell),
    Case("gru", tt.GRUCell, nn.GRUCell),
]


def name_of(case: Case) -> str:
    """The id of a parametrised test."""
    return case.name


def flat(value: Any) -> list[Tensor]:
    """Every tensor of a result, packed or in tuples, in a fixed order."""
    if isinstance(value, PackedSequence):
        return [value.data]
    if isinstance(value, Tensor):
        return [value]
    return [tensor for part in value for tensor in flat(part)]


def random_state(layer: nn.Module, rows: int, batch: int | None) -> Any:
    """An initial state for a layer whose fields have `rows` of L*D."""
    lead = (rows,) if batch is None else (rows, batch)
    dtype = next(layer.parameters()).dtype
    output = getattr(layer, "proj_size", 0) or layer.hidden_size
    h = torch.randn(*lead, output, dtype=dtype, requires_grad=True)
    if "LSTM" not in type(layer).__name__:
        return h
    return h, torch.randn(*lead, layer.hidden_size, dtype=dtype, requires_grad=True)


def results_and_gradients(
    module: nn.Module, x: Any, state: Any = None
) -> tuple[list[Tensor], list[Tensor]]:
    """All outputs, and the gradients of a fixed random combination of them."""
    outputs = flat(module(x) if state is None else module(x, state))
    generator = torch.Generator().manual_seed(7)
    loss = sum(
        (out * torch.randn(out.shape, dtype=torch.float64, generator=generator)).sum()
        for out in outputs
    )
    inputs = [*flat(x), *([] if state is None else flat(state)), *module.parameters()]
    return outputs, list(torch.autograd.grad(loss, inputs))


def packed(lengths: list[int], width: int = I, dtype: torch.dtype = torch.float64) -> Any:
    """A packed batch of random rows with these lengths, in any order."""
    x = torch.randn(max(lengths), len(lengths), width, dtype=dtype, requires_grad=True)
    data = pack_padded_sequence(x, lengths, enforce_sorted=False)
    return PackedSequence(data.data.detach().requires_grad_(), *data[1:])


def worst_error(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Largest difference, each tensor's relative to its largest value."""
    assert [o.shape for o in ours] == [t.shape for t in theirs]
    errors = [
        ((o.double() - t.double()).abs().max() / t.double().abs().max().clamp(min=1e-30)).item()
        for o, t in zip(ours, theirs, strict=True)
        if t.numel()
    ]
    return max(errors)


Build = Callable[..., tuple[nn.Module, nn.Module]]
