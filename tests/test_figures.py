"""The figures: drawn from the numbers that were measured, and the same for the same numbers."""

import numpy as np
import pytest
import xarray
from cases import B, H, I, T
from matplotlib.figure import Figure
from test_credit import of, powers
from test_return_all import drawn

import throughtime as tt
from throughtime.errors import OptionError
from throughtime.instruments import (
    credit,
    draw_credit,
    draw_credit_by_lag,
    draw_gradient_flow,
    draw_saliency,
    draw_weight_gradient,
    figure_of,
    gradient_flow,
    saliency,
    save_figure,
    weight_gradient,
    weight_shares,
)


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture
def tape():
    layer = tt.LSTM(I, H, 2, bidirectional=True).double()
    with tt.watch(layer) as tape:
        layer(drawn(T, B, I), lengths=[T, 3, 0])[0].square().sum().backward()
    return tape


def decay(rate):
    """Of a loss at the last of 50 steps, in two rows."""
    return of(np.repeat(rate ** np.arange(49.0, -1, -1)[None, :, None], 2, axis=2), losses=[49])


def words(ax):
    return {text.get_text() for text in ax.texts}


def test_the_curves_by_lag_are_the_mean_shares_and_the_horizons_are_named(ax):
    found = {"A": decay(0.5), "B": decay(0.99)}
    draw_credit_by_lag(found, ax)
    curves = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == 50]
    np.testing.assert_allclose(curves, [rate ** np.arange(50.0) for rate in (0.5, 0.99)])
    assert words(ax) == {"1 %", "resolution of float32"}
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [
        "A: horizon 7 steps (95 %: 7)",
        "B: horizon over 49 steps (95 %: over 49)",
    ]
    (dot,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (7, 0.01)


def test_a_figure_refuses_more_models_than_it_has_colours(ax):
    with pytest.raises(OptionError, match="1 to 4 models, got 5"):
        draw_credit_by_lag({str(i): decay(0.5) for i in range(5)}, ax)


def test_the_matrix_shows_the_mean_norms_and_the_horizon(ax):
    draw_credit(of(powers([0.1, 0.1])), ax)
    (mesh,) = ax.collections
    t, k = np.indices((T, T))
    shown = mesh.get_array()
    np.testing.assert_array_equal(shown.mask, k > t)
    np.testing.assert_allclose(shown.filled(0), np.where(k <= t, 0.1 ** (t - k).clip(0), 0))
    (line,) = ax.lines  # t = k + horizon
    assert line.get_xy1()[1] - line.get_xy1()[0] == 3 and line.get_slope() == 1
    assert ax.get_title(loc="right") == "horizon 3 steps (95 %: 3)"


def test_one_loss_alone_and_rows_that_all_ended_can_be_drawn():
    one = powers([0.5, 0.5])[2:3]
    one[:, 3:] = np.nan
    figure = figure_of(lambda ax: draw_credit(of(one, losses=[2]), ax), "Title")
    assert figure.axes[0].collections[0].get_array().count() == 3
    figure = figure_of(lambda ax: draw_credit_by_lag({"A": of(one, losses=[2])}, ax), "Title")
    assert len(figure.axes[0].lines[-1].get_xdata()) == 3


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_matrix_of_every_direction_can_be_drawn(tape, ax, direction):
    draw_credit(credit(tape), ax, layer=0, direction=direction, field="c")
    assert ax.collections[0].get_array().count() == T * T


def test_the_flow_has_a_line_for_every_part(tape, ax):
    flow = gradient_flow(tape)
    draw_gradient_flow(flow, ax, layer=0)
    for line, name in zip(ax.lines, flow, strict=True):
        expected = flow[name][0, 0].mean("batch").values
        expected = np.where(expected > 0, expected, np.nan)
        np.testing.assert_allclose(line.get_ydata(), expected)


@pytest.mark.parametrize("by", ["step", "lag"])
def test_the_bars_of_a_weight_are_its_shares(tape, ax, by):
    parts = weight_gradient(tape, by)
    draw_weight_gradient(parts, ax, "weight_hh_l1")
    shares = weight_shares(parts).sel(weight="weight_hh_l1").values
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], shares)
    np.testing.assert_allclose(ax.lines[0].get_ydata()[-1], 1)
    with pytest.raises(OptionError, match=r"weight must be one of all, weight_ih_l0, .* got 'W'"):
        draw_weight_gradient(parts, ax, "W")


def test_the_bars_of_saliency_are_those_of_the_steps_of_the_row(ax):
    layer = tt.GRU(I, H).double()
    found = saliency(
        lambda x: layer(x, lengths=[T, 3, 2])[1][0].sum(-1), drawn(T, B, I), lengths=[T, 3, 2]
    )
    draw_saliency(found, ax, row=1, labels=["a", "b", "c"])
    expected = found["integrated_gradients"][:3, 1]
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], expected)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]
    with pytest.raises(OptionError, match="labels must be one for each of the 3 steps, got 5"):
        draw_saliency(found, ax, row=1, labels="abcde")


def test_the_same_numbers_give_the_same_svg(tmp_path):
    for name in ("first", "second"):
        figure = figure_of(lambda ax: draw_credit_by_lag({"A": decay(0.9)}, ax), "Title", "note")
        save_figure(figure, tmp_path / name)
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()
    assert (tmp_path / "first.png").read_bytes().startswith(b"\x89PNG")


def test_a_gradient_at_one_step_is_seen(ax):
    zeros = np.zeros((1, 1, T, B))
    zeros[..., 2, :] = 1
    axes = ("layer", "direction", "time", "batch")
    coordinates = {"direction": ["forward"], "time": np.arange(T)}
    draw_gradient_flow(xarray.Dataset({"h": (axes, zeros)}, coordinates), ax)
    assert ax.lines[0].get_marker() == "o" and np.isfinite(ax.lines[0].get_ydata()[2])
