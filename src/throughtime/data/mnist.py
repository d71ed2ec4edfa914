"""MNIST: handwritten digits, read from the four files in which they are published."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import DataError

SIDE = 28
"""Rows of an image, and pixels of a row."""

CLASSES = 10

HELD_OUT = 5000
"""The last images of the training set, kept for validation."""

_UNSIGNED_BYTES = 0x08
_PARTS = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class Digits:
    """Images of digits and what they show.

    Args:
        images: uint8 [N, 28, 28], 0 for paper and 255 for ink.
        labels: the digits, uint8 [N], from 0 to 9.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: slice) -> Digits:
        """Some of them, in order."""
        return Digits(self.images[which], self.labels[which])

    def sha256(self) -> str:
        """A hash of images and labels."""
        found = hashlib.sha256(self.images.tobytes())
        found.update(self.labels.tobytes())
        return found.hexdigest()


def read_digits(folder: Path, part: str) -> Digits:
    """The digits of one part of MNIST, in the order of its files.

    Read are `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, or `t10k-...` for the test
    set; a name may end in `.gz`.

    Source: LeCun, Bottou, Bengio and Haffner 1998.

    Args:
        folder: where the files are.
        part: `train` or `test`.

    Raises:
        DataError: a file is missing, cut short or no file of MNIST, or images and labels do not
            belong together.
    """
    if not folder.is_dir():
        raise DataError(
            f"data must be a folder with MNIST's files, {folder} is none; check the path."
        )
    images = read_idx(_find(folder, f"{_PARTS[part]}-images-idx3-ubyte"))
    labels = read_idx(_find(folder, f"{_PARTS[part]}-labels-idx1-ubyte"))
    if images.shape != (len(labels), SIDE, SIDE) or labels.ndim != 1:
        raise DataError(
            f"the {part} files in {folder} must hold images [N, {SIDE}, {SIDE}] and labels [N], "
            f"got {list(images.shape)} and {list(labels.shape)}; take all files from one source."
        )
    if labels.size and labels.max() >= CLASSES:
        raise DataError(
            f"the {part} labels in {folder} must be digits from 0 to 9, got {labels.max()}; "
            "get the file again."
        )
    return Digits(images, labels)


def _find(folder: Path, name: str) -> Path:
    for file in (folder / name, folder / f"{name}.gz"):
        if file.is_file():
            return file
    raise DataError(
        f"the folder of MNIST must hold {name} or {name}.gz, {folder} does not; "
        "put the four files there."
    )


def read_idx(file: Path) -> NDArray[np.uint8]:
    """An array of unsigned bytes in the IDX format, plain or compressed by gzip.

        0 0   type, 8 for unsigned bytes   N axes   N sizes, big-endian 32 bits   the numbers

    Source: LeCun, Bottou, Bengio and Haffner 1998, as published with MNIST.

    Raises:
        DataError: the file cannot be read, is cut short or too long, or is of another format.
    """
    content = _read(file)
    axes = content[3] if len(content) > 3 else 0
    if content[:3] != bytes([0, 0, _UNSIGNED_BYTES]) or not axes:
        raise DataError(
            f"{file} must be an IDX file of unsigned bytes, beginning with 00 00 08, it begins "
            f"with {content[:4].hex(' ') or 'nothing'}; get the file again."
        )
    first = 4 + 4 * axes
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, first, 4)]
    expected, came = first + int(np.prod(shape, dtype=object)), len(content)
    if expected != came:
        raise DataError(
            f"{file} must have {expected:,} bytes for an array {shape}, it has {came:,}; "
            "get the file again."
        )
    return np.frombuffer(content, np.uint8, offset=first).reshape(shape)


def _read(file: Path) -> bytes:
    try:
        content = file.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{file} must be a readable file, whole if compressed, got: {error}; "
            "get the file again."
        ) from error
