"""`throughtime train video`, and what a run of it can do."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Literal,  # noqa: F401  (cyclopts looks up the inherited annotations in this module)
)

from cyclopts import Parameter

from throughtime.cli.flags import CLIPS, MODEL, RUN, TRAINING
from throughtime.cli.output import is_first, new_folder, say
from throughtime.cli.recipes import refuse_decoding
from throughtime.errors import OptionError
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.video_options import (
    VIDEO,
    ClipOptions,
    VideoModel,
    VideoOptions,
    VideoTraining,
)

if TYPE_CHECKING:
    from throughtime.tasks.video import Model as Trained
    from throughtime.tasks.video_labels import Labels
    from throughtime.training.run import Summary


@dataclass(frozen=True)
class ClipFlags(ClipOptions):
    """The options of the clips without the paths: those come as plain words."""

    paths: Annotated[tuple[str, ...], Parameter(parse=False)] = ()


Clips = Annotated[ClipFlags, Parameter(name="*", group=CLIPS)]
Model = Annotated[VideoModel, Parameter(name="*", group=MODEL)]
Training = Annotated[VideoTraining, Parameter(name="*", group=TRAINING)]

NO_CLIPS, NO_MODEL, NO_TRAINING = ClipFlags(), VideoModel(), VideoTraining()
"""What holds where no flag is given."""


def train_video(
    *paths: str,
    out: Annotated[Path | None, Parameter(group=RUN)] = None,
    config: Annotated[Path | None, Parameter(group=RUN)] = None,
    clips: Clips = NO_CLIPS,
    model: Model = NO_MODEL,
    training: Training = NO_TRAINING,
) -> int:
    """Train a network to label every frame of a video: words from lips, actions, or any other.

    Lists are .jsonl, .tsv, .csv or .parquet files with a column of clips and one of labels, a
    label a frame: a list, or text with blanks between. Clips are videos that FFmpeg knows, or
    stored features, .npy files of numbers [frames, features].

    Ctrl-C saves and stops; throughtime train --resume RUN goes on from there.

    Args:
        paths: Lists of labelled clips; none: generated clips, learnt in a minute.
        out: New folder for the run. [default: runs/video-DATE-TIME]
        config: YAML file of settings named like the flags, or the config.yaml of a run.
            A flag that is given wins over the file.
        clips: What is read.
        model: The network.
        training: How it learns.
    """
    from throughtime.tasks.video import train

    values = {field.name: getattr(clips, field.name) for field in fields(ClipOptions)}
    options = VideoOptions(ClipOptions(**values | {"paths": paths}), model, training)
    return finish(train(options, out or new_folder(VIDEO), say))


def resume(run: Path) -> int:
    """Goes on with a run; the exit code."""
    from throughtime.tasks import video

    return finish(video.resume(run, say))


def evaluate(run: Path, paths: tuple[str, ...]) -> None:
    """Prints how well a run labels frames, and draws what it took for what."""
    from throughtime.tasks.confusion import draw_confusion
    from throughtime.tasks.video import evaluate

    found = evaluate(run, paths, say)
    print(f"{found.share_right:8.2%}  of the frames right")
    print(f"{found.share_right_others:8.2%}  of those that are not {found.majority!r}")
    print(f"{found.macro_f1:8.4f}  macro-F1")
    print(f"{found.nats_per_frame:8.4f}  nats per frame")
    print(f"{found.edit:8.2f}  edit score of the segments")
    for percent, f1 in found.overlaps.items():
        print(f"{f1:8.2f}  F1@{percent} of the segments")
    print(f"over {found.total:,} frames of {found.clips:,} clips")
    if found.skipped:
        print(f"without {len(found.skipped):,} clips that cannot be used:")
        print("\n".join(f"  {reason}" for reason in found.skipped.values()))
    width = max(8, *(len(name) for name in found.classes)) + 2
    print("\n" + "label".rjust(width), "frames".rjust(8), "right".rjust(8), "F1".rjust(8))
    for name, row, right, f1 in zip(
        found.classes, found.confusion, found.confusion.diagonal(), found.f1, strict=True
    ):
        print(name.rjust(width), f"{row.sum():8,} {right:8,} {f1:8.4f}")
    print(f"\nThe picture: {draw_confusion(found, run / 'confusion', 'frames')}")


def predict(
    run: Path, paths: tuple[str, ...], as_json: bool, is_explained: bool, how: Decoding
) -> None:
    """Prints what the frames of clips are taken for, or of a live stream on the standard input."""
    refuse_decoding(VIDEO, how)
    if is_explained:
        raise OptionError(
            "--explain must be left out for a run of video, got it; it takes words apart alone."
        )
    write_labels(run, paths, as_json, None, None)


def write_labels(
    run: Path, paths: tuple[str, ...], as_json: bool, srt: Path | None, burn: Path | None
) -> None:
    """Prints the labels of clips with their times, and writes subtitles and captioned copies.

    Args:
        run: the run folder.
        paths: the clips; none: a video on the standard input, labelled frame by frame.
        as_json: a JSON object a clip, or a frame of the stream.
        srt: folder for subtitles, or None.
        burn: folder for copies with the labels in their pictures, or None.
    """
    from throughtime.tasks.video import load, predict

    model = load(run)
    if not paths:
        for flag, folder in (("--srt", srt), ("--burn", burn)):
            if folder is not None:
                raise OptionError(f"{flag} needs files, got the standard input; name clips.")
        _label_input(model, as_json)
        return
    for path in map(Path, paths):
        found, _ = predict(model, path)
        if as_json:
            print(json.dumps(found.to_json(str(path))))
        else:
            for span in found.spans():
                print(f"{path}\t{span.start_s:.3f}\t{span.end_s:.3f}\t{span.label}")
        _write_files(model, path, found, srt, burn)


def _label_input(model: Trained, as_json: bool) -> None:
    import torch

    from throughtime.tasks.video_live import label_stream

    torch.set_num_threads(1)  # a frame is too little to share: threads would wait for each other
    # Without a buffer: a read would wait until it is full, and the labels with it.
    source = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    for span in label_stream(model, source):
        if as_json:
            line = {"time": round(span.start_s, 3), "label": span.label}
            print(json.dumps(line | {"probability": round(span.probability, 6)}), flush=True)
        else:
            print(f"{span.start_s:.3f}\t{span.label}\t{span.probability:.4f}", flush=True)


def _write_files(
    model: Trained, path: Path, found: Labels, srt: Path | None, burn: Path | None
) -> None:
    from throughtime.data.captioned import burn_in
    from throughtime.tasks.video_labels import to_subrip

    unsaid = model.classes[0]
    if srt is not None:
        srt.mkdir(parents=True, exist_ok=True)
        file = srt / f"{path.stem}.srt"
        file.write_text(to_subrip(found.spans(), unsaid), encoding="utf-8")
        print(f"Subtitles: {file}", file=sys.stderr)
    if burn is not None:
        burn.mkdir(parents=True, exist_ok=True)
        words = ["" if label == unsaid else label for label in found.labels]
        burn_in(path, burn / path.name, words)
        print(f"A copy with its labels: {burn / path.name}", file=sys.stderr)


def finish(summary: Summary) -> int:
    """The best figures and what to try next; the exit code."""
    from throughtime.cli.app import INTERRUPTED
    from throughtime.record import read_metrics

    if not is_first():
        return 0
    scores = [line for line in read_metrics(summary.run) if line["kind"] == "validation"]
    if scores:
        best = min(scores, key=lambda line: line["nats_per_frame"])
        print(
            f"\nBest validation, at update {best['update']:,}: {best['share_right']:.2%} of the "
            f"frames right, {best['share_right_others']:.2%} without the most frequent label, "
            f"edit score {best['edit']:.1f}, {best['nats_per_frame']:.4f} nats per frame"
        )
    if summary.interrupted:
        return INTERRUPTED
    print("\nNext, try:")
    print(f"  throughtime evaluate {summary.run} test.jsonl")
    print(f"  throughtime predict {summary.run} clip.mp4 --srt .")
    print(f"  open {summary.run / 'curve.png'}")
    return 0
