"""Why a text was taken for what it was: the nats that each of its words adds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from throughtime.data.word_split import split_words
from throughtime.instruments.saliency import saliency
from throughtime.tasks.sentiment import Model, Prediction

POINTS = 64
"""Points of the path along which gradients are integrated."""


def explain(
    model: Model, found: Sequence[Prediction], points: int = POINTS
) -> list[list[tuple[str, float]]]:
    """The words of each text, and what each adds to the log-probability of the answer.

        sum_t s_t = ln p(label | words) - ln p(label | as many unknown words)

    Integrated gradients (Sundararajan, Taly and Yan 2017) over the words' vectors, from the vector
    of the unknown word on, which is what the network reads for a dropped word.

    Args:
        model: as `load` gives it.
        found: what it says of the texts.
        points: of the path; their error falls as 1/points^2.

    Returns:
        Words as the network reads them, in nats above 0 where they speak for the answer.
    """
    options = model.options.text
    texts = [split_words(one.text, options.punctuation)[: options.longest] for one in found]
    sentences = model.lexicon.join(texts)
    classes = torch.tensor([model.classes.index(one.label) for one in found])

    def score(embedded: Tensor) -> Tensor:
        logits = model.network.classify(embedded, sentences.lengths)
        return logits.log_softmax(-1).gather(1, classes[:, None]).squeeze(1)

    with torch.no_grad():
        embedded = model.network.embedding(sentences)
        unknown = model.network.embedding.words.weight[model.lexicon.unknown]
    parts = saliency(
        score, embedded, baseline=unknown, points=points, lengths=sentences.lengths
    ).integrated_gradients.values  # [T, B]
    return [
        list(zip(words, parts[: len(words), b].tolist(), strict=True))
        for b, words in enumerate(texts)
    ]
