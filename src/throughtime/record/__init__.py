"""The run folder: what a training leaves behind, written so that no crash can spoil it.

config.yaml         all options, the format's and the library's version; marks a run folder
text.json           which text was read, and its hash
tokens.json         the vocabulary
labels.json         the classes, in the order of their numbers, and how many texts had each
images.json         the hash of the images
clips.json          which clips were read, their hash, size, and those that could not be used
metrics.jsonl       one JSON object a line
flight.jsonl        what the flight recorder measured and warned of, one JSON object a line
model.safetensors   the weights that evaluating and generating read
checkpoint.pt       what training goes on from
curve.png, .svg     the learning curve
tensorboard/        the flight recorder's numbers for TensorBoard
crash/              the step whose loss or gradient was not finite, for `throughtime replay`
"""

from throughtime.record.files import (
    damaged,
    read_bytes,
    read_json,
    write_atomically,
    write_json,
    writing,
)
from throughtime.record.folder import (
    CHECKPOINT,
    CLIPS,
    CONFIG,
    CRASH,
    FLIGHT,
    FORMAT,
    IMAGES,
    LABELS,
    METRICS,
    TENSORBOARD,
    TEXT,
    TOKENS,
    WEIGHTS,
    check_format,
    check_vacant,
    create,
    read_config,
    write_config,
)
from throughtime.record.lines import Lines, read_flight, read_metrics
from throughtime.record.tensors import read_tensors, read_weights, write_tensors, write_weights

__all__ = [
    "CHECKPOINT",
    "CLIPS",
    "CONFIG",
    "CRASH",
    "FLIGHT",
    "FORMAT",
    "IMAGES",
    "LABELS",
    "METRICS",
    "TENSORBOARD",
    "TEXT",
    "TOKENS",
    "WEIGHTS",
    "Lines",
    "check_format",
    "check_vacant",
    "create",
    "damaged",
    "read_bytes",
    "read_config",
    "read_flight",
    "read_json",
    "read_metrics",
    "read_tensors",
    "read_weights",
    "write_atomically",
    "write_config",
    "write_json",
    "write_tensors",
    "write_weights",
    "writing",
]
