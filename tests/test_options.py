"""Options of layers: what each changes, what it leaves, and what is refused."""

import pytest
import torch
from cases import CASES, OPTIONS, B, H, I, T, flat, name_of, worst_error
from torch.nn import functional

import throughtime as tt
from throughtime import errors
from throughtime.sequences import WHOLE

DTYPE = torch.float64
each_case = pytest.mark.parametrize("case", [*CASES, *OPTIONS], ids=name_of)
each_kind = pytest.mark.parametrize("kind", [tt.RNN, tt.LSTM, tt.GRU])


def drawn(*shape):
    return torch.randn(*shape, dtype=DTYPE)


@each_kind
def test_layers_of_different_sizes_are_layers_one_by_one(kind):
    both = kind(I, [H, 3], bidirectional=True, dtype=DTYPE)
    below, above = kind(I, H, bidirectional=True, dtype=DTYPE), kind(2 * H, 3, bidirectional=True)
    above.double()
    for name, weight in both.named_parameters():
        part = below if "_l0" in name else above
        part.load_state_dict({**part.state_dict(), name.replace("_l1", "_l0"): weight})
    x = drawn(T, B, I)
    y, states = both(x)
    h, first = below(x, below.initial_state(B))
    expected, second = above(h, above.initial_state(B))
    assert worst_error([y, *flat(states)], [expected, *flat(first), *flat(second)]) < 1e-12


@each_kind
def test_a_residual_layer_adds_its_input(kind):
    both = kind(I, H, num_layers=2, residual=True, dtype=DTYPE)
    plain = kind(I, H, num_layers=2, dtype=DTYPE)
    plain.load_state_dict(both.state_dict())
    below = kind(I, H, dtype=DTYPE)
    below.load_state_dict({n: w for n, w in both.state_dict().items() if "_l0" in n})
    x = drawn(T, B, I)
    assert worst_error([both(x)[0]], [plain(x)[0] + below(x)[0]]) < 1e-12
    assert worst_error(flat(both(x)[1]), flat(plain(x)[1])) < 1e-12


@each_kind
def test_a_normalised_layer_is_the_formula_of_the_paper(kind):
    layer = kind(I, H, layer_norm=True, dtype=DTYPE)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_()
    ((cell,),) = layer.cells()
    h, x = drawn(B, H), drawn(B, I)

    def normalised(v, gain, bias):
        centred = v - v.mean(1, keepdim=True)
        return gain * centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt() + bias

    z = normalised(x @ layer.weight_ih_l0.T, layer.norm_ih_l0, layer.bias_ih_l0)
    a = normalised(h @ layer.weight_hh_l0.T, layer.norm_hh_l0, layer.bias_hh_l0)
    assert worst_error([cell.project(x), cell.recur(h)], [z, a]) < 1e-12


def test_the_second_form_of_the_gru_resets_before_the_product():
    layer = tt.GRU(I, H, reset_after=False, dtype=DTYPE)
    x, h = drawn(1, B, I), drawn(1, B, H)
    z_r, z_u, z_n = (functional.linear(x[0], layer.weight_ih_l0, layer.bias_ih_l0)).chunk(3, 1)
    w_r, w_u, w_n = layer.weight_hh_l0.chunk(3)
    b_r, b_u, b_n = layer.bias_hh_l0.chunk(3)
    r, u = (torch.sigmoid(z_r + h[0] @ w_r.T + b_r), torch.sigmoid(z_u + h[0] @ w_u.T + b_u))
    n = torch.tanh(z_n + (r * h[0]) @ w_n.T + b_n)
    assert worst_error([layer(x, h)[0][0]], [(1 - u) * n + u * h[0]]) < 1e-12


def test_peepholes_show_the_gates_the_cell_state():
    layer = tt.LSTM(I, H, peepholes=True, dtype=DTYPE)
    x, h, c = drawn(1, B, I), drawn(1, B, H), drawn(1, B, H)
    a = functional.linear(x[0], layer.weight_ih_l0, layer.bias_ih_l0)
    a = a + functional.linear(h[0], layer.weight_hh_l0, layer.bias_hh_l0)
    i, f, g, o = a.chunk(4, 1)
    p_i, p_f, p_o = layer.peepholes_l0.chunk(3)
    new_c = torch.sigmoid(f + p_f * c[0]) * c[0] + torch.sigmoid(i + p_i * c[0]) * torch.tanh(g)
    new_h = torch.sigmoid(o + p_o * new_c) * torch.tanh(new_c)
    y, (_, c_n) = layer(x, (h, c))
    assert worst_error([y[0], c_n[0]], [new_h, new_c]) < 1e-12


def test_coupled_gates_write_what_they_forget():
    layer = tt.LSTM(I, H, coupled=True, dtype=DTYPE)
    with torch.no_grad():
        layer.bias_ih_l0[:H] = 50.0  # the forget gate keeps everything
    c = drawn(1, B, H)
    _, (_, c_n) = layer(drawn(T, B, I), (drawn(1, B, H), c))
    assert worst_error([c_n], [c]) < 1e-12


@pytest.mark.parametrize("name", ["identity", "sigmoid", "elu", "gelu", "silu", "softplus"])
def test_an_elman_layer_has_the_nonlinearity_of_torch(name):
    layer = tt.RNN(I, H, nonlinearity=name, dtype=DTYPE)
    g = getattr(functional, name, lambda a: a)
    same = tt.RNN(I, H, nonlinearity=lambda a: g(a), dtype=DTYPE)
    same.load_state_dict(layer.state_dict())
    x = drawn(T, B, I)
    assert worst_error([layer(x)[0]], [same(x)[0]]) < 1e-12


@each_kind
def test_units_that_all_stay_never_change(kind):
    layer = kind(I, H, zoneout=1.0, dtype=DTYPE)
    start = layer.initial_state(B).map(torch.randn_like)
    for is_training in (True, False):
        y, final = layer.train(is_training)(drawn(T, B, I), start)
        assert worst_error(flat(final), flat(start)) == 0
        assert worst_error([y], [start[0].h.expand(T, B, H)]) == 0


def test_zoneout_keeps_its_share_of_units():
    layer = tt.GRU(I, 100, zoneout=0.3, dtype=DTYPE)
    y, _ = layer(drawn(50, 8, I))
    stays = (y[1:] == y[:-1]).double().mean()
    assert abs(stays - 0.3) < 4 * (0.3 * 0.7 / y[1:].numel()) ** 0.5
    mean = torch.stack([layer(torch.zeros(1, 8, I, dtype=DTYPE))[0] for _ in range(400)]).mean(0)
    assert worst_error([mean], [layer.eval()(torch.zeros(1, 8, I, dtype=DTYPE))[0]]) < 0.1


@each_kind
def test_recurrent_dropout_hides_the_same_units_at_every_step(kind):
    layer = kind(I, H, recurrent_dropout=0.5, dtype=DTYPE)
    rows = WHOLE
    ((cell,),) = layer._cells_for(drawn(T, 1000, I), rows)
    assert set(cell.mask.unique().tolist()) == {0.0, 2.0}
    assert abs(cell.mask.mean() - 1) < 4 / (1000 * H) ** 0.5
    h = drawn(1000, H)
    hidden = functional.linear(h * cell.mask, layer.weight_hh_l0, layer.bias_hh_l0)
    assert worst_error([cell.recur(h)], [hidden]) < 1e-12
    ((plain,),) = layer.eval().cells()
    assert plain.mask is None


def test_input_dropout_acts_while_training_alone():
    layer = tt.LSTM(I, H, input_dropout=1.0, dtype=DTYPE)
    x = drawn(T, B, I)
    assert torch.equal(layer(x)[0], layer(torch.zeros_like(x))[0])
    assert not torch.equal(layer.eval()(x)[0], layer(torch.zeros_like(x))[0])


@each_kind
def test_a_learned_beginning_stands_before_the_first_step_and_after_a_reset(kind):
    layer = kind(I, H, learn_initial=True, dtype=DTYPE)
    with torch.no_grad():
        layer.h_0_l0.normal_()
    x, reset = drawn(T, B, I), torch.zeros(T, B, dtype=torch.bool)
    reset[2] = True
    y, _ = layer(x, reset=reset)
    assert worst_error([y], [torch.cat([layer(x[:2])[0], layer(x[2:])[0]])]) < 1e-12
    (gradient,) = torch.autograd.grad(y.sum(), [layer.h_0_l0])
    assert gradient.any()


@each_case
def test_a_layer_with_options_is_copied_saved_and_told(case, tmp_path):
    layer, other = case.make(0), case.make(1)
    other.load_state_dict(layer.state_dict())
    x = drawn(T, B, I)
    assert worst_error(flat(other.eval()(x)), flat(layer.eval()(x))) == 0
    for name, value in case.options.items():
        if name != "nonlinearity":
            assert f"{name}=" in repr(layer), value


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: tt.LSTM(I, [H, 3], residual=True), "residual must come with layers of one"),
        (lambda: tt.LSTM(I, [H, 3], num_layers=3), "one number for each of the num_layers = 3"),
        (lambda: tt.LSTM(I, []), "hidden_size must be at least 1, got 0"),
        (lambda: tt.LSTM(I, [H, 2.5]), "hidden_size must be of type int, got float 2.5"),
        (lambda: tt.GRU(I, H, zoneout=(0.1, 0.2)), "zoneout must be one share or one for each"),
        (lambda: tt.GRU(I, H, zoneout=1.5), r"zoneout must be a number in \[0, 1\]"),
        (lambda: tt.LSTM(I, H, recurrent_dropout=-1), "recurrent_dropout must be a number"),
        (lambda: tt.LSTM(I, H, input_dropout="half"), "input_dropout must be a number"),
        (lambda: tt.LSTM(I, H, layer_norm=1), "layer_norm must be of type bool, got int 1"),
        (lambda: tt.RNN(I, H, nonlinearity="step"), "nonlinearity must be one of tanh, relu"),
        (lambda: tt.RNN(I, H, nonlinearity=None), "nonlinearity must be one of tanh, relu"),
        (lambda: tt.GRU(I, H, proj_size=2), "proj_size must be 0 for a GRU"),
    ],
)
def test_options_that_cannot_be_are_refused(make, message):
    with pytest.raises(errors.OptionError, match=message):
        make()


@pytest.mark.parametrize(
    "layer", [tt.GRU(I, H, layer_norm=True), tt.LSTM(I, H, num_layers=2, residual=True)]
)
def test_what_a_graph_cannot_hold_is_refused_by_name(layer, tmp_path):
    with pytest.raises(errors.OptionError, match=r"without layer_norm, residual, .* got"):
        tt.export_onnx(layer, tmp_path / "model.onnx")
