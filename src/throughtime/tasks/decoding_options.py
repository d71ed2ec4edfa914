"""How sentences are written by a trained network: by a beam, or drawn."""

from __future__ import annotations

from dataclasses import dataclass

from throughtime.errors import OptionError
from throughtime.training.options import at_least, check_seed, check_types


@dataclass(frozen=True)
class Decoding:
    """What can be told to a network that writes sentences."""

    beam: int | None = None
    """Sentences kept side by side; without it, the run's own; 1 takes the likeliest piece."""

    best: int | None = None
    """Sentences printed for each, the best first, tabs between; at most as many as the beam."""

    length_penalty: float | None = None
    """Divides log-probabilities by ((5 + pieces) / 6) to this power; more favours long ones."""

    coverage_penalty: float | None = None
    """Weight of the wish that every place of the source gets attention."""

    block_ngrams: int | None = None
    """No stretch of so many pieces is written twice."""

    shortest: int | None = None
    """Fewest pieces of a sentence."""

    longest: int | None = None
    """Most pieces of a sentence; without it, the run's own."""

    temperature: float | None = None
    """Draw sentences rather than to look for the best: below 1 plays safe, above 1 takes risks."""

    top_k: int | None = None
    """Draw among this many of the likeliest pieces only."""

    top_p: float | None = None
    """Draw among the fewest pieces that hold this share of the probability."""

    seed: int | None = None
    """Seed of the draws."""

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("beam", "best", "longest"):
            at_least(name, getattr(self, name), 1)
        if self.seed is not None:
            check_seed(self.seed)
        if self.temperature is None:
            self._refuse(("top_k", "top_p", "seed"), "with temperature alone", "add --temperature")
        else:
            searched = ("beam", "best", "length_penalty", "coverage_penalty")
            self._refuse(searched, "without temperature alone", "leave one of them out")

    def _refuse(self, names: tuple[str, ...], where: str, remedy: str) -> None:
        for name in names:
            if (value := getattr(self, name)) is not None:
                raise OptionError(f"{name} must come {where}, got {value}; {remedy}.")
