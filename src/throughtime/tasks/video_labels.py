"""What the frames of a clip are taken for, with times; as JSON and as subtitles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from throughtime.tasks.segments import segments


@dataclass(frozen=True)
class Span:
    """Frames with one label that follow each other."""

    start_s: float
    end_s: float
    label: str
    probability: float
    """Of the label, averaged over the frames."""


@dataclass(frozen=True)
class Labels:
    """What the frames of a clip are taken for.

    Example:
        >>> found = Labels(["sil", "go", "go"], [0.0, 0.04, 0.08, 0.12], [0.5, 0.9, 0.7])
        >>> [(span.start_s, span.end_s, span.label) for span in found.spans()]
        [(0.0, 0.04, 'sil'), (0.04, 0.12, 'go')]
    """

    labels: list[str]
    """The likeliest class of each frame, T."""

    times: list[float]
    """When each frame begins, in seconds, and when the last one ends, T + 1."""

    probabilities: list[float]
    """Of the likeliest class, T."""

    def spans(self) -> list[Span]:
        """The segments of the clip, in order."""
        found = []
        for label, first, end in segments(self.labels):
            mean = sum(self.probabilities[first:end]) / (end - first)
            found.append(Span(self.times[first], self.times[end], str(label), mean))
        return found

    def to_json(self, clip: str) -> Mapping[str, Any]:
        """Everything as plain values: the segments, and the label and time of each frame."""
        spans = [
            {
                "start": round(span.start_s, 3),
                "end": round(span.end_s, 3),
                "label": span.label,
                "probability": round(span.probability, 6),
            }
            for span in self.spans()
        ]
        times = [round(time, 3) for time in self.times[:-1]]
        return {"clip": clip, "segments": spans, "labels": self.labels, "times": times}


def to_subrip(spans: Sequence[Span], unsaid: str) -> str:
    """Segments as subtitles in SubRip's format, those with the unsaid label left out.

        1
        00:00:00,960 --> 00:00:01,200
        the label

    Args:
        spans: in order.
        unsaid: the label that shows nothing, such as that of silence.

    Example:
        >>> print(to_subrip([Span(0, 0.5, "sil", 1.0), Span(0.5, 3661.25, "go", 1.0)], "sil"))
        1
        00:00:00,500 --> 01:01:01,250
        go
        <BLANKLINE>
    """
    shown = [span for span in spans if span.label != unsaid]
    return "\n".join(
        f"{number}\n{_clock(span.start_s)} --> {_clock(span.end_s)}\n{span.label}\n"
        for number, span in enumerate(shown, 1)
    )


def _clock(time_s: float) -> str:
    whole, milliseconds = divmod(round(max(0.0, time_s) * 1000), 1000)
    minutes, seconds = divmod(whole, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02},{milliseconds:03}"
