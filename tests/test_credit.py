"""Credit: every pair of loss and step at once, against one backward pass per loss."""

import numpy as np
import pytest
import torch
from cases import CASES, OPTIONS, B, H, I, T, name_of, packed
from test_return_all import ROWS, drawn, with_fixed_draws
from test_tape import expected_gradients

import throughtime as tt
from throughtime.errors import DataError, OptionError
from throughtime.instruments import credit

each_case = pytest.mark.parametrize("case", [*CASES, *OPTIONS], ids=name_of)
each_kind_of_rows = pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
EXACT = {"rtol": 1e-9, "atol": 1e-12}


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
    x, weights = drawn(T, B, I), drawn(T, B, 2 * H)
    states = layer.initial_state(B).map(lambda f: torch.randn_like(f).requires_grad_())
    lengths = torch.tensor(rows.get("lengths", [T] * B))
    is_there = torch.arange(T)[:, None] < lengths
    found = credit(watched(layer, x.requires_grad_(), weights, states, **rows)).norm
    missing = ~(is_there[:, None] & is_there[None])
    for field, expected in one_by_one(cells, x, states, rows, weights).items():
        expected = expected.masked_fill(missing, torch.nan).detach().numpy()
        np.testing.assert_allclose(found[field], expected, **EXACT)
