"""When the flight recorder warns: each rule with its reason."""

from __future__ import annotations

from typing import Any

from throughtime.instruments.flight.history import KEPT, LATEST, READINGS, SMOOTH, History

Layers = list[dict[str, Any]]
"""One reading, as `readings.read_tape` gives it."""

GROWN, LEAPT = 10.0, 100.0
"""Times the usual norm: two of the last five, or one alone."""

SHORT = 1 / 8
"""Share of the window under which a horizon is short of it."""

MOST = 0.5
"""Share of the units above which it is no longer some units that are stuck."""

NEVER, ALWAYS = 10.0, 0.5
"""Clip thresholds that can act, in mean norms (Pascanu, Mikolov and Bengio 2013, section 3.2)."""

SUGGESTED = 90
"""Percentile of the recent norms that is suggested: it acts on one update in ten."""


def is_growing(history: History) -> bool:
    """Whether the norm of the gradient has left the range of the updates before.

    Two of the last five norms are more than ten times the median of the fifty before them, or one
    is more than a hundred times it. Pascanu, Mikolov and Bengio 2013 find thresholds up to ten
    times the average norm of use: what is beyond is no longer the noise of batches. One outlier
    alone may be a batch; a hundred times is none.
    """
    usual, latest = history.usual_norm, history.latest_norms()
    grown = sum(norm > GROWN * usual for norm in latest)
    return grown >= 2 or max(latest) > LEAPT * usual


def exploding(history: History, layers: Layers) -> str | None:
    """The gradient's norm grows (`is_growing`), and where it is longest.

    Source: Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and Bengio 2013.
    """
    if not layers or not is_growing(history):
        return None
    norm, usual = max(history.latest_norms()), history.usual_norm
    worst = max(layers, key=lambda layer: layer["largest"]["norm"] or float("inf"))
    at = worst["largest"]
    return (
        f"the gradient explodes: norm {norm:.3g} in the last {LATEST} updates, usually "
        f"{usual:.3g}; longest in {name_of(worst)}, step {at['time']} of {worst['steps']}, row "
        f"{at['row']}; lower the learning rate, or clip the norm at {usual:.2g}."
    )


def diverging(history: History, limit: float | None = None) -> tuple[str, float] | None:
    """The loss has lost more than half of what it had gained, and stays there.

        median of the last 10 > best + max((first - best) / 2, first / 10, 6 sigma)

    best is the lowest such median so far, first the loss of the untrained network, ln V of a
    language model, and sigma the noise from batch to batch. A median of ten takes no notice of
    single bad batches; what stays above for most of ten updates is where training is now.

    Args:
        history: of the updates.
        limit: where it lay when the loss was found to diverge; None to find it.

    Returns:
        The warning and the limit; None below it.
    """
    if history.first is None or len(history.recent) <= SMOOTH:
        return None
    if limit is None:
        gained = history.first - history.best
        limit = history.best + max(gained / 2, abs(history.first) / 10, 6 * history.noise)
    if history.loss_now <= limit:
        return None
    return (
        f"the loss diverges: {history.loss_now:.4g} is the median of the last {SMOOTH} updates, "
        f"it began at {history.first:.4g} and was {history.best:.4g} at best; lower the learning "
        "rate, to a tenth to begin with."
    ), limit


def vanishing(history: History) -> str | None:
    """The loss at the window's end reaches back less than an eighth of it, and no farther now.

    The horizon is the lag at which the gradient of that loss, on its way back through the
    farthest-reaching layer, is under 1 %. New weights forget fast (an LSTM's forget gates begin
    at one half: 1 % is reached after 7 steps), so five readings in a row must be short, the last
    no longer than the first.

    Source: Hochreiter 1991; Bengio, Simard and Frasconi 1994.
    """
    if len(history.horizons) < READINGS:
        return None
    if not all(lag is not None and lag < SHORT * steps for steps, lag in history.horizons):
        return None
    (_, before), (steps, now) = history.horizons[0], history.horizons[-1]
    assert before is not None and now is not None
    if now > before:
        return None
    return (
        f"the gradient vanishes: the loss reaches back {now} of {steps} steps; for a longer memory "
        "begin with tt.init (forget_bias_, chrono_, orthogonal_) or take a gated cell, otherwise "
        f"a window of {max(2 * now, 1)} steps learns the same in less time."
    )


def stuck(layers: Layers) -> str | None:
    """More than half of a layer's units have a gate at one end of its range throughout.

    Within 1 % of the end a sigmoid's slope is under 0.01, a twenty-fifth of its largest: next to
    nothing is learnt through it. The ends at which a unit remembers do not count.

    Source: Glorot and Bengio 2010; Karpathy, Johnson and Fei-Fei 2015.
    """
    found = [
        (share, gate, layer)
        for layer in layers
        for gate, share in layer["stuck"].items()
        if (share or 0) > MOST
    ]
    if not found:
        return None
    share, gate, layer = max(found, key=lambda one: one[0])
    name, end = gate.rsplit(" ", 1)
    return (
        f"gates are saturated: in {share:.0%} of the units of {name_of(layer)} the {name} gate is "
        f"at its {'upper' if end == 'high' else 'lower'} end at every step; lower the learning "
        "rate, or begin with smaller weights."
    )


def dead(layers: Layers) -> str | None:
    """More than half of a layer's units are zero at every step of every row: ReLUs that died.

    Source: Maas, Hannun and Ng 2013.
    """
    worst = max(layers, key=lambda layer: layer["dead"] or 0, default=None)
    if worst is None or (worst["dead"] or 0) <= MOST:
        return None
    return (
        f"units are dead: {worst['dead']:.0%} of {name_of(worst)} are zero at every step; lower "
        "the learning rate and train anew: a ReLU that is zero everywhere gets no gradient."
    )


def clipping(history: History, threshold: float | None) -> str | None:
    """The clip threshold has acted on none, or all, of the last 500 updates, and lies far off.

    Far off is above ten times, or below half of, the mean norm: between them Pascanu, Mikolov and
    Bengio 2013 (section 3.2) found thresholds to serve. The suggestion is a percentile of the
    norms, as of `bptt.AutoClip` (Seetharaman et al. 2020).
    """
    if threshold is None or len(history.recent) < KEPT:
        return None
    acted, mean = sum(update.clipped for update in history.recent), history.mean_norm()
    if acted == 0 and threshold > NEVER * mean:
        what = f"never acts: none of the last {KEPT} gradients was that long"
    elif acted == KEPT and threshold < ALWAYS * mean:
        what = f"always acts: all of the last {KEPT} gradients were shortened"
    else:
        return None
    return (
        f"clipping at {threshold:g} {what}, their mean norm is {mean:.3g}; "
        f"{history.norm_percentile(SUGGESTED):.2g} would act on one in ten."
    )


def name_of(layer: dict[str, Any]) -> str:
    """A layer as a reader knows it.

    Example:
        >>> name_of({"module": "encoder", "layer": 1, "direction": "reverse"})
        'encoder, layer 1 (reverse)'
    """
    reverse = " (reverse)" if layer["direction"] == "reverse" else ""
    return f"{layer['module'] or 'the model'}, layer {layer['layer']}{reverse}"
