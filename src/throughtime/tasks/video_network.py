"""The network of frame labels: frames to the probabilities of classes, one set a frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop

from throughtime.tasks.network import LAYERS
from throughtime.tasks.video_options import VideoModel

_AT_ONCE = 1024  # frames that are encoded side by side, so that a long clip needs little memory


class FrameEncoder(nn.Module):
    """Convolutions over a few frames that stand side by side, as channels.

        a_1 = relu(norm(conv_5x5(x_{t-v} ... x_{t+w})))      (v + 1 + w frames, every 2nd pixel)
        a_2 = relu(norm(conv_3x3(D'(a_1))))                   (D' drops whole channels)
        a_3 = relu(norm(conv_3x3(D'(a_2))))
        f_t = relu(norm(W D(a_3) + b))

    Frames as channels are a convolution over space and time whose kernel is as long as the
    window. Every norm is over one frame (GroupNorm, LayerNorm), so that no frame depends on which
    others are in its batch.

    Source: the spatiotemporal front end of Assael et al. 2016; GroupNorm, Wu and He 2018.

    Args:
        frame: Y and X.
        options: window, channels, features, dropout.
    """

    def __init__(self, frame: Sequence[int], options: VideoModel) -> None:
        super().__init__()
        first = options.channels
        sizes = [options.window, first, 2 * first, 3 * first]
        height, width = frame
        parts: list[nn.Module] = []
        for i, kernel in enumerate((5, 3, 3)):
            after = sizes[i + 1]
            parts += [
                nn.Conv2d(sizes[i], after, kernel, stride=2, padding=kernel // 2),
                nn.GroupNorm(math.gcd(after, 4), after),
                nn.ReLU(),
                *([nn.Dropout2d(options.dropout / 2)] if i < 2 else []),
            ]
            height, width = -(-height // 2), -(-width // 2)
        self.convolutions = nn.Sequential(*parts)
        self.project = nn.Linear(sizes[-1] * height * width, options.features)
        self.norm = nn.LayerNorm(options.features)
        self.dropout = options.dropout

    def forward(self, windows: Tensor) -> Tensor:
        """What becomes of each window, [N, E].

        Args:
            windows: normalised frames, [N, W, Y, X].
        """
        seen = self.convolutions(windows.contiguous(memory_format=torch.channels_last))
        flat = drop(seen.flatten(1), self.dropout, self.training)
        return torch.relu(self.norm(self.project(flat)))


class FeatureEncoder(nn.Module):
    """Stored features as the layers read them: f_t = relu(norm(W x_t + b)), [N, E]."""

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.project, self.norm = nn.Linear(inputs, features), nn.LayerNorm(features)

    def forward(self, frames: Tensor) -> Tensor:
        """What becomes of each frame, [N, E].

        Args:
            frames: [N, I].
        """
        return torch.relu(self.norm(self.project(frames)))


class Labeller(nn.Module):
    """Reads the frames of clips and says how likely each class is at every one of them.

        f_t = encoder(x_t and its neighbours)             (`FrameEncoder`, or `FeatureEncoder`)
        y_t = layers(D(f_t), y_{t-1})       (dropout D between layers; in both directions)
        logits_t = W_o D(y_t) + b_o

    A causal network has one direction. Without a cell y_t = D(f_t): the same network without
    recurrence. Beyond the ends of a clip the encoder sees the grey of a normalised frame, 0.

    Args:
        frame: axes of a frame, [Y, X], or [I] for stored features.
        classes: K.
        options: cell, sizes, direction, dropout.

    Example:
        >>> network = Labeller((8, 12), 3, VideoModel(hidden=4, channels=4, features=5)).eval()
        >>> clips = torch.zeros(7, 8, 12, dtype=torch.uint8)
        >>> network(clips, torch.tensor([4, 3])).shape
        torch.Size([7, 3])
    """

    def __init__(self, frame: Sequence[int], classes: int, options: VideoModel) -> None:
        super().__init__()
        self.dropout, self.window = options.dropout, options.window
        self.before = options.window - 1 if options.causal else options.window // 2
        self.reads_features = len(frame) == 1
        self.encoder: nn.Module
        if self.reads_features:
            self.encoder = FeatureEncoder(frame[0], options.features)
        else:
            self.encoder = FrameEncoder(frame, options)
        self.layers: nn.Module | None = None
        outputs = options.features
        if options.cell != "none":
            self.layers = LAYERS[options.cell](
                options.features,
                options.hidden,
                options.layers,
                dropout=options.dropout if options.layers > 1 else 0.0,
                bidirectional=not options.causal,
            )
            outputs = options.hidden * (1 if options.causal else 2)
        self.readout = nn.Linear(outputs, classes)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Logits of the classes, [N, K].

        Args:
            frames: of clips one after the other, uint8 [N, Y, X] or features [N, I].
            lengths: frames of each clip, int64 [B], N in sum.
        """
        y = drop(self.encode(frames, lengths), self.dropout, self.training)
        if self.layers is not None:
            step, row = places_of(lengths)
            padded = y.new_zeros(max([1, *lengths.tolist()]), len(lengths), y.shape[1])
            found, _ = self.layers(padded.index_put((step, row), y), lengths=lengths)
            y = drop(found[step, row], self.dropout, self.training)
        logits: Tensor = self.readout(y)
        return logits

    def encode(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """What becomes of each frame before the recurrent layers, [N, E]."""
        kind = self.readout.weight.dtype
        if self.reads_features:
            features: Tensor = self.encoder(frames.to(kind))
            return features
        parts = [
            self.encoder(self._windows(frames, lengths, places, kind))
            for places in torch.split(torch.arange(len(frames)), _AT_ONCE)
        ]
        return torch.cat(parts)

    def _windows(
        self, frames: Tensor, lengths: Tensor, places: Tensor, kind: torch.dtype
    ) -> Tensor:
        """The frames around some places, normalised, zeros beyond a clip's ends, [n, W, Y, X]."""
        ends = lengths.cumsum(0)
        clip = torch.searchsorted(ends, places, right=True)
        first, end = (ends - lengths)[clip], ends[clip]
        around = places[:, None] + torch.arange(self.window) - self.before  # [n, W]
        is_inside = (around >= first[:, None]) & (around < end[:, None])
        low, high = (int(around.min().clamp(min=0)), int(around.max())) if len(places) else (0, 0)
        ready = normalise(frames[low : high + 1], kind)
        chosen = ready[(around - low).clamp(0, max(0, len(ready) - 1))]
        return chosen * is_inside[..., None, None]


def normalise(frames: Tensor, kind: torch.dtype = torch.float32) -> Tensor:
    """Every frame with mean 0 and deviation 1: (x - mean) / max(deviation, 1 of 255 greys).

    Args:
        frames: uint8 [N, Y, X].
        kind: the type of the result.
    """
    x = frames.to(kind)
    x = x - x.mean((1, 2), keepdim=True)
    return x / x.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1)


def places_of(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Where the frames of clips one after the other stand side by side: step and row, [N] each.

    Example:
        >>> [part.tolist() for part in places_of(torch.tensor([2, 3]))]
        [[0, 1, 0, 1, 2], [0, 0, 1, 1, 1]]
    """
    row = torch.arange(len(lengths)).repeat_interleave(lengths)
    first = lengths.cumsum(0) - lengths
    return torch.arange(len(row)) - first[row], row
