"""What `gates` says of gates, against counting by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import throughtime as tt
from throughtime.errors import OptionError
from throughtime.instruments import figures_gates, gates

T, B, I, H = 7, 3, 2, 4
EXACT = {"rtol": 1e-12, "atol": 1e-12}
LENGTHS = [7, 0, 4]


def taped(layer, x=None, **rows):
    with torch.no_grad(), tt.watch(layer.double()) as tape:
        layer(3 * torch.randn(T, B, I).double() if x is None else x, **rows)
    return tape


def values_of(tape, gate, layer=0, direction=0):
    """Every value of each unit at the steps that rows have, [H][...], picked one by one."""
    field = tape.recording().layers[layer].gates[gate][:, :, direction]
    steps = [(t, b) for b, length in enumerate(LENGTHS) for t in range(length)]
    return np.array([[field[t, b, h].item() for t, b in steps] for h in range(field.shape[-1])])


@pytest.mark.parametrize("kind", [tt.LSTM, tt.GRU])
def test_shares_quantiles_and_means_are_those_of_the_steps_that_rows_have(kind):
    layer = kind(I, H, num_layers=2, bidirectional=True)
    tape = taped(layer, lengths=LENGTHS)
    data = gates(tape, margin=0.3, bins=5)
    for gate in data.gate.values:
        lower = -1 if gate == "candidate" else 0
        for at, d in np.ndindex(2, 2):
            own = data.sel(gate=gate).isel(layer=at, direction=d)
            values = values_of(tape, gate, at, d)
            np.testing.assert_allclose(own.left, (values < lower + 0.3).mean(1), **EXACT)
            np.testing.assert_allclose(own.right, (values > 1 - 0.3).mean(1), **EXACT)
            np.testing.assert_allclose(own["mean"], values.mean(1), **EXACT)
            wanted = np.quantile(values, data["quantile"], axis=1).T
            np.testing.assert_allclose(own.quantiles, wanted, **EXACT)
            for unit in range(H):
                counts, _ = np.histogram(values[unit], np.linspace(lower, 1, 6))
                np.testing.assert_allclose(own.histogram[unit], counts / 11, **EXACT)


def test_histograms_sum_to_one():
    data = gates(taped(tt.GRU(I, H), lengths=LENGTHS))
    np.testing.assert_allclose(data.histogram.sum("bin"), 1, **EXACT)


@pytest.mark.parametrize(("kind", "keeps"), [(tt.LSTM, "forget"), (tt.GRU, "update")])
def test_the_time_constant_of_a_gate_that_stays_is_that_of_its_decay(kind, keeps):
    layer = kind(I, H).double()
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    cell = layer.cells()[0][0]
    shares = torch.tensor([0.5, 0.9, 0.99, 0.1]).double()
    with torch.no_grad():
        cell.bias_ih.chunk(len(cell.gates))[cell.gates.index(keeps)].copy_(torch.logit(shares))
    data = gates(taped(layer))
    np.testing.assert_allclose(
        data.time_constant[0, 0], [-1 / math.log(f) for f in shares], **EXACT
    )
    assert data.half_life[0, 0, 0].item() == pytest.approx(1, rel=1e-12)
    assert data.attrs["keeps"] == keeps


@pytest.mark.parametrize("kind", [tt.LSTM, tt.GRU])
def test_what_a_unit_holds_shrinks_as_its_time_constant_says(kind):
    layer = kind(I, H).double()
    with torch.no_grad():
        layer.weight_ih_l0.zero_(), layer.weight_hh_l0.zero_()
    tape = taped(layer)
    kept = tape.recording().layers[0].states[-1][:, 0, 0].clone()
    with torch.no_grad(), tt.watch(layer) as other:
        starts = [torch.ones(1, B, H).double() for _ in (tape.recording().layers[0].states)]
        layer(torch.zeros(T, B, I).double(), tuple(starts) if len(starts) > 1 else starts[0])
    left = (other.recording().layers[0].states[-1][:, 0, 0] - kept)[-1]
    wanted = np.exp(-T / gates(tape).time_constant[0, 0])
    np.testing.assert_allclose(left, wanted, rtol=1e-10)


def test_a_relu_unit_that_never_acts_is_dead():
    layer = tt.RNN(I, H, nonlinearity="relu").double()
    with torch.no_grad():
        layer.bias_ih_l0[1] = -1e3
    tape = taped(layer, lengths=LENGTHS)
    data = gates(tape)
    shares = (values_of(tape, "hidden") == 0).mean(1)
    np.testing.assert_allclose(data.left[0, 0, 0], shares, **EXACT)
    assert shares[1] == 1 and shares.min() < 1 and (data.right == 0).all()
    assert "time_constant" not in data


def test_a_smaller_layer_is_filled_up_with_what_is_missing():
    data = gates(taped(tt.LSTM(I, [H, 2])))
    assert data.left.isnull().sum("unit").isel(gate=0, direction=0).values.tolist() == [0, 2]
    assert data.half_life.isnull().sum().item() == 2


def test_a_layer_of_torch_has_the_gates_of_its_twin():
    ours = tt.GRU(I, H).double()
    theirs = nn.GRU(I, H).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(T, B, I).double()
    np.testing.assert_allclose(
        gates(taped(ours, x)).histogram, gates(taped(theirs, x)).histogram, **EXACT
    )


@pytest.mark.parametrize("kind", [tt.LSTM, tt.GRU, tt.RNN])
def test_a_tape_that_keeps_gates_alone_says_the_same(kind):
    layer, x = kind(I, H).double(), torch.randn(T, B, I).double()
    whole = gates(taped(layer, x))
    with torch.no_grad(), tt.watch(layer, tt.Keep({"gates"})) as tape:
        layer(x)
        for parameter in layer.parameters():
            parameter.zero_()
    assert gates(tape).identical(whole)


class Leaky(tt.Cell):
    gates = ("leak",)

    def __init__(self, inputs):
        super().__init__(H)
        self.weight = nn.Linear(inputs, H)

    def step(self, x, state):
        return self.inside(x, state).state

    def inside(self, x, state):
        a = self.weight(x)
        f = 2 * torch.sigmoid(a)
        return tt.cells.Inside({"leak": a}, {"leak": f}, self.State(f * state.h + x.sum(-1, True)))


def test_a_cell_of_ones_own_says_its_bounds_and_what_keeps():
    tape = taped(tt.Layer(Leaky, I))
    bare, told = gates(tape), gates(tape, bounds={"leak": (0, 2)}, keeps="leak")
    values = tape.recording().layers[0].gates["leak"].flatten(0, 2)
    assert (bare.left == 0).all() and "half_life" not in bare
    assert bare.edges[0, 0] == values.min().item() and told.edges[0, -1] == 2
    np.testing.assert_allclose(told.right[0, 0, 0], (values > 1.9).double().mean(0), **EXACT)
    wanted = 1 / values.mean(0).log().abs()
    np.testing.assert_allclose(told.time_constant[0, 0], wanted, **EXACT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": 0.5}, r"margin must be in \(0, 0.5\), got 0.5"),
        ({"bins": 0}, "bins must be at least 1, got 0"),
        ({"keeps": "forgot"}, "must be one of input, forget, candidate, output, got 'forgot'"),
        ({"bounds": {"inptu": (0, 1)}}, "got 'inptu'"),
        (
            {"bounds": {"input": (0.4, 0.5)}},
            "the input gate must be within 0.4 and 0.5, got values",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        gates(taped(tt.LSTM(I, H)), **options)


def test_a_gate_that_is_not_a_number_is_refused():
    x = torch.randn(T, B, I).double()
    x[3, 1, 0] = math.nan
    with pytest.raises(OptionError, match=r"input gate must be within 0 and 1, got .* to nan"):
        gates(taped(tt.LSTM(I, H), x))


def test_rows_without_a_step_are_refused():
    with pytest.raises(OptionError, match="need a call with a step"):
        gates(taped(tt.LSTM(I, H), lengths=[0, 0, 0]))


def test_the_figure_shows_a_point_for_every_unit_at_its_shares():
    data = gates(taped(tt.LSTM(I, [H, 3])))
    figure = figures_gates.gates_figure(data, "Title", "note")
    below, above = figure.axes[1].collections
    np.testing.assert_allclose(below.get_offsets()[:, 0], data.left.sel(gate="forget")[0, 0])
    np.testing.assert_allclose(above.get_offsets()[:3, 1], data.right.sel(gate="forget")[1, 0, :3])


def test_a_figure_refuses_more_layers_than_it_has_colours_and_half_lives_that_are_none():
    deep = gates(taped(tt.RNN(I, 2, num_layers=5)))
    with pytest.raises(OptionError, match="1 to 4 layers, got 5"):
        figures_gates.gates_figure(deep, "Title", "note")
    with pytest.raises(OptionError, match="half-lives need a gate that keeps"):
        figures_gates.draw_half_lives(gates(taped(tt.RNN(I, 2))), ax=None)
