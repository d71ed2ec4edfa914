"""The classes of a run: labels, their numbers, and how often the training had each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from throughtime import record
from throughtime.errors import DataError


def number_labels(
    classes: Sequence[str], counts: Mapping[str, int], name: str, what: str
) -> dict[str, int]:
    """The number of each class, once it is known that no other label comes.

    Args:
        classes: the labels of the training, in the order of their numbers.
        counts: how often each label comes in what is to be read.
        name: what an error calls that, such as `the texts`.
        what: has a label each, such as `rows`.

    Raises:
        DataError: a label is none of the classes.

    Example:
        >>> number_labels(["no", "yes"], {"yes": 3}, "the texts", "rows")
        {'no': 0, 'yes': 1}
    """
    numbers = {label: k for k, label in enumerate(classes)}
    if strange := Counter({label: n for label, n in counts.items() if label not in numbers}):
        shown = ", ".join(f"{label!r} ({count:,})" for label, count in strange.most_common(5))
        raise DataError(
            f"{name} must have the labels of the training, {', '.join(classes)}, "
            f"{strange.total():,} of {sum(counts.values()):,} {what} have others: {shown}; mend "
            "them, or train with these labels too."
        )
    return numbers


def read_counts(run: Path) -> dict[str, int]:
    """The classes in the order of their numbers, and how often the training had each.

    Raises:
        RunError: the file is damaged.
    """
    counts = record.read_json(run / record.LABELS)
    if not isinstance(counts, dict) or not all(isinstance(n, int) for n in counts.values()):
        raise record.damaged(run / record.LABELS, "labels and their counts", type(counts).__name__)
    return counts
