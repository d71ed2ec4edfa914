"""Clips as they might have been taken, too: mirrored, moved, a little faster and slower."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from throughtime.tasks.video_clips import Batch
from throughtime.tasks.video_options import VideoTraining


def augment(batch: Batch, options: VideoTraining) -> Batch:
    """Every clip of a batch changed at random, by torch's generator, its labels with it.

    With probability 1/2 a clip is mirrored (`flip`); it is moved by up to `shift` of its width and
    height, its edges drawn out; each frame is left out with probability `jitter` / 2 and shown
    twice with the same. Of stored features only the time changes.

    Source: mirrored clips and frames left out or doubled, Assael et al. 2016.
    """
    frames, classes = batch.frames, batch.classes
    clips, lengths = [], []
    sizes = batch.lengths.tolist()
    for clip, truth in zip(*(torch.split(x, sizes) for x in (frames, classes)), strict=True):
        kept = _jitter(len(clip), options.jitter)
        clips.append((_move(clip[kept], options), truth[kept]))
        lengths.append(len(kept))
    joined = torch.cat([frames[:0], *(clip for clip, _ in clips)])
    truths = torch.cat([classes[:0], *(truth for _, truth in clips)])
    return Batch(joined, torch.tensor(lengths, dtype=torch.int64), truths)


def _jitter(num: int, share: float) -> Tensor:
    """Places of frames with some left out and some twice, one at least, int64 [T']."""
    drawn = torch.rand(num)
    times = 1 + (drawn >= 1 - share / 2).long() - (drawn < share / 2).long()
    places = torch.arange(num).repeat_interleave(times)
    return places if len(places) else torch.zeros(1, dtype=torch.int64)


def _move(clip: Tensor, options: VideoTraining) -> Tensor:
    """A clip mirrored and moved, of the same size, [T, Y, X]."""
    if clip.dim() == 2:  # stored features
        return clip
    if options.flip and torch.rand(()) < 0.5:
        clip = clip.flip(2)
    height, width = clip.shape[1:]
    far_y, far_x = round(options.shift * height), round(options.shift * width)
    if not far_y and not far_x:
        return clip
    y, x = (int(torch.randint(2 * far + 1, ())) for far in (far_y, far_x))
    drawn_out = pad(clip[:, None].float(), (far_x, far_x, far_y, far_y), mode="replicate")[:, 0]
    return drawn_out[:, y : y + height, x : x + width].to(clip.dtype)
