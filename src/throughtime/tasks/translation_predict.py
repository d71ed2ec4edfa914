"""A translation of each sentence, and where the network looked while it wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from throughtime.decode import Hypothesis
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.translation_model import Model
from throughtime.tasks.translation_texts import encode_sentences
from throughtime.tasks.translation_write import to_pieces, to_text

END = "\u23ce"
"""How the mark that ends a sentence is shown."""


@dataclass(frozen=True)
class Prediction:
    """What was written for a sentence."""

    source: str
    translations: list[str]
    """The best first; as many as were asked for, or found."""

    found: list[Hypothesis]
    """Their pieces, scores and log-probabilities, ends included."""


def predict(
    model: Model, sentences: Sequence[str], how: Decoding | None = None
) -> Iterator[Prediction]:
    """The translation of each sentence, in their order; that of a blank one is blank.

    Args:
        model: as `load` gives it.
        sentences: what is translated.
        how: by which beam, or which draws; without it, as the run itself does.

    Raises:
        OptionError: an option is out of its range.
    """
    asked = [text for text in sentences if text.strip()]
    sources = encode_sentences([text.strip() for text in asked], model.vocabulary.source)
    written = iter(model.reader.write(sources, model.options.text.longest, how or Decoding()))
    for sentence in sentences:
        found = next(written) if sentence.strip() else [Hypothesis((), 0.0, 0.0, True)]
        texts = [to_text(model.vocabulary.target, one.tokens) for one in found]
        yield Prediction(sentence, texts, found)


class Looked(NamedTuple):
    """Where a network looked while it wrote a translation.

    Args:
        rows: the pieces that were written, and the mark that ends them.
        columns: the pieces of the source, and the mark that ends it.
        weights: how much each place was looked at for each piece, [rows, columns].
    """

    rows: list[str]
    columns: list[str]
    weights: NDArray[np.float32]


def look_again(model: Model, found: Prediction) -> Looked:
    """Where the network looked for each piece of the best translation of a sentence.

    Args:
        model: as `load` gives it.
        found: as `predict` gives it.
    """
    pieces, written = model.vocabulary, found.found[0].tokens
    (source,) = encode_sentences([found.source.strip()], pieces.source)
    return Looked(
        [*to_pieces(pieces.target, written), END],
        [*to_pieces(pieces.source, source.tolist()), END],
        model.reader.look_again(source, written),
    )
