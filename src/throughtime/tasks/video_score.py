"""How well the frames of clips were labelled: frame by frame, and segment by segment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime.tasks.confusion import Confusion
from throughtime.tasks.segments import OVERLAPS, Hits, edit_score, overlap_hits
from throughtime.tasks.video_clips import Batch, Encoded
from throughtime.tasks.video_network import Labeller

_AT_ONCE = 8  # clips read side by side, of similar lengths


@dataclass(frozen=True)
class Score(Confusion):
    """How well frames were labelled."""

    nats_per_frame: float
    """-ln p(class | clip), averaged over all frames."""

    edit: float
    """Edit score of the segments, averaged over the clips, 0 to 100."""

    overlaps: dict[int, float]
    """F1@k of the segments by k, 0 to 100."""

    clips: int
    """Clips that were read."""

    skipped: dict[str, str]
    """Clips that could not be used, and why."""

    @property
    def majority(self) -> str:
        """The class that most frames of the training have, the first."""
        return self.classes[0]

    @property
    def share_right_others(self) -> float:
        """Share right of the frames that are not of the majority class; 0 if there are none."""
        counts = self.confusion[1:]
        return float(np.trace(counts, offset=1) / max(1, counts.sum()))


def score(network: Labeller, clips: Encoded, classes: tuple[str, ...]) -> Score:
    """Reads every clip once; the network is used as it is, so call `eval()` before."""
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    nats, edits, hits = 0.0, 0.0, {percent: Hits() for percent in OVERLAPS}
    for _, batch, logits in read_all(network, clips):
        nats += cross_entropy(logits, batch.classes, reduction="sum").item()
        taken = logits.argmax(-1)
        np.add.at(confusion, (batch.classes.numpy(), taken.numpy()), 1)
        sizes = batch.lengths.tolist()
        truths, answers = (torch.split(x, sizes) for x in (batch.classes, taken))
        for pair in zip(map(Tensor.tolist, truths), map(Tensor.tolist, answers), strict=True):
            edits += edit_score(*pair)
            hits = {percent: hits[percent] + overlap_hits(*pair, percent) for percent in hits}
    count = len(clips.clips)
    return Score(
        classes,
        confusion,
        nats_per_frame=nats / max(1, int(confusion.sum())),
        edit=edits / max(1, count),
        overlaps={percent: found.f1 for percent, found in hits.items()},
        clips=count,
        skipped=clips.clips.skipped,
    )


def read_all(
    network: Labeller, clips: Encoded
) -> Iterator[tuple[NDArray[np.int64], Batch, Tensor]]:
    """Some clips at a time: their places, what is read, the logits [N, K]; short clips first."""
    order = np.argsort(clips.clips.lengths, kind="stable")
    with torch.inference_mode():
        for first in range(0, len(order), _AT_ONCE):
            places = order[first : first + _AT_ONCE]
            batch = clips.batch(places)
            yield places, batch, network(batch.frames, batch.lengths)
