"""Saliency: against algebra, and free of the artefacts of padding and of the first step."""

import numpy as np
import pytest
import torch
from cases import CASES, B, H, I, T, name_of
from test_return_all import drawn
from torch import nn

import throughtime as tt
from throughtime.errors import DataError, OptionError, ShapeError
from throughtime.instruments import saliency

each_case = pytest.mark.parametrize("case", CASES, ids=name_of)
EXACT = {"rtol": 1e-9, "atol": 1e-11}
WAYS = ("gradient", "gradient_x_input", "integrated_gradients")


def of_h(layer, lengths=None):
    """A score of the last layer's final h, [B]."""
    weights = torch.linspace(-1, 2, H, dtype=torch.float64)

    def score(x):
        final = layer(x, lengths=lengths)[1]
        return (final[0] if isinstance(final, tuple) else final)[-1] @ weights

    return score


def test_of_a_linear_network_every_way_is_its_exact_share():
    layer, x = tt.RNN(I, H, nonlinearity="identity", bias=False).double(), drawn(T, B, I)
    W, U = layer.weight_hh_l0.detach(), layer.weight_ih_l0.detach()
    weights = torch.linspace(-1, 2, H, dtype=torch.float64)
    found = saliency(of_h(layer), x, points=3)
    for t in range(T):
        slope = weights @ torch.linalg.matrix_power(W, T - 1 - t) @ U
        np.testing.assert_allclose(found["gradient"][t], slope.norm().expand(B), **EXACT)
        for way in WAYS[1:]:
            np.testing.assert_allclose(found[way][t], x[t] @ slope, **EXACT)


@each_case
def test_integrated_gradients_are_complete(case):
    layer, x = case.make().eval(), drawn(T, B, I)
    few, many = (saliency(of_h(layer), x, points=points) for points in (4, 64))
    change = many["score"] - many["baseline_score"]
    error = many["integrated_gradients"].sum("time") - change
    np.testing.assert_allclose(many["completeness_error"], error, **EXACT)
    assert abs(many["completeness_error"]).max() < 0.01 * abs(change).min()
    if "relu" not in case.name:  # the midpoint rule: 16 times the points, 256 times as near
        assert abs(many["completeness_error"]).max() < abs(few["completeness_error"]).max() / 100
    np.testing.assert_allclose(many["score"], of_h(layer)(x).detach(), **EXACT)


@each_case
def test_the_gradient_is_that_of_finite_differences(case):
    layer, x, step = case.make().eval(), drawn(T, B, I), 1e-6
    found = saliency(of_h(layer), x, points=1)
    for t in range(T):
        ahead, back = x.clone(), x.clone()
        ahead[t] += step * x[t]
        back[t] -= step * x[t]
        slope = (of_h(layer)(ahead) - of_h(layer)(back)).detach() / (2 * step)
        np.testing.assert_allclose(found["gradient_x_input"][t], slope, rtol=1e-5, atol=1e-8)


@each_case
def test_padding_gets_nothing_and_changes_nothing(case):
    layer, lengths = case.make(bidirectional=True).eval(), [T, 2, 3]
    x = drawn(T, B, I)
    more = torch.cat([x, 1e3 * drawn(4, B, I)])
    found, padded = (saliency(of_h(layer, lengths), part, points=8) for part in (x, more))
    for way in WAYS:
        for row, length in enumerate(lengths):
            np.testing.assert_allclose(padded[way][:T, row], found[way][:, row], **EXACT)
            assert (padded[way][length:, row] == 0).all()
    told = saliency(of_h(layer, lengths), more, points=8, lengths=lengths)
    for way in WAYS:
        assert told[way].notnull().sum("time").values.tolist() == lengths


@each_case
def test_the_first_step_gets_nothing_for_being_the_first(case):
    layer = case.make().eval()
    x = drawn(T, B, I)
    x[0] = 0  # as the baseline
    found = saliency(of_h(layer), x, points=8)
    for way in WAYS[1:]:
        assert (found[way][0] == 0).all()
    # a score that forgets has its weight at the last step, not at the first
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
        if "lstm" in case.name:
            layer.bias_ih_l0[H : 2 * H] = -1e4  # forgets all
        if "gru" in case.name:
            layer.bias_ih_l0[H : 2 * H] = -1e4  # keeps nothing
    found = saliency(of_h(layer), drawn(T, B, I), points=8)
    for way in WAYS:
        assert (found[way][:-1] == 0).all() and (found[way][-1] != 0).any()


def test_an_embedding_stands_for_tokens():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(7, I)
            self.lstm = tt.LSTM(I, H)

        def forward(self, tokens):
            return self.lstm(self.embedding(tokens))[0][-1].sum(dim=-1)

    model, tokens = Model().double(), torch.randint(7, (T, B))
    found = saliency(model, tokens, embedding=model.embedding, points=5)
    expected = saliency(
        lambda x: model.lstm(x)[0][-1].sum(dim=-1), model.embedding(tokens), points=5
    )
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], **EXACT)
    assert all(p.grad is None for p in model.parameters())
    assert not model.embedding._forward_hooks


def test_a_baseline_of_ones_own_is_where_the_way_begins():
    layer, x, start = tt.GRU(I, H).double(), drawn(T, B, I), drawn(I)
    found = saliency(of_h(layer), x, baseline=start)
    np.testing.assert_allclose(
        found["baseline_score"], of_h(layer)(start.expand(T, B, I)).detach(), **EXACT
    )
    np.testing.assert_allclose(
        found["integrated_gradients"].sum("time"),
        found["score"] - found["baseline_score"],
        rtol=1e-3,
    )
    assert found.attrs == {"rule": "midpoint", "points": 64}


def test_batch_first_is_the_same_turned_around():
    first = tt.LSTM(I, H, batch_first=True).double()
    last = tt.LSTM(I, H).double()
    last.load_state_dict(first.state_dict())
    x = drawn(T, B, I)
    options = {"points": 4, "lengths": [T, 1, 2]}
    expected = saliency(of_h(last, [T, 1, 2]), x, **options)
    found = saliency(of_h(first, [T, 1, 2]), x.transpose(0, 1), batch_first=True, **options)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], **EXACT)


def test_a_score_that_reads_padding_is_refused():
    layer = tt.RNN(I, H).double()
    with pytest.raises(DataError, match=r"of padding must be 0, got .* at step 2, row 1; tell the"):
        saliency(of_h(layer), drawn(T, B, I), lengths=[T, 2, T])


@pytest.mark.parametrize(
    ("score", "options", "error", "words"),
    [
        (lambda x: x.sum(), {}, ShapeError, r"score must give \[B=3\], one number per row"),
        (lambda x: torch.ones(B), {}, OptionError, "must depend on x, got constants"),
        (lambda x: x.sum((0, 2)) / 0, {}, DataError, "gradient of the score must be finite"),
        (lambda x: x.sum((0, 2)), {"points": 0}, OptionError, "points must be a whole number"),
        (lambda x: x.sum((0, 2)), {"baseline": drawn(I + 1)}, ShapeError, "baseline must fit x"),
        (lambda x: x.sum((0, 2)), {"lengths": [1]}, ShapeError, r"lengths must be \[B=3\]"),
        (lambda x: x.sum((0, 2)), {"lengths": [1, 2, 9]}, ShapeError, "from 0 to T = 5"),
        (
            lambda x: x.sum((0, 2)),
            {"embedding": nn.Identity()},
            OptionError,
            "must call the embedding once, it did so 0 times",
        ),
    ],
)
def test_what_gives_no_saliency_is_refused(score, options, error, words):
    with pytest.raises(error, match=words):
        saliency(score, drawn(T, B, I), **options)


def test_tokens_without_their_embedding_are_refused():
    with pytest.raises(ShapeError, match=r"x must be float .*got int64 \[5, 3\]; name the embed"):
        saliency(lambda x: x.float().sum(0), torch.ones(T, B, dtype=torch.int64))
