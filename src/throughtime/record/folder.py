"""The folder of a run: its files by name, the one that marks it, what may stand in its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from throughtime import __version__
from throughtime.errors import RunError
from throughtime.record import files
from throughtime.record.files import damaged, read_bytes, writing

FORMAT = 1
"""Version of the folder's format; a newer one is refused."""

CONFIG, METRICS, CHECKPOINT = "config.yaml", "metrics.jsonl", "checkpoint.pt"
TEXT, TOKENS, LABELS, IMAGES = "text.json", "tokens.json", "labels.json", "images.json"
CLIPS = "clips.json"
WEIGHTS = "model.safetensors"
FLIGHT, CRASH, TENSORBOARD = "flight.jsonl", "crash", "tensorboard"

_FIRST = {
    CONFIG,
    TEXT,
    TOKENS,
    LABELS,
    IMAGES,
    CLIPS,
    METRICS,
    CHECKPOINT,
}  # what making a run writes


def check_vacant(folder: Path) -> None:
    """Refuses a place for a new run that holds something already.

    Raises:
        RunError: the folder exists and is not empty, or is a file.
    """
    if folder.is_file():
        raise RunError(f"--out must be a new folder, {folder} is a file; choose another name.")
    if folder.is_dir() and any(folder.iterdir()):
        if (folder / CONFIG).exists():
            what, remedy = "is a run", f"go on with `--resume {folder}`, or delete it"
        elif all(file.name.removesuffix(".part").strip(".") in _FIRST for file in folder.iterdir()):
            what, remedy = "is a run that was stopped before its first update", "or delete it"
        else:
            what, remedy = "is not empty", "or empty it"
        raise RunError(
            f"--out must be a new folder, {folder} {what}; choose another name, {remedy}."
        )


def create(folder: Path) -> None:
    """Makes the folder of a new run; the run exists once its configuration is written.

    Raises:
        RunError: something is there already, or the folder cannot be made.
    """
    check_vacant(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_config(folder: Path, task: str, options: Mapping[str, Any]) -> None:
    """Writes the task and its full options; the last step of making a run."""
    import yaml

    config = {"format": FORMAT, "throughtime": __version__, "task": task, "options": options}
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    files.write_atomically(folder / CONFIG, text.encode())


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a run: `format`, `throughtime`, `task`, `options`.

    Raises:
        RunError: the folder is missing, no run, damaged, or of a newer format.
    """
    import yaml

    if not folder.is_dir():
        raise RunError(f"a run must be a folder, {folder} is none; check the path.")
    if not (folder / CONFIG).is_file():
        raise RunError(f"a run folder must hold {CONFIG}, {folder} does not; check the path.")
    try:
        config = yaml.safe_load(read_bytes(folder / CONFIG))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise damaged(folder / CONFIG, "YAML", error) from error
    if not isinstance(config, dict) or "format" not in config:
        raise damaged(folder / CONFIG, "a run's configuration", "no format number")
    check_format(config["format"], folder / CONFIG)
    if not {"task", "options"} <= config.keys():
        only = ", ".join(map(str, config))
        raise damaged(folder / CONFIG, "a run's configuration", f"only {only}")
    return config


def check_format(version: object, file: Path) -> None:
    """Refuses a file written by a later version of this library.

    Raises:
        RunError: the format is newer than `FORMAT`, or no number.
    """
    if not isinstance(version, int) or isinstance(version, bool):
        raise RunError(
            f"the format of {file} must be a whole number, it is {brief(version)}; "
            "restore the file or train anew."
        )
    if version > FORMAT:
        raise RunError(
            f"{file} must be of format {FORMAT} or older, it is of format {version}; "
            f"update throughtime (this is {__version__})."
        )
