"""`throughtime train adding` and `train copy` as a person calls them."""

import pytest
from command_line import assert_mistake

from throughtime import record
from throughtime.tasks import memory

SMALL = "--steps 4 --hidden 5 --batch 6 --epochs 1 --threads 1".split()


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch):
    monkeypatch.setattr(memory, "EPOCH", 20)


@pytest.fixture
def run(tmp_path, call):
    """The folder of a short run of the adding problem."""
    assert call("train", "adding", "--cell", "irnn", *SMALL, "--out", tmp_path / "run").code == 0
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("task", "baseline"), [("adding", "0.1667"), ("copy", "0.8664")]
)  # 10 ln 8 / 24
def test_training_shows_the_loss_beside_its_baseline(tmp_path, call, task, baseline):
    shown = call("train", task, *SMALL, "--out", tmp_path / "run")
    assert (shown.code, shown.err) == (0, "")
    assert f"baseline {baseline}" in shown.out and f"without memory {baseline};" in shown.out
    assert (tmp_path / "run" / "curve.png").exists()


def test_an_ended_run_is_resumed_to_its_end(run, call):
    assert "ended already" in call("train", "--resume", run).out


def test_the_configuration_of_a_run_can_be_fed_back(run, tmp_path, call):
    words = ["--config", run / record.CONFIG, "--hidden", 4, "--out", tmp_path / "again"]
    assert call("train", "adding", *words).code == 0
    ours, theirs = (record.read_config(f)["options"] for f in (tmp_path / "again", run))
    assert ours["model"] == theirs["model"] | {"hidden": 4}
    assert ours["problem"] == theirs["problem"] and ours["training"] == theirs["training"]


def test_the_default_folder_is_named_after_the_task(tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call("train", "copy", *SMALL)
    assert [folder.name.split("-")[0] for folder in (tmp_path / "runs").iterdir()] == ["copy"]


def test_help_shows_the_problem_before_the_model(call):
    shown = " ".join(call("train", "adding", "--help").out.split())
    assert "1/6" in shown and "[choices: lstm, gru, rnn, irnn]" in shown
    assert shown.index("─ Problem ─") < shown.index("─ Model ─") < shown.index("─ Training ─")


def test_a_flag_beside_resume_is_refused_by_name(run, call):
    result = call("train", "--resume", run, "--lr", 0.5)
    assert_mistake(result, "--lr must be left out with --resume", "adding run")


def test_the_settings_of_another_task_are_refused(run, call):
    result = call("train", "copy", "--config", run / record.CONFIG)
    assert_mistake(result, "must be of the task copy", "of adding")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("train adding --cell irnn --init chrono", ["init must be one of identity"]),
        ("train copy --steps 1", ["steps must be at least 2"]),
        ("train copy --hidden 8.5", ["--hidden must be a whole number"]),
        ("train copy --window 8", ["--window"]),
        ("train ading", ["language-model, adding, copy", "'ading'"]),
    ],
)
def test_a_mistake_in_the_words_is_one_line(call, words, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_mistake(call(*words.split()), *parts)
    assert not list(tmp_path.iterdir())


def test_an_unknown_setting_lists_those_of_the_task(tmp_path, call):
    (tmp_path / "c.yaml").write_text("problem: {stepz: 3}")
    result = call("train", "adding", "--config", tmp_path / "c.yaml")
    assert_mistake(result, "did you mean steps?")
    assert "paths" not in result.err
