"""Frames of many clips, decoded once and kept as one file of bytes that is mapped, not read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.data.videos import Frames
from throughtime.errors import DataError

FORMAT = 1
"""Of the index; another one is decoded anew."""


@dataclass(frozen=True)
class Entry:
    """One clip in the cache, and the file it was decoded from."""

    path: str
    bytes: int
    """Of the file; -1 if there is none."""

    changed_ns: int
    """When the file or who may read it was changed last."""

    frames: int
    """T; 0 for a clip that cannot be used."""

    size: tuple[int, int]
    """Width and height before scaling."""

    fault: str = ""
    """Why it cannot be used."""


@dataclass(frozen=True)
class Store:
    """The frames of clips one after the other."""

    frames: NDArray[Any]
    """[N, *], mapped from the file; uint8 pictures or float32 features."""

    entries: tuple[Entry, ...]
    """The clips in their order."""

    def starts(self) -> NDArray[np.int64]:
        """The place of each clip's first frame, [C]."""
        counts = [entry.frames for entry in self.entries]
        return np.concatenate([[0], np.cumsum(counts)])[:-1].astype(np.int64)


def default_folder() -> Path:
    """Where frames are kept unless told otherwise: in the user's folder for caches."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "throughtime" / "frames"


def store_frames(
    paths: Sequence[Path],
    read: Callable[[Path], Frames],
    kind: str,
    folder: Path,
    announce: Callable[[str], None],
) -> Store:
    """The frames of clips, from the cache if none of their files has changed, else decoded.

    An index beside the frames holds size and time of change of every file, so that a cache is
    never older than what it was made from. A file that cannot be decoded is an entry with its
    fault: whether to go on without it is not decided here.

    Args:
        paths: the clips.
        read: decodes one of them.
        kind: what `read` makes of them, such as their size; it is part of the cache's name.
        folder: where the cache is kept; made if there is none.
        announce: prints a line.

    Raises:
        OSError: the cache cannot be written.
    """
    name = hashlib.sha256("\0".join([kind, *map(str, paths)]).encode()).hexdigest()[:20]
    data, index = folder / f"{name}.frames", folder / f"{name}.json"
    known = _read_index(index)
    stamps = [_stamp(path) for path in paths]
    if known is not None:
        if [(entry.bytes, entry.changed_ns) for entry in known[0]] == stamps:
            if (found := _open(data, *known)) is not None:
                return found
        announce(f"The clips, or their frames in {data}, have changed since they were decoded.")
        index.unlink()  # before the frames, which it no longer describes, are replaced
    announce(f"Decoding {len(paths):,} clips, once, into {data}")
    folder.mkdir(parents=True, exist_ok=True)
    entries, kept = _decode(paths, stamps, read, data)
    _replace(index, json.dumps(kept | {"entries": [asdict(e) for e in entries]}).encode())
    store = _open(data, entries, kept)
    assert store is not None
    return store


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return -1, 0
    return found.st_size, found.st_ctime_ns


def _decode(
    paths: Sequence[Path],
    stamps: Sequence[tuple[int, int]],
    read: Callable[[Path], Frames],
    data: Path,
) -> tuple[tuple[Entry, ...], dict[str, Any]]:
    """Decodes all clips into the file; returns the entries, and shape and type of a frame."""
    entries, shape, kind = [], None, np.dtype(np.uint8)
    part = data.with_name(f".{data.name}-{os.getpid()}")
    try:
        with part.open("wb") as opened:
            for path, stamp in zip(paths, stamps, strict=True):
                try:
                    clip = read(path)
                    _check_shape(path, clip, shape)
                except DataError as error:
                    entries.append(Entry(str(path), *stamp, 0, (0, 0), str(error)))
                    continue
                shape, kind = clip.pixels.shape[1:], clip.pixels.dtype
                clip.pixels.tofile(opened)
                entries.append(Entry(str(path), *stamp, len(clip.pixels), clip.size))
        os.replace(part, data)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return tuple(entries), {"format": FORMAT, "shape": list(shape or ()), "dtype": kind.name}


def _check_shape(path: Path, clip: Frames, shape: tuple[int, ...] | None) -> None:
    if shape not in (None, came := clip.pixels.shape[1:]):
        raise DataError(
            f"{path} must have {shape} numbers a frame like the clips before it, it has {came}; "
            "store the same features of all."
        )


def _replace(file: Path, content: bytes) -> None:
    part = file.with_name(f".{file.name}-{os.getpid()}")
    part.write_bytes(content)
    os.replace(part, file)


def _read_index(index: Path) -> tuple[tuple[Entry, ...], dict[str, Any]] | None:
    """The entries, and shape and type of a frame; None for no index, or a damaged one."""
    try:
        content = json.loads(index.read_bytes())
        rows = content.pop("entries")
        entries = tuple(Entry(**row | {"size": tuple(row["size"])}) for row in rows)
        return (entries, content) if content["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _open(data: Path, entries: tuple[Entry, ...], kept: dict[str, Any]) -> Store | None:
    """The frames, mapped; None if the file is not as long as its index says."""
    shape, kind = tuple(kept["shape"]), np.dtype(kept["dtype"])
    count = sum(entry.frames for entry in entries)
    expected = count * int(np.prod(shape)) * kind.itemsize
    if not data.is_file() or data.stat().st_size != expected:
        return None
    if not count:
        return Store(np.zeros((0, *shape), kind), entries)
    return Store(np.memmap(data, kind, "r", shape=(count, *shape)), entries)
