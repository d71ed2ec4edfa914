"""The run folder: what a training leaves behind, written so that no crash can spoil it.

config.yaml         all options, the format's and the library's version; marks a run folder
text.json           which text was read, and its hash
tokens.json         the vocabulary
labels.json         the classes, in the order of their numbers
images.json         the hash of the images
metrics.jsonl       one JSON object a line
model.safetensors   the weights that evaluating and generating read
checkpoint.pt       what training goes on from
curve.png, .svg     the learning curve
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from reprlib import repr as brief
from typing import TYPE_CHECKING, Any

from throughtime import __version__
from throughtime.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
"""Version of the folder's format; a newer one is refused."""

CONFIG, METRICS, CHECKPOINT = "config.yaml", "metrics.jsonl", "checkpoint.pt"
TEXT, TOKENS, LABELS, IMAGES = "text.json", "tokens.json", "labels.json", "images.json"
WEIGHTS = "model.safetensors"

_FIRST = {CONFIG, TEXT, TOKENS, LABELS, IMAGES, METRICS, CHECKPOINT}  # what making a run writes

_ALIASES = "throughtime.tied"  # key of the weights file's metadata: {name: name it is tied to}


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
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_config(folder: Path, task: str, options: Mapping[str, Any]) -> None:
    """Writes the task and its full options; the last step of making a run."""
    import yaml

    config = {"format": FORMAT, "throughtime": __version__, "task": task, "options": options}
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    write_atomically(folder / CONFIG, text.encode())


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
        config = yaml.safe_load(_read(folder / CONFIG))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _damaged(folder / CONFIG, "YAML", error) from error
    if not isinstance(config, dict) or "format" not in config:
        raise _damaged(folder / CONFIG, "a run's configuration", "no format number")
    check_format(config["format"], folder / CONFIG)
    if not {"task", "options"} <= config.keys():
        only = ", ".join(map(str, config))
        raise _damaged(folder / CONFIG, "a run's configuration", f"only {only}")
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


def write_json(file: Path, data: Any) -> None:
    """Writes one JSON file, whole or not at all."""
    write_atomically(file, (json.dumps(data, ensure_ascii=True) + "\n").encode())


def read_json(file: Path) -> Any:
    """The content of a JSON file.

    Raises:
        RunError: the file is missing or no JSON.
    """
    try:
        return json.loads(_read(file))
    except ValueError as error:
        raise _damaged(file, "JSON", error) from error


def write_weights(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes the weights of a network, as its `state_dict()` gives them.

    Tensors that share their memory (tied weights) are stored once, and their names kept.
    """
    from safetensors.torch import save

    first: dict[tuple[Any, ...], str] = {}
    tied: dict[str, str] = {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and place in first:
            tied[name] = first[place]
        else:
            first[place] = name
    # Clones: safetensors refuses views that look into the same memory.
    kept = {name: t.detach().clone() for name, t in tensors.items() if name not in tied}
    kept = {name: t.contiguous() for name, t in kept.items()}
    content = save(kept, {_ALIASES: json.dumps(tied)})  # one key: two have no fixed order
    write_atomically(folder / WEIGHTS, content)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a run by name, tied ones under each of their names; nothing is unpickled.

    Raises:
        RunError: there are no weights yet, or the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    file = folder / WEIGHTS
    if not file.is_file():
        raise RunError(
            f"a run must hold {WEIGHTS} to be used, {folder} does not; "
            f"it was stopped before its first checkpoint, go on with `--resume {folder}`."
        )
    try:
        with safe_open(file, "pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}
            tied = json.loads((opened.metadata() or {}).get(_ALIASES, "{}"))
        return tensors | {name: tensors[other] for name, other in tied.items()}
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError) as error:
        raise _damaged(file, "safetensors", error) from error


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of the metrics; a last line that a crash cut short is left out.

    Raises:
        RunError: the file is missing, or a whole line is no JSON.
    """
    lines = _read(folder / METRICS).split(b"\n")[:-1]
    try:
        metrics = [json.loads(line) for line in lines]
    except ValueError as error:
        raise _damaged(folder / METRICS, "JSON lines", error) from error
    if not all(isinstance(line, dict) for line in metrics):
        raise _damaged(folder / METRICS, "JSON objects", "a line is none")
    return metrics


class Metrics:
    """The metrics file, open for appending.

    Args:
        folder: the run.
        length: bytes to keep, the rest is cut off; a crash may have left more than the
            checkpoint knows.

    Raises:
        RunError: the file cannot be written, or is shorter than `length`.
    """

    def __init__(self, folder: Path, length: int) -> None:
        self.file = folder / METRICS
        with _writing(self.file):
            # Unbuffered: every line is with the system once `add` returns.
            self._opened = self.file.open("ab", buffering=0)
            found = self._opened.seek(0, os.SEEK_END)
            if found >= length:
                self._opened.truncate(length)
        if found < length:
            self._opened.close()
            raise _damaged(self.file, f"at least {length} bytes", f"only {found} bytes")
        self.length = length

    def add(self, line: Mapping[str, Any]) -> None:
        """Appends one object."""
        content = (json.dumps(line) + "\n").encode()
        with _writing(self.file):
            written = self._opened.write(content)
            if written != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.length += len(content)

    def sync(self) -> None:
        """Waits until every line is on the disk."""
        with _writing(self.file):
            os.fsync(self._opened.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._opened.close()


def write_atomically(file: Path, content: bytes) -> None:
    """Replaces a file whole or not at all, whenever the machine stops.

    Raises:
        RunError: the disk is full or the folder cannot be written; the earlier file is as
            it was.
    """
    part = file.with_name(f".{file.name}.part")
    with _writing(file):
        try:
            with part.open("wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            os.replace(part, file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Says in one sentence what the system's refusal to write means."""
    try:
        yield
    except OSError as error:
        remedy = {
            errno.ENOSPC: "free some space; the earlier files are whole",
            errno.EDQUOT: "free some of your quota; the earlier files are whole",
            errno.EROFS: "choose a folder that can be written",
            errno.EACCES: "choose a folder that can be written",
        }.get(error.errno or 0, "choose another folder")
        raise RunError(
            f"{file} must be written, the system says: {error.strerror}; {remedy}."
        ) from error


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RunError(
            f"{file} must be a readable file of the run, the system says: {error.strerror}; "
            "restore it or train anew."
        ) from error


def _damaged(file: Path, expected: str, came: object) -> RunError:
    first_line = str(came).split("\n", 1)[0]
    return RunError(
        f"{file} must hold {expected}, it is damaged ({first_line}); restore it or train anew."
    )
