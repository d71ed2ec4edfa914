"""The demo, made so small that it takes seconds: both models, their curves, text and picture."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from test_credit import of

from throughtime import record
from throughtime.cli.demo import curves_table, reach_table
from throughtime.data.text import standard_library
from throughtime.errors import RunError
from throughtime.tasks import demo, language_model
from throughtime.tasks.inspection import write_report

SMALL = demo.Size(
    updates=6,
    hidden=8,
    batch=3,
    window=7,
    validations=2,
    validation_characters=400,
    lags=9,
    windows=5,
)


@pytest.fixture(scope="module")
def lines():
    return []


@pytest.fixture(scope="module")
def runs(tmp_path_factory, lines):
    return demo.compare(tmp_path_factory.mktemp("demo") / "out", 3, SMALL, lines.append)


def test_both_runs_differ_in_nothing_but_the_cell(runs):
    lstm, rnn = (asdict(language_model.read_options(run)) for run in runs.values())
    assert (lstm["model"].pop("cell"), rnn["model"].pop("cell")) == ("lstm", "rnn")
    assert lstm == rnn


def test_each_character_is_read_once_and_no_more_are_kept(runs):
    folder = runs["LSTM"].parent
    training, validation = (folder / f"{name}.txt" for name in ("training", "validation"))
    expected = standard_library().text[: 6 * 3 * 7 + 1 + 400]
    assert training.read_bytes().decode() + validation.read_bytes().decode() == expected
    for run in runs.values():
        assert record.read_metrics(run)[-1]["update"] == SMALL.updates


def test_both_curves_stand_at_the_same_updates(runs):
    assert [list(demo.validation_curve(run)) for run in runs.values()] == [[3, 6], [3, 6]]


def test_the_reach_begins_with_the_gradient_of_the_loss_by_hand(runs):
    model, tokens, _ = language_model.load(runs["LSTM"])
    text = (runs["LSTM"].parent / "validation.txt").read_bytes().decode()
    ids = torch.from_numpy(tokens.encode(text))[:19, None]  # the first place, T = 9 and 9 before
    h = model.unroll(ids[:-1])[0][-1].detach().requires_grad_()
    torch.nn.functional.cross_entropy(model.readout(h), ids[-1]).backward()
    norm = demo.measure_reach(runs["LSTM"], SMALL).norm["h"]
    assert norm.shape == (1, 1, 1, 9, 5)
    # float32, and the kernel and the loop round differently
    np.testing.assert_allclose(norm[0, 0, 0, -1, 0], h.grad.norm(), rtol=1e-4)


def test_the_text_is_twenty_lines_and_the_same_for_a_seed(runs):
    first, second = ("".join(demo.write_python(runs["LSTM"], 1, lines=2)) for _ in range(2))
    assert first == second
    assert first.startswith("def ") and first.count("\n") == 2


def test_the_report_shows_both_runs_with_all_of_their_sections(runs, tmp_path):
    write_report(list(runs.values()), tmp_path / "report.html", announce=print)
    page = (tmp_path / "report.html").read_text()
    assert page.count('"name":"lstm"') == page.count('"name":"rnn"') == 1
    assert '"reason":' not in page


def decay(rate):
    """Of a loss at the last of 40 steps, in one row."""
    return of(rate ** np.arange(39.0, -1, -1)[None, :, None], losses=[39])


@pytest.mark.parametrize(
    ("lstm", "rnn", "title"),
    [
        (0.9, 0.5, "The tanh RNN's gradient is lost after 24 steps, the LSTM's lives past 39"),
        (0.5, 1.0, "The LSTM's gradient is lost after 24 steps, the tanh RNN's lives past 39"),
        (0.5, 0.25, "The tanh RNN's gradient is lost after 12 steps, the LSTM's after 24"),
        (1.0, 0.9, "Both gradients live past 39 steps"),
    ],
)
def test_the_title_says_where_a_gradient_falls_under_the_resolution(lstm, rnn, title):
    assert demo.reach_title({"LSTM": decay(lstm), "tanh RNN": decay(rnn)}) == title


def test_the_picture_is_written_as_png_and_svg(tmp_path):
    found = {"LSTM": decay(0.9), "tanh RNN": decay(0.5)}
    assert demo.draw_reach(found, tmp_path, SMALL).read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in (tmp_path / "gradient_flow.svg").read_text()


def test_the_table_of_reach_gives_shares_of_lag_0_and_the_horizon():
    table = reach_table({"A": decay(0.5), "B": decay(1.0)})
    assert list(table.columns[0].cells) == ["1", "3", "10", "30", "under 1 %"]
    assert list(table.columns[1].cells)[1::3] == ["1.2e-01", "after 7"]
    assert list(table.columns[2].cells)[-1] == "never"


def test_a_stopped_training_stops_the_demo(tmp_path, monkeypatch):
    stopped = language_model.Summary(tmp_path / "lstm", 1, 1.0, None, interrupted=True)
    monkeypatch.setattr(demo, "train", lambda *arguments: stopped)
    with pytest.raises(KeyboardInterrupt):
        demo.compare(tmp_path / "new", 1, SMALL, print)


def test_an_existing_folder_is_refused(runs):
    with pytest.raises(RunError, match="is not empty"):
        demo.compare(runs["LSTM"].parent, 1, SMALL, print)


def test_the_table_has_a_row_per_validation_and_longer_bars_for_more_bits():
    table = curves_table({"A": {3: 4.0, 6: 2.0}, "B": {3: 4.0, 6: 1.0}})
    assert list(table.columns[0].cells) == ["3", "6"]
    assert [cell.count("━") for cell in table.columns[2].cells] == [20, 5]
