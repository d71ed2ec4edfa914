"""Features computed once: one file of numbers, memory-mapped, and its index."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import RunError
from throughtime.record.files import damaged, read_json, write_json, writing

INDEX = ".json"
"""Suffix of the index beside the file of numbers."""

_BYTES = 2  # of a float16


class FeatureFile:
    """Rows of float16 by key, [N, *shape], read through a memory map.

    `PLACE.f16` holds the numbers alone, row after row; `PLACE.json` what made them and the key of
    every row. Rows are only ever added; a key is a hash of what was encoded, so that an image that
    changes has no row any more, and the same image under another name has one.

    Args:
        place: the file, without a suffix; made where there is none.
        about: what makes the features; a file that something else made is refused.
        shape: of a row.

    Raises:
        RunError: the file is damaged, or its features are of another making or shape.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp(), "ones")
        >>> FeatureFile(place, {"encoder": "ones"}, (2, 3)).add(["a", "b"], np.ones((2, 2, 3)))
        >>> found = FeatureFile(place, {"encoder": "ones"}, (2, 3))
        >>> found.missing(["b", "c"]), found.rows(["b"]).tolist(), found.read([1]).shape
        (['c'], [1], (1, 2, 3))
    """

    def __init__(self, place: Path, about: Mapping[str, Any], shape: Sequence[int]) -> None:
        # with_suffix would take what follows a dot of the name for a suffix
        self.numbers = place.with_name(place.name + ".f16")
        self.index = place.with_name(place.name + INDEX)
        self.about, self.shape = json.loads(json.dumps(about)), tuple(shape)
        self._rows: dict[str, int] = {}
        self._map: NDArray[np.float16] | None = None
        self.refresh()

    def __len__(self) -> int:
        """Rows, N."""
        return len(self._rows)

    def missing(self, keys: Sequence[str]) -> list[str]:
        """The keys that have no row, each once, in their order."""
        return [key for key in dict.fromkeys(keys) if key not in self._rows]

    def rows(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """The rows of keys that have one, [K]."""
        return np.array([self._rows[key] for key in keys], np.int64)

    def read(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float16]:
        """The numbers of some rows, [K, *shape], read from the disk as they are needed."""
        if self._map is None:
            whole = (len(self), *self.shape)
            self._map = np.memmap(self.numbers, np.float16, "r", shape=whole)
        return np.asarray(self._map[np.asarray(rows, np.int64)])

    def add(self, keys: Sequence[str], features: NDArray[Any]) -> None:
        """Adds rows; keys that have one already, by another process perhaps, keep theirs.

        Args:
            keys: of the new rows, K.
            features: [K, *shape]; rounded to float16.

        Raises:
            RunError: the file cannot be written, or a number is too large for float16.
        """
        with np.errstate(over="ignore"):
            rounded = np.ascontiguousarray(features, np.float16)
        if not np.isfinite(rounded).all():
            raise RunError(
                f"features must be finite and below 65,504, those for {self.numbers} are not; "
                "choose another encoder."
            )
        with writing(self.numbers), self._locked():
            new = [k for k, key in enumerate(keys) if key not in self._rows]
            with self.numbers.open("r+b") as opened:
                opened.truncate(len(self) * self._row_bytes)  # what a crash left unfinished
                opened.seek(0, os.SEEK_END)
                opened.write(rounded[new].tobytes())
                opened.flush()
                os.fsync(opened.fileno())
            for k in new:
                self._rows[keys[k]] = len(self._rows)
            # The numbers first: rows that no index knows are written over.
            content = {"about": self.about, "shape": self.shape, "keys": list(self._rows)}
            write_json(self.index, content)
        self._map = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the map: a process that loads batches opens its own."""
        return self.__dict__ | {"_map": None}

    @property
    def _row_bytes(self) -> int:
        return _BYTES * int(np.prod(self.shape))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time, each beginning with what the others have added."""
        import fcntl

        self.numbers.parent.mkdir(parents=True, exist_ok=True)
        with self.numbers.open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            self.refresh()
            yield

    def refresh(self) -> None:
        """Takes up what other processes have added.

        Raises:
            RunError: the file is damaged, or its features are of another making or shape.
        """
        if not self.index.is_file():
            return
        index = read_json(self.index)
        if not isinstance(index, dict) or not {"about", "shape", "keys"} <= index.keys():
            raise damaged(self.index, "an index of features", "its entries are missing")
        made, asked = (
            {"shape": list(shape), **about}
            for shape, about in ((index["shape"], index["about"]), (self.shape, self.about))
        )
        if made != asked:
            raise RunError(
                f"{self.numbers} must hold features of {_brief(asked)}, it holds those of "
                f"{_brief(made)}; name another folder for the features, or delete the file."
            )
        self._rows = {key: row for row, key in enumerate(index["keys"])}
        self._map = None
        expected = len(self) * self._row_bytes
        found = self.numbers.stat().st_size if self.numbers.is_file() else 0
        if found < expected:
            raise RunError(
                f"{self.numbers} must have {expected:,} bytes, it has {found:,}; delete it and "
                f"{self.index.name} to compute the features again."
            )


def _brief(about: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in about.items())
