"""Jacobians of steps and lags, against autograd, algebra and arithmetic of 200 digits."""

import mpmath
import numpy as np
import pytest
import torch
from cases import CASES, OPTIONS, B, H, I, T, name_of

import throughtime as tt
from throughtime.errors import DataError, OptionError
from throughtime.instruments import Keep, jacobians

EXACT = {"rtol": 1e-10, "atol": 1e-12}
LENGTHS = [5, 2, 0]

each_case = pytest.mark.parametrize("case", [*CASES, *OPTIONS], ids=name_of)


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def taped(layer, x, *args, **kwargs):
    with torch.no_grad(), tt.watch(layer) as tape:
        layer(x, *args, **kwargs)
    return tape


def joined(states):
    """All fields of the states side by side, [D, B, ·]."""
    return torch.cat([field for layer in states for field in layer], dim=-1)


def derivative(layer, x, states, row, d=0, **rows):
    """Autograd's ds_T/ds_0 of one row and direction, over the whole call, by its final states."""
    start = layer.initial_state(B) if states is None else states
    start = start.map(lambda field: field.detach().requires_grad_())
    _, final = layer(x, start, **rows)
    fields = [field for state in start for field in state]
    after = joined(final)[d, row]
    rows = [torch.autograd.grad(number, fields, retain_graph=True) for number in after]
    return torch.stack([torch.cat([field[d, row] for field in row_], -1) for row_ in rows])


def product(matrices):
    """J_T ... J_1 of [T, S, S]."""
    whole = np.eye(matrices.shape[-1])
    for matrix in matrices:
        whole = matrix @ whole
    return whole


@each_case
def test_the_product_of_the_steps_is_the_derivative_of_the_whole(case):
    layer, x = case.make(bidirectional=True).eval(), draw(T, B, I)
    found = jacobians(taped(layer, x, lengths=LENGTHS), matrices=True)
    for row, length in enumerate(LENGTHS):
        for d, order in enumerate((1, -1)):
            own = found.jacobian[0, d, :length, row].values[::order]
            expected = derivative(layer, x, None, row, d, lengths=LENGTHS)
            np.testing.assert_allclose(product(own), expected, **EXACT)
            norm = np.exp(found.log_norm[0, d, length, row])
            np.testing.assert_allclose(norm, np.linalg.norm(expected, 2), **EXACT)


@each_case
def test_the_chain_law_holds_for_the_joint_state_of_a_stack(case):
    layer, x = case.make(num_layers=3, residual=True).eval(), draw(T, B, I)
    found = jacobians(taped(layer, x), stack=True, matrices=True)
    for row in range(B):
        expected = derivative(layer, x, None, row)
        np.testing.assert_allclose(product(found.jacobian[:, row].values), expected, **EXACT)


@pytest.mark.parametrize("case", [case for case in OPTIONS if "own" not in case.name], ids=name_of)
def test_what_a_call_drew_is_in_its_jacobians(case):
    layer, x = case.make(num_layers=2), draw(T, B, I)
    start = layer.initial_state(B).map(lambda field: draw(*field.shape).requires_grad_())
    torch.manual_seed(1)
    with tt.watch(layer) as tape:
        layer(x, start)
    found = jacobians(tape, stack=True, matrices=True)
    torch.manual_seed(1)
    expected = derivative(layer, x, start, 1)
    np.testing.assert_allclose(product(found.jacobian[:, 1].values), expected, **EXACT)


def test_all_products_of_a_tanh_network_are_those_of_autograd():
    rnn, x = tt.RNN(I, H, dtype=torch.float64), draw(T, B, I)
    found = jacobians(taped(rnn, x))
    for lag in range(T + 1):
        _, h = rnn(x[: T - lag]) if lag < T else (None, torch.zeros(1, B, H).double())
        h = h.detach().requires_grad_()
        _, last = rnn(x[T - lag :], h) if lag else (None, h)
        for row in range(B):
            numbers = [torch.autograd.grad(n, h, retain_graph=True)[0] for n in last[0, row]]
            matrix = torch.stack([gradient[0, row] for gradient in numbers])
            norm = torch.linalg.matrix_norm(matrix, ord=2)
            np.testing.assert_allclose(found.log_norm[0, 0, lag, row], norm.log(), **EXACT)


def test_a_linear_network_gives_powers_within_its_bound():
    rnn = tt.RNN(I, H, nonlinearity="identity", dtype=torch.float64)
    found = jacobians(taped(rnn, draw(T, B, I)))
    W = rnn.weight_hh_l0.detach().numpy()
    sigma = np.linalg.svd(W, compute_uv=False)
    np.testing.assert_allclose(
        found.singular_values[0, 0], np.broadcast_to(sigma, (T, B, H)), **EXACT
    )
    radius = abs(np.linalg.eigvals(W)).max()
    np.testing.assert_allclose(found.spectral_radius, np.full((1, 1, T, B), radius), **EXACT)
    for lag in range(T + 1):
        norm = np.linalg.norm(np.linalg.matrix_power(W, lag), 2)
        np.testing.assert_allclose(found.log_norm[0, 0, lag], np.full(B, np.log(norm)), **EXACT)
        bound = np.full(B, lag * np.log(sigma[0]))
        np.testing.assert_allclose(found.log_bound[0, 0, lag], bound, **EXACT)


@pytest.mark.parametrize("g", ["tanh", "relu", "sigmoid", "gelu", torch.sin])
@pytest.mark.parametrize("options", [{}, {"recurrent_dropout": 0.4}], ids=["plain", "dropout"])
def test_no_product_of_an_elman_network_exceeds_its_bound(g, options):
    rnn = tt.RNN(I, H, nonlinearity=g, bidirectional=True, dtype=torch.float64, **options)
    found = jacobians(taped(rnn, draw(T, B, I), lengths=LENGTHS))
    assert found.log_bound.notnull().all()
    has = found.log_norm.notnull()
    assert (found.log_norm <= found.log_bound + 1e-12).values[has.values].all()


def test_other_cells_have_no_bound():
    found = jacobians(taped(tt.GRU(I, H), torch.randn(T, B, I)))
    assert found.log_bound.isnull().all()


def test_a_row_that_begins_afresh_has_a_jacobian_of_zero_there():
    lstm, x = tt.LSTM(I, H, bidirectional=True, dtype=torch.float64), draw(T, B, I)
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[2, 1] = True
    found = jacobians(taped(lstm, x, reset=reset), matrices=True)
    assert (found.jacobian.sel(direction="forward")[0, 2, 1] == 0).all()
    assert (found.jacobian.sel(direction="reverse")[0, 1, 1] == 0).all()
    is_zero = (found.singular_values.max("mode") == 0).sum(["time", "batch"])
    assert (is_zero == 1).all()
    assert (found.log_norm[0, 0, :, 1].values == -np.inf).tolist() == 3 * [False] + 3 * [True]
    assert (found.log_norm[0, 1, :, 1].values == -np.inf).tolist() == 2 * [False] + 4 * [True]


def test_a_row_that_has_ended_is_missing():
    found = jacobians(taped(tt.GRU(I, H), torch.randn(T, B, I), lengths=LENGTHS), matrices=True)
    for row, length in enumerate(LENGTHS):
        for part in (found.singular_values, found.spectral_radius, found.jacobian):
            has = part[0, 0, :, row].notnull().values.reshape(T, -1)
            assert has.all(1).tolist() == has.any(1).tolist() == [t < length for t in range(T)]
        has = found.log_norm[0, 0, :, row].notnull().values.tolist()
        assert has == [lag <= length for lag in range(T + 1)]


def test_a_smaller_layer_is_filled_up():
    found = jacobians(taped(tt.RNN(I, [4, 6]), torch.randn(T, B, I)), matrices=True)
    assert found.singular_values.notnull().sum("mode")[:, 0, 0, 0].values.tolist() == [4, 6]
    assert found.jacobian.notnull().sum(["state", "state_before"])[:, 0, 0, 0].values.tolist() == [
        16,
        36,
    ]


def test_chosen_rows_are_the_same_as_among_all():
    gru, x = tt.GRU(I, H, recurrent_dropout=0.3, zoneout=0.2), torch.randn(T, B, I)
    tape = taped(gru, x, lengths=LENGTHS)
    some, every = jacobians(tape, rows=[2, 0], matrices=True), jacobians(tape, matrices=True)
    assert some.batch.values.tolist() == [2, 0]
    np.testing.assert_array_equal(some.jacobian, every.jacobian[:, :, :, [2, 0]])
    with pytest.raises(OptionError, match=r"rows must be .* to B - 1 = 2, got \[3\]; name"):
        jacobians(tape, rows=[3])


def test_layers_of_torch_have_the_jacobians_of_their_converted_twins():
    theirs, x = torch.nn.LSTM(I, H, 2, dtype=torch.float64), draw(T, B, I)
    found = jacobians(taped(theirs, x), stack=True)
    twin = jacobians(taped(tt.convert(theirs), x), stack=True)
    for name in found.data_vars:
        np.testing.assert_allclose(found[name], twin[name], **EXACT)


def test_the_norm_over_many_steps_has_the_digits_of_exact_arithmetic():
    steps = 750
    rnn, x = tt.RNN(1, 3, bias=False, dtype=torch.float64), draw(steps, 1, 1)
    with torch.no_grad():
        rows = [[0.2, 0.5, 0.0], [0.0, 0.1, 0.5], [0.1, 0.0, -0.1]]  # no normal matrix
        rnn.weight_hh_l0.copy_(torch.tensor(rows))
    found = jacobians(taped(rnn, x), matrices=True)
    with mpmath.workdps(200):
        whole = mpmath.eye(3)
        for matrix in found.jacobian[0, 0, :, 0].values:
            whole = mpmath.matrix(matrix.tolist()) * whole
        squares = mpmath.eigsy(whole.T * whole, eigvals_only=True)
        expected = float(mpmath.log(max(squares)) / 2)
    assert expected < -750  # beyond what a float holds
    np.testing.assert_allclose(found.log_norm[0, 0, -1, 0], expected, **EXACT)


def test_numbers_that_are_not_finite_are_named():
    lstm, x = tt.LSTM(I, H), torch.randn(T, B, I)
    x[3, 1, 0] = torch.inf
    with pytest.raises(DataError, match="an input that is not at step 3 of row 1; look"):
        jacobians(taped(lstm, x))
    rnn = tt.RNN(I, H, nonlinearity="identity")
    rnn.weight_hh_l0.data.mul_(1e38)
    with pytest.raises(DataError, match=r"a state that is not at step \d of row \d; look"):
        jacobians(taped(rnn, torch.randn(T, B, I)))


def test_padding_may_hold_anything():
    lstm, x = tt.LSTM(I, H), torch.randn(T, B, I)
    x[3:, 1] = torch.nan
    assert jacobians(taped(lstm, x, lengths=[5, 3, 5])).log_norm[0, 0, 3, 1].notnull()


def test_what_is_not_on_the_tape_is_asked_for():
    gru = tt.GRU(I, H)
    with tt.watch(gru, Keep(what={"inputs", "states"})) as tape:
        gru(torch.randn(T, B, I))
    with pytest.raises(OptionError, match=r"weights must be on the tape.*'weights' to Keep"):
        jacobians(tape)


def test_weights_that_changed_since_the_call_do_not_matter():
    gru, x = tt.GRU(I, H), torch.randn(T, B, I)
    tape = taped(gru, x)
    before = jacobians(tape).log_norm
    gru.weight_hh_l0.data.zero_()
    np.testing.assert_array_equal(jacobians(tape).log_norm, before)


def test_what_the_tape_cannot_know_is_refused():
    own = next(case for case in OPTIONS if case.name == "own-cell").make()
    with pytest.raises(OptionError, match=r"states of its call once more, .*model.eval\(\)"):
        jacobians(taped(own, draw(T, B, I)))
    stack = tt.GRU(I, H, 2, dropout=0.5)
    jacobians(taped(stack, torch.randn(T, B, I)))
    with pytest.raises(OptionError, match="dropout between layers"):
        jacobians(taped(stack, torch.randn(T, B, I)), stack=True)


def test_a_stack_of_two_directions_is_no_map():
    with pytest.raises(OptionError, match=r"must run in one direction .* two directions; look at"):
        jacobians(taped(tt.GRU(I, H, bidirectional=True), torch.randn(T, B, I)), stack=True)


def test_more_memory_than_allowed_is_told():
    tape = taped(tt.LSTM(I, 64), torch.randn(T, B, I))
    with pytest.raises(OptionError, match=r"3 rows with S = 128 .*0\.000976 GiB.*rows=\[...\]"):
        jacobians(tape, memory=2**20 - 2**10)
    tape = taped(tt.LSTM(I, 64), torch.randn(50, B, I))
    with pytest.raises(OptionError, match=r"the Jacobians of all steps must fit .* matrices=True"):
        jacobians(tape, memory=160 * B * 128**2, matrices=True)
