"""Cells of one's own: what a layer, the strategies and the instruments make of them."""

from functools import partial
from typing import NamedTuple

import pytest
import torch
from cases import B, H, I, T, Tiring, flat, own_layer, worst_error
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import throughtime as tt
from throughtime.bptt import Checkpointed, Full, Truncated, truncation_bias
from throughtime.cells import HiddenState
from throughtime.errors import OptionError, ShapeError
from throughtime.instruments import gradient_flow

DTYPE = torch.float64


class Recurrence(tt.Cell):
    """h_t = tanh(W x_t + U h_{t-1}), as short as it can be."""

    def __init__(self, input_size, hidden_size=H):
        super().__init__(hidden_size)
        self.W, self.U = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size)

    def step(self, x, state):
        return HiddenState(torch.tanh(self.W(x) + self.U(state.h)))


def drawn(*shape):
    return torch.randn(*shape, dtype=DTYPE)


def as_elman(layer, **options):
    """Torch's layer over the weights of a layer of recurrences."""
    twin = nn.RNN(I, H, **options).double()
    for index, directions in enumerate(layer.cells()):
        for cell, end in zip(directions, ("", "_reverse"), strict=False):
            for name, part in (("ih", cell.W), ("hh", cell.U)):
                setattr(twin, f"weight_{name}_l{index}{end}", part.weight)
                setattr(twin, f"bias_{name}_l{index}{end}", part.bias)
    return twin


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_layer_of_recurrences_is_the_layer_of_torch(bidirectional, batch_first):
    options = {"num_layers": 2, "bidirectional": bidirectional, "batch_first": batch_first}
    layer = tt.Layer(Recurrence, I, **options).double()
    twin, x = as_elman(layer, **options), drawn(T, B, I)
    (y, states), (expected, h) = layer(x), twin(x)
    assert worst_error([y, states.to_torch()], [expected, h]) < 1e-12
    grads, theirs = (
        torch.autograd.grad(out.square().sum(), list(layer.parameters())) for out in (y, expected)
    )
    assert worst_error(list(grads), list(theirs)) < 1e-12


def test_a_cell_is_a_step_of_its_own():
    cell = Tiring(I, H).double().eval()
    x, state = drawn(B, I), cell.initial_state(B)
    assert torch.equal(cell(x, state).h, cell.step(cell.project(x), state).h)


def test_states_are_zeros_where_the_weights_are():
    state = Tiring(I, H).to(torch.float16).initial_state(B)
    assert [tuple(field.shape) for field in state] == [(B, H), (B, 3)]
    assert not any(field.any() for field in state) and state.h.dtype == torch.float16


def test_noise_acts_while_training_alone():
    layer, x = own_layer(I, H, dtype=DTYPE), drawn(T, B, I)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    assert torch.equal(layer.eval()(x)[0], layer(x)[0])


def test_a_learned_beginning_gets_its_gradient_at_every_reset():
    class Beginning(Recurrence):
        def __init__(self, input_size):
            super().__init__(input_size)
            self.h_0 = nn.Parameter(torch.ones(H))

        def initial_state(self, batch):
            return HiddenState(self.h_0.expand(batch, H))

    layer, x, reset = tt.Layer(Beginning, I), torch.randn(2, B, I), torch.ones(2, B).bool()
    y, _ = layer(x, reset=reset)
    expected = torch.tanh(layer.cells()[0][0].W(x) + layer.cells()[0][0].U(torch.ones(H)))
    torch.testing.assert_close(y, expected)
    y.sum().backward()
    assert layer.cells()[0][0].h_0.grad.abs().min() > 0


@pytest.mark.parametrize("bptt", [Checkpointed(segments=3), Checkpointed()], ids=str)
def test_noise_is_drawn_again_where_a_segment_runs_again(bptt):
    layer, x, weights = own_layer(I, H, dtype=DTYPE), drawn(200, B, I), drawn(200, B, H)
    found = []
    for strategy in (Full(), bptt):
        torch.manual_seed(3)
        layer.zero_grad()
        total, carry = strategy.backward(layer, x, lambda y, t: (y * weights[t]).sum())
        found.append([total, *carry.state[0], *(p.grad.clone() for p in layer.parameters())])
    assert worst_error(*found) < 1e-11


def test_gradient_flow_sees_every_step_and_layer():
    layer, x = own_layer(I, H, num_layers=2, dtype=DTYPE).eval(), drawn(T, B, I)
    with tt.watch(layer) as tape:
        layer(x)[0][-1].sum().backward()
    cell, (below,) = layer.cells()[1][0], layer.cells()[0]
    states, heads = [below.initial_state(B), cell.initial_state(B)], []
    for x_t in x:
        states[0] = below(x_t, states[0])
        states[1] = cell(states[0].h, states[1])
        heads.append(states[1].h)
    gradients = torch.autograd.grad(states[1].h.sum(), heads)
    expected = torch.stack(gradients).norm(dim=-1)
    found = gradient_flow(tape)["h"][1, 0].values
    assert worst_error([torch.tensor(found)], [expected]) < 1e-12


def test_a_window_of_all_steps_costs_no_gradient():
    layer, x = own_layer(I, H, dtype=DTYPE).eval(), drawn(T, B, I)
    bias = truncation_bias(Truncated(T), layer, x, lambda y, t: y.square().sum())
    assert bias.whole.cosine == pytest.approx(1, abs=1e-12)
    assert "layers.0.0.tire" in bias.parameters


def test_gradients_per_row_go_through_a_layer_of_ones_own():
    layer, x = own_layer(I, H, dtype=DTYPE).eval(), drawn(T, B, I)
    weights = dict(layer.named_parameters())

    def loss(weights, row):
        return torch.func.functional_call(layer, weights, (row[:, None],))[0].sin().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 1))(weights, x)
    rows = [torch.func.grad(loss)(weights, x[:, b]) for b in range(B)]
    for name, gradient in each.items():
        assert worst_error([gradient], [torch.stack([row[name] for row in rows])]) < 1e-12


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.usefixtures("fresh_compiler")
def test_a_layer_of_ones_own_is_compiled_and_exported(bidirectional):
    layer = own_layer(I, H, num_layers=2, bidirectional=bidirectional, dtype=DTYPE).eval()
    x, lengths = drawn(T, B, I), torch.tensor([3, 5, 0])
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    expected = flat(layer(x, lengths=lengths))
    assert worst_error(flat(compiled(x, lengths=lengths)), expected) < 1e-12
    y, states = torch.export.export(layer, (x,)).module()(x)
    assert isinstance(states, tt.States)
    assert worst_error([y, *flat(states)], flat(layer(x))) < 1e-12


def test_packed_rows_are_rows_with_lengths():
    layer, x = own_layer(I, H, num_layers=2, dtype=DTYPE).eval(), drawn(T, B, I)
    y, states = layer(x, lengths=[3, 5, 1])
    packed_y, same = layer(pack_padded_sequence(x, [3, 5, 1], enforce_sorted=False))
    assert worst_error([pad_packed_sequence(packed_y)[0], *flat(same)], [y, *flat(states)]) < 1e-12


def test_a_row_without_a_batch_is_a_batch_of_one():
    layer, x = own_layer(I, H, dtype=DTYPE).eval(), drawn(T, I)
    (y, states), (batch_y, same) = layer(x), layer(x[:, None])
    assert worst_error([y, *flat(states)], [batch_y[:, 0], *flat(same)]) == 0


class Bare(tt.Cell):
    """No step."""


class Headless(Recurrence):
    """A state without h."""

    class State(NamedTuple):
        c: Tensor


class Returning(tt.Cell):
    """A step that returns what it is told."""

    def __init__(self, input_size, returned):
        super().__init__(H)
        self.weight, self.returned = nn.Parameter(torch.ones(1)), returned

    def step(self, x, state):
        return self.returned(state.h)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Bare(I), r"Bare must have a method step\(self, x, state\)"),
        (lambda: Headless(I), r"Headless.State must be a named tuple whose first field is h"),
        (lambda: Recurrence(I, 0), "state_sizes of Recurrence must be one positive whole number"),
        (lambda: Recurrence(I, [H, 2]), "or one for each of h, got .4, 2.; pass them to super"),
        (lambda: tt.Layer(Recurrence(I), I), "make_cell must be a function .*, got Recurrence"),
        (lambda: tt.Layer(lambda size: nn.GRUCell(size, H), I), "give a tt.Cell, got GRUCell"),
        (lambda: tt.Layer(Recurrence, 0), "input_size must be at least 1, got 0"),
        (lambda: tt.Layer(Recurrence, I, num_layers=2.0), "num_layers must be of type int"),
        (lambda: tt.Layer(lambda size: Recurrence(size, size), I, 2, bidirectional=True,
                          residual=True), r"one output size, got \[2, 4\]"),
    ],
)  # fmt: skip
def test_cells_and_layers_that_cannot_be_are_refused(make, message):
    with pytest.raises(OptionError, match=message):
        make()


@pytest.mark.parametrize(
    "returned, message",
    [
        (lambda h: h, r"step of Returning must return HiddenState\(h\), got Tensor"),
        (lambda h: (h,), r"must return HiddenState\(h\), got tuple; return the next state"),
        (lambda h: None, r"must return HiddenState\(h\), got NoneType"),
        (lambda h: HiddenState(0), "h from the step of Returning must be .*, got int"),
        (lambda h: HiddenState(h[:, 1:]), r"be \[3, 4\] of torch.float32 .*, got \[3, 3\]"),
        (lambda h: HiddenState(h.double()), "got .* of torch.float64; make both the same"),
    ],
)
def test_a_step_that_returns_no_state_is_refused(returned, message):
    layer = tt.Layer(partial(Returning, returned=returned), I)
    with pytest.raises(ShapeError, match=message):
        layer(torch.ones(T, B, I))


def test_a_layer_refuses_inputs_and_states_that_are_not_its_own():
    layer = own_layer(I, H)
    with pytest.raises(ShapeError, match=r"input must be \[T, B, I=2\], got \[5, 3, 3\]"):
        layer(torch.ones(T, B, I + 1))
    with pytest.raises(ShapeError, match=r"input must be torch.float32 like the weights"):
        layer(drawn(T, B, I))
    with pytest.raises(ShapeError, match=r"hx\[0\] must be State, got HiddenState"):
        layer(torch.ones(T, B, I), tt.Layer(Recurrence, I).initial_state(B))
