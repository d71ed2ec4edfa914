"""The command line: help, mistakes in the words, and how it ends."""

import signal
import subprocess
import sys

import pytest
from command_line import COMMAND, assert_mistake

from throughtime import __version__
from throughtime.cli import app, main
from throughtime.tasks import language_model


def test_help_loads_no_heavy_library():
    script = "import sys; from throughtime.cli import main; main(['--help'])\n"
    script += "print(sorted({'torch', 'lightning', 'numpy', 'matplotlib'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert shown.stdout.endswith("[]\n")
    for command in ("demo", "train", "evaluate", "generate"):
        assert command in shown.stdout


def test_version_names_the_package(call):
    assert call("--version").out == f"throughtime {__version__}\n"


@pytest.mark.parametrize("width", [60, 80, 160])
def test_help_of_training_shows_every_option_and_default_at_any_width(call, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = call("train", "language-model", "--help").out
    assert max(map(len, shown.splitlines())) <= width
    flat = " ".join(shown.replace("│", " ").split())
    for option in ("PATHS", "--hidden INT", "--cell CHOICE", "--config PATH", "--out PATH"):
        assert option in flat
    for default in ("[default: 256]", "[default: 0.002]", "[default: cosine]", "DATE-TIME]"):
        assert default in flat
    assert flat.index("─ Run ─") < flat.index("─ Text ─") < flat.index("─ Model ─")


@pytest.mark.parametrize("command", ["train language-model", "evaluate"])
def test_the_usage_names_the_paths(call, command):
    usage = call(*command.split(), "--help").out.splitlines()[0]
    assert usage.endswith("[PATHS...]")


def test_train_alone_shows_its_help(call):
    shown = call("train")
    assert shown.code == 0
    assert "throughtime train" in shown.out and "--resume" in shown.out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("trian", ["Unknown command", 'Did you mean "train"?']),
        ("train langauge-model --out x", ["language-model", "'langauge-model'"]),
        ("train --hidden 3", ["--hidden", "throughtime train language-model"]),
        ("train language-model --hiden 3", ["--hiden", "Did you mean --hidden?"]),
        ("train language-model --hidden many", ["--hidden", "many", "int"]),
        ("train language-model --hidden 0", ["hidden must be at least 1"]),
        ("train language-model --cell ltsm", ["--cell", '"rnn-relu"', 'Did you mean "lstm"?']),
        ("train language-model --optimizer adm", ["--optimizer", '"adam", "sgd"']),
        ("generate", ["RUN"]),
    ],
)
def test_a_mistake_in_the_words_is_one_line(call, words, parts):
    assert_mistake(call(*words.split()), *parts)


def raising(error):
    def fail(*arguments, **options):
        raise error

    return fail


def test_ctrl_c_gives_130_and_no_traceback(run, call, monkeypatch):
    monkeypatch.setattr(language_model, "evaluate", raising(KeyboardInterrupt()))
    result = call("evaluate", run)
    assert (result.code, result.out, result.err) == (130, "", "\n")


def test_ctrl_c_while_text_is_written_ends_it_without_a_traceback(run):
    words = [*COMMAND, "generate", str(run), "--length", "1000000"]
    writer = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer.stdout.read(1)
    writer.send_signal(signal.SIGINT)
    _, errors = writer.communicate()
    assert (writer.returncode, errors) == (130, b"\n")


def test_an_error_of_the_system_is_one_line(run, call, monkeypatch):
    monkeypatch.setattr(language_model, "evaluate", raising(OSError(5, "Input/output error", "x")))
    assert_mistake(call("evaluate", run), "x must be usable", "Input/output error")


def test_our_own_faults_keep_their_traceback(run, monkeypatch):
    monkeypatch.setattr(language_model, "evaluate", raising(ZeroDivisionError("ours")))
    with pytest.raises(ZeroDivisionError, match="ours"):
        main(["evaluate", str(run)])


def test_a_closed_pipe_is_silent(run):
    writer = subprocess.Popen(
        [*COMMAND, "generate", str(run), "--length", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    writer.stdout.read(1)
    writer.stdout.close()
    assert writer.stderr.read() == b""
    writer.stderr.close()
    assert writer.wait() == 141


def test_the_command_is_what_pip_installs():
    assert app.name == ("throughtime",)
