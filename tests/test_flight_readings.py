"""What the flight recorder reads off a tape, beside autograd and algebra."""

import math

import pytest
import torch
from torch import nn

import throughtime as tt
from throughtime.instruments.flight.reach import reach_back, spectral_radius
from throughtime.instruments.flight.readings import read_tape
from throughtime.instruments.flight.saturation import saturation

T, B, I, H = 7, 3, 2, 4


def tape_of(layer, x, loss=lambda y: y.square().sum(), **arguments):
    with tt.watch(layer) as tape:
        loss(layer(x, **arguments)[0]).backward()
    return tape


def linear_rnn(w):
    layer = tt.RNN(I, len(w), nonlinearity="identity").double()
    with torch.no_grad():
        layer.weight_hh_l0.copy_(w)
    return layer


def test_reach_of_a_linear_network_is_the_norm_of_powers_of_its_matrix():
    w = 0.5 * torch.linalg.qr(torch.randn(H, H, dtype=torch.float64))[0]
    tape = tape_of(linear_rnn(w), torch.randn(T, B, I, dtype=torch.float64))
    layer = tape.recording().layers[0]
    found = reach_back(layer.run, 0, layer.dy)
    assert found == pytest.approx([0.5**k for k in range(T)], rel=1e-10)


@pytest.mark.parametrize("kind", [tt.RNN, tt.GRU, tt.LSTM])
def test_reach_is_what_autograd_finds_for_the_state_of_the_last_step(kind):
    torch.manual_seed(3)
    layer, x = kind(I, H).double(), 3 * torch.randn(T, B, I, dtype=torch.float64)
    own = tape_of(layer, x).recording().layers[0]
    found = reach_back(own.run, 0, own.dy)
    (cell,) = layer.cells()[0]
    states = [cell.initial_state(B)]
    for z in cell.project(x):
        before = type(states[-1])(*(field.detach().requires_grad_() for field in states[-1]))
        states[-1:] = [before, cell.step(z, before)]
    v = [own.dy[-1, :, 0], *(torch.zeros_like(own.dy[-1, :, 0]) for _ in states[0][1:])]
    norms = [torch.stack(v).square().sum((0, 2)).sqrt().mean().item()]
    for t in range(T - 1, 0, -1):  # each step from leaves of its own
        before = type(states[t])(*(field.detach().requires_grad_() for field in states[t]))
        v = torch.autograd.grad(cell.step(cell.project(x[t]), before), before, v)
        norms.append(torch.stack(v).square().sum((0, 2)).sqrt().mean().item())
    shares = [norm / norms[0] for norm in norms]
    assert found == pytest.approx(shares[: len(found)], rel=1e-9)
    assert len(found) == T or found[-1] < 0.01


def test_reach_counts_from_each_row_s_own_last_step_and_stops_at_a_reset():
    w = 0.5 * torch.eye(H, dtype=torch.float64)
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[2] = True
    x = torch.randn(T, B, I, dtype=torch.float64)
    tape = tape_of(linear_rnn(w), x, lengths=[5, 4, 5], reset=reset)
    layer = tape.recording().layers[0]
    assert reach_back(layer.run, 0, layer.dy)[:2] == pytest.approx([1, 0.5])
    assert reach_back(layer.run, 0, layer.dy)[3] == pytest.approx(0, abs=1e-12)


def test_the_reverse_direction_reaches_towards_the_end():
    layer = tt.RNN(I, H, nonlinearity="identity", bidirectional=True).double()
    with torch.no_grad():
        layer.weight_hh_l0_reverse.copy_(0.5 * torch.eye(H))
    own = tape_of(layer, torch.randn(T, B, I, dtype=torch.float64)).recording().layers[0]
    assert reach_back(own.run, 1, own.dy) == pytest.approx([0.5**k for k in range(T)])


def test_a_loss_that_does_not_read_the_end_has_no_reach():
    (read,) = read_tape(tape_of(tt.GRU(I, H), torch.randn(T, B, I), lambda y: y[0].sum()))
    assert (read["reach"], read["horizon"]) == ([], None)


def test_the_spectral_radius_is_the_largest_eigenvalue_of_the_mean_jacobian():
    torch.manual_seed(1)
    w = torch.diag(torch.tensor([0.9, 0.3, -0.2, 0.1], dtype=torch.float64))
    turn = torch.linalg.qr(torch.randn(H, H, dtype=torch.float64))[0]
    own = tape_of(linear_rnn(turn @ w @ turn.T), torch.randn(T, B, I).double()).recording()
    assert spectral_radius(own.layers[0].run, 0) == pytest.approx(0.9, rel=1e-3)
    own = tape_of(linear_rnn(1.1 * turn), torch.randn(T, B, I).double()).recording()
    assert spectral_radius(own.layers[0].run, 0) == pytest.approx(1.1, rel=1e-6)


def test_saturated_values_are_counted_and_remembering_units_are_not_stuck():
    layer = tt.LSTM(I, H)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.zero_()
        layer.bias_ih_l0[:H] = -20  # shut: no unit writes
        layer.bias_ih_l0[H : 2 * H] = 20  # open: every unit remembers
        layer.bias_ih_l0[3 * H :] = torch.tensor([-20.0, -20.0, -20.0, 0.0])
    found = saturation(tape_of(layer, torch.randn(T, B, I)).recording().layers[0], 0)
    assert found["low"]["input"] == found["high"]["forget"] == 1
    assert "forget high" not in found["stuck"] and "input low" not in found["stuck"]
    assert found["stuck"]["output low"] == 0.75


def test_a_relu_that_is_zero_throughout_is_dead():
    layer = tt.RNN(I, H, nonlinearity="relu")
    with torch.no_grad():
        layer.bias_ih_l0[1] = -1e6
        layer.bias_ih_l0[[0, 2, 3]] = 10
    found = saturation(tape_of(layer, torch.rand(T, B, I)).recording().layers[0], 0)
    assert found["dead"] == 0.25 and found["stuck"] == {}


def test_the_flow_is_the_mean_norm_by_lag_and_the_largest_is_found():
    layer, x = tt.RNN(I, H).double(), torch.randn(T, B, I, dtype=torch.float64)
    tape = tape_of(layer, x)
    (read,) = read_tape(tape)
    norms = tape.recording().layers[0].dstates[0][:, :, 0].norm(dim=-1)
    assert read["flow"] == pytest.approx(norms.mean(1).flip(0).tolist(), rel=1e-4)
    time, row = divmod(int(norms.argmax()), B)
    assert (read["largest"]["time"], read["largest"]["row"]) == (time, row)


def test_the_flow_of_rows_of_any_length_counts_from_their_ends():
    layer, x = tt.GRU(I, H).double(), torch.randn(T, B, I, dtype=torch.float64)
    (read,) = read_tape(tape := tape_of(layer, x, lengths=[7, 3, 5]))
    norms = tape.recording().layers[0].dstates[0][:, :, 0].norm(dim=-1)
    ends = [norms[length - 1, row] for row, length in enumerate([7, 3, 5])]
    assert read["flow"][0] == pytest.approx(sum(ends).item() / B, rel=1e-4)
    assert read["flow"][-1] == pytest.approx(norms[0, 0].item(), rel=1e-4)


def test_reading_draws_no_random_number_even_where_a_cell_does():
    class Noisy(tt.Cell):
        def __init__(self, input_size):
            super().__init__(input_size)
            self.weight = nn.Parameter(torch.eye(input_size))

        def step(self, x, state):
            return self.State(torch.tanh(x + state.h @ self.weight + torch.randn_like(x)))

    tape = tape_of(tt.Layer(Noisy, I), torch.randn(T, B, I))
    before = torch.get_rng_state()
    (read,) = read_tape(tape)
    assert torch.equal(torch.get_rng_state(), before)
    assert math.isfinite(read["spectral_radius"]) and read["low"] == {}


def test_zoneout_and_masks_are_those_of_the_call():
    layer = tt.LSTM(I, H, zoneout=0.3, recurrent_dropout=0.2, num_layers=2)
    first, second = read_tape(tape_of(layer, torch.randn(T, B, I)))
    assert (first["layer"], second["layer"]) == (0, 1)
    assert second["reach"][0] == 1
