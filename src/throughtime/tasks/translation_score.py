"""How well a network knows and writes translations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from throughtime.data.parallel import Parallel
from throughtime.record import write_atomically
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.token_losses import token_losses
from throughtime.tasks.translation_texts import Encoded, Vocabulary
from throughtime.tasks.translation_write import Reader, to_text

_AT_ONCE = 128  # pairs read side by side, of similar lengths


@dataclass(frozen=True)
class Measured:
    """One measure of all translations."""

    name: str
    value: float
    """From 0 to 100."""

    signature: str
    """How it was measured, by sacreBLEU's own words."""


@dataclass(frozen=True)
class Score:
    """How well sentences were translated."""

    measures: list[Measured]
    """BLEU as it is written, BLEU in small letters, chrF."""

    share_exact: float
    """Share of the translations that are their reference to the letter."""

    translations: list[str]

    unfinished: int
    """Translations that did not come to their end within the longest length."""


def score(
    reader: Reader,
    vocabulary: Vocabulary,
    pairs: Parallel,
    encoded: Encoded,
    longest: int,
    how: Decoding,
) -> Score:
    """Translates every source and measures it; leaves none out.

    Args:
        reader: its network is used as it is, so call `eval()` before.
        vocabulary: the pieces.
        pairs: sources and references.
        encoded: the same as numbers.
        longest: most pieces written.
        how: by which beam.
    """
    written = [best for best, *_ in reader.write(encoded.sources, longest, how)]
    texts = [to_text(vocabulary.target, one.tokens) for one in written]
    exact = [text == " ".join(of.split()) for text, of in zip(texts, pairs.targets, strict=True)]
    return Score(
        measure(texts, pairs.targets),
        sum(exact) / len(exact),
        texts,
        sum(not one.is_finished for one in written),
    )


def measure(translations: Sequence[str], references: Sequence[str]) -> list[Measured]:
    """BLEU as it is written, BLEU in small letters, and chrF, by sacreBLEU (Post 2018).

        BLEU = 100 min(1, e^(1 - r/c)) (p_1 p_2 p_3 p_4)^(1/4)          (Papineni et al. 2002)
        chrF = 100 (1 + b^2) P R / (b^2 P + R),   b = 2, over runs of 1 to 6 characters
                                                                        (Popovic 2015)

    Args:
        translations: N.
        references: one of each, N.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    metrics: dict[str, Any] = {
        "BLEU": BLEU(),
        "BLEU, small letters": BLEU(lowercase=True),
        "chrF": CHRF(),
    }
    return [
        Measured(
            name,
            metric.corpus_score(list(translations), [list(references)]).score,
            str(metric.get_signature()),
        )
        for name, metric in metrics.items()
    ]


def nats_per_piece(reader: Reader, encoded: Encoded) -> float:
    """-ln p of the pieces of all targets and of their ends, averaged."""
    order = np.argsort(encoded.lengths(), kind="stable")
    total, count = 0.0, 0
    network = reader.network
    with torch.inference_mode():
        for first in range(0, len(order), _AT_ONCE):
            batch = encoded.batch(order[first : first + _AT_ONCE])
            o, _, _ = network.read(batch.target[:-1], network.look(batch.source, batch.lengths))
            losses = token_losses(network.choose(o), batch.target[1:], batch.steps)
            total += float(losses.sum())
            count += int(batch.steps.sum())
    return total / count


def write_translations(found: Score, pairs: Parallel, file: Path) -> Path:
    """Keeps what was written and what it was measured against, a JSON object a line.

    Raises:
        RunError: the file cannot be written.
    """
    names = ("source", "translation", "reference")
    rows = zip(pairs.sources, found.translations, pairs.targets, strict=True)
    lines = [
        json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows
    ]
    write_atomically(file, "".join(lines).encode("utf-8", "surrogatepass"))
    return file
