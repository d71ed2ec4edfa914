"""How well texts were classified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime.data.subwords import Lexicon
from throughtime.tasks.confusion import Confusion
from throughtime.tasks.sentiment_network import Classifier
from throughtime.tasks.sentiment_texts import Encoded

_AT_ONCE = 128  # texts read side by side, of similar lengths


@dataclass(frozen=True)
class Score(Confusion):
    """How well texts were classified."""

    nats_per_text: float
    """-ln p(class | text), averaged."""

    cut: int
    """Texts that were read up to the longest length only."""

    @property
    def texts(self) -> int:
        """Texts that were classified."""
        return self.total


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
