"""How far a gradient reaches, against algebra and against autograd by hand."""

import numpy as np
import pytest
import torch

from throughtime.cells import GRU, LSTM, Elman, LSTMState
from throughtime.errors import OptionError, ShapeError
from throughtime.instruments import (
    GradientFlow,
    draw_gradient_flow,
    gradient_flow,
    gradient_flow_figure,
    save_figure,
)

T, B, I, H = 6, 3, 2, 4
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def make(kind, inputs, gates, **options):
    weights = (draw(gates * H, inputs), draw(gates * H, H), draw(gates * H), draw(gates * H))
    return kind(*(0.5 * w for w in weights), **options)


def linear_cell():
    """A relu cell whose units are all above zero for positive inputs: h_t = W h_{t-1} + x_t."""
    return Elman(torch.eye(H).double(), draw(H, H).abs() / H, nonlinearity="relu")


def test_without_saturation_the_gradient_is_a_power_of_the_recurrent_matrix():
    cell, g = linear_cell(), draw(H)
    flow = gradient_flow([cell], draw(T, B, H).abs() + 0.1, lambda h: h @ g)
    powers = [torch.linalg.matrix_power(cell.weight_hh.T, k) @ g for k in range(T)]
    expected = torch.stack(powers).norm(dim=-1).numpy()
    np.testing.assert_allclose(flow.norm, np.tile(expected[None, :, None], (1, 1, B)), **EXACT)


def test_a_tanh_cell_follows_the_product_of_pascanu():
    cell, x, g = make(Elman, I, 1), draw(T, B, I), draw(H)
    flow = gradient_flow([cell], x, lambda h: h @ g)
    state, hidden = cell.initial_state(B), []
    for x_t in x:
        state = cell.step(cell.project(x_t), state)
        hidden.append(state.h)
    gradient = g.expand(B, H)
    for k in range(T):
        np.testing.assert_allclose(flow.norm[0, k], gradient.norm(dim=-1), **EXACT)
        gradient = (gradient * (1 - hidden[-1 - k] ** 2)) @ cell.weight_hh


@pytest.mark.parametrize(("kind", "gates"), [(Elman, 1), (GRU, 3), (LSTM, 4)])
def test_a_nudge_to_h_changes_the_loss_as_the_gradient_says(kind, gates):
    cells, x, g = [make(kind, I, gates), make(kind, H, gates)], draw(T, B, I), draw(H)
    flow = gradient_flow(cells, x, lambda h: torch.tanh(h @ g))
    for layer in range(2):
        for lag in range(T):
            gradient = nudged_gradient(cells, x, g, layer, T - 1 - lag)
            np.testing.assert_allclose(flow.norm[layer, lag], gradient.norm(dim=-1), **EXACT)


def nudged_gradient(cells, x, g, layer, step):
    """dL_T/d(nudge) where the nudge is added to h of one layer and step, [B, H]."""
    nudge = torch.zeros(B, H, dtype=torch.float64, requires_grad=True)
    states = [cell.initial_state(B) for cell in cells]
    for t, below in enumerate(x):
        for index, cell in enumerate(cells):
            new = cell.step(cell.project(below), states[index])
            if (index, t) == (layer, step):
                new = new._replace(h=new.h + nudge)
            states[index], below = new, new.h
    (gradient,) = torch.autograd.grad(torch.tanh(below @ g).sum(), nudge)
    return gradient


def test_the_first_states_are_where_the_unroll_begins():
    cell, x, start = make(LSTM, I, 4), draw(T, B, I), LSTMState(draw(B, H), draw(B, H))
    whole = gradient_flow([cell], x, lambda h: h.sum(-1), [start])
    with torch.no_grad():
        for x_t in x[:2]:
            start = cell.step(cell.project(x_t), start)
    part = gradient_flow([cell], x[2:], lambda h: h.sum(-1), [start])
    np.testing.assert_allclose(part.norm, whole.norm[:, : T - 2], **EXACT)


def test_a_row_alone_has_the_norms_it_has_in_a_batch():
    cell, x, g = make(GRU, I, 3), draw(T, B, I), draw(H)
    batch = gradient_flow([cell], x, lambda h: h @ g)
    alone = gradient_flow([cell], x[:, 1:2], lambda h: h @ g)
    np.testing.assert_allclose(alone.norm[..., 0], batch.norm[..., 1], **EXACT)


def test_watching_changes_no_gradient_of_the_weights_and_needs_none():
    cell, x = make(Elman, I, 1), draw(T, B, I)
    with torch.no_grad():
        frozen = gradient_flow([cell], x, lambda h: h.sum(-1))
    cell.weight_hh.requires_grad_()
    np.testing.assert_array_equal(gradient_flow([cell], x, lambda h: h.sum(-1)).norm, frozen.norm)
    assert cell.weight_hh.grad is None


def test_the_memory_horizon_is_the_first_lag_under_one_per_cent():
    flow = GradientFlow(np.array([[8.0, 2.0], [0.2, 0.0], [0.05, 0.04], [9.0, 9.0]])[None])
    assert flow.memory_horizon() == 2
    assert flow.memory_horizon(share=0.05) == 1
    assert flow.memory_horizon(share=0.001) is None


def test_a_loss_averaged_over_rows_is_refused():
    with pytest.raises(ShapeError, match=r"loss must give \[B=3\].*do not average"):
        gradient_flow([make(Elman, I, 1)], draw(T, B, I), lambda h: h.mean())


def test_an_input_without_a_step_is_refused():
    with pytest.raises(ShapeError, match=r"x must be \[T, B, I\] with at least one step"):
        gradient_flow([make(Elman, I, 1)], draw(0, B, I), lambda h: h.sum(-1))


def test_a_share_outside_its_range_is_refused():
    with pytest.raises(OptionError, match=r"share must be in \(0, 1\), got 1"):
        GradientFlow(np.ones((1, 2, 1))).memory_horizon(share=1.0)


def decay(rate):
    return GradientFlow((rate ** np.arange(50.0))[None, :, None])


def test_the_figure_draws_the_mean_norms_and_names_the_horizons():
    figure = gradient_flow_figure({"A": decay(0.5), "B": decay(0.99)}, "Title", "note")
    (ax,) = figure.axes
    curves = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == 50]
    np.testing.assert_allclose(curves, [decay(0.5).mean[0], decay(0.99).mean[0]])
    words = [text.get_text() for text in ax.texts]
    assert {"A", "B", "1 %: A 7, B over 49 steps", "resolution of float32"} == set(words)


def test_a_figure_refuses_more_models_than_it_has_colours():
    with pytest.raises(OptionError, match="1 to 4 models, got 5"):
        draw_gradient_flow({str(i): decay(0.5) for i in range(5)}, ax=None)


def test_the_same_numbers_give_the_same_svg(tmp_path):
    for name in ("first", "second"):
        save_figure(gradient_flow_figure({"A": decay(0.9)}, "Title", "note"), tmp_path / name)
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()
    assert (tmp_path / "first.png").read_bytes().startswith(b"\x89PNG")
