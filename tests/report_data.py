"""Made-up measurements that look like those of a trained run, for the page's tests."""

from dataclasses import replace

import numpy as np

from throughtime.web import (
    Alignment,
    Attention,
    Credit,
    Curves,
    ExplainedText,
    FixedPoints,
    Flow,
    FoundUnit,
    GateLayer,
    Gates,
    LabelledClip,
    Labelling,
    LayerPoints,
    LayerSpectra,
    LayerUnits,
    Missing,
    ReportData,
    Saliency,
    SeenPicture,
    Spectra,
    Units,
)

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>&lt;\u2028\ud800]]>--><!--"
"""Text that would do harm where it were read as markup."""

WORDS = 'She said "to be, or not to be" and left.\n'


def make_report(
    name="LSTM", seed=0, decay=0.95, hidden=32, steps=120, layers=("layer 0", "layer 1")
):
    """All sections of one run; the gradient falls by `decay` a step."""
    draw = np.random.default_rng(seed)
    return ReportData(
        name=name,
        task="language-model",
        facts={"cell": "lstm", "hidden units": f"{hidden}", "updates": "600"},
        curves=make_curves(draw),
        flow=make_flow(decay, layers),
        credit=make_credit(draw, decay, layers),
        gates=make_gates(draw, hidden, layers),
        units=make_units(draw, hidden, steps, layers),
        spectra=make_spectra(draw, decay, hidden, layers),
        points=make_points(draw),
        saliency=make_saliency(draw),
        attention=make_attention(draw),
        labels=make_labels(draw),
    )


def without(report, **reasons):
    """The same run with some sections missing, each for its reason."""
    return replace(report, **{section: Missing(reason) for section, reason in reasons.items()})


def make_curves(draw):
    update = np.arange(10, 610, 10)
    loss = 1.6 + 2.5 * np.exp(-update / 120)
    noisy = loss + 0.05 * draw.standard_normal(len(loss))
    return Curves("nats per token", update, noisy, update[9::10], loss[9::10] + 0.1, None, "")


def make_flow(decay, layers):
    update, lag = np.arange(0, 601, 50), np.arange(64)
    norm = 3 * decay**lag
    reach = decay ** (lag / (0.3 + update[:, None] / 600))  # [S, K']
    reach[reach < 0.01] = np.nan
    layers, count = list(layers), len(layers)
    return Flow(
        layers, np.stack([norm] * count), update, np.stack([reach] * count), "Means over 32 rows."
    )


def make_credit(draw, decay, layers, steps=60):
    step = np.arange(steps)
    lag = step[:, None] - step
    norm = np.where(
        lag >= 0, decay ** np.maximum(lag, 0) * draw.uniform(0.5, 1.5, lag.shape), np.nan
    )
    return Credit(
        layers,
        loss_step=step,
        state_step=step,
        norm=np.stack([norm] * len(layers)),
        lag=step,
        by_lag=np.stack([decay**step] * len(layers)),
        horizon=[f"{round(np.log(0.01) / np.log(decay))} steps"] * len(layers),
        sampling="Every step of one window of 60.",
    )


def make_gates(draw, hidden, layers):
    edges = np.linspace(0, 1, 21)
    names = ("input", "forget", "output")
    values = draw.beta(2, [[[1.0]], [[0.5]], [[2.0]]], (3, hidden, 400))
    share = np.stack([np.histogram(gate, edges)[0] / gate.size for gate in values])
    edges = np.stack([edges] * 3)
    left, right = (values < 0.1).mean(2), (values > 0.9).mean(2)
    time = -1 / np.log(values[1]).mean(1)
    return Gates(0.1, [GateLayer(l, names, edges, share, left, right, time) for l in layers], "")


def make_units(draw, hidden, steps, layers, text=WORDS):
    tokens = (list(text) * (steps // len(text) + 1))[:steps]
    inside = np.cumsum([token == '"' for token in tokens]) % 2
    h = np.tanh(draw.standard_normal((steps, hidden)).cumsum(0) / 4)
    h[:, 5] = 0.8 * inside - 0.4 + 0.05 * draw.standard_normal(steps)
    signals = {"h": h.astype(np.float16), "forget": (0.5 + 0.5 * h).astype(np.float16)}
    return Units(
        tokens,
        [LayerUnits(layer, np.arange(hidden), signals) for layer in layers],
        [FoundUnit("inside quotes", layers[0], "h", 5, "AUC", 0.93, 0.61)],
        f"All {hidden} units at {steps} tokens.",
    )


def make_spectra(draw, decay, hidden, layers, count=6):
    values = np.linalg.eigvals(decay * draw.standard_normal((count, hidden, hidden)) / hidden**0.5)
    radius, lag = np.abs(values).max(1), np.arange(50)
    step = np.arange(count) * 10
    one = LayerSpectra(
        layers[0],
        step,
        values.real,
        values.imag,
        radius,
        decay**lag,
        1.1**lag,
        np.log(decay) - lag / 50,
    )
    return Spectra([replace(one, layer=layer) for layer in layers], f"{count} steps of one row.")


def make_points(draw, count=8):
    corners = np.array([[x, y] for x in (-1.0, 1.0) for y in (-1.0, 1.0)])
    points = np.concatenate([corners, 0.1 * draw.standard_normal((count - 4, 2))])
    paths = corners[draw.integers(0, 4, 12), None] * np.linspace(0, 1, 30)[:, None]
    unstable = (np.arange(count) >= 4).astype(int)
    return FixedPoints(
        [
            LayerPoints(
                "input “ ”",
                points,
                10.0 ** draw.uniform(-20, -12, count),
                0.9 + 0.3 * unstable,
                unstable,
                paths + 0.05 * draw.standard_normal(paths.shape),
                (0.61, 0.22),
            )
        ],
        "Searched from 512 visited states.",
    )


def make_saliency(draw, words=("not", "a", "dull", "film"), classes=("positive", "negative")):
    """A right answer and a wrong one; the third word speaks for it most, the first against it."""
    influence = np.array([-1.0, 0.1, 2.0, 0.2]) + 0.01 * draw.standard_normal(4)
    right = ExplainedText(words, influence, classes[1], classes[1], 0.9)
    wrong = ExplainedText(words[1:], influence[1:] / 2, *classes, 0.6)
    return Saliency([right, wrong], "2 of 40 texts held out.")


def make_attention(draw, words=("eine", "graue", "Katze"), read=("a", "grey", "cat", ".")):
    """A picture of 2 x 2 places, half of it dark, and a sentence, read nearly word by word."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:] = (240, 120, 0)
    maps = draw.dirichlet([0.5] * 4, len(words)).reshape(-1, 2, 2)
    maps[1] = [[0, 1], [0, 0]]
    weights = 0.85 * np.eye(len(words), len(read)) + 0.15 / len(read)
    facts = {"written": " ".join(words), "reference": "die graue Katze"}
    return Attention(
        [Alignment(" ".join(read), words, read, weights, facts)],
        [SeenPicture(" ".join(words), words, maps, picture, facts)],
        "One picture and one sentence held out.",
    )


def make_labels(draw, classes=("nothing", "bar", "post"), title="clip 7"):
    """A clip of twenty frames whose bar was taken for a post from its fifth frame on."""
    truth = np.repeat([0, 1, 0], [4, 12, 4])
    predicted = np.repeat([0, 1, 2, 0], [4, 4, 8, 4])
    frames = draw.integers(0, 256, (5, 8, 12)).astype(np.uint8)
    shown, probability = np.arange(2, 20, 4), draw.uniform(0.5, 1, 20)
    facts = {"right": "60 %"}
    clip = LabelledClip(title, truth, predicted, probability, shown, frames, facts)
    return Labelling(classes, [clip], "The only clip held out.")
