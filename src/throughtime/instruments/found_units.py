"""What a search for units found: who follows the property, how well, and what chance gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from throughtime.instruments.reading import Reading, Unit
from throughtime.instruments.unit_scores import is_bool

if TYPE_CHECKING:
    from xarray import Dataset


@dataclass(frozen=True)
class FoundUnits:
    """The units that follow a property best, and what chance gives.

    Attributes:
        reading: what was searched.
        name: of the property.
        target: its values at the tokens, [N].
        chosen_on: how many tokens, from the first on, the units were chosen on; the rest is the
            held-out text.
        data: with the dim `rank`, the best first: `layer`, `direction`, `of` and `unit`; `sign`, -1
            for a unit that falls where the property rises; `score_first` on the text that chose it
            and `score` on the held-out text, both with that sign; `p_value` of the latter. For a
            property that holds or not also `threshold`, of sign times the unit, and
            `balanced_accuracy` on the held-out text, else NaN. With the dim `shift`: `baseline`,
            the best score of any unit on the held-out text for the shifted property.
        measure: what the score is, "AUC" or "rank correlation".
        chance: the score of no relation, 0.5 or 0.
        searched: how many units were compared.
    """

    reading: Reading
    name: str
    target: NDArray[Any]
    chosen_on: int
    data: Dataset
    searched: int

    @property
    def measure(self) -> str:
        """What the score is."""
        return "AUC" if is_bool(self.target) else "rank correlation"

    def unit(self, rank: int = 0) -> Unit:
        """The unit of a rank, 0 for the best."""
        row = self.data.isel(rank=rank)
        return Unit(*(row[name].item() for name in Unit._fields))

    def values(self, rank: int = 0) -> NDArray[Any]:
        """What the unit of a rank did at every token, [N]."""
        return self.reading.unit(self.unit(rank))

    def __str__(self) -> str:
        """A table: units, scores on held-out text, and the baseline above it."""
        held_out = len(self.target) - self.chosen_on
        base = self.data.baseline
        lines = [
            f"{self.name}: {self.measure} on {held_out:,} tokens held out; chosen among "
            f"{self.searched:,} units on {self.chosen_on:,} tokens",
            f"the best of all for a shifted property: median {base.median().item():.3f}, "
            f"95 % below {base.quantile(0.95).item():.3f}",
            f"{'':30} score  chosen with  p" + "      balanced accuracy" * is_bool(self.target),
        ]
        for rank in range(self.data.sizes["rank"]):
            row = self.data.isel(rank=rank)
            sign = "-" if row.sign.item() < 0 else " "
            share = "" if not is_bool(self.target) else f"{row.balanced_accuracy.item():.3f}"
            lines.append(
                f"{sign + str(self.unit(rank)):30} {row.score.item():.3f}  "
                f"{row.score_first.item():.3f}        {row.p_value.item():.3f}  {share}".rstrip()
            )
        return "\n".join(lines)
