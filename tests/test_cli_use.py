"""`throughtime evaluate` and `generate`: what they show and refuse."""

import shutil

import pytest
import torch
import yaml
from command_line import SMALL, assert_mistake

from throughtime import record
from throughtime.tasks import language_model


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


def test_a_beam_finds_no_less_likely_a_text_than_one_token_after_the_other(run, call):
    model, tokens, _ = language_model.load(run)

    def log_p(text):
        ids = torch.from_numpy(tokens.encode(text))
        with torch.no_grad():
            each = model(ids[:-1, None])[0][:, 0].double().log_softmax(-1)
        return each.gather(1, ids[1:, None])[4:].sum()  # of what comes after `to be`

    words = ["generate", run, "--prompt", "to be", "--length", 12]
    wide = call(*words, "--beam", 8).out[:-1]
    greedy = call(*words, "--beam", 1).out
    assert greedy == call(*words, "--temperature", 0).out
    assert len(wide) == len("to be") + 12 and log_p(wide) >= log_p(greedy[:-1])
    once = call(*words, "--beam", 4, "--block-ngrams", 1).out[len("to be") : -1]
    assert len(set(once)) == len(once) == 12


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--beam", 2, "--seed", 1], "without seed"),
        (["--block-ngrams", 2], "with beam"),
        (["--beam", 0], "beam must be at least 1"),
        (["--beam", 2, "--prompt", ""], "at least one token"),
    ],
)
def test_a_beam_that_cannot_be_is_refused(run, call, words, part):
    assert_mistake(call("generate", run, *words), part)


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
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    weights = copy / record.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    assert_mistake(call("generate", copy), record.WEIGHTS, "damaged")


@pytest.mark.parametrize("seed", [-1, 99999999999999999999])
def test_a_seed_that_no_generator_takes_is_refused(run, call, seed):
    assert_mistake(call("generate", run, f"--seed={seed}"), "seed must be at")


def test_a_run_that_knows_no_new_line_begins_with_its_first_character(tmp_path, call):
    (tmp_path / "line.txt").write_text("to be or not " * 30)
    call("train", "language-model", tmp_path / "line.txt", *SMALL, "--out", tmp_path / "run")
    shown = call("generate", tmp_path / "run", "--length", 5)
    assert (shown.code, shown.out[0], len(shown.out)) == (0, " ", 1 + 5 + 1)


def test_weights_that_went_astray_are_refused_and_not_drawn_from(copied, call):
    weights = record.read_weights(copied)
    weights["readout.bias"].fill_(float("nan"))
    record.write_weights(copied, weights)
    result = call("generate", copied, "--prompt", "t")
    assert result.code == 2 and "logits must be finite to draw from, got nan" in result.err


@pytest.mark.parametrize(
    ("file", "content", "part"),
    [
        ("text.json", "[]", "must hold an object for each text"),
        ("text.json", '{"training": 5}', "must hold an object for each text"),
        ("tokens.json", '{"kind": "characters", "alphabet": 5}', "the alphabet is no text"),
        ("tokens.json", "[]", "not an object"),
    ],
)
def test_a_file_of_a_run_with_other_values_is_refused(copied, call, file, content, part):
    (copied / file).write_text(content)
    assert_mistake(call("evaluate", copied), file, part)


def test_missing_weights_are_not_blamed_on_the_configuration(copied, call):
    (copied / record.WEIGHTS).unlink()
    result = call("generate", copied)
    assert_mistake(result, "a run must hold model.safetensors")
    assert "config.yaml" not in result.err
