"""Choosing: from what a model finds likely to the tokens it writes."""

from throughtime.decode.sample import choose, distribution, sample

__all__ = ["choose", "distribution", "sample"]
