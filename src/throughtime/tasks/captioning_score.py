"""How well a network knows and writes captions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from throughtime.data.pictures import name_of
from throughtime.data.tokens import Tokens
from throughtime.data.words import Words
from throughtime.decode import Hypothesis
from throughtime.record import write_atomically
from throughtime.record.feature_file import FeatureFile
from throughtime.tasks.caption_measures import Measures, measure
from throughtime.tasks.captioning_network import Captioner
from throughtime.tasks.captioning_pictures import Encoded, Known, clean
from throughtime.tasks.captioning_write import AT_ONCE, to_text, write_all
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.token_losses import token_losses

_AT_ONCE = 256  # captions read side by side, of similar lengths


@dataclass(frozen=True)
class Score:
    """How well captions were written."""

    measures: Measures
    """Against all references of each picture."""

    share_exact: float
    """Share of the captions that are word for word one of their references."""

    nats_per_token: float
    """-ln p(word | words before it, picture), averaged over references and their ends."""

    captions: list[str]
    """What was written."""

    references: list[list[str]]
    """What it was measured against: small letters, no punctuation."""

    unfinished: int
    """Captions that did not come to their end within the longest length."""

    cut: int
    """References that were read up to the longest length only, for the nats alone."""

    words: int
    """Words in the references."""

    unknown: int
    """Words in the references that the network cannot write."""


def score(
    network: Captioner, tokens: Tokens, known: Known, encoded: Encoded, longest: int, how: Decoding
) -> Score:
    """Writes a caption for every picture and reads every reference; leaves none out.

    Args:
        network: used as it is, so call `eval()` before.
        tokens: the vocabulary.
        known: pictures and references.
        encoded: the same as numbers, without mirror images.
        longest: most words or pieces written.
        how: by which beam.
    """
    written = write_known(network, tokens, known, encoded.features, longest, how)
    captions = [to_text(tokens, one.tokens) for one in written]
    references = [[clean(text) for text in texts] for texts in known.captioned.captions]
    found = measure(
        [caption.split() for caption in captions],
        [[text.split() for text in texts] for texts in references],
    )
    exact = [caption in texts for caption, texts in zip(captions, references, strict=True)]
    words = [word for texts in references for text in texts for word in text.split()]
    known_words = set(tokens.words if isinstance(tokens, Words) else words)
    return Score(
        found,
        sum(exact) / len(exact),
        nats_per_token(network, encoded),
        captions,
        references,
        sum(not one.is_finished for one in written),
        encoded.cut,
        len(words),
        sum(word not in known_words for word in words),
    )


def write_captions(found: Score, known: Known, file: Path) -> Path:
    """Keeps what was written and what it was measured against, a JSON object a line.

    Raises:
        RunError: the file cannot be written.
    """
    rows = zip(known.captioned.pictures, found.captions, found.references, strict=True)
    lines = [
        json.dumps({"picture": name_of(picture), "caption": caption, "references": texts}) + "\n"
        for picture, caption, texts in rows
    ]
    write_atomically(file, "".join(lines).encode())
    return file


def write_known(
    network: Captioner,
    tokens: Tokens,
    known: Known,
    features: FeatureFile,
    longest: int,
    how: Decoding,
) -> list[Hypothesis]:
    """The best caption of every picture, in their order."""
    rows = features.rows(known.keys)
    parts = (features.read(rows[i : i + AT_ONCE]) for i in range(0, len(rows), AT_ONCE))
    return [best for best, *_ in write_all(network, tokens, parts, longest, how)]


def nats_per_token(network: Captioner, encoded: Encoded) -> float:
    """-ln p of the words of all captions and of their ends, averaged."""
    order = np.argsort(encoded.lengths(), kind="stable")
    total, count = 0.0, 0
    with torch.inference_mode():
        for first in range(0, len(order), _AT_ONCE):
            features, words, steps = encoded.batch(order[first : first + _AT_ONCE])
            logits, _ = network(features, words[:-1])
            total += float(token_losses(logits, words[1:], steps).sum())
            count += int(steps.sum())
    return total / count
