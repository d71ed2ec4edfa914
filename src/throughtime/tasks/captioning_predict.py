"""A caption for each picture, and where the network looked while it wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughtime.data.pictures import Source, read_picture
from throughtime.decode import Hypothesis
from throughtime.tasks.captioning_model import Model
from throughtime.tasks.captioning_write import look_again, to_pieces, to_text, write_all
from throughtime.tasks.decoding_options import Decoding


@dataclass(frozen=True)
class Prediction:
    """What was written for a picture, and where the network looked."""

    picture: NDArray[np.uint8]
    """As it was read, [S, S, 3]."""

    captions: list[str]
    """The best first; as many as were asked for, or found."""

    found: list[Hypothesis]
    """Their words or pieces, scores and log-probabilities, ends included."""

    words: list[str]
    """The words or pieces of the best caption."""

    maps: NDArray[np.float32]
    """Where the network looked for each, [L, rows, columns]; each map sums to 1."""


def predict(
    model: Model, pictures: Sequence[Source], how: Decoding | None = None
) -> Iterator[Prediction]:
    """Captions for each picture, in their order; features are not kept.

    Args:
        model: as `load` gives it.
        pictures: files, or the content of files.
        how: by which beam, or which draws; without it, as the run itself does.

    Raises:
        DataError: one of them is no picture.
        OptionError: an option is out of its range.
    """
    network, tokens, longest = model.network, model.tokens, model.options.text.longest
    for picture in pictures:
        read = read_picture(picture, model.encoder.side)
        features = model.encoder.encode(read[None]).astype(np.float16)
        (found,) = write_all(network, tokens, [features], longest, how or Decoding())
        best = found[0].tokens
        (weights,) = look_again(network, tokens.size, features, [best])
        side = int(features.shape[1] ** 0.5)
        yield Prediction(
            read,
            [to_text(tokens, one.tokens) for one in found],
            found,
            to_pieces(tokens, best),
            weights.reshape(-1, side, side),
        )
