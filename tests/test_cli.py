"""The command line: what it answers, and one line and exit code 2 for every mistake."""

import errno
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from throughtime import __version__, record
from throughtime.cli import app, main
from throughtime.tasks import language_model

COMMAND = [sys.executable, "-c", "import sys; from throughtime.cli import main; sys.exit(main())"]
SMALL = "--hidden 8 --layers 1 --window 5 --batch 3 --epochs 1 --threads 1".split()
TEXT = "to be, or not to be, that is the question:\n" * 12


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "hamlet.txt"
    file.write_text(TEXT)
    return file


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    """A run folder that was trained through the command line, and what was shown."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "language-model", str(text), *SMALL, "--out", str(folder)]
    return folder, subprocess.run([*COMMAND, *words], capture_output=True, text=True)


@pytest.fixture(scope="module")
def run(trained):
    return trained[0]


@pytest.fixture
def call(capsys):
    """Runs the command in this process: its exit code, stdout and stderr."""

    def call(*words):
        code = main([str(word) for word in words])
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return call


@pytest.fixture
def options_of(monkeypatch):
    """The options that words on the command line come to, without training."""

    def options_of(*words):
        caught = []
        monkeypatch.setattr(language_model, "train", lambda *asked: caught.append(asked))
        monkeypatch.setattr("throughtime.cli.train._finish", lambda summary: 0)
        assert main(["train", "language-model", *map(str, words)]) == 0
        return caught[0][0]

    return options_of


def assert_mistake(result, *parts):
    """Exit code 2, nothing on stdout, one line on stderr with all the parts."""
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1 and result.err.startswith("error: ")
    for part in parts:
        assert part in result.err


# Help


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


def test_train_alone_shows_its_help(call):
    shown = call("train")
    assert shown.code == 0
    assert "throughtime train" in shown.out and "--resume" in shown.out


# From training to text


def test_training_ends_with_figures_and_the_next_commands(trained):
    run, shown = trained
    assert (shown.returncode, shown.stderr) == (0, "")
    best = record.read_metrics(run)[-1]["bits_per_character"]  # the only validation
    assert f"{best:.4f} bits per character" in shown.stdout
    assert f"throughtime generate {run}" in shown.stdout


def test_evaluating_prints_the_figures_of_the_library(run, text, call):
    found = language_model.evaluate(run, [text])
    shown = call("evaluate", run, text).out
    assert f"{found.bits_per_character:.4f}  bits per character" in shown
    assert f"{found.tokens:,} tokens" in shown


def test_generated_text_begins_with_the_prompt_and_has_the_length(run, call):
    shown = call("generate", run, "--prompt", "to be", "--length", 20)
    assert shown.code == 0
    assert shown.out.startswith("to be") and len(shown.out) == len("to be") + 20 + len("\n")


def test_the_seed_decides_the_text(run, call):
    first, same, other = (call("generate", run, "--seed", seed).out for seed in (1, 1, 2))
    assert first == same != other


def test_an_ended_run_is_resumed_to_its_end(run, call):
    assert "ended already" in call("train", "--resume", run).out


def test_the_default_folder_is_named_after_the_task_and_never_taken(tmp_path, monkeypatch):
    from throughtime.cli.train import new_folder

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "now")
    (tmp_path / "runs" / "language-model-now").mkdir(parents=True)
    assert str(new_folder("language-model")) == os.path.join("runs", "language-model-now-2")


# Settings from a file


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path, options_of):
    (tmp_path / "c.yaml").write_text("hidden: 7\nweight-decay: 1e-3\npaths: [a, b]\ntied: true\n")
    options = options_of("--config", tmp_path / "c.yaml", "--hidden", 9)
    assert (options.model.hidden, options.model.layers, options.model.tied) == (9, 2, True)
    assert options.training.weight_decay == 0.001
    assert options.text.paths == ("a", "b")


def test_paths_on_the_command_line_replace_those_of_the_file(tmp_path, options_of):
    (tmp_path / "c.yaml").write_text("paths: [a, b]\n")
    assert options_of("c.txt", "--config", tmp_path / "c.yaml").text.paths == ("c.txt",)


def test_the_configuration_of_a_run_can_be_fed_back(run, options_of):
    options = options_of("--config", run / record.CONFIG)
    assert options == language_model.read_options(run)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("hiden: 3", ["'hiden'", "did you mean hidden?", "weight-decay"]),
        ("model: {hiden: 3}", ["'hiden'", "did you mean hidden?"]),
        ("hidden: many", ["--hidden", "c.yaml", '"many"']),
        ("hidden: {a: 3}", ["hidden in", "one value"]),
        ("cell: ltsm", ["--cell", "c.yaml", '"lstm", "gru"', 'Did you mean "lstm"?']),
        ("out: there", ["'out'"]),
        ("- hidden", ["must hold settings"]),
        ("a: [", ["must name a YAML file"]),
        ("{format: 99, task: language-model, options: {}}", ["format 99", "update throughtime"]),
        ("{format: 1, task: captioning, options: {}}", ["language-model", "captioning"]),
    ],
)
def test_a_bad_setting_in_a_file_is_refused_by_name(tmp_path, call, content, parts):
    (tmp_path / "c.yaml").write_text(content)
    result = call("train", "language-model", "--config", tmp_path / "c.yaml")
    assert_mistake(result, "c.yaml", *parts)


def test_a_missing_settings_file_is_refused(tmp_path, call):
    assert_mistake(call("train", "language-model", "--config", tmp_path / "no.yaml"), "no.yaml")


# Mistakes


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


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "it is empty"),
        (b"a\0b", "byte 1 is 0x00"),
        (b"caf\xe9", "byte 3 is 0xe9"),
        (b"to be", "give more text"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, call, content, part):
    (tmp_path / "file").write_bytes(content)
    result = call("train", "language-model", tmp_path / "file", "--out", tmp_path / "run")
    assert_mistake(result, part)
    assert not (tmp_path / "run").exists()


def test_a_missing_path_is_refused(tmp_path, call):
    result = call("train", "language-model", tmp_path / "none.txt", "--out", tmp_path / "run")
    assert_mistake(result, "none.txt")


def test_a_prompt_with_an_unknown_character_is_refused(run, call):
    assert_mistake(call("generate", run, "--prompt", "to bé"), "the prompt", "U+00E9")


@pytest.mark.parametrize(
    ("option", "value"), [("temperature", -1), ("top-k", 0), ("top-p", 2), ("length", -1)]
)
def test_an_impossible_way_to_draw_is_refused(run, call, option, value):
    assert_mistake(call("generate", run, f"--{option}={value}"), option.replace("-", "_"))


@pytest.mark.parametrize("command", [["evaluate"], ["generate"], ["train", "--resume"]])
def test_what_is_no_run_is_refused(tmp_path, call, command):
    assert_mistake(call(*command, tmp_path / "none"), "none")
    assert_mistake(call(*command, tmp_path), "config.yaml")
    record.write_config(tmp_path, "language-model", {})
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config | {"format": 99}))
    assert_mistake(call(*command, tmp_path), "format 99", "update throughtime")


def test_truncated_weights_are_refused(run, tmp_path, call):
    for file in run.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / record.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    assert_mistake(call("generate", tmp_path), record.WEIGHTS, "damaged")


def test_resuming_with_another_value_is_refused_by_name(run, call):
    result = call("train", "--resume", run, "--layers", 3)
    assert_mistake(result, "--layers must be 1", "got 3", "--config")


def test_resuming_with_the_same_value_is_allowed(run, call):
    assert call("train", "--resume", run, "--layers", 1, "--threads", 1).code == 0


def test_resuming_into_another_folder_is_refused(run, tmp_path, call):
    assert_mistake(call("train", "--resume", run, "--out", tmp_path), "--out", "--resume")


def test_a_run_is_never_overwritten(run, text, call):
    before = {file: file.read_bytes() for file in run.iterdir()}
    assert_mistake(
        call("train", "language-model", text, *SMALL, "--out", run), str(run), "is a run"
    )
    assert {file: file.read_bytes() for file in run.iterdir()} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, text, call):
    tmp_path.chmod(0o500)
    result = call("train", "language-model", text, *SMALL, "--out", tmp_path / "run")
    assert_mistake(result, "choose a folder that can be written")


def test_a_full_disk_is_one_line(tmp_path, text, call, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    result = call("train", "language-model", text, *SMALL, "--out", tmp_path / "run")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "No space left" in result.err and "free some space" in result.err


# Ends that are nobody's mistake


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
