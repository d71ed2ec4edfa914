"""Lyapunov spectra, against algebra and the volumes that autograd's products have."""

import numpy as np
import pytest
import torch
from cases import CASES, OPTIONS, B, H, I, T, name_of
from test_jacobians import draw, product, taped

import throughtime as tt
from throughtime.errors import OptionError
from throughtime.instruments import jacobians, lyapunov

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def linear(W, inputs=I):
    rnn = tt.RNN(inputs, len(W), nonlinearity="identity", dtype=torch.float64)
    rnn.weight_hh_l0.data.copy_(W)
    return rnn


def normal_matrix():
    """Real eigenvalues 0.9 and -0.2, and the pair 0.5 exp(+-i): no shear, any directions."""
    turn = 0.5 * torch.tensor([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    basis = torch.linalg.qr(draw(4, 4)).Q
    return basis @ torch.block_diag(torch.tensor([[0.9]]), turn, torch.tensor([[-0.2]])) @ basis.T


def test_a_linear_network_has_the_logarithms_of_its_eigenvalues():
    W = normal_matrix()
    found = lyapunov(taped(linear(W), draw(100, B, I)), warm_up=70)
    expected = torch.linalg.eigvals(W).abs().log().sort(descending=True).values
    np.testing.assert_allclose(found.exponents[0, 0], expected, **EXACT)
    np.testing.assert_allclose(found.standard_error[0, 0], np.zeros(4), atol=1e-10)


def test_a_sheared_linear_network_has_them_as_well():
    rows = [[0.8, 3.0, -2.0], [0.0, -0.5, 4.0], [0.0, 0.0, 0.2]]
    W = torch.tensor(rows, dtype=torch.float64)
    found = lyapunov(taped(linear(W), draw(200, 1, I)), warm_up=120)
    np.testing.assert_allclose(found.exponents[0, 0], np.log([0.8, 0.5, 0.2]), **EXACT)


def test_the_spectrum_of_a_stack_is_that_of_its_layers():
    rates = torch.tensor([0.9, -0.6, 0.35, 0.1], dtype=torch.float64)
    bases = torch.linalg.qr(draw(2, 4, 4)).Q
    below, above = (
        linear(Q @ torch.diag(scale * rates) @ Q.T, inputs)
        for Q, scale, inputs in zip(bases, (1, 1.3), (I, 4), strict=True)
    )
    stack = tt.RNN(I, 4, 2, nonlinearity="identity", dtype=torch.float64)
    names = stack.state_dict()
    weights = [*below.state_dict().values(), *above.state_dict().values()]
    stack.load_state_dict(dict(zip(names, weights, strict=True)))
    tape = taped(stack, draw(200, 1, I))
    joint = lyapunov(tape, stack=True, warm_up=180)
    each = lyapunov(tape, warm_up=180)
    expected = np.sort(each.exponents.values.ravel())[::-1]
    np.testing.assert_allclose(joint.exponents, expected, rtol=1e-6)


@pytest.mark.parametrize("case", [*CASES, *OPTIONS], ids=name_of)
def test_exponents_add_up_to_the_volume_that_the_steps_leave(case):
    layer = case.make(num_layers=2, bidirectional=True).eval()
    tape = taped(layer, draw(T, B, I))
    exponents = lyapunov(tape).by_segment.sum("mode", skipna=False)[:, :, 0]
    matrices = jacobians(tape, matrices=True).jacobian.values
    for layer, d, row in np.ndindex(2, 2, B):
        steps = matrices[layer, d, :, row]
        volumes = np.abs(np.linalg.det(steps))
        if (volumes > 1e-10).all():
            volume = np.log(volumes).mean()
            np.testing.assert_allclose(exponents[layer, d, row], volume, rtol=1e-10)
        else:  # dead units, and normalised ones, leave no volume but rounding
            assert exponents[layer, d, row] < np.log(1e-10) / T


def test_the_standard_error_is_that_of_the_mean_over_rows_and_segments():
    gru = tt.GRU(I, H, dtype=torch.float64)
    found = lyapunov(taped(gru, draw(40, B, I)), segments=4)
    samples = found.by_segment[0, 0].values.reshape(4 * B, H)
    error = samples.std(axis=0, ddof=1) / np.sqrt(4 * B)
    np.testing.assert_allclose(found.standard_error[0, 0], error, **EXACT)
    np.testing.assert_allclose(found.exponents[0, 0], samples.mean(0), **EXACT)


def test_the_standard_error_is_how_far_spectra_of_other_sequences_lie():
    gru = tt.GRU(I, H, dtype=torch.float64)
    many = [lyapunov(taped(gru, draw(20, 8, I)), warm_up=5) for _ in range(20)]
    apart = np.std([found.exponents[0, 0].values for found in many], axis=0, ddof=1)
    told = np.mean([found.standard_error[0, 0].values for found in many], axis=0)
    np.testing.assert_allclose(told, apart, rtol=0.4)


def test_a_single_sample_has_no_standard_error():
    found = lyapunov(taped(tt.GRU(I, H), torch.randn(T, 1, I)))
    assert found.standard_error.isnull().all()


def test_rows_that_end_or_begin_afresh_count_their_own_steps():
    rnn, x = tt.RNN(I, H, dtype=torch.float64), draw(8, B, I)
    reset = torch.zeros(8, B, dtype=torch.bool)
    reset[4, 0] = True
    tape = taped(rnn, x, lengths=[8, 3, 0], reset=reset)
    found = lyapunov(tape, warm_up=1)
    assert found.steps[0, 0].values.tolist() == [[3 + 2, 2, 0]]
    assert found.by_segment[0, 0, 0].notnull().all("mode").values.tolist() == [True, True, False]
    alone = lyapunov(taped(rnn, x[:3, 1:2]), warm_up=1)
    mine = np.sort(found.by_segment[0, 0, 0, 1])
    np.testing.assert_allclose(mine, np.sort(alone.by_segment[0, 0, 0, 0]), **EXACT)


def test_the_volume_of_a_piece_after_a_reset_is_its_own():
    rnn, x = tt.RNN(I, H, dtype=torch.float64), draw(6, 1, I)
    reset = torch.zeros(6, 1, dtype=torch.bool)
    reset[2] = True
    tape = taped(rnn, x, reset=reset)
    found = lyapunov(tape)
    steps = jacobians(tape, matrices=True).jacobian[0, 0, [0, 1, 3, 4, 5], 0].values
    volume = np.log(np.abs(np.linalg.det(product(steps)))) / 5
    np.testing.assert_allclose(found.exponents[0, 0].sum(), volume, **EXACT)


def test_no_step_that_counts_is_told():
    tape = taped(tt.GRU(I, H), torch.randn(T, B, I))
    with pytest.raises(OptionError, match=r"more than warm_up = 5 steps .* lower it"):
        lyapunov(tape, warm_up=5)
    with pytest.raises(OptionError, match="segments must be a whole number from 1, got 0"):
        lyapunov(tape, segments=0)
