"""What the recipes answer, and from what: words with their influence, maps, labels along time.

Axes: T pieces that are written or frames, S pieces that are read, R and C rows and columns of the
places of a picture, Y and X of its pixels, F frames that are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from throughtime.errors import ShapeError

Floats = NDArray[Any]
Whole = NDArray[Any]


@dataclass(frozen=True)
class ExplainedText:
    """A text, what it was taken for, and what its words had to do with it."""

    words: Sequence[str]
    """As the network reads them, [T]; anything may stand in them."""

    influence: Floats
    """Nats that each adds to the log-probability of the answer, [T]."""

    truth: str
    predicted: str
    probability: float
    """Of the predicted class."""


@dataclass(frozen=True)
class Saliency:
    """Why texts were taken for what they were."""

    texts: Sequence[ExplainedText]
    sampling: str


@dataclass(frozen=True)
class Alignment:
    """A written sentence, and for each of its pieces where in the read one the network looked.

    Args:
        title: what tells it from the others.
        rows: pieces that were written, [T]; anything may stand in them, as in all these texts.
        columns: pieces that were read, [S].
        weights: of the attention, [T, S], from 0 to 1; each row sums to 1.
        facts: what else a reader should see, by what it is called.

    Raises:
        ShapeError: the weights are not [T, S].

    Example:
        >>> import numpy as np
        >>> looked = np.array([[0.9, 0.1], [0.2, 0.8]])
        >>> facts = {"reference": "eine Katze"}
        >>> one = Alignment("A cat", ["eine", "Katze"], ["a", "cat"], looked, facts)
        >>> Attention([one], [], "The first of 200 sentences held out.").texts[0].rows
        ['eine', 'Katze']
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    weights: Floats
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check("weights", self.weights, (len(self.rows), len(self.columns)), "row and column")


@dataclass(frozen=True)
class SeenPicture:
    """A picture, what was written for it, and for each word where the network looked.

    Args:
        title: what tells it from the others.
        words: [T].
        maps: weights of the places, [T, R, C]; each map sums to 1.
        picture: red, green and blue, uint8 [Y, X, 3].
        facts: what else a reader should see, by what it is called.

    Raises:
        ShapeError: there are not as many maps as words.
    """

    title: str
    words: Sequence[str]
    maps: Floats
    picture: Whole
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check("maps", self.maps, (len(self.words), *self.maps.shape[1:]), "word")


@dataclass(frozen=True)
class Attention:
    """Where networks looked while they wrote: in sentences, in pictures, or in both."""

    texts: Sequence[Alignment]
    pictures: Sequence[SeenPicture]
    sampling: str


@dataclass(frozen=True)
class LabelledClip:
    """A clip, its labels, and what its frames were taken for."""

    title: str
    truth: Whole
    """Number of the class of every frame, [T]."""

    predicted: Whole
    """The same as predicted, [T]."""

    probability: Floats
    """Of the predicted class, [T]."""

    shown: Whole
    """Which frames are shown as pictures, [F]; none for stored features."""

    frames: Whole
    """Those, grey, uint8 [F, Y, X]."""

    facts: Mapping[str, str]


@dataclass(frozen=True)
class Labelling:
    """Predicted and true labels along time."""

    classes: Sequence[str]
    """The labels by their numbers, the most frequent first."""

    clips: Sequence[LabelledClip]
    sampling: str


def _check(name: str, array: Floats, expected: tuple[int, ...], what: str) -> None:
    if array.shape != expected:
        raise ShapeError(
            f"{name} must be {list(expected)}, one for each {what}, got {list(array.shape)}; pass "
            "the words or pieces that they belong to."
        )
