"""Labels for a live stream: one frame in, one label out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray

from throughtime.data.videos import iterate_frames, open_video
from throughtime.errors import OptionError
from throughtime.stream import open_session
from throughtime.tasks.video import Model, check_size
from throughtime.tasks.video_labels import Span
from throughtime.tasks.video_network import normalise


class Live:
    """A causal network that is fed frame by frame.

    The frames of the window are kept; the recurrent layers and the readout run in a session of
    `tt.stream`. The answer for a frame is that for the whole clip up to it.

    Args:
        model: as `load` gives it.

    Raises:
        OptionError: the model is not causal, or reads stored features.
    """

    def __init__(self, model: Model) -> None:
        if not model.options.model.causal or model.network.reads_features:
            raise OptionError(
                "a live stream needs a model that was trained on videos with --causal, this one "
                "sees what comes after a frame or reads stored features; name files, or train anew."
            )
        self.model, network = model, model.network
        self._kind = network.readout.weight.dtype
        clips = model.options.clips
        self._window = torch.zeros(1, network.window, clips.height, clips.width, dtype=self._kind)
        self._session = None
        if network.layers is not None:
            self._session = open_session([network.layers, network.readout])

    def probabilities(self, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The probability of every class at the next frame, [K].

        Args:
            frame: grey, uint8 [Y, X], of the size that the network reads.
        """
        network = self.model.network
        newest = normalise(torch.from_numpy(frame)[None], self._kind)
        with torch.inference_mode():
            self._window = torch.cat([self._window[:, 1:], newest[None]], 1)
            features = network.encoder(self._window)
            if self._session is None:
                logits = network.readout(features)[0]
            else:
                logits = torch.from_numpy(self._session.step(features[0].numpy()))
        found: NDArray[np.float64] = logits.double().softmax(-1).numpy()
        return found


def label_stream(model: Model, source: Path | IO[bytes]) -> Iterator[Span]:
    """The label of every frame of a video as soon as it is decoded; each ends where it begins.

    Args:
        model: as `load` gives it, causal.
        source: a file, or what can be read like one, such as `sys.stdin.buffer`.

    Raises:
        OptionError: the model cannot label a stream.
        DataError: the video cannot be read, or is of another size than those of the training.
    """
    live, clips = Live(model), model.options.clips
    with open_video(source) as video:
        for frame in iterate_frames(video, clips.width, clips.height):
            check_size(model, frame.size, "the stream")
            shares = live.probabilities(frame.pixels)
            label = model.classes[int(shares.argmax())]
            yield Span(frame.time_s, frame.time_s, label, float(shares.max()))
