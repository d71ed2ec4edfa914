"""Pictures: read as red, green and blue, squashed to a square."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import DataError

Source = str | bytes
"""Where a picture is: a file, or the content of one."""


def read_picture(source: Source, side: int | None = None) -> NDArray[np.uint8]:
    """A picture as red, green and blue, [S, S, 3], or [height, width, 3] without a side.

    The whole picture is squashed to the square, so that nothing of it is cut off. A picture that a
    camera stored lying is turned upright; transparent parts show the colour that is stored.

    Args:
        source: a file of any kind that Pillow knows, or the content of one.
        side: S.

    Raises:
        DataError: there is no such file, or it is no whole picture.
    """
    from PIL import Image, ImageOps

    content = read_content(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as opened:
                upright = ImageOps.exif_transpose(opened).convert("RGB")
    except Exception as error:  # whatever a damaged file may raise
        raise DataError(
            f"{name_of(source)} must be a picture, reading it gives {type(error).__name__}: "
            f"{str(error) or 'nothing'}; restore it or take it out of the list."
        ) from error
    if side is not None and upright.size != (side, side):
        upright = upright.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(upright)


def shrink(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture with a longer side of at most `side` pixels; a smaller one as it is.

    Args:
        picture: [Y, X, 3], or [Y, X] if grey.
        side: pixels.

    Example:
        >>> shrink(np.zeros((30, 40, 3), np.uint8), 20).shape
        (15, 20, 3)
    """
    from PIL import Image

    small = Image.fromarray(picture)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small)


def read_content(source: Source) -> bytes:
    """The bytes of a picture's file.

    Raises:
        DataError: the file cannot be read.
    """
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise DataError(
            f"{source} must be a readable picture, the system says: {error.strerror}; check its "
            "name, which counts from the folder of the list."
        ) from error


def hash_of(source: Source) -> str:
    """What tells a picture from every other one: a hash of its file, hexadecimal.

    Raises:
        DataError: the file cannot be read.
    """
    return hashlib.sha256(read_content(source)).hexdigest()


def name_of(source: Source) -> str:
    """What an error or a list calls a picture."""
    return source if isinstance(source, str) else f"a picture of {len(source):,} bytes"


def to_source(cell: Any, folder: Path) -> Source | None:
    """The picture that a cell of a table names or holds; None where it does neither.

    Args:
        cell: a file's name; or, as sets of Hugging Face have it, its content in a dictionary with
            `bytes` or `path`, or a picture of Pillow.
        folder: where names begin.

    Example:
        >>> to_source("b/c.jpg", Path("a")), to_source({"bytes": b"...", "path": None}, Path("a"))
        ('a/b/c.jpg', b'...')
    """
    if isinstance(cell, dict):
        return cell["bytes"] if cell.get("bytes") else to_source(cell.get("path"), folder)
    if isinstance(cell, str):
        return str(folder / cell) if cell.strip() else None
    if hasattr(cell, "save"):
        content = io.BytesIO()
        cell.save(content, "PNG")
        return content.getvalue()
    return None
