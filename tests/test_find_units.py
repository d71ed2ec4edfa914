"""Units that follow a property: planted ones are found, and chance is told from them."""

import itertools
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import throughtime as tt
from throughtime.errors import DataError, OptionError, ShapeError
from throughtime.instruments import (
    LayerRecording,
    Reading,
    Recording,
    find_units,
    unit_scores,
    units,
)
from throughtime.instruments.dataset import DIRECTIONS
from throughtime.instruments.figures_units import found_units_figure
from throughtime.layers.observer import Watched
from throughtime.layers.trace import Trace
from throughtime.sequences import WHOLE

H, N = 6, 400
EXACT = {"rtol": 1e-10, "atol": 1e-12}
TEXT = ('a "quoted word" and\nmore (of it) stands\n' * 20)[:N]


def reading_of(values, tokens=TEXT, rows=1):
    """A reading of which every unit's values are known, [H, N]."""
    layer = tt.RNN(1, len(values)).double()
    x = torch.zeros(len(tokens) // rows, rows, 1).double()
    h = torch.as_tensor(values).T.reshape(rows, -1, len(values)).transpose(0, 1)
    states = tt.cells.HiddenState(h[:, :, None].contiguous())
    trace = Trace(wants_gradients=False)
    trace.see(states)
    seen = Watched(layer.cells()[0], x, None, WHOLE, trace, None, False)
    recording = Recording("", 0, [LayerRecording(seen, None, {"states"})])
    return Reading(list(tokens), SimpleNamespace(recording=lambda name, call: recording))


def noise(seed=0, smooth=8, num=H, size=N):
    """Values that hang on their neighbours, [num, size]."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((num, size + smooth))
    return np.stack([np.convolve(row, np.ones(smooth), "valid")[:size] for row in steps])


def planted(target, sign, unit=3):
    values = noise()
    values[unit] = 0.2 * values[unit] + sign * 4 * target
    return values


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("rows", [1, 4])
def test_a_planted_unit_is_first_with_its_sign_and_threshold(sign, rows):
    holds = np.array([c in '"quoted word' for c in TEXT])
    found = find_units(
        reading_of(planted(holds, sign), rows=rows), lambda text: holds, ranks=2, shifts=50
    )
    best = found.data.isel(rank=0)
    values, held = sign * planted(holds, sign)[3, N // 2 :], holds[N // 2 :]
    moved = unit_scores.shifted(held.astype(float), 50, seed=1)
    same = (moved == held[:, None]).all(axis=0).sum()  # moved by a period of the text: as good
    assert found.unit() == (0, "forward", "h", 3) and best.sign == sign
    assert best.score > 0.95 and same > 0 and best.p_value == (1 + same) / 51
    above = values > best.threshold.item()
    assert best.balanced_accuracy.item() == pytest.approx(
        (above[held].mean() + 1 - above[~held].mean()) / 2, rel=1e-12
    )
    np.testing.assert_array_equal(found.values(), planted(holds, sign)[3])


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_planted_counter_is_first_for_the_line_position(sign):
    lengths = np.random.default_rng(5).integers(3, 60, 20)  # lines of one length would realign
    text = "".join("x" * length + "\n" for length in lengths)[:N]
    position = np.array([len(text[: i + 1].rpartition("\n")[2]) for i in range(N)])
    reading = reading_of(planted(position / 10, sign), text)
    found = find_units(reading, "line position", shifts=50)
    best = found.data.isel(rank=0)
    assert found.unit().unit == 3 and best.sign == sign and best.score > 0.9
    assert best.p_value == 1 / 51 and math.isnan(best.threshold)


@pytest.mark.parametrize("seed", range(8))
def test_the_best_unit_of_noise_is_not_significant_on_held_out_text(seed):
    holds = noise(seed + 100, smooth=12, num=1)[0] > 0
    found = find_units(reading_of(noise(seed, smooth=12)), lambda text: holds, seed=seed)
    assert found.data.p_value[0] > 0.05


def test_a_random_network_does_not_follow_what_has_nothing_to_do_with_its_text():
    torch.manual_seed(1)
    lstm = tt.LSTM(4, 32).double()
    for seed in range(4):
        with torch.no_grad(), tt.watch(lstm) as tape:
            lstm(torch.randn(N, 1, 4).double())
        holds = noise(seed, smooth=12, num=1)[0] > 0
        found = find_units(Reading(TEXT, tape), lambda text, holds=holds: holds)
        assert found.searched == 64 and found.data.p_value[0] > 0.05


def test_a_p_value_is_seldom_small_by_chance():
    values = []
    for seed in range(40):
        holds = noise(seed + 50, smooth=6, num=1)[0] > 0
        found = find_units(reading_of(noise(seed, smooth=6)), lambda text: holds, shifts=60)  # noqa: B023
        values.append(found.data.p_value[0].item())
    assert np.mean(np.array(values) <= 0.1) <= 0.15


def test_an_auc_is_the_share_of_pairs_in_the_right_order():
    values = np.array([[3.0, 1.0, 2.0, 2.0, 0.0, 2.0]])
    holds = np.array([True, False, True, False, False, True])
    pairs = list(itertools.product(values[0][holds], values[0][~holds]))
    share = sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
    ranks = unit_scores.centred_ranks(values)
    score = unit_scores.scores(ranks, unit_scores.weights(holds), True)
    assert 0.5 + score[0] == pytest.approx(share, rel=1e-12)


def test_a_rank_correlation_is_the_correlation_of_ranks():
    values, size = np.random.default_rng(0).integers(0, 9, (2, 30)).astype(float)
    mean_rank = [[((v < x).sum() + (v <= x).sum() - 1) / 2 for x in v] for v in (values, size)]
    score = unit_scores.scores(
        unit_scores.centred_ranks(values[None]), unit_scores.weights(size), False
    )
    assert score[0] == pytest.approx(np.corrcoef(mean_rank)[0, 1], rel=1e-10)


def test_a_shift_keeps_the_property_and_moves_it_by_a_twentieth_at_least():
    moved = unit_scores.shifted(np.arange(100.0), 50, seed=3)
    begins = moved[0].astype(int)
    assert np.all((6 <= begins) & (begins <= 94)) and len(set(begins)) > 20
    np.testing.assert_array_equal((moved - moved[0]) % 100, np.tile(np.arange(100), (50, 1)).T)


def test_the_threshold_is_that_of_the_best_balanced_accuracy():
    rng = np.random.default_rng(2)
    values, holds = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.4
    best = max(unit_scores.balanced_accuracy(values > t, holds) for t in np.arange(-0.5, 6))
    threshold = unit_scores.best_threshold(values, holds)
    assert unit_scores.balanced_accuracy(values > threshold, holds) == pytest.approx(best)


def test_a_unit_that_never_changes_scores_as_chance():
    values = noise()
    values[1:] = 0.5
    for pattern in ("inside quotes", "line position"):
        found = find_units(reading_of(values), pattern)
        dead = found.data.score[found.data.unit != 0] - (0.5 if pattern == "inside quotes" else 0)
        np.testing.assert_allclose(dead, 0, atol=1e-12)


@pytest.mark.parametrize("d", [0, 1])
def test_rows_one_after_the_other_are_the_text_up_to_its_end(d):
    gru = tt.GRU(1, H, num_layers=2, batch_first=True, bidirectional=True).double()
    with torch.no_grad(), tt.watch(gru) as tape:
        gru(torch.randn(3, 5, 1).double(), lengths=[5, 2, 4])
    reading = Reading("to be or n", tape)
    for layer in (0, 1):
        recorded = tape.recording().layers[layer]
        h, update = recorded.states.h[:, :, d], recorded.gates["update"][:, :, d]
        rows = [torch.cat([part[:5, 0], part[:2, 1], part[:3, 2]]).T for part in (h, update)]
        np.testing.assert_array_equal(reading.values("h", layer, d), rows[0])
        shown = units(reading, 2, of="update", layer=layer - 2, direction=DIRECTIONS[d])
        np.testing.assert_array_equal(shown.values, rows[1][2])
        assert shown.scale() == (0, 0.5, 1) and f"layer {layer}" in shown.title
    for wrong in ("to be o", "to be or not"):
        with pytest.raises(ShapeError, match="tokens must be 11, one per step"):
            Reading(wrong, tape)


def test_numbers_of_half_precision_can_be_looked_at():
    rnn = tt.RNN(1, H).bfloat16()
    with torch.no_grad(), tt.watch(rnn) as tape:
        rnn(torch.randn(N, 1, 1).bfloat16())
    h = tape.recording().layers[0].states.h[:, 0, 0]
    reading = Reading(TEXT, tape)
    np.testing.assert_array_equal(reading.values(), h.T.float())
    assert find_units(reading, "inside quotes").searched == H


def test_the_table_and_the_figure_say_what_was_found():
    holds = np.array([c == "o" for c in TEXT])
    found = find_units(reading_of(planted(holds, -1)), re.compile("o"), ranks=2)
    assert "matching o: AUC on 200 tokens held out" in str(found)
    assert "-h[3] of layer 0" in str(found)
    figure = found_units_figure(found, "Title", "note")
    left, right = figure.axes
    assert left.get_xlabel() == "value of h[3] of layer 0" and right.get_xlabel() == "AUC"
    assert right.lines[-1].get_xdata()[0] == found.data.score[0].item()
    sized = found_units_figure(find_units(reading_of(noise()), "line position"), "Title", "note")
    assert sized.axes[0].get_xlabel() == "line position"


@pytest.mark.parametrize(
    ("pattern", "options", "error", "message"),
    [
        ("insde quotes", {}, OptionError, r"one of inside quotes, .*, got 'insde quotes'; re.comp"),
        ("inside quotes", {"held_out": 1.0}, OptionError, r"held_out must be in \(0, 1\), got 1"),
        ("inside quotes", {"shifts": 0}, OptionError, "shifts must be at least 1, got 0"),
        ("inside quotes", {"of": ["c"]}, OptionError, "it keeps states; add 'gates'"),
        ("inside quotes", {"held_out": 0.99}, DataError, "at least 20 tokens, got 4; give more"),
        ("inside comment", {}, DataError, "must vary in the first part .* is False at all of its"),
        (lambda text: np.full(len(text), math.nan), {}, DataError, "must be finite"),
        (lambda text: np.array(list(text)), {}, DataError, "of bools or numbers, got <U1"),
        (lambda text: np.zeros(3), {}, ShapeError, r"must give \[400\], one value per character"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(pattern, options, error, message):
    with pytest.raises(error, match=message):
        find_units(reading_of(noise()), pattern, **options)


def test_a_unit_that_is_not_a_number_is_refused_by_name():
    values = noise()
    values[2, 7] = math.nan
    with pytest.raises(OptionError, match=r"units must be finite, h\[2\] of layer 0 is not"):
        find_units(reading_of(values), "inside quotes")


@pytest.mark.parametrize(
    ("unit", "where", "message"),
    [
        (6, {}, "a unit must be from 0 to 5, .* got h"),
        (0, {"layer": 1}, "layer must be from 0 to 0, got 1"),
        (0, {"layer": -2}, "layer must be from 0 to 0, got -2"),
        (0, {"direction": "reverse"}, "direction must be from 0 to 0, got 1"),
        (0, {"direction": "back"}, "forward or reverse, got h"),
    ],
)
def test_a_unit_that_is_not_there_is_refused(unit, where, message):
    with pytest.raises(OptionError, match=message):
        units(reading_of(noise()), unit, **where)
