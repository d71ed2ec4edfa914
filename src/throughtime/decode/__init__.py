"""Choosing: from what a model finds likely to the text it writes."""

from throughtime.decode.sample import choose, distribution, sample
from throughtime.decode.spell import spell

__all__ = ["choose", "distribution", "sample", "spell"]
