"""Every warning fires on a constructed case, and not on its healthy twin."""

import math
import random

import pytest

from throughtime.instruments.flight import rules
from throughtime.instruments.flight.history import KEPT, READINGS, History, Update
from throughtime.instruments.flight.lookout import CALM, Lookout


def history_of(losses, norms=None, clipped=False):
    history = History()
    norms = [1.0] * len(losses) if norms is None else norms
    for number, (loss, norm) in enumerate(zip(losses, norms, strict=True), start=1):
        history.add(Update(number, loss, norm, clipped))
    return history


def layer(**changes):
    """What a healthy layer reads like."""
    plain = {
        "module": "encoder",
        "layer": 1,
        "direction": "forward",
        "steps": 128,
        "largest": {"norm": 2.0, "time": 7, "row": 3},
        "reach": [1.0, 0.5],
        "horizon": 60,
        "stuck": {"candidate low": 0.1, "output low": 0.2},
        "dead": 0.2,
    }
    return plain | changes


def noisy(mean, spread, num, seed=5):
    draw = random.Random(seed)
    return [mean * math.exp(draw.gauss(0, spread)) for _ in range(num)]


def test_growing_norms_are_an_explosion_that_names_layer_step_and_row():
    history = history_of([4.0] * 33, [*noisy(1.0, 0.4, 30), 12.0, 40.0, 30.0])
    said = rules.exploding(history, [layer(), layer(layer=0, largest={"norm": 1.0}, steps=1)])
    assert "explodes" in said and "encoder, layer 1, step 7 of 128, row 3" in said


@pytest.mark.parametrize("tail", [[], [30.0], [6.0, 6.0, 6.0]], ids=["noise", "outlier", "rise"])
def test_noise_and_one_outlier_are_no_explosion(tail):
    norms = [*noisy(1.0, 0.4, 200), *tail]
    assert rules.exploding(history_of([4.0] * len(norms), norms), [layer()]) is None


def test_a_loss_above_its_beginning_diverges():
    assert rules.diverging(history_of([4.6] + [60.0] * 10)) is not None
    assert rules.diverging(history_of([4.6] + [4.7] * 10)) is None


def test_a_loss_that_lost_half_of_its_gain_diverges_and_a_spike_does_not():
    learnt = [4.6, *(4.6 - 0.03 * k for k in range(90)), *noisy(1.9, 0.03, 60)]
    assert rules.diverging(history_of([*learnt, *[4.2] * 6])) is not None
    assert rules.diverging(history_of([*learnt, *[50.0] * 4])) is None
    assert rules.diverging(history_of([*learnt, *[2.4] * 10])) is None


def test_a_noisy_plateau_does_not_diverge():
    draw = random.Random(1)
    plateau = [0.167 + draw.gauss(0, 0.04) for _ in range(2000)]
    history = History()
    for number, loss in enumerate(plateau, start=1):
        history.add(Update(number, loss, 1.0, False))
        assert rules.diverging(history) is None or number < 60


def with_horizons(*lags):
    history = history_of([4.0])
    for lag in lags:
        history.add_reading([layer(horizon=lag), layer(horizon=2, layer=0)])
    return history


def test_a_short_horizon_that_stays_short_is_vanishing():
    assert "reaches back 14 of 128 steps" in rules.vanishing(with_horizons(14, 13, 15, 12, 14))


@pytest.mark.parametrize(
    "lags",
    [(14, 14, 14, 14), (3, 5, 8, 11, 15), (14, 14, 14, 14, 16), (14, 14, 14, 14, None)],
    ids=["new", "growing", "long", "beyond the window"],
)
def test_a_horizon_that_is_new_growing_or_long_is_not_vanishing(lags):
    assert rules.vanishing(with_horizons(*lags)) is None


def test_stuck_gates_and_dead_units_are_named():
    assert rules.stuck([layer()]) is None and rules.dead([layer()]) is None
    assert "the candidate gate is at its lower end" in rules.stuck(
        [layer(stuck={"candidate low": 0.7})]
    )
    assert "70% of encoder, layer 1" in rules.dead([layer(dead=0.7)])


@pytest.mark.parametrize(
    ("norm", "acted", "threshold", "expected"),
    [
        (0.01, False, 1.0, "never acts"),
        (10.0, True, 1.0, "always acts"),
        (0.5, False, 1.0, None),
        (1.5, True, 1.0, None),
        (0.01, False, None, None),
    ],
)
def test_a_clip_threshold_far_off_is_named_with_another(norm, acted, threshold, expected):
    history = history_of([4.0] * KEPT, noisy(norm, 0.3, KEPT), acted)
    said = rules.clipping(history, threshold)
    assert said is None if expected is None else expected in said
    if expected:
        suggested = float(said.rsplit("; ", 1)[1].split()[0])
        longer = sum(update.norm > suggested for update in history.recent)
        assert longer == pytest.approx(KEPT / 10, abs=KEPT / 20)


def test_a_warning_is_said_once_until_its_condition_has_gone():
    lookout = Lookout(clip=None)
    said = []
    losses = [4.6] + [60.0] * 30 + [4.5] * 40 + [60.0] * 30
    for number, loss in enumerate(losses, start=1):
        lookout.history.add(Update(number, loss, 1.0, False))
        said += [(w.rule, w.text is None, number) for w in lookout.judge(None)]
    rule, is_gone, when = zip(*said, strict=True)
    assert rule == ("diverging",) * 3 and is_gone == (False, True, False)
    assert when[0] == 11 and when[1] <= 31 + 10 + CALM["diverging"]


def test_growing_norms_ask_for_a_reading_once():
    lookout, asked = Lookout(clip=None), []
    for number, norm in enumerate([1.0] * 20 + [1e3] * 5, start=1):
        lookout.history.add(Update(number, 4.0, norm, False))
        lookout.judge([layer()] if lookout.wants_reading else None)
        asked.append(lookout.wants_reading)
    assert asked == [False] * 20 + [True] + [False] * 4


def test_a_lookout_goes_on_where_another_stood():
    draw = random.Random(3)
    updates = [
        Update(n, draw.uniform(1, 9), 10 ** draw.uniform(-2, 3), False) for n in range(1, 900)
    ]
    whole, first, second = (Lookout(clip=None) for _ in range(3))

    def judge(lookout, update):
        lookout.history.add(update)
        return lookout.judge([layer()] if update.number % 7 == 0 else None)

    expected = [judge(whole, update) for update in updates]
    found = [judge(first, update) for update in updates[:450]]
    second.load_state_dict(first.state_dict())
    found += [judge(second, update) for update in updates[450:]]
    assert found == expected and any(expected)
    assert len(second.history.horizons) == READINGS
