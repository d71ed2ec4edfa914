"""Clips with a label for every frame, read from lists and checked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.data.frame_cache import Store
from throughtime.data.tables import read_table
from throughtime.data.videos import is_alike, is_features, say_size
from throughtime.errors import DataError

SHOWN = 3
"""Clips that an error names."""


@dataclass(frozen=True)
class Listed:
    """Clips by name, and a label for every frame of each."""

    paths: list[Path]
    labels: list[list[str]]


@dataclass(frozen=True)
class Clips:
    """Clips and their labels; the frames of all of them lie in one array."""

    names: list[str]
    labels: list[list[str]]
    """Of each clip's frames, T each."""

    frames: NDArray[Any]
    """Grey pictures, uint8 [N, Y, X], or stored features, float32 [N, I]; N >= the sum of T."""

    starts: NDArray[np.int64]
    """The place of each clip's first frame, [C]."""

    size: tuple[int, int]
    """Width and height of the clips before scaling."""

    skipped: dict[str, str] = field(default_factory=dict)
    """Clips that could not be used, and why."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Frames of each clip, [C]."""
        return np.array([len(labels) for labels in self.labels], np.int64)

    def counts(self) -> dict[str, int]:
        """How many frames have each label, the most frequent first."""
        counts = Counter(label for labels in self.labels for label in labels)
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    def pixels(self, clip: int) -> NDArray[Any]:
        """The frames of one clip, [T, *]."""
        first = self.starts[clip]
        return self.frames[first : first + len(self.labels[clip])]

    def take(self, places: Sequence[int]) -> Clips:
        """Some of them, in the order of the places."""
        names, labels = [self.names[i] for i in places], [self.labels[i] for i in places]
        return Clips(names, labels, self.frames, self.starts[list(places)], self.size, self.skipped)

    def sha256(self) -> str:
        """A hash of frames, labels and their order, hexadecimal."""
        found = hashlib.sha256()
        for clip, labels in enumerate(self.labels):
            for part in ("\0".join(labels).encode(), self.pixels(clip).tobytes()):
                found.update(len(part).to_bytes(8, "big") + part)
        return found.hexdigest()


def read_list(paths: Sequence[str], clip: str, label: str) -> Listed:
    """The clips of lists, one list after the other; no row is left out.

    A list is a table (`read_table`). A cell of labels is a list of texts, or a text with blanks
    between them; a clip's path is taken from the folder of its list.

    Args:
        paths: the lists.
        clip: the column of the clips.
        label: the column of the labels.

    Raises:
        DataError: a list cannot be read, or a row has no clip or no labels.
    """
    found: list[Path] = []
    labels: list[list[str]] = []
    for path in paths:
        table = read_table(path, (clip, label))
        for what, name in (("clip", clip), ("label", label)):
            if name not in table:
                raise DataError(
                    f"{path} must have a column of {what}s named {name}, it has "
                    f"{', '.join(table) or 'none'}; write --{what}-column NAME."
                )
        rows = list(zip(table[clip], map(_labels_of, table[label]), strict=True))
        bad = [i for i, (name, row) in enumerate(rows, 1) if not (isinstance(name, str) and row)]
        if bad:
            raise DataError(
                f"{path} must have a clip in {clip} and labels in {label}, {len(bad):,} of "
                f"{len(rows):,} rows have not, the first is row {bad[0]}; mend or remove them."
            )
        found += [Path(path).absolute().parent / name for name, _ in rows]
        labels += [row for _, row in rows]
    if len({is_features(path) for path in found}) > 1:
        raise DataError(
            "clips must be all videos or all features (.npy), got both; train on one kind."
        )
    return Listed(found, labels)


def _labels_of(cell: Any) -> list[str]:
    """Labels as texts; none where one of them is no text or number."""
    row = cell.split() if isinstance(cell, str) else cell
    if not isinstance(row, list) or not all(isinstance(one, str | int) for one in row):
        return []
    return [str(one).strip() for one in row]


def join(
    listed: Listed, store: Store, size: tuple[int, int] | None, any_size: bool, is_strict: bool
) -> Clips:
    """Listed clips and their frames, those that cannot be used refused or counted out.

    Args:
        listed: clips and labels.
        store: the frames of the same clips.
        size: width and height that every clip must have; None for those of the first one.
        any_size: take clips of every size, since all are scaled.
        is_strict: refuse all if a clip cannot be used; else leave it out, with its reason.

    Raises:
        DataError: a clip cannot be used, or none is left.
    """
    usable = [entry.size for entry in store.entries if entry.frames]
    expected = size or (usable[0] if usable else (0, 0))
    skipped: dict[str, str] = {}
    kept = []
    for i, entry in enumerate(store.entries):
        reason = entry.fault
        if not reason and entry.frames != (came := len(listed.labels[i])):
            reason = f"{entry.path} must have a label a frame, it has {came} labels for "
            reason += f"{entry.frames} frames; mend the list."
        if not reason and not is_alike(entry.size, expected, any_size):
            wanted, came_as = (say_size(size) for size in (expected, entry.size))
            reason = f"{entry.path} must have {wanted} like the others, it has {came_as}; convert "
            reason += "it, or --any-size for videos."
        if reason:
            skipped[entry.path] = reason
        else:
            kept.append(i)
    if skipped and (is_strict or not kept):
        shown = " ".join(list(skipped.values())[:SHOWN])
        raise DataError(
            f"all clips must be usable, {len(skipped):,} of {len(store.entries):,} are not: "
            f"{shown} Mend them" + (", or leave them out with --unfit skip." if kept else ".")
        )
    names = [str(path) for path in listed.paths]
    whole = Clips(names, listed.labels, store.frames, store.starts(), expected, skipped)
    return whole.take(kept)
