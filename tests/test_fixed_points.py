"""Fixed points, against units whose points are known and against the layers themselves."""

import numpy as np
import pytest
import torch
from cases import CASES, OPTIONS, B, H, I, T, name_of
from test_jacobians import draw, taped

import throughtime as tt
from throughtime.errors import DataError, OptionError, ShapeError
from throughtime.instruments import fixed_points
from throughtime.layers import States

HIGH = 0.9575040240772687  # h = tanh(2 h), solved by iteration
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def bistable(units=1, weight=2.0, **options):
    """Units h_t = tanh(2 h_{t-1} + x_t) that do not see each other."""
    rnn = tt.RNN(units, units, bias=False, dtype=torch.float64, **options)
    for name, value in rnn.named_parameters():
        value.data.copy_(torch.eye(units) * (weight if "hh" in name else 1))
    return rnn


def test_a_bistable_unit_has_two_stable_points_and_one_between():
    points = fixed_points(taped(bistable(), draw(20, 8, 1)), noise=0.5)
    np.testing.assert_allclose(np.sort(points.s[:, 0]), [-HIGH, 0, HIGH], **EXACT)
    assert points.stable.values.tolist() == [True, True, False]
    assert points.num_unstable.values.tolist() == [0, 0, 1]
    slope = 2 * (1 - HIGH**2)
    np.testing.assert_allclose(points.eigenvalues[:, 0], [slope, slope, 2], **EXACT)
    np.testing.assert_allclose(
        points.time_constant[:, 0], [-1 / np.log(slope)] * 2 + [-1 / np.log(2)], **EXACT
    )
    assert (points.q < 1e-25).all()
    assert points.num_candidates.sum() == points.attrs["candidates"] == 160
    assert points.attrs["not_slow"] == points.attrs["outliers"] == 0


def test_the_points_of_units_apart_are_all_combinations():
    points = fixed_points(taped(bistable(2), draw(40, 8, 2)), noise=1.0)
    expected = {(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)}
    assert {tuple(row) for row in np.sign(points.s.values.round(6))} == expected
    zeros = (points.s.round(6) == 0).sum("state")
    np.testing.assert_array_equal(points.num_unstable, zeros)
    assert len(points.point) == 9


def test_an_lstm_without_recurrence_rests_where_algebra_says():
    lstm = tt.LSTM(I, H, dtype=torch.float64)
    lstm.weight_hh_l0.data.zero_()
    x = draw(I)
    points = fixed_points(taped(lstm, draw(T, B, I)), x=x)
    a = lstm.weight_ih_l0 @ x + lstm.bias_ih_l0 + lstm.bias_hh_l0
    i, f, g, o = (part.detach() for part in a.chunk(4))
    c = torch.sigmoid(i) * torch.tanh(g) / (1 - torch.sigmoid(f))
    expected = torch.cat([torch.sigmoid(o) * torch.tanh(c), c])
    np.testing.assert_allclose(points.s, expected[None], **EXACT)
    assert points.field.values.tolist() == H * ["h"] + H * ["c"]
    kept = torch.sigmoid(f).sort(descending=True).values
    np.testing.assert_allclose(points.eigenvalues[0, :H], kept, **EXACT)
    np.testing.assert_allclose(points.time_constant[0, :H], -1 / kept.log(), **EXACT)
    np.testing.assert_allclose(points.time_constant[0, H:], np.zeros(H), atol=1e-2)


def test_a_rotation_turns_at_its_frequency():
    rnn = tt.RNN(2, 2, nonlinearity="identity", bias=False, dtype=torch.float64)
    turn = 2 * np.pi / 12
    rows = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    rnn.weight_hh_l0.data.copy_(0.9 * torch.tensor(rows, dtype=torch.float64))
    points = fixed_points(taped(rnn, draw(T, B, 2)))
    np.testing.assert_allclose(np.sort(points.frequency), [[-1 / 12, 1 / 12]], **EXACT)
    np.testing.assert_allclose(points.time_constant, [[-1 / np.log(0.9)] * 2], **EXACT)


def test_a_stack_has_the_points_of_its_lowest_layer_and_the_eigenvalues_of_all():
    stack = bistable(num_layers=2)
    stack.weight_hh_l1.data.fill_(0.3)
    points = fixed_points(taped(stack, draw(30, 8, 1)), noise=0.5)
    below, above = points.s.values.T
    assert sorted(np.sign(below.round(6))) == [-1, 0, 1]
    np.testing.assert_allclose(above, np.tanh(0.3 * above + below), **EXACT)
    own = np.stack([2 * (1 - below**2), 0.3 * (1 - above**2)], axis=1)
    expected = np.sort(own, axis=1)[:, ::-1]
    np.testing.assert_allclose(points.eigenvalues, expected, **EXACT)
    assert points.layer.values.tolist() == [0, 1]


@pytest.mark.parametrize("case", [*CASES, *OPTIONS], ids=name_of)
def test_q_is_half_the_squared_speed_of_the_layer_itself(case):
    layer, x = case.make(num_layers=3, residual=True).eval(), draw(I)
    for weight in layer.parameters():
        weight.data.mul_(0.3)
    options = {"reach": 100.0, "slowest": 10.0, "candidates": 5, "steps": 100}
    points = fixed_points(taped(layer, draw(T, B, I)), x=x, **options)
    num = len(points.point)
    assert num > 0
    s = torch.from_numpy(points.s.values)
    sizes = [field.shape[-1] for state in layer.initial_state(1) for field in state]
    fields = iter(s[None].split(sizes, dim=-1))
    states = States(type(state)(*(next(fields) for _ in state)) for state in layer.initial_state(1))
    with torch.no_grad():
        _, after = layer(x.expand(1, num, -1), states)
    speed = torch.cat([field[0] for state in after for field in state], dim=-1) - s
    np.testing.assert_allclose(points.q, speed.square().sum(-1) / 2, rtol=1e-10, atol=1e-20)


def test_a_constant_input_moves_the_points():
    points = fixed_points(taped(bistable(), draw(20, 8, 1)), x=[0.1], noise=0.5)
    s = points.s.values[:, 0]
    np.testing.assert_allclose(s, np.tanh(2 * s + 0.1), **EXACT)
    assert len(s) == 3
    (only,) = fixed_points(taped(bistable(), draw(20, 8, 1)), x=[2.0], noise=0.5).s[:, 0].values
    np.testing.assert_allclose(only, np.tanh(2 * only + 2), **EXACT)


def test_a_point_that_has_just_vanished_is_a_slow_point():
    """tanh(2 h + x) loses two points at x = -+0.5328; beyond, a minimum of q is left."""
    tape = taped(bistable(), draw(20, 8, 1))
    slow = fixed_points(tape, x=[0.54], slowest=1e-3)
    fixed = fixed_points(tape, x=[0.54])
    assert len(fixed.point) == 1
    assert fixed.attrs["not_slow"] == slow.num_candidates[slow.q > 1e-12].sum() > 0
    ghost = slow.s.values[slow.q > 1e-12, 0].item()
    grid = np.linspace(-0.95, -0.4, 10001)
    speed = (np.tanh(2 * grid + 0.54) - grid) ** 2 / 2
    np.testing.assert_allclose(ghost, grid[speed.argmin()], atol=1e-4)
    np.testing.assert_allclose(slow.q.max(), speed.min(), rtol=1e-4)


def test_a_line_of_fixed_points_has_a_direction_that_neither_grows_nor_decays():
    rnn = bistable(2)
    rnn.nonlinearity = "identity"
    rnn.weight_hh_l0.data.copy_(torch.diag(torch.tensor([1.0, 0.5])))
    points = fixed_points(taped(rnn, 1e5 * draw(T, B, 2)))
    assert len(points.point) == T * B  # every candidate stays on its place along the line
    along, beside = np.abs(points.s.values.T)
    assert (beside <= 2e-14 * (1 + along)).all()
    np.testing.assert_allclose(points.eigenvalues, np.tile([1, 0.5], (T * B, 1)), **EXACT)
    assert points.stable.all()
    assert (points.time_constant[:, 0] == np.inf).all()


def test_points_far_from_what_was_visited_are_outliers():
    tape = taped(bistable(), draw(20, 8, 1).abs())  # never below zero
    near = fixed_points(tape, noise=20.0, reach=1.0)
    every = fixed_points(tape, noise=20.0, reach=100.0)
    assert near.s.min() > -0.1
    np.testing.assert_allclose(every.s.min(), -HIGH, **EXACT)
    lost = every.num_candidates[every.s[:, 0] < near.s.min() - 0.1].sum()
    assert near.attrs["outliers"] == lost > 0


def test_points_closer_than_the_tolerance_are_one():
    tape = taped(bistable(), draw(20, 8, 1))
    assert len(fixed_points(tape, noise=0.5, same=10.0).point) == 1


def test_layers_of_torch_have_the_points_of_their_converted_twins():
    theirs, x = torch.nn.GRU(I, H, 2, batch_first=True, dtype=torch.float64), draw(B, T, I)
    points = fixed_points(taped(theirs, x))
    twin = fixed_points(taped(tt.convert(theirs), x))
    np.testing.assert_allclose(points.s, twin.s, **EXACT)


def test_the_search_is_in_double_precision_whatever_the_layer_is():
    points = fixed_points(taped(tt.LSTM(I, H), torch.randn(T, B, I)))
    assert points.s.dtype == np.float64
    assert (points.q < 1e-25).all()


def test_no_point_is_an_answer():
    rnn = bistable()
    rnn.nonlinearity = "identity"
    rnn.weight_hh_l0.data.fill_(1.0)  # h = h + 1 nowhere
    points = fixed_points(taped(rnn, draw(T, B, 1)), x=[1.0])
    assert len(points.point) == 0
    assert points.attrs["not_slow"] == points.attrs["candidates"] == T * B


def test_the_visited_states_are_those_of_the_tape():
    tape = taped(tt.GRU(I, H), torch.randn(T, B, I), lengths=[5, 2, 0])
    points = fixed_points(tape)
    np.testing.assert_array_equal(
        points.visited, tape[""].h[0, 0].transpose("time", "batch", "unit")
    )


def test_what_draws_has_no_fixed_points():
    for option in ({"zoneout": 0.2}, {"recurrent_dropout": 0.2}):
        gru = tt.GRU(I, H, **option)
        with pytest.raises(OptionError, match="must be those of evaluation mode"):
            fixed_points(taped(gru, torch.randn(T, B, I)))
        fixed_points(taped(gru.eval(), torch.randn(T, B, I)))


def test_wrong_options_are_told():
    tape = taped(tt.GRU(I, H), torch.randn(T, B, I))
    with pytest.raises(OptionError, match="candidates must be a whole number from 1, got 0"):
        fixed_points(tape, candidates=0)
    with pytest.raises(OptionError, match="reach must be a number from 0, got -1"):
        fixed_points(tape, reach=-1)
    with pytest.raises(ShapeError, match=r"x must be \[I=2\], got \[3\]; pass what the layer"):
        fixed_points(tape, x=torch.zeros(3))
    with pytest.raises(DataError, match="x must be finite, got"):
        fixed_points(tape, x=[0.0, torch.nan])
    both = tt.GRU(I, H, bidirectional=True)
    with pytest.raises(OptionError, match="must run in one direction"):
        fixed_points(taped(both, torch.randn(T, B, I)))


def test_states_that_never_move_are_told():
    rnn = tt.RNN(I, H, bias=False)
    with pytest.raises(DataError, match="visited states must differ, got 15 that are equal; watch"):
        fixed_points(taped(rnn, torch.zeros(T, B, I)))
