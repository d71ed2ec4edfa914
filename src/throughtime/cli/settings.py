"""Settings from a file: each line stands for a flag, and a flag that is given wins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as brief
from typing import Any, get_args, get_origin

from cyclopts import App, ArgumentCollection, Token
from cyclopts.argument import Argument

from throughtime import record
from throughtime.cli.flags import to_flag
from throughtime.cli.recipes import TASKS
from throughtime.errors import OptionError, RunError
from throughtime.tasks.options import TASK, read_options

PARTS = ("text", "problem", "clips", "model", "training")
"""The parts of the options of any task, as a run's configuration names them."""

_OWN = ("--config", "--resume", "--out")  # where a run is read and written is no setting


def fill_from_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Gives the arguments that were not typed their values from `--config` or `--resume`.

    Cyclopts calls it between reading the command line and converting values, so that a value
    of a file is checked exactly as the flag would be.

    Raises:
        OptionError: the file cannot be read or holds a name that is no flag, or the word after
            `train` is no task.
        RunError: the run to resume cannot be read.
    """
    by_name = {argument.name: argument for argument in arguments}
    if commands == ("train",) and (task := _typed(by_name.get("TASK"))):
        raise OptionError(
            f"train must be told one of {', '.join(TASKS)}, got {task!r}; choose one."
        )
    for name in ("RUN", *_OWN):
        if _typed(by_name.get(name)) == "":
            raise OptionError(
                f"{name} must be a path, got an empty one; "
                "give one, or look for a variable of the shell that is not set."
            )
    if run := _typed(by_name.get("--resume")):
        _fill(by_name, _read_run(Path(run)), run)
    elif path := _typed(by_name.get("--config")):
        task = commands[1] if len(commands) > 1 else TASK
        _fill(by_name, _read_settings(Path(path), task), path)
    for argument in arguments:
        _refuse_fractions(argument)


def _typed(argument: Argument | None) -> str | None:
    return argument.tokens[0].value if argument is not None and argument.tokens else None


def _refuse_fractions(argument: Argument) -> None:
    """Refuses what cyclopts would round to a whole number."""
    if int not in (argument.hint, *get_args(argument.hint)):
        return
    for token in argument.tokens:
        if "." in token.value:
            where = f" in {token.source}" if token.source not in ("", "cli") else ""
            raise OptionError(
                f"{argument.name}{where} must be a whole number, got {token.value}; "
                "write digits only."
            )


def _read_settings(file: Path, task: str) -> Any:
    import yaml

    try:
        data = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise OptionError(
            f"--config must name a readable YAML file, {file} gives: {error.strerror}; "
            "check the path."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(
            f"--config must name a YAML file, {file} is none ({error}); "
            "write one `name: value` a line."
        ) from error
    if isinstance(data, dict) and "options" in data:
        return _options_of_run(data, file, task)
    return {} if data is None else data


def _read_run(run: Path) -> Any:
    if record.read_config(run)["task"] in TASKS[1:]:
        return {}  # this command has no flags for them
    options = asdict(read_options(run))
    # A run goes on with its own text; only `--config` may hand the paths to another run.
    del options["text"]["paths"]
    return options


def _options_of_run(data: dict[str, Any], source: Path, task: str) -> Any:
    if "format" in data:
        record.check_format(data["format"], source)
    if data.get("task", task) != task:
        raise RunError(
            f"the settings must be of the task {task}, {source} is of {data['task']}; "
            "name another run."
        )
    return data["options"]


def _fill(by_name: dict[str, Argument], settings: Any, source: str) -> None:
    for name, value in _flatten(settings, source):
        flag = "PATHS" if name == "paths" else to_flag(name)
        if flag not in by_name or flag in _OWN:
            raise _unknown(name, by_name, source)
        argument = by_name[flag]
        if not argument.tokens and value is not None:
            are_many = get_origin(argument.hint) is tuple
            for index, text in enumerate(_spell(name, value, source, are_many)):
                keyword = None if flag == "PATHS" else flag
                argument.append(Token(keyword=keyword, value=text, index=index, source=source))


def _flatten(settings: Any, source: str) -> Iterator[tuple[str, Any]]:
    """Names and values, those of the sections included."""
    if not isinstance(settings, dict):
        raise OptionError(
            f"{source} must hold settings, got {brief(settings)}; write one `name: value` a line."
        )
    for name, value in settings.items():
        if name in PARTS:
            yield from _flatten({} if value is None else value, source)
        else:
            yield str(name), value


def _spell(name: str, value: Any, source: str, are_many: bool) -> list[str]:
    """A value as words of a command line."""
    if are_many:
        return [str(entry) for entry in (value if isinstance(value, list) else [value])]
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, str | int | float):
        return [str(value)]
    raise OptionError(
        f"{name} in {source} must be one value, got {brief(value)}; write {name}: VALUE."
    )


def _unknown(name: str, by_name: dict[str, Argument], source: str) -> OptionError:
    if to_flag(name) in _OWN:
        return OptionError(
            f"{source} must hold settings alone, got {name!r}; "
            f"write {to_flag(name)} on the command line."
        )
    known = [flag.removeprefix("--") for flag in by_name if flag[:2] == "--" and flag not in _OWN]
    paths = {"paths"} if "PATHS" in by_name else set()
    known = sorted({flag for flag in known if flag} | paths)
    close = get_close_matches(name.replace("_", "-"), known, n=1)
    hint = f"did you mean {close[0]}?" if close else "leave it out."
    return OptionError(f"{source} must hold {', '.join(known)}, got {brief(name)}; {hint}")
