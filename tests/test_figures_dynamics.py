"""The figures of Jacobians and fixed points show the numbers they were given."""

import numpy as np
import pytest
import torch
from cases import B, H, I, T
from matplotlib.figure import Figure
from test_fixed_points import HIGH, bistable
from test_jacobians import draw, taped

import throughtime as tt
from throughtime.instruments import (
    draw_fixed_points,
    draw_lyapunov,
    draw_products,
    draw_spectrum,
    fixed_points,
    jacobians,
    lyapunov,
)


@pytest.fixture
def figure(tmp_path):
    """A figure, which is written in the end: whatever cannot be drawn fails there."""
    figure = Figure()
    yield figure
    figure.savefig(tmp_path / "figure.svg")


def dots(ax):
    """The places of all scattered points."""
    return np.concatenate([part.get_offsets() for part in ax.collections])


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_spectrum_shows_every_eigenvalue_and_how_many_grow(figure):
    found = jacobians(taped(tt.LSTM(I, H), torch.randn(T, B, I), lengths=[5, 2, 0]))
    ax = figure.add_subplot()
    draw_spectrum(found.eigenvalues * 3, ax)
    values = 3 * found.eigenvalues.values[0, 0]
    values = np.concatenate([values[:5, 0], values[:2, 1]]).ravel()
    shown = dots(ax) @ [1, 1j]
    np.testing.assert_allclose(np.sort_complex(shown), np.sort_complex(values))
    grow = int((abs(values) > 1).sum())
    assert labels(ax) == [f"decays: {len(values) - grow}", f"grows: {grow}"]


def test_products_stand_under_their_bound(figure):
    found = jacobians(taped(tt.RNN(I, H), torch.randn(T, B, I)))
    ax = figure.add_subplot()
    draw_products(found, ax)
    norm, bound = (line.get_ydata() for line in ax.lines[:2])
    np.testing.assert_allclose(norm, found.log_norm[0, 0].median("batch") / np.log(10))
    np.testing.assert_allclose(bound, found.log_bound[0, 0].median("batch") / np.log(10))
    assert (norm <= bound + 1e-6).all()


def test_products_of_zero_and_of_stacks_are_drawn(figure):
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[3] = True
    tape = taped(tt.GRU(I, H, 2), torch.randn(T, B, I), reset=reset)
    ax = figure.add_subplot()
    draw_products(jacobians(tape, stack=True), ax)
    assert ax.lines[0].get_xdata().tolist() == [0, 1]  # then the reset: zero has no logarithm
    assert len(labels(ax)) == 1


def test_exponents_are_bars_with_their_errors(figure):
    found = lyapunov(taped(tt.GRU(I, H, bidirectional=True), torch.randn(T, B, I)))
    ax = figure.add_subplot()
    draw_lyapunov(found, ax, direction="reverse")
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], found.exponents[0, 1])
    assert len(ax.collections) == 1  # the bars of the errors
    alone = lyapunov(taped(tt.GRU(I, H), torch.randn(T, 1, I)))
    ax = figure.add_subplot()
    draw_lyapunov(alone, ax)
    assert len(ax.collections) == 0


@pytest.mark.parametrize("projection", [None, "3d"])
def test_fixed_points_are_filled_where_they_are_stable(figure, projection):
    points = fixed_points(taped(bistable(2), draw(40, 8, 2)), noise=1.0)
    ax = figure.add_subplot(projection=projection)
    draw_fixed_points(points, ax)
    assert labels(ax) == ["stable: 4", "unstable: 5"]
    stable, unstable = ax.collections
    assert stable.get_facecolor()[0].tolist() != [1, 1, 1, 1]
    assert unstable.get_facecolor()[0].tolist() == [1, 1, 1, 1]
    if projection is None:  # principal axes are a rotation: distances stay
        places = stable.get_offsets()
        sides = np.linalg.norm(places[:, None] - places, axis=-1)
        np.testing.assert_allclose(np.sort(sides[0]), HIGH * np.array([0, 2, 2, np.sqrt(8)]))


def test_a_slow_point_has_a_sign_of_its_own(figure):
    tape = taped(bistable(), draw(20, 8, 1))
    ax = figure.add_subplot()
    draw_fixed_points(fixed_points(tape, x=[0.54], slowest=1e-3), ax)
    assert labels(ax) == ["stable: 1", "slow: 1"]
