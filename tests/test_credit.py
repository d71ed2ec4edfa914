"""Credit: every pair of loss and step at once, against one backward pass per loss."""

import numpy as np
import pytest
import torch
import xarray
from cases import CASES, OPTIONS, B, H, I, T, name_of, packed
from test_return_all import RESET, ROWS, drawn, with_fixed_draws
from test_tape import expected_gradients
from torch import nn

import throughtime as tt
from throughtime.errors import DataError, OptionError
from throughtime.instruments import Credit, credit
from throughtime.instruments.direct import direct
from throughtime.instruments.losses_back import go_back

each_case = pytest.mark.parametrize("case", [*CASES, *OPTIONS], ids=name_of)
each_kind_of_rows = pytest.mark.parametrize("rows", [ROWS["whole"], ROWS["both"]])
EXACT = {"rtol": 1e-9, "atol": 1e-12}
EVERY = torch.arange(T)


def fixed(case, **options):
    """A layer whose cells draw the same numbers at every call, and these cells."""
    layer = case.make(**options)
    return layer.train(case.name != "own-cell"), with_fixed_draws(layer)


def watched(layer, x, weights, *state, **rows):
    with tt.watch(layer) as tape:
        (layer(x, *state, **rows)[0] * weights).sum().backward()
    return tape


def one_by_one(cells, x, states, rows, weights):
    """By field, |dL_t/ds_k| of one backward pass for each t, [L, D, T, T, B]."""
    found = {}
    for t in range(T):
        alone = torch.zeros_like(weights)
        alone[t] = weights[t]
        layers = expected_gradients(cells, x, states, rows, alone)
        for field in states[0]._fields:
            norms = torch.stack([layer[field].norm(dim=-1) for layer in layers])
            found.setdefault(field, []).append(norms)  # [L, T, B, D]
    return {field: torch.stack(each).permute(1, 4, 0, 2, 3) for field, each in found.items()}


@each_kind_of_rows
@each_case
def test_every_pair_is_that_of_a_backward_pass_of_its_own(case, rows):
    layer, cells = fixed(case, num_layers=2, bidirectional=True)
    x, weights = drawn(T, B, I).requires_grad_(), drawn(T, B, 2 * H)
    states = layer.initial_state(B).map(lambda f: torch.randn_like(f).requires_grad_())
    is_there = torch.arange(T)[:, None] < torch.tensor(rows.get("lengths", [T] * B))
    missing = ~(is_there[:, None] & is_there[None])
    found = credit(watched(layer, x, weights, states, **rows)).norm
    for field, expected in one_by_one(cells, x, states, rows, weights).items():
        expected = expected.masked_fill(missing, torch.nan).detach().numpy()
        np.testing.assert_allclose(found[field], expected, **EXACT)


def of_one_loss(layer, x, weights, t):
    """|dL_t/dh_k| of every layer by the tape of a backward pass for one loss, [L, D, T, B]."""
    torch.manual_seed(1)
    alone = torch.zeros_like(weights)
    alone[t] = weights[t]
    layers = watched(layer, x, alone).recording().layers
    return np.stack([own.dstates.h.norm(dim=-1).movedim(2, 0).numpy() for own in layers])


@pytest.mark.parametrize("is_bidirectional", [False, True])
def test_dropout_between_layers_and_residual_ways_are_on_the_way_back(is_bidirectional):
    # of a ReLU, whose zeros do not show what was dropped
    options = {"dropout": 0.5, "residual": True, "bidirectional": is_bidirectional}
    layer = CASES[1].make(num_layers=3, **options)
    x, weights = drawn(T, B, I).requires_grad_(), drawn(T, B, H * (1 + is_bidirectional))
    torch.manual_seed(1)
    found = credit(watched(layer, x, weights)).norm["h"]
    for t in range(T):
        np.testing.assert_allclose(found.sel(loss=t), of_one_loss(layer, x, weights, t), **EXACT)


def test_a_linear_network_teaches_by_the_power_of_its_matrix():
    layer, weights = tt.RNN(H, H, nonlinearity="identity").double(), drawn(T, B, H)
    W = layer.weight_hh_l0.detach()
    found = credit(watched(layer, drawn(T, B, H), weights)).norm["h"][0, 0]
    for t in range(T):
        for k in range(T):
            power = torch.linalg.matrix_power(W, max(t - k, 0))
            expected = (weights[t] @ power).norm(dim=-1) * (k <= t)
            np.testing.assert_allclose(found[t, k], expected, **EXACT)


def test_the_vectors_of_all_losses_add_up_to_the_gradient_of_the_tape():
    layer = tt.LSTM(I, H, 2).double()
    tape = watched(layer, drawn(T, B, I), drawn(T, B, H), lengths=[T, 2, 0], reset=RESET)
    sums = torch.zeros(2, 2, T, B, H, dtype=torch.float64)

    def see(found):
        for field in range(2):
            sums[found.layer, field, found.steps] += found.pulled.at[field]

    layers = tape.recording().layers
    go_back(layers, EVERY, see)
    for own, layer in zip(sums, layers, strict=True):
        for found, expected in zip(own, layer.dstates, strict=True):
            torch.testing.assert_close(found, expected[:, :, 0], rtol=1e-10, atol=1e-12)


def test_nothing_crosses_a_reset_and_padding_is_missing():
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[2, 0] = True
    tape = watched(tt.GRU(I, H).double(), drawn(T, B, I), 1, lengths=[T, 3, 0], reset=reset)
    norm = credit(tape).norm["h"][0, 0]
    assert (norm[2:, :2, 0] == 0).all() and (norm[1, :2, 0] > 0).all()
    assert norm[3:, :, 1].isnull().all() and norm[:, 3:, 1].isnull().all()
    assert norm[:3, :3, 1].notnull().all() and norm[:, :, 2].isnull().all()


def test_packed_rows_have_the_credit_of_padded_ones():
    layer, x = tt.LSTM(I, H, 2).double(), packed([2, T, 3])
    with tt.watch(layer) as tape:
        layer(x)[0].data.square().sum().backward()
    full, lengths = nn.utils.rnn.pad_packed_sequence(x)
    with tt.watch(layer) as other:
        layer(full, lengths=lengths)[0].square().sum().backward()
    xarray.testing.assert_allclose(credit(tape).norm, credit(other).norm, rtol=1e-9)


def test_a_layer_of_torch_has_the_credit_of_its_twin():
    theirs = nn.Sequential(nn.LSTM(I, H, 2).double())
    ours, x = tt.convert(nn.Sequential(nn.LSTM(I, H, 2).double())), drawn(T, B, I)
    ours.load_state_dict(theirs.state_dict())
    norms = [credit(watched(model, x, 1)).norm for model in (ours, theirs)]
    xarray.testing.assert_allclose(*norms, rtol=1e-9)


def test_a_loss_that_reads_the_final_state_is_one_of_the_last_step():
    layer, x, lengths = tt.GRU(I, H, 2, bidirectional=True).double(), drawn(T, B, I), [T, 2, 3]
    with tt.watch(layer) as tape:
        layer(x, lengths=lengths)[1][2].sum().backward()  # the last layer's forward one
    weights = torch.zeros(T, B, 2 * H)
    for row, length in enumerate(lengths):
        weights[length - 1, row, :H] = 1
    expected = credit(watched(layer, x, weights, lengths=lengths)).norm
    xarray.testing.assert_allclose(credit(tape).norm, expected, rtol=1e-9)


def test_a_loss_that_reads_the_final_state_of_a_layer_below_teaches_that_one():
    layer, alone, x = tt.GRU(I, H, 2).double(), tt.GRU(I, H).double(), drawn(T, B, I)
    alone.load_state_dict({name: layer.get_parameter(name) for name in alone.state_dict()})
    tapes = []
    for module in (layer, alone):
        with tt.watch(module) as tape:
            module(x)[1][0].sum().backward()
        tapes.append(tape)
    found, expected = (credit(tape).norm["h"] for tape in tapes)
    xarray.testing.assert_allclose(found[:1], expected, rtol=1e-9)
    assert (found[1] == 0).all()


def test_what_comes_near_the_smallest_number_counts_as_zero():
    layer = tt.RNN(I, H, nonlinearity="identity")
    with torch.no_grad():
        layer.weight_hh_l0.copy_(1e-9 * torch.eye(H))
    norm = credit(watched(layer, drawn(T, B, I).float(), 1)).norm["h"][0, 0]
    np.testing.assert_allclose(norm[4, :, 0], [0, 2e-27, 2e-18, 2e-9, 2], rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "losses"),
    [({"last": 2}, [3, 4]), ({"every": 2}, [0, 2, 4]), ({"last": 4, "every": 3}, [1, 4])],
)
def test_some_of_the_losses_have_the_rows_of_the_whole_matrix(options, losses):
    tape = watched(tt.LSTM(I, H, 2, bidirectional=True).double(), drawn(T, B, I), 1)
    found, whole = credit(tape, **options).norm, credit(tape).norm
    assert found["loss"].values.tolist() == losses
    xarray.testing.assert_allclose(found, whole.sel(loss=losses), rtol=1e-9)


def test_credit_leaves_the_weights_and_the_tape_as_they_are():
    layer = tt.LSTM(I, H).double()
    tape = watched(layer, drawn(T, B, I), 1)
    before, known = [p.grad.clone() for p in layer.parameters()], tape[""].copy(deep=True)
    first, second = credit(tape), credit(tape)
    assert all(map(torch.equal, before, [p.grad for p in layer.parameters()]))
    xarray.testing.assert_identical(known, tape[""])
    xarray.testing.assert_identical(first.norm, second.norm)


def test_the_optimiser_may_step_before_credit_is_measured():
    layer, x = tt.GRU(I, H).double(), drawn(T, B, I)
    tape = watched(layer, x, 1)
    expected = credit(tape).norm
    torch.optim.SGD(layer.parameters(), 1.0).step()
    xarray.testing.assert_identical(credit(tape).norm, expected)


def of(norm, losses=None):
    """A credit of given norms of h, [n, T, B]."""
    n, steps, _ = norm.shape
    axes = ("layer", "direction", "loss", "time", "batch")
    losses = np.arange(n) if losses is None else losses
    coordinates = {"direction": ["forward"], "loss": losses, "time": np.arange(steps)}
    return Credit(xarray.Dataset({"h": (axes, norm[None, None])}, coordinates))


def powers(rates, steps=T):
    """Losses of one size, whose gradients shrink by a rate per step in every row."""
    t, k = np.indices((steps, steps))
    return np.where(k <= t, 1.0, 0)[..., None] * np.power(rates, (t - k).clip(0)[..., None])


def test_the_share_of_a_lag_does_not_hang_on_the_sizes_of_the_losses():
    sizes = np.array([1.0, 100, 3, 0, 7])[:, None, None]
    shares = of(sizes * powers([0.5, 0.25])).by_lag()
    np.testing.assert_allclose(shares.values, [[0.5**j, 0.25**j] for j in range(T)])


def test_a_row_that_ended_has_no_share_of_the_lags_it_has_not():
    norm = powers([0.5, 0.5])
    norm[2:, :, 1] = norm[:, 2:, 1] = np.nan
    shares = of(norm).by_lag()
    np.testing.assert_allclose(shares[:, 0], 0.5 ** np.arange(T))
    assert shares[:, 1].isnull().values.tolist() == [False, False, True, True, True]


def test_the_horizon_is_the_first_lag_under_the_share():
    horizon = of(powers([0.5, 0.5])).memory_horizon(share=0.2)
    assert (horizon.lag, horizon.low, horizon.high) == (3, 3, 3)
    assert str(horizon) == "3 steps (95 %: 3)"


def test_a_horizon_beyond_what_was_measured_says_so():
    horizon = of(powers([0.9, 0.9, 0.01])).memory_horizon(share=0.1)
    assert (horizon.lag, horizon.low, horizon.high) == (None, 1, None)
    assert str(horizon) == "over 4 steps (95 %: 1 to over 4)"


def test_one_row_gives_no_interval():
    horizon = of(powers([0.5])).memory_horizon(share=0.2)
    assert horizon.low is None and str(horizon) == "3 steps"


def test_the_interval_holds_the_true_horizon_as_often_as_it_says():
    # a row's gradient falls at once at one of the lags 1 to 29; the mean falls under 1/2 where
    # half of the rows have fallen: at 15
    steps, rng, hits = 30, np.random.default_rng(0), 0
    t, k = np.indices((steps, steps))
    for _ in range(100):
        falls = rng.integers(1, steps, 40)
        norm = ((t >= k)[..., None] & ((t - k)[..., None] < falls)).astype(float)
        horizon = of(norm).memory_horizon(share=0.5, confidence=0.9, resamples=200)
        hits += horizon.low <= 15 <= horizon.high
    assert 0.81 <= hits / 100  # 0.9 less three standard errors; lags are whole numbers


def test_in_the_reverse_direction_lags_count_ahead():
    layer, weights = tt.GRU(I, H, bidirectional=True).double(), drawn(T, B, 2 * H)
    x = drawn(T, B, I)
    found = credit(watched(layer, x, weights))
    names = [name for name in dict(layer.named_parameters()) if name.endswith("_reverse")]
    alone = tt.GRU(I, H).double()
    alone.load_state_dict(
        {name.removesuffix("_reverse"): layer.get_parameter(name) for name in names}
    )
    expected = credit(watched(alone, x.flip(0), weights.flip(0)[..., H:]))
    shares = found.by_lag(direction="reverse")
    xarray.testing.assert_allclose(shares, expected.by_lag(), rtol=1e-9)


def test_a_tape_without_backward_is_refused():
    layer = tt.RNN(I, H)
    with tt.watch(layer) as tape:
        layer(drawn(T, B, I).float())
    with pytest.raises(OptionError, match=r"from a backward pass.*call loss\.backward\(\)"):
        credit(tape)


@pytest.mark.parametrize("part", ["inputs", "states", "weights", "gradients"])
def test_what_was_not_kept_is_named(part):
    layer = tt.RNN(I, H)
    what = {"inputs", "states", "weights", "gradients"} - {part}
    with tt.watch(layer, tt.Keep(what=what)) as tape:
        layer(drawn(T, B, I).float())[0].sum().backward()
    with pytest.raises(OptionError, match=f"{part} must be on the tape"):
        credit(tape)


def test_a_gradient_that_is_not_finite_is_named():
    weights = torch.ones(T, B, H)
    weights[3, 1, 0] = torch.nan
    tape = watched(tt.RNN(I, H, 2), drawn(T, B, I).float(), weights)
    with pytest.raises(DataError, match="finite, got one that is not in layer 0 at step 3, row 1"):
        credit(tape)


def test_a_matrix_too_large_names_its_memory_and_the_way_to_less():
    tape = watched(tt.LSTM(I, H, 2).double(), drawn(T, B, I), 1)
    gigabytes = 2 * 2 * T * T * B * 8 / 2**30
    with pytest.raises(OptionError, match=r"take 2.24e-06; ask for fewer losses with last="):
        credit(tape, memory_gb=0.99 * gigabytes)
    assert credit(tape, memory_gb=1.01 * gigabytes)


def test_a_loss_of_the_cell_state_is_refused():
    layer = tt.LSTM(I, H).double()
    with tt.watch(layer) as tape:
        y, (_, c) = layer(drawn(T, B, I))
        (y.sum() + c.sum()).backward()
    with pytest.raises(OptionError, match="must add up to that of the backward pass, in layer 0"):
        credit(tape)


def test_a_cell_that_draws_anew_is_refused():
    layer = OPTIONS[-1].make().train()
    tape = watched(layer, drawn(T, B, I), 1)
    with pytest.raises(OptionError, match="h is another one; watch a cell that draws random"):
        credit(tape)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c: c.by_lag(layer=1), "layer must be one of the 1 of the module, got 1"),
        (lambda c: c.by_lag(direction="back"), "direction must be one of forward, got 'back'"),
        (lambda c: c.by_lag(field="c"), "field must be one of h, got 'c'"),
        (lambda c: c.memory_horizon(share=1.0), r"share must be in \(0, 1\), got 1"),
        (lambda c: c.memory_horizon(confidence=95), r"confidence must be in \(0, 1\), got 95"),
        (lambda c: c.memory_horizon(resamples=0), "resamples must be at least 1, got 0"),
    ],
)
def test_a_place_that_is_not_there_is_refused(call, words):
    with pytest.raises(OptionError, match=words):
        call(of(powers([0.5])))


@pytest.mark.parametrize("options", [{"last": 0}, {"last": T + 1}, {"every": 0}])
def test_losses_that_are_not_there_are_refused(options):
    tape = watched(tt.RNN(I, H), drawn(T, B, I).float(), 1)
    with pytest.raises(OptionError, match="must be from 1 to T = 5"):
        credit(tape, **options)


def test_a_horizon_without_a_gradient_is_refused():
    with pytest.raises(DataError, match="losses that have a gradient, all of them are 0"):
        of(0 * powers([0.5])).memory_horizon()


def test_what_is_direct_is_what_the_output_was_told():
    layer, weights = tt.LSTM(I, H, 2).double(), drawn(T, B, H)
    above = watched(layer, drawn(T, B, I), weights).recording().layers[1]
    assert torch.equal(direct(above)[:, :, 0], weights)
