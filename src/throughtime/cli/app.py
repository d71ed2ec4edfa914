"""The `throughtime` command: its parts, its help, and what its end means to a shell."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from throughtime import __version__
from throughtime.cli import (
    bench,
    captioning,
    demo,
    inspect,
    language_model,
    memory,
    mnist,
    replay,
    sentiment,
    train,
    translation,
    use,
    video,
)
from throughtime.cli.settings import fill_from_file
from throughtime.errors import ThroughtimeError

MISTAKE, INTERRUPTED, CLOSED_PIPE = 2, 130, 141
"""Exit codes; the last two are 128 plus the signal, as shells count."""

app = App(
    name="throughtime",
    help=(
        "Recurrent networks: trained, tested and sampled on a CPU, and open to look into.\n\n"
        "New here? throughtime demo trains an LSTM and a plain RNN on Python's own source code, "
        "lets the LSTM write some, and draws how far back in time each one learns. "
        "throughtime COMMAND --help shows every option and its default."
    ),
    version=f"throughtime {__version__}",
    config=fill_from_file,
    default_parameter=Parameter(negative_iterable=()),  # no --empty-validation
    help_format="plaintext",  # markdown would cost a third of the time that help takes
    group_parameters="Options",
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
app.command(demo.show_demo, name="demo", sort_key=1)
train.app.command(
    language_model.train_language_model,
    name="language-model",
    usage="Usage: throughtime train language-model [OPTIONS] [PATHS...]",
)
train.app.command(
    sentiment.train_sentiment,
    name="sentiment",
    usage="Usage: throughtime train sentiment [OPTIONS] [PATHS...]",
)
train.app.command(
    translation.train_translation,
    name="translation",
    usage="Usage: throughtime train translation [OPTIONS] [PATHS...]",
)
train.app.command(
    captioning.train_captioning,
    name="captioning",
    usage="Usage: throughtime train captioning [OPTIONS] [PATHS...]",
)
train.app.command(
    video.train_video,
    name="video",
    usage="Usage: throughtime train video [OPTIONS] [PATHS...]",
)
train.app.command(memory.train_adding, name="adding")
train.app.command(memory.train_copy, name="copy")
train.app.command(mnist.train_mnist, name="mnist")
app.command(train.app)
app.command(
    use.evaluate,
    name="evaluate",
    sort_key=3,
    usage="Usage: throughtime evaluate RUN [PATHS...]",
)
app.command(
    use.predict,
    name="predict",
    sort_key=4,
    usage="Usage: throughtime predict RUN [OPTIONS] [PATHS...]",
)
app.command(use.generate, name="generate", sort_key=5)
app.command(
    inspect.inspect,
    name="inspect",
    sort_key=6,
    usage="Usage: throughtime inspect RUN [OTHERS...]",
)
app.command(replay.replay, name="replay", sort_key=7)
app.command(bench.bench, name="bench", sort_key=8)
app["--help"].group = app["--version"].group = "Options"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the words after `throughtime`; those of the process without it.

    Returns:
        0 if it did what was asked, 2 for a mistake that one line on stderr explains, 130 after
        Ctrl-C, 141 if the reader of a pipe went away.
    """
    try:
        _survive_any_character()
        _use_large_pages()
        code = app(arguments, exit_on_error=False, print_error=False, verbose=False)
        sys.stdout.flush()  # here, where a closed pipe is still caught
        return int(code or 0)
    except (CycloptsError, ThroughtimeError) as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        print(file=sys.stderr)  # the shell's prompt begins on a line of its own
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return CLOSED_PIPE
    except OSError as error:
        where = error.filename or "a file"
        return _complain(
            f"{where} must be usable, the system says: {error.strerror or error}; "
            "check the path, its permissions and the space left."
        )


def _complain(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return MISTAKE


def _survive_any_character() -> None:
    """Shows `?` for what the terminal's encoding cannot, rather than to end in a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _use_large_pages() -> None:
    """Has torch keep large buffers in large pages, unless the user has said otherwise (Linux).

    A layer's buffers are made anew at each update; small pages would be touched one by one.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # before torch is imported


def _silence_stdout() -> None:
    """Keeps Python's last flush from failing on the pipe that is closed."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is no file
        pass
