"""Videos: frames decoded by PyAV as grey pictures of one size, and the time of each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from throughtime.errors import DataError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

RATE = 25.0
"""Frames a second of a video that does not say how many it has."""


@dataclass(frozen=True)
class Frames:
    """What is read of a clip."""

    pixels: NDArray[Any]
    """Grey pictures, uint8 [T, Y, X] with 0 for black; or stored features, float32 [T, I]."""

    times: NDArray[np.float64]
    """When each frame begins, in seconds, and when the last one ends, [T + 1]."""

    size: tuple[int, int]
    """Width and height, upright, before scaling; (I, 0) for features."""


@dataclass(frozen=True)
class Frame:
    """One frame of a video that is being decoded."""

    pixels: NDArray[np.uint8]
    """Grey, [Y, X]."""

    time_s: float
    """When it begins."""

    size: tuple[int, int]
    """Width and height, upright, before scaling."""


def is_features(path: str | os.PathLike[str]) -> bool:
    """Whether a clip is stored features rather than a video, by its ending `.npy`."""
    return Path(path).suffix.lower() == ".npy"


def say_size(size: tuple[int, int]) -> str:
    """The size of a clip in words.

    Example:
        >>> say_size((128, 64)), say_size((512, 0))
        ('128 x 64 pixels', '512 features')
    """
    return f"{size[0]} x {size[1]} pixels" if size[1] else f"{size[0]} features"


def is_alike(size: tuple[int, int], expected: tuple[int, int], any_size: bool) -> bool:
    """Whether a clip can stand beside others: of their size, or a video if any size will do."""
    return size == expected or (any_size and bool(size[1] and expected[1]))


def read_frames(path: Path, width: int, height: int) -> Frames:
    """All frames of a clip.

    Args:
        path: a video that FFmpeg knows; or features, a `.npy` file of numbers [T, I].
        width: X, pixels of a row after scaling.
        height: Y, rows.

    Raises:
        DataError: the file is missing, damaged, of another kind, or holds no frame.
    """
    if is_features(path):
        features = _read_features(path)
        times = np.arange(len(features) + 1) / RATE
        return Frames(features, times, (features.shape[1], 0))
    with open_video(path) as video:
        rate = float(video.streams.video[0].average_rate or RATE)
        found = list(iterate_frames(video, width, height, path))
    if not found:
        raise DataError(f"{path} must hold at least one frame, it holds none; leave it out.")
    sizes = {frame.size for frame in found}
    if len(sizes) > 1:
        raise DataError(
            f"{path} must have one size throughout, it changes between "
            f"{' and '.join(say_size(size) for size in sorted(sizes))}; convert it."
        )
    times = np.array([frame.time_s for frame in found] + [found[-1].time_s + 1 / rate])
    return Frames(np.stack([frame.pixels for frame in found]), times, found[0].size)


@contextmanager
def open_video(source: Path | IO[bytes]) -> Iterator[InputContainer]:
    """A video, opened for reading; whatever FFmpeg says of it afterwards is one sentence.

    Args:
        source: a file, or what can be read like one, such as `sys.stdin.buffer`.

    Raises:
        DataError: it is missing, damaged, or has no moving pictures.
    """
    import av

    name = source if isinstance(source, Path) else "the standard input"
    try:
        with av.open(str(source) if isinstance(source, Path) else source, "r") as video:
            if not video.streams.video:
                raise DataError(
                    f"{name} must hold moving pictures, it has {len(video.streams)} other "
                    "streams; name a video."
                )
            yield video
    except av.FFmpegError as error:
        raise DataError(
            f"{name} must be a whole and readable video, decoding it gives: {error.strerror}; "
            "restore it or leave it out."
        ) from error


def iterate_frames(
    video: InputContainer, width: int, height: int, name: object = "the standard input"
) -> Iterator[Frame]:
    """The frames as they are decoded, grey, upright, averaged down to a size.

    Args:
        video: as `open_video` gives it.
        width: X, pixels of a row after scaling.
        height: Y, rows.
        name: what an error calls the video.

    Raises:
        DataError: a frame is damaged.
    """
    stream = video.streams.video[0]
    stream.codec_context.options = {"err_detect": "explode"}  # rather than to make frames up
    rate = float(stream.average_rate or RATE)
    for number, frame in enumerate(video.decode(stream)):
        if frame.is_corrupt:
            raise DataError(
                f"{name} must hold whole frames, number {number + 1:,} is damaged; restore it or "
                "leave it out."
            )
        time = number / rate if frame.time is None else frame.time
        yield Frame(to_grey(frame, width, height), time, upright_size(frame))


def to_grey(frame: VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
    """A frame in grey and upright, every pixel the mean of those it covers, [Y, X]."""
    turns = quarter_turns(frame)
    across, down = (height, width) if turns % 2 else (width, height)
    scaled = frame.reformat(width=across, height=down, format="gray8", interpolation="AREA")
    found: NDArray[Any] = np.rot90(scaled.to_ndarray(), turns)
    return np.ascontiguousarray(found, dtype=np.uint8)


def quarter_turns(frame: VideoFrame) -> int:
    """Turns by 90 degrees, counterclockwise, that make a frame upright, as a phone notes them."""
    return round(frame.rotation / 90) % 4


def upright_size(frame: VideoFrame) -> tuple[int, int]:
    """Width and height of a frame once it is upright."""
    size = frame.width, frame.height
    return size[::-1] if quarter_turns(frame) % 2 else size


def _read_features(path: Path) -> NDArray[np.float32]:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} must be a .npy file of numbers [T, I], reading it gives: {error}; write it "
            "with numpy.save."
        ) from error
    if found.ndim != 2 or not found.size or found.dtype.kind not in "fiu":
        raise DataError(
            f"{path} must hold numbers [T, I] of one frame or more, got {found.dtype} "
            f"{list(found.shape)}; write it with numpy.save."
        )
    if not np.isfinite(found).all():
        raise DataError(f"{path} must hold finite numbers, some are not; compute them again.")
    features: NDArray[np.float32] = found.astype(np.float32)
    return features
