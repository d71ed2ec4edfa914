"""A caption for each picture, and where the network looked while it wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from throughtime.data.pictures import Source, read_picture
from throughtime.tasks.captioning_model import Model
from throughtime.tasks.captioning_write import look_again, to_pieces, to_text, write_all


@dataclass(frozen=True)
class Prediction:
    """What was written for a picture, and where the network looked."""

    picture: NDArray[np.uint8]
    """As it was read, [S, S, 3]."""

    caption: str
    words: list[str]
    """The words or pieces of the caption."""

    maps: NDArray[np.float32]
    """Where the network looked for each, [L, rows, columns]; each map sums to 1."""

    log_probability: float
    """ln p(caption | picture), its end included."""

    is_finished: bool
    """Whether the caption came to its end within the longest length."""


def predict(model: Model, pictures: Sequence[Source]) -> Iterator[Prediction]:
    """A caption for each picture, in their order; features are not kept.

    Args:
        model: as `load` gives it.
        pictures: files, or the content of files.

    Raises:
        DataError: one of them is no picture.
    """
    text, mark = model.options.text, model.tokens.size
    for picture in pictures:
        read = read_picture(picture, model.encoder.side)
        features = model.encoder.encode(read[None]).astype(np.float16)
        (found,) = write_all(
            model.network, model.tokens, [features], text.longest, model.options.model.beam
        )
        (weights,) = look_again(model.network, mark, features, [found.tokens])
        side = int(features.shape[1] ** 0.5)
        yield Prediction(
            read,
            to_text(model.tokens, found.tokens),
            to_pieces(model.tokens, found.tokens),
            weights.reshape(-1, side, side),
            found.log_probability,
            found.is_finished,
        )
