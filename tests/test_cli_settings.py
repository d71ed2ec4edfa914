"""Settings from a file: which one wins, and how a bad one is refused."""

import pytest
from command_line import assert_mistake

from throughtime import record
from throughtime.cli import main
from throughtime.tasks import language_model


@pytest.fixture
def options_of(monkeypatch):
    """The options that words on the command line come to, without training."""

    def options_of(*words):
        caught = []
        monkeypatch.setattr(language_model, "train", lambda *asked: caught.append(asked))
        monkeypatch.setattr("throughtime.cli.language_model.finish", lambda summary: 0)
        assert main(["train", "language-model", *map(str, words)]) == 0
        return caught[0][0]

    return options_of


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
        ("out: there", ["'out'", "write --out on the command line"]),
        ("resume: there", ["write --resume on the command line"]),
        ("hidden: 8.5", ["--hidden in", "must be a whole number, got 8.5"]),
        ("model: 5", ["must hold settings, got 5"]),
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


def test_a_text_given_as_settings_is_not_printed_whole(tmp_path, call):
    (tmp_path / "t.txt").write_text("to be or not to be\n" * 999)
    result = call("train", "language-model", "--config", tmp_path / "t.txt")
    assert_mistake(result, "must hold settings")
    assert len(result.err) < 300


def test_the_settings_that_exist_are_listed_once(tmp_path, call):
    (tmp_path / "c.yaml").write_text("hiden: 3")
    listed = call("train", "language-model", "--config", tmp_path / "c.yaml").err
    assert listed.count("paths") == 1
