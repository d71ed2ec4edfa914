"""Texts with a label each, read from tables and checked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from throughtime.data.tables import Table, read_table
from throughtime.errors import DataError

TEXT_NAMES = ("text", "sentence")
"""Columns that are taken for the texts if no name is given."""


@dataclass(frozen=True)
class Labelled:
    """Texts and the label of each.

    Example:
        >>> found = Labelled(["fine", "bad", "good"], ["yes", "no", "yes"])
        >>> found.counts(), len(found), found.take([1]).texts
        ({'no': 1, 'yes': 2}, 3, ['bad'])
    """

    texts: list[str]
    labels: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def counts(self) -> dict[str, int]:
        """How many texts have each label, in the order of the alphabet."""
        return dict(sorted(Counter(self.labels).items()))

    def take(self, places: Sequence[int]) -> Labelled:
        """Some of them, in the order of the places."""
        return Labelled([self.texts[i] for i in places], [self.labels[i] for i in places])

    def sha256(self) -> str:
        """A hash of texts, labels and their order, hexadecimal."""
        found = hashlib.sha256()
        for text, label in zip(self.texts, self.labels, strict=True):
            for part in (text.encode("utf-8", "surrogatepass"), label.encode()):
                found.update(len(part).to_bytes(8, "big") + part)
        return found.hexdigest()


def read_labelled(paths: Sequence[str], text: str | None, label: str) -> Labelled:
    """The texts and labels of tables, one after the other; no row is left out.

    Args:
        paths: files, or sets of Hugging Face, as `read_table` reads them.
        text: the column of the texts; without it `text`, `sentence`, or the only other one.
        label: the column of the labels.

    Raises:
        DataError: a file cannot be read, has no such column, or a row has no text or label.
        PackageError: what reads a file is not installed.
    """
    texts: list[str] = []
    labels: list[str] = []
    for path in paths:
        table = read_table(path, _names(text, label))
        if label not in table:
            raise _no_column(path, "label", label, table)
        texts += _texts(path, table, text, label)
        labels += _labels(path, table[label], label)
    return Labelled(texts, labels)


def read_texts(path: str, text: str | None, label: str) -> list[str]:
    """The texts of a table, whether it has labels or not; no row is left out.

    Raises:
        DataError: the file cannot be read, has no such column, or a row has no text.
        PackageError: what reads the file is not installed.
    """
    return _texts(path, read_table(path, _names(text, label)), text, label)


def _names(text: str | None, label: str) -> tuple[str, ...]:
    return (TEXT_NAMES[0] if text is None else text, label)


def _texts(path: str, table: Table, text: str | None, label: str) -> list[str]:
    others = [name for name in table if name != label]
    known = [name for name in ((text,) if text is not None else TEXT_NAMES) if name in others]
    name = known[0] if known else others[0] if text is None and len(others) == 1 else None
    if name is None:
        raise _no_column(path, "text", text or " or ".join(TEXT_NAMES), table)
    cells = table[name]
    bad = [(row, cell) for row, cell in enumerate(cells, 1) if not isinstance(cell, str)]
    if bad:
        raise _bad_rows(path, bad, len(cells), f"text in every row of {name}")
    return list(cells)


def _labels(path: str, cells: list[Any], name: str) -> list[str]:
    labels = [_label(cell) for cell in cells]
    bad = [(row, cells[row - 1]) for row, label in enumerate(labels, 1) if not label]
    if bad:
        raise _bad_rows(
            path, bad, len(cells), f"a label, text or a whole number, in every row of {name}"
        )
    return labels


def _label(cell: Any) -> str:
    """A label as text, empty where there is none."""
    return str(cell).strip() if isinstance(cell, str | int) else ""


def _no_column(path: str, what: str, name: str, table: Table) -> DataError:
    return DataError(
        f"{path} must have a column of {what}s named {name}, it has {', '.join(table) or 'none'}; "
        f"write --{what}-column NAME."
    )


def _bad_rows(path: str, bad: list[tuple[int, Any]], rows: int, expected: str) -> DataError:
    row, cell = bad[0]
    return DataError(
        f"{path} must have {expected}, {len(bad):,} of {rows:,} have none, the first "
        f"is row {row} with {str(cell)[:40]!r}; mend or remove them."
    )
