"""One call of a kernel as a test sees it: the definition, row by row, and the same by address."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from throughtime.cells import GRU, LSTM, Elman, HiddenState, LSTMState
from throughtime.native import _kernels

NUM_GATES = {"elman_tanh": 1, "elman_relu": 1, "lstm": 4, "gru": 3}
NUM_SAVED = {"elman_tanh": 0, "elman_relu": 0, "lstm": 4, "gru": 4}
KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
NAN = float("nan")


@dataclass
class Case:
    """A cell, the sizes, which rows there are, and the tensors it starts from.

    `batch_sizes` makes the rows packed; otherwise they are dense, with `lengths` or whole.
    `resets` are pairs (t, b).
    """

    cell: str
    T: int = 5
    B: int = 3
    I: int = 2
    H: int = 4
    D: int = 1
    dtype: torch.dtype = torch.float64
    batch_first: bool = False
    batch_sizes: list[int] | None = None
    lengths: list[int] | None = None
    resets: list[tuple[int, int]] = field(default_factory=list)
    bias: bool = True

    def __post_init__(self):
        torch.manual_seed(0)
        if self.batch_sizes is not None:
            self.T, self.B = len(self.batch_sizes), max(self.batch_sizes, default=self.B)
        rows, D, I, H = NUM_GATES[self.cell] * self.H, self.D, self.I, self.H
        shapes = [(rows, I), (rows, H), (rows,), (rows,)][: 4 if self.bias else 2]
        self.weights = [self.draw(*shape) / H**0.5 for _ in range(D) for shape in shapes]
        self.x = self.draw(self.num_places, I)
        self.states = [self.draw(D, self.B, H) for _ in range(self.num_states)]
        self.fresh = [self.draw(D, H) for _ in range(self.num_states)]

    def draw(self, *shape):
        return torch.randn(*shape, dtype=torch.float64).to(self.dtype)

    @property
    def num_states(self):
        return 2 if self.cell == "lstm" else 1

    @property
    def num_places(self):
        return self.T * self.B if self.batch_sizes is None else sum(self.batch_sizes)

    @property
    def inputs(self):
        """Everything that has a gradient."""
        return [self.x, *self.states, *self.fresh, *self.weights]

    def length(self, b):
        if self.batch_sizes is not None:
            return sum(size > b for size in self.batch_sizes)
        return self.T if self.lengths is None else self.lengths[b]

    def place(self, t, b):
        if self.batch_sizes is not None:
            return sum(self.batch_sizes[:t]) + b
        return b * self.T + t if self.batch_first else t * self.B + b

    def places(self):
        """The places that hold a step."""
        return [self.place(t, b) for b in range(self.B) for t in range(self.length(b))]

    def cell_with(self, weights):
        named = dict(zip(KINDS, weights, strict=False))
        if self.cell in ("lstm", "gru"):
            return {"lstm": LSTM, "gru": GRU}[self.cell](**named)
        return Elman(**named, nonlinearity=self.cell.removeprefix("elman_"))

    def loop(self, x, *others):
        """The definition: y [N, D, H], h_n (and c_n) [D, B, H], every row alone, step by step."""
        n, kinds = self.num_states, len(self.weights) // self.D
        states, fresh, weights = others[:n], others[n : 2 * n], others[2 * n :]
        state_type = LSTMState if n == 2 else HiddenState
        y = {}
        finals = [[[None] * self.B for _ in range(self.D)] for _ in range(n)]
        for d in range(self.D):
            cell = self.cell_with(weights[d * kinds : (d + 1) * kinds])
            for b in range(self.B):
                state = [s[d, b] for s in states]
                steps = range(self.length(b))
                for t in reversed(steps) if d == 1 else steps:
                    boundary = t if d == 0 else t + 1
                    starts = d == 1 and t + 1 == self.length(b)
                    if (boundary, b) in self.resets and not starts:
                        state = [f[d] for f in fresh]
                    z = cell.project(x[self.place(t, b)][None])
                    state = [s[0] for s in cell.step(z, state_type(*(s[None] for s in state)))]
                    y[self.place(t, b), d] = state[0]
                for kept, value in zip(finals, state, strict=True):
                    kept[d][b] = value
        nothing = x.new_zeros(self.H)
        y = [y.get((place, d), nothing) for place in range(self.num_places) for d in range(self.D)]
        y = torch.stack(y).view(-1, self.D, self.H) if y else x.new_zeros(0, self.D, self.H)
        if self.B == 0:
            return [y, *states]
        return [y, *(torch.stack([torch.stack(row) for row in kept]) for kept in finals)]


def address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def addresses(tensors: list[Tensor | None]) -> list[int]:
    return [address(tensor) for tensor in tensors]


def pair(tensors):
    return (*tensors, None, None)[:2]


class Kernel:
    """The kernel on a case's tensors."""

    def __init__(self, case: Case, threads: int = 1):
        self.case, self.threads = case, threads
        is_double = case.dtype == torch.float64
        self.layer = _kernels.Layer(case.cell, is_double, case.D, case.I, case.H)
        self.batch_sizes = None if case.batch_sizes is None else torch.tensor(case.batch_sizes)
        self.lengths = None if case.lengths is None else torch.tensor(case.lengths)
        self.reset = None
        if case.resets:
            self.reset = torch.zeros(case.num_places, dtype=torch.uint8)
            for t, b in case.resets:
                self.reset[case.place(t, b)] = 1

    @property
    def sequence(self):
        case, tables = self.case, (self.batch_sizes, self.lengths, self.reset)
        return _kernels.Sequence(case.T, case.B, case.batch_first, *addresses(tables))

    def weights(self, tensors):
        D = self.case.D
        kinds = len(tensors) // D
        padded = [(*tensors[d * kinds : (d + 1) * kinds], *[None] * 6)[:8] for d in range(D)]
        return addresses([weight for direction in padded for weight in direction])

    def new(self, *shape):
        return torch.full(shape, NAN, dtype=self.case.dtype)

    def forward(self, training=True, **given):
        """Gives y, h_n, c_n, c, gates; what nobody writes is NaN."""
        case, N, S = self.case, self.case.num_places, NUM_SAVED[self.case.cell]
        y = given.get("y", self.new(N, case.D, case.H))
        finals = [self.new(case.D, case.B, case.H) for _ in case.states]
        c = self.new(N, case.D, case.H) if training and case.num_states == 2 else None
        gates = self.new(N, case.D, S, case.H) if training and S else None
        inputs = [case.x, *pair(given.get("states", case.states))]
        inputs += [*pair(given.get("fresh", case.fresh)), *[None] * 5]
        outputs = [y, *pair(finals), c, gates]
        crossing = (self.weights(case.weights), addresses(outputs + inputs))
        self.layer.forward(*crossing, self.sequence, self.threads)
        return outputs

    def backward(self, outputs, gradients):
        """The gradients of `case.inputs`, from those of y and the final states or None."""
        case = self.case
        y, _, _, c, gates = outputs
        dx = torch.zeros(case.D, *case.x.shape, dtype=case.dtype)
        dstates, dfresh, dweights = (
            [self.new(*tensor.shape) for tensor in group]
            for group in (case.states, case.fresh, case.weights)
        )
        tensors = [dx, *pair(dstates), *pair(dfresh), *[None] * 3, gradients[0], None]
        tensors += [*pair(gradients[1:]), case.x, y, c, gates]
        tensors += [*pair(case.states), *pair(case.fresh), *[None] * 5]
        crossing = (self.weights(case.weights), self.weights(dweights), addresses(tensors))
        self.layer.backward(*crossing, self.sequence, self.threads)
        return [dx.sum(0), *dstates, *dfresh, *dweights]


def check(case: Case, threads: int = 1) -> None:
    """Outputs and every gradient of the kernel are those of the loop."""
    inputs = [tensor.clone().requires_grad_() for tensor in case.inputs]
    expected = case.loop(*inputs)
    gradients = [torch.randn_like(tensor) for tensor in expected]
    steps = [pair for pair in zip(expected, gradients, strict=True) if pair[0].requires_grad]
    wanted = torch.autograd.grad(
        [y for y, _ in steps], inputs, [g for _, g in steps], allow_unused=True
    )
    kernel = Kernel(case, threads)
    outputs = kernel.forward()
    got = kernel.backward(outputs, gradients)
    y = torch.zeros_like(outputs[0])
    y[case.places()] = outputs[0][case.places()]
    finals = outputs[1 : 1 + case.num_states]
    for ours, theirs in zip([y, *finals, *got], [*expected, *wanted], strict=True):
        check_close(ours, theirs, case.dtype)


def check_close(ours: Tensor, theirs: Tensor | None, dtype: torch.dtype) -> None:
    """Within 1e-10 in float64, and the rounding of some hundred steps in float32."""
    theirs = torch.zeros_like(ours) if theirs is None else theirs.detach()
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    scale = max(1.0, theirs.abs().max().item()) if theirs.numel() else 1.0
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance * scale)
