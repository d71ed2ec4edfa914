"""Inspecting runs: every section from the instruments, or a sentence why there is none."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from command_line import assert_mistake

from throughtime import record
from throughtime.tasks import language_model
from throughtime.tasks.inspection import inspect_run
from throughtime.tasks.inspection_curves import MOST_POINTS, read_curves
from throughtime.tasks.inspection_language import open_view
from throughtime.tasks.inspection_subject import Asked
from throughtime.web import Missing, Units


def quiet(line):
    """Announces nothing."""


@pytest.fixture(scope="session")
def report(run):
    """All sections of the session's run."""
    return inspect_run(run, "small", announce=quiet)


@pytest.fixture(scope="module")
def adding(tmp_path_factory):
    """A run that reads numbers."""
    from throughtime.cli import main

    folder = tmp_path_factory.mktemp("adding") / "run"
    words = "train adding --steps 9 --hidden 5 --batch 4 --epochs 1 --threads 1 --out".split()
    assert main([*words, str(folder)]) == 0
    return folder


def test_every_section_of_a_language_model_is_there(report):
    for section in ("curves", "flow", "credit", "gates", "units", "spectra", "points"):
        part = getattr(report, section)
        assert not isinstance(part, Missing), (section, part)


def test_the_flow_begins_with_the_gradient_of_the_last_loss_by_autograd(run, report):
    subject = open_view(run, Asked()).subject
    kept = []
    subject.network.readout.register_forward_pre_hook(lambda _, x: kept.append(x[0]))
    loss = subject.losses()[-1].sum()
    (gradient,) = torch.autograd.grad(loss, kept[0])
    expected = gradient[-1].norm(dim=-1).mean().item()
    assert report.flow.norm[-1, 0] == pytest.approx(expected, rel=1e-4)  # float32


def test_the_diagonal_of_the_credit_is_lag_0_and_nothing_lies_above_it(report):
    norm = report.credit.norm[-1]
    above = report.credit.state_step[None] > report.credit.loss_step[:, None]
    assert np.isnan(norm[above]).all() and (norm[~above] >= 0).all()
    assert report.credit.by_lag[-1][0] == pytest.approx(1)


def test_shares_of_a_gate_add_up_to_one(report):
    (layer,) = report.gates.layers
    np.testing.assert_allclose(layer.share.sum(axis=1), 1)
    assert layer.gates[:2] == ["input", "forget"] and layer.left.shape == (4, 8)


def test_units_over_the_text_are_those_of_the_model(run, report):
    model, tokens, _ = language_model.load(run)
    text = "".join(report.units.tokens)
    with torch.no_grad():
        h, _ = model.unroll(torch.from_numpy(tokens.encode(text))[:, None])
    (layer,) = report.units.layers
    sent = layer.signals["h"].astype(np.float32)
    np.testing.assert_allclose(sent, h[:, 0, layer.units].numpy(), atol=1e-3)  # half precision


def test_few_numbers_keep_the_units_that_vary_most(run):
    units = inspect_run(run, "small", most_values=1500, announce=quiet).units
    (layer,) = units.layers
    assert isinstance(units, Units) and 0 < len(layer.units) < 8
    assert "those that vary most" in units.sampling


def test_a_run_that_reads_numbers_has_all_but_units_over_a_text(adding):
    report = inspect_run(adding, "adding", announce=quiet)
    assert "reads numbers" in report.units.reason
    assert report.curves.baseline == pytest.approx(1 / 6, rel=1e-3)
    assert not isinstance(report.credit, Missing) and not isinstance(report.points, Missing)
    assert np.isfinite(report.spectra.layers[0].lyapunov).all()  # of nine steps, four warm up


def test_a_long_training_is_shown_as_means_of_its_lines():
    losses = np.random.default_rng(0).random(3 * MOST_POINTS - 2)
    lines = [
        {"kind": "train", "update": 10 * i, "squared_error": loss} for i, loss in enumerate(losses)
    ]
    curves = read_curves(lines, "squared_error")
    assert len(curves.training) == MOST_POINTS and curves.update[-1] == lines[-1]["update"]
    assert curves.training[1] == pytest.approx(losses[3:6].mean())
    assert curves.training[-1] == pytest.approx(losses[-1])


def test_a_run_without_an_update_has_no_curve():
    assert "no update" in read_curves([], "squared_error").reason


def test_a_text_that_is_gone_leaves_the_curves_and_says_so(copied, tmp_path):
    config = copied / record.CONFIG
    config.write_text(
        re.sub(r"paths:\n\s*- .*", f"paths: [{tmp_path}/gone.txt]", config.read_text())
    )
    report = inspect_run(copied, "gone", announce=quiet)
    assert "gone.txt" in report.units.reason and "--text FILE" in report.units.reason
    assert not isinstance(report.curves, Missing)


def test_weights_that_are_not_finite_leave_sentences_and_no_numbers(copied):
    weights = record.read_weights(copied)
    weights["layers.weight_hh_l0"].fill_(float("nan"))
    record.write_weights(copied, weights)
    report = inspect_run(copied, "spoilt", announce=quiet)
    for section in ("flow", "credit", "gates", "units", "spectra", "points"):
        assert isinstance(getattr(report, section), Missing)


def test_the_command_writes_a_page_with_the_data_of_both_runs(run, copied, tmp_path, call):
    out = tmp_path / "new" / "report.html"
    shown = call("inspect", run, copied, "--prompt", "to be", "--out", out)
    assert shown.code == 0 and str(out) in shown.out
    data = re.search(r'id="data">(.*?)</script>', out.read_text(), re.DOTALL)[1]
    runs = json.loads(data)["runs"]
    assert [one["name"] for one in runs] == [run.name, copied.name]
    assert "".join(runs[0]["units"]["tokens"]).startswith("to be")


def test_the_command_refuses_what_it_cannot_show(run, adding, text, tmp_path, call):
    out = tmp_path / "report.html"
    out.write_text("mine")
    assert_mistake(call("inspect", run, "--out", out), "report.html exists", "choose another name")
    assert out.read_text() == "mine"
    assert_mistake(call("inspect", run, adding), "same task", "language-model", "adding")
    assert_mistake(call("inspect", run, run), "must differ")
    assert_mistake(call("inspect", adding, "--text", text), "leave the text out")
    assert_mistake(call("inspect", run, "--text", text, "--prompt", "to"), "got both")
    assert_mistake(call("inspect", run, "--text", tmp_path / "none.txt"), "none.txt")
    assert_mistake(call("inspect", run, "--prompt", "é"), "the prompt", "U+00E9")
    assert_mistake(call("inspect", tmp_path), "config.yaml")


def test_a_run_of_an_unknown_task_is_refused_by_name(copied, tmp_path, call):
    config = copied / record.CONFIG
    config.write_text(config.read_text().replace("task: language-model", "task: juggling"))
    shown = call("inspect", copied, "--out", tmp_path / "report.html")
    assert_mistake(shown, "juggling", "language-model, adding, copy, mnist", "update throughtime")


def test_a_text_with_unknown_characters_is_refused(run, tmp_path, call):
    (tmp_path / "other.txt").write_text("to be or ņot to be")
    assert_mistake(call("inspect", run, "--text", tmp_path / "other.txt"), "U+0146", "line 1")
    (tmp_path / "short.txt").write_text("t")
    assert_mistake(call("inspect", run, "--text", tmp_path / "short.txt"), "at least 3 tokens")


def test_more_runs_than_can_be_told_apart_are_refused(run, tmp_path, call):
    copies = [shutil.copytree(run, tmp_path / f"copy {i}") for i in range(5)]
    assert_mistake(call("inspect", *copies), "1 to 4 runs, got 5")
