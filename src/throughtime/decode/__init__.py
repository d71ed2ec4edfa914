"""Choosing: from what a model finds likely to the text it writes."""

from throughtime.decode.beam import beam
from throughtime.decode.greedy import draw, greedy
from throughtime.decode.hypothesis import Bounds, Hypothesis, Scoring
from throughtime.decode.sample import choose, distribution, sample
from throughtime.decode.spell import spell

__all__ = [
    "Bounds",
    "Hypothesis",
    "Scoring",
    "beam",
    "choose",
    "distribution",
    "draw",
    "greedy",
    "sample",
    "spell",
]
