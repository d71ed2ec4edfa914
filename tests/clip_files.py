"""Small videos and lists of them, written for tests."""

import json
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from throughtime.data.shapes import shapes


def write_video(path, frames, rate=25, sound=False):
    """Grey frames [T, Y, X] as H.264, nearly without loss; with a second of a tone if asked."""
    with av.open(str(path), "w") as video:
        stream = video.add_stream("libx264", rate=Fraction(rate))
        stream.width, stream.height = frames.shape[2], frames.shape[1]
        odd = frames.shape[1] % 2 or frames.shape[2] % 2
        stream.pix_fmt = "yuv444p" if odd else "yuv420p"
        stream.options = {"crf": "4", "preset": "ultrafast"}
        tone = video.add_stream("aac", rate=8000) if sound else None
        for frame in frames:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray8")))
        video.mux(stream.encode(None))
        if tone is not None:
            wave = np.sin(np.arange(8000) / 3)[None].astype(np.float32)
            found = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            found.rate, found.pts = 8000, 0
            for part in (found, None):
                video.mux(tone.encode(part))
    return Path(path)


MATRICES = {
    90: (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30),
    180: (-1 << 16, 0, 0, 0, -1 << 16, 0, 0, 0, 1 << 30),
    270: (0, -1 << 16, 0, 1 << 16, 0, 0, 0, 0, 1 << 30),
}
"""Of a turn clockwise, as ISO 14496-12 writes it, row by row."""


def note_rotation(path, degrees):
    """Notes in an .mp4 file, as a phone does, that its frames are to be shown turned clockwise."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # behind version, times, number, length, layer, volume
    content[matrix : matrix + 36] = struct.pack(">9i", *MATRICES[degrees])
    path.write_bytes(content)


def write_list(folder, rows, name="list.jsonl"):
    """A list with a row for each clip and its labels."""
    path = Path(folder, name)
    path.write_text("".join(json.dumps({"clip": c, "labels": x}) + "\n" for c, x in rows))
    return path


def write_shapes(folder, count, seed=0, width=16, height=12):
    """Generated clips as videos in a folder, and their list."""
    frames, labels = shapes(count, seed, width, height)
    names = [f"{i}.mp4" for i in range(count)]
    for name, clip in zip(names, frames, strict=True):
        write_video(Path(folder, name), clip)
    return write_list(folder, list(zip(names, labels, strict=True)))
