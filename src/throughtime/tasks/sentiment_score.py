"""How well texts were classified: accuracy, F1, and what was taken for what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime.data.subwords import Lexicon
from throughtime.instruments.figures import save_figure
from throughtime.tasks.sentiment_network import Classifier
from throughtime.tasks.sentiment_texts import Encoded

_AT_ONCE = 128  # texts read side by side, of similar lengths


@dataclass(frozen=True)
class Score:
    """How well texts were classified."""

    classes: tuple[str, ...]
    """The labels, K."""

    confusion: NDArray[np.int64]
    """Texts by class and by the class they were taken for, [K, K]."""

    nats_per_text: float
    """-ln p(class | text), averaged."""

    cut: int
    """Texts that were read up to the longest length only."""

    @property
    def texts(self) -> int:
        """Texts that were classified."""
        return int(self.confusion.sum())

    @property
    def share_right(self) -> float:
        """Accuracy: share of the texts taken for what they are."""
        return float(np.trace(self.confusion) / self.texts)

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 of each class, 2 TP / (2 TP + FP + FN), [K]; 0 for a class that never occurs."""
        right = np.diag(self.confusion)
        either = self.confusion.sum(0) + self.confusion.sum(1)
        return np.where(either > 0, 2 * right / np.maximum(either, 1), 0.0)

    @property
    def macro_f1(self) -> float:
        """The mean of F1 over the classes."""
        return float(self.f1.mean())


def score(network: Classifier, lexicon: Lexicon, texts: Encoded, classes: tuple[str, ...]) -> Score:
    """Reads every text once; the network is used as it is, so call `eval()` before."""
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    nats = 0.0
    for places, logits in read_all(network, lexicon, texts):
        target = torch.from_numpy(texts.classes[places])
        nats += cross_entropy(logits, target, reduction="sum").item()
        np.add.at(confusion, (texts.classes[places], logits.argmax(-1).numpy()), 1)
    return Score(classes, confusion, nats / len(texts.words), texts.cut)


def read_all(
    network: Classifier, lexicon: Lexicon, texts: Encoded
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """The logits of all texts, [B, K] at a time, and the places of those; short ones first."""
    order = np.argsort(texts.lengths(), kind="stable")
    with torch.inference_mode():
        for first in range(0, len(order), _AT_ONCE):
            places = order[first : first + _AT_ONCE]
            yield places, network(texts.batch(lexicon, places)[0])


def draw_confusion(found: Score, place: Path) -> Path:
    """Draws what was taken for what, as PNG and SVG.

    Args:
        found: the score.
        place: where the pictures go, without a suffix.

    Returns:
        The PNG.
    """
    from matplotlib.figure import Figure

    count = len(found.classes)
    side = min(12.0, 2.6 + 0.9 * count)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    ax = figure.subplots()
    rows = found.confusion.sum(1, keepdims=True)
    shares = found.confusion / np.maximum(rows, 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if count <= 20:  # more would not be read
        for (true, taken), number in np.ndenumerate(found.confusion):
            share = shares[true, taken]
            ink = "white" if share > 0.6 else "#222222"
            label = f"{number:,}\n{100 * share:.0f} %"
            ax.text(taken, true, label, ha="center", va="center", color=ink)
    names = [name if len(name) < 16 else f"{name[:14]}…" for name in found.classes]
    # A label may hold a dollar sign, which is no formula here.
    ax.set_xticks(range(count), names, rotation=0 if count < 4 else 60, parse_math=False)
    ax.set_yticks(range(count), names, parse_math=False)
    ax.set_xlabel("taken for")
    ax.set_ylabel("is in truth")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    figure.suptitle(f"{100 * found.share_right:.1f} % of {found.texts:,} texts right", fontsize=11)
    return save_figure(figure, place)[0]
