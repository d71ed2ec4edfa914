"""A copy of a video with words in its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from throughtime.data.videos import RATE, open_video, quarter_turns, upright_size
from throughtime.errors import DataError

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream
    from PIL.Image import Image


def burn_in(source: Path, target: Path, captions: Sequence[str]) -> None:
    """Writes a copy of a video with a caption in each of its pictures; its sound is copied.

    The pictures of the copy are upright.

    Args:
        source: the video.
        target: a new file, of the same ending as the source.
        captions: one a frame; an empty one leaves its frame as it is.

    Raises:
        DataError: the source cannot be read, its frames are not as many as the captions, its kind
            of file cannot hold H.264, or the target is there already.
    """
    import av

    if target.exists():
        raise DataError(f"{target} must be a new file, it is there already; name another folder.")
    try:
        with open_video(source) as video, av.open(str(target), "w") as copy:
            _copy(source, video, copy, captions)
    except DataError:
        target.unlink(missing_ok=True)
        raise
    except (ValueError, av.FFmpegError) as error:
        target.unlink(missing_ok=True)
        raise DataError(
            f"{target} must be a kind of file that holds H.264, writing it gives: {error}; convert "
            "the clip to .mp4 or .mkv."
        ) from error


def _copy(
    source: Path, video: InputContainer, copy: OutputContainer, captions: Sequence[str]
) -> None:
    import av

    read = video.streams.video[0]
    write = _add_stream(copy, *_size_of(source), read.average_rate or Fraction(RATE))
    write.codec_context.time_base = read.time_base or 1 / Fraction(RATE)
    sounds = {sound: copy.add_stream_from_template(sound) for sound in video.streams.audio}
    number = 0
    for packet in video.demux(read, *sounds):
        if packet.stream in sounds:
            if packet.dts is not None:
                packet.stream = sounds[packet.stream]
                copy.mux(packet)
            continue
        frame: Any
        for frame in packet.decode():
            if number == len(captions):
                raise _unequal(source, captions)
            upright = frame.to_image().rotate(90 * quarter_turns(frame), expand=True)
            captioned: Any = _caption(upright, captions[number])
            picture = av.VideoFrame.from_ndarray(np.asarray(captioned), format="rgb24")
            picture.pts, picture.time_base = frame.pts, frame.time_base
            copy.mux(write.encode(picture))
            number += 1
    if number != len(captions):
        raise _unequal(source, captions)
    copy.mux(write.encode(None))


def _size_of(source: Path) -> tuple[int, int]:
    """Width and height of a video's first picture, upright."""
    with open_video(source) as video:
        for frame in video.decode(video=0):
            return upright_size(frame)
    raise DataError(f"{source} must hold at least one frame, it holds none; leave it out.")


def _add_stream(video: OutputContainer, width: int, height: int, rate: Fraction) -> VideoStream:
    stream: Any = video.add_stream("libx264", rate=rate)
    stream.width, stream.height = width, height
    # Colours at half the size, which every player knows, need even sides.
    stream.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
    stream.options = {"crf": "18"}
    found: VideoStream = stream
    return found


def _caption(picture: Image, words: str) -> Image:
    """Writes words in white on black at the lower edge."""
    from PIL import ImageDraw, ImageFont

    if words:
        font = ImageFont.load_default(max(8, picture.height // 6))
        draw = ImageDraw.Draw(picture)
        place = picture.width / 2, picture.height - 2
        box = draw.textbbox(place, words, font=font, anchor="md")
        draw.rectangle((box[0] - 3, box[1] - 1, box[2] + 3, picture.height), fill="black")
        draw.text(place, words, font=font, anchor="md", fill="white")
    return picture


def _unequal(source: Path, captions: Sequence[str]) -> DataError:
    return DataError(
        f"{source} must have as many frames as captions, {len(captions):,}, it has not; "
        "predict its labels again."
    )
