"""States between two calls: kept, cut, reordered and handed to torch.nn and back."""

import pytest
import torch
from cases import CASES, B, H, I, T, flat, name_of, worst_error

import throughtime as tt
from throughtime import errors

each_case = pytest.mark.parametrize("case", CASES, ids=name_of)


def run(case, **options):
    layer = case.make(num_layers=2, bidirectional=True, **options)
    x = torch.randn(T, B, I, dtype=torch.float64)
    return layer, x, layer(x, layer.initial_state(B).map(torch.randn_like))[1]


@each_case
def test_states_and_the_form_of_torch_hold_the_same_numbers(case):
    layer, x, states = run(case)
    y, final = layer(x, states)
    assert isinstance(final, tt.States) and isinstance(states, tt.States)
    same_y, same = layer(x, states.to_torch())
    assert not isinstance(same, tt.States)
    assert worst_error([y, *flat(final.to_torch())], [same_y, *flat(same)]) == 0
    back = tt.States.from_torch(states.to_torch(), num_directions=2)
    assert [type(part) for part in back] == [type(part) for part in states]
    assert worst_error(flat(back), flat(states)) == 0


@each_case
@pytest.mark.parametrize("rows", [[2, 0], slice(1, 3), [True, False, True], torch.tensor([1])])
def test_selected_rows_go_on_as_they_would_in_the_batch(case, rows):
    layer, x, states = run(case)
    y, final = layer(x, states)
    some_y, some = layer(x[:, rows], states.select(rows))
    assert worst_error([some_y, *flat(some)], [y[:, rows], *flat(final.select(rows))]) < 1e-12


@each_case
def test_reordered_rows_continue_from_the_rows_they_name(case):
    layer, x, states = run(case)
    index = [2, 2, 0, 1]
    y, _ = layer(x[:, index], states.reorder(index))
    assert worst_error([y], [layer(x, states)[0][:, index]]) < 1e-12


def test_detached_and_cloned_states():
    _, _, states = run(CASES[2])
    assert states[0].c.requires_grad and not states.detach()[0].c.requires_grad
    copy = states.clone()
    assert copy[1].h.requires_grad
    kept = copy.detach().clone()
    states[1].h.data.zero_()
    assert worst_error(flat(copy), flat(kept)) == 0 and copy[1].h.any()
    assert states.batch_first()[0].h.shape == (B, 2, H)
    assert states.batch_first()[0].h.data_ptr() == states[0].h.data_ptr()


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda s: s.reorder([3]), errors.ShapeError, r"index must be from 0 to B - 1 = 2"),
        (lambda s: s.reorder([0.5]), errors.ShapeError, "index must be whole numbers"),
        (lambda s: s.reorder([[0]]), errors.ShapeError, r"index must be whole numbers \[B'\]"),
        (lambda s: s.select([True]), errors.ShapeError, r"rows must be bool \[B=3\]"),
        (lambda s: tt.States.from_torch(s[0].h, 3), errors.ShapeError, "with D = 3"),
        (lambda s: tt.States.from_torch("h"), errors.ShapeError, "got str"),
        (lambda s: tt.LSTM(I, [H, 2])(torch.ones(T, B, I), (s[0].h, s[0].c)), errors.OptionError,
         "hx must be States where the layers have different sizes"),
        (lambda s: tt.LSTM(I, H)(torch.ones(T, B, I), s), errors.ShapeError,
         "hx must be States of 1 layers, got States of 2"),
        (lambda s: tt.GRU(I, H, num_layers=2)(torch.ones(T, B, I), s), errors.ShapeError,
         r"hx\[0\] must be HiddenState, got LSTMState"),
        (lambda s: tt.LSTM(I, H, num_layers=2)(torch.ones(T, B, I), s), errors.ShapeError,
         r"hx\[0\].h must be \[D, B, ...\] = \[1, 3, 4\], got \[2, 3, 4\]"),
    ],
)  # fmt: skip
def test_states_that_do_not_fit_are_refused(call, error, message):
    _, _, states = run(CASES[2])
    with pytest.raises(error, match=message):
        call(states)


def test_states_of_different_sizes_have_no_form_in_torch():
    layer = tt.GRU(I, [H, 2])
    with pytest.raises(errors.OptionError, match="must be of one size and cell in all layers"):
        layer.initial_state(B).to_torch()
