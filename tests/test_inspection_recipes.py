"""Inspecting what recipes answer: what a page shows is what the networks compute."""

import numpy as np
import pytest
import torch
from command_line import assert_mistake
from test_captioning import tiny as tiny_captions
from test_sentiment import table
from test_sentiment import tiny as tiny_texts
from test_translation import tiny as tiny_dates
from test_video import tiny as tiny_clips
from tiny_runs import (
    quiet,
    threads_as_before,  # noqa: F401  # a fixture for every test here
)
from torch.nn.functional import cross_entropy

from throughtime.data.labelled import Labelled
from throughtime.data.pictures import read_picture
from throughtime.data.reviews import reviews
from throughtime.tasks import captioning, sentiment, translation, video
from throughtime.tasks.captioning_options import CaptionerOptions
from throughtime.tasks.captioning_pictures import read_lists
from throughtime.tasks.inspection import SECTIONS, inspect_run
from throughtime.tasks.inspection_gradients import _by_lag
from throughtime.tasks.inspection_sentiment import measure_saliency
from throughtime.tasks.inspection_subject import Asked
from throughtime.tasks.inspection_video import open_view
from throughtime.tasks.sentiment_texts import read_texts
from throughtime.tasks.translation_texts import encode, read_pairs
from throughtime.tasks.video_clips import read_material
from throughtime.web import Missing


@pytest.fixture(autouse=True, scope="module")
def no_curve():
    """Drawing takes longer than these runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("throughtime.training.run.draw_curve", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A sentiment run over two layers in both directions, by the mean."""
    folder = tmp_path_factory.mktemp("texts")
    options = tiny_texts([table(folder, reviews(200, seed=5))], model={"pooling": "mean"})
    sentiment.train(options, folder / "run", quiet)
    return folder / "run"


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    """A captioning run over drawn shapes."""
    folder = tmp_path_factory.mktemp("captions")
    captioning.train(tiny_captions(folder), folder / "run", quiet)
    return folder / "run"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A translation run over dates."""
    folder = tmp_path_factory.mktemp("pairs")
    translation.train(tiny_dates(), folder / "run", quiet)
    return folder / "run"


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A video run over generated clips, in both directions."""
    folder = tmp_path_factory.mktemp("clips")
    video.train(tiny_clips(epochs=1, batch=40), folder / "run", quiet)
    return folder / "run"


@pytest.fixture(scope="module")
def reports(texts, pairs, captions, clips):
    """All sections of the runs, by their task."""
    runs = {"sentiment": texts, "translation": pairs, "captioning": captions, "video": clips}
    return {task: inspect_run(run, task, announce=quiet) for task, run in runs.items()}


@pytest.mark.parametrize(
    ("task", "own", "missing"),
    [
        ("sentiment", "saliency", {"points"}),
        ("translation", "attention", set()),
        ("captioning", "attention", set()),
        ("video", "labels", {"units", "points"}),
    ],
)
def test_a_recipe_shows_its_own_section_and_what_instruments_can_measure(
    reports, task, own, missing
):
    parts = vars(reports[task])
    assert {name for name in ("saliency", "attention", "labels") if parts[name]} == {own}
    measured = ("curves", own, *SECTIONS)
    assert {name for name in measured if isinstance(parts[name], Missing)} == missing
    assert parts["curves"].loss.startswith("nats per ")
    assert any(name.startswith("best nats per ") for name in parts["facts"])


def test_both_directions_of_every_layer_are_shown(reports):
    report = reports["sentiment"]
    names = [f"layer {i}, {way}" for i in (0, 1) for way in ("forward", "reverse")]
    assert report.flow.layers == report.credit.layers == names
    for part in (report.gates, report.units, report.spectra):
        assert [one.layer for one in part.layers] == names


def test_a_line_by_lag_begins_where_each_row_ends_and_compares_rows_with_themselves():
    norm = np.array([[1.0, 6.0], [2.0, 3.0], [4.0, np.nan]])  # rows of three steps and of two
    expected = 3.5 * np.array([1, (2 + 6) / (4 + 3), 1 / 4])
    np.testing.assert_allclose(_by_lag(norm, 0), expected)
    expected = 3.5 * np.array([1, (2 + 3) / (1 + 6), 4 / 1])
    np.testing.assert_allclose(_by_lag(norm, 1), expected)


def test_what_words_add_is_what_they_change_from_a_text_of_unknown_words(texts):
    model = sentiment.load(texts)
    held_out = read_texts(model.options.text, model.options.training.seed).validation
    found = measure_saliency(model, held_out, "texts")
    unknown = model.network.embedding.words.weight[model.lexicon.unknown]
    for one in found.texts:
        sentences, label = model.lexicon.join([one.words]), model.classes.index(one.predicted)
        blank = unknown.expand(len(one.words), 1, -1)
        with torch.no_grad():
            said = model.network(sentences).log_softmax(-1)[0, label]
            nothing = model.network.classify(blank, sentences.lengths).log_softmax(-1)[0, label]
        assert one.influence.sum() == pytest.approx(float(said - nothing), abs=1e-3)
        assert one.probability == pytest.approx(float(said.exp()), rel=1e-4)


def test_the_surest_wrong_answers_come_first_and_right_ones_from_sure_to_unsure(texts):
    model = sentiment.load(texts)
    asked = Labelled(["the plot was fresh"] * 9, [*model.classes] * 4 + [model.classes[0]])
    asked = Labelled([f"{text} {'very ' * i}" for i, text in enumerate(asked.texts)], asked.labels)
    found = measure_saliency(model, asked, "texts").texts
    wrong = [one.probability for one in found if one.truth != one.predicted]
    right = [one.probability for one in found[len(wrong) :]]
    assert wrong == sorted(wrong, reverse=True) and right == sorted(right, reverse=True)
    assert wrong and right and all(one.truth == one.predicted for one in found[len(wrong) :])


def test_units_over_texts_are_those_of_each_text_read_by_itself(texts, reports):
    model, units = sentiment.load(texts), reports["sentiment"].units
    lines = "".join(units.tokens).splitlines()
    for d, layer in enumerate(units.layers[2:]):  # of the upper layer
        sent, at = layer.signals["h"].astype(np.float32), 0
        for line in lines[:-1]:
            sentences = model.lexicon.join([line.split()])
            with torch.no_grad():
                y, _ = model.network.layers(model.network.embedding(sentences))
            own = y[:, 0].view(len(y), 2, -1)[:, d, layer.units]
            np.testing.assert_allclose(sent[at : at + len(y)], own.numpy(), atol=1e-3)
            at += len(y)


def test_a_picture_is_shown_with_the_weights_of_the_words_written_for_it(captions, reports):
    model = captioning.load(captions)
    seen = reports["captioning"].attention.pictures
    _, held_out = read_lists(model.options.text, model.options.training.seed)
    mark = model.tokens.size
    for one, place in zip(seen[:2], (0, 14), strict=True):  # of 100 pictures 64, of those every 9th
        picture = read_picture(held_out.pictures[place], 32)
        words = model.tokens.encode(" ".join(one.words)).tolist()
        features = torch.from_numpy(model.encoder.encode(picture[None]).astype(np.float16))
        with torch.no_grad():
            _, weights = model.network(features, torch.tensor([[mark, *words[:-1]]]).T)
        assert one.maps.shape == (len(words), 4, 4)
        np.testing.assert_allclose(one.maps.reshape(len(words), -1), weights[:, 0], atol=1e-6)
        np.testing.assert_array_equal(one.picture, read_picture(held_out.pictures[place]))


def test_units_over_captions_are_those_of_each_caption_read_word_by_word(captions, reports):
    model, units = captioning.load(captions), reports["captioning"].units
    _, held_out = read_lists(model.options.text, model.options.training.seed)
    network, (layer,) = model.network, units.layers
    words = "".join(units.tokens).splitlines()[0].split()
    assert words[0] == "⟨begin⟩" and " ".join(words[1:]) == held_out.captions[0][0]
    features = model.encoder.encode(read_picture(held_out.pictures[0], 32)[None])
    memory = network.look(torch.from_numpy(features.astype(np.float16)))
    numbers = [model.tokens.size, *model.tokens.encode(" ".join(words[1:])).tolist()]
    for t, number in enumerate(numbers):
        with torch.no_grad():
            _, _, memory = network.read(torch.tensor([[number]]), memory)
        own = memory.states[-1].h[0, 0, layer.units].numpy()
        np.testing.assert_allclose(layer.signals["h"][t].astype(np.float32), own, atol=1e-3)


def test_a_sentence_is_shown_with_the_weights_of_the_pieces_written_for_it(pairs, reports):
    model = translation.load(pairs)
    held_out = read_pairs(model.options.text, model.options.training.seed)[1]
    shown = reports["translation"].attention.texts
    assert len(shown) == 8 and shown[0].title == held_out.sources[0]
    for one, answer in zip(
        shown, translation.predict(model, [one.title for one in shown]), strict=True
    ):
        assert one.facts["written"] == (answer.translations[0] or "(no words)")
        looked = translation.look_again(model, answer)
        assert (one.rows, one.columns) == (looked.rows, looked.columns)
        np.testing.assert_allclose(one.weights, looked.weights, atol=1e-6)


def test_units_over_references_are_those_of_each_one_read_piece_by_piece(pairs, reports):
    model, units = translation.load(pairs), reports["translation"].units
    held_out = read_pairs(model.options.text, model.options.training.seed)[1]
    network, (layer,) = model.reader.network, units.layers
    encoded = encode(held_out.take([0]), model.vocabulary).batch(np.arange(1))
    memory = network.look(encoded.source, encoded.lengths)
    for t, number in enumerate(encoded.target[:-1, 0].tolist()):
        with torch.no_grad():
            _, _, memory = network.read(torch.tensor([[number]]), memory)
        own = memory.states[-1].h[0, 0, layer.units].numpy()
        np.testing.assert_allclose(layer.signals["h"][t].astype(np.float32), own, atol=1e-3)


def test_strips_hold_the_labels_of_a_clip_and_what_the_network_says_of_it_alone(clips, reports):
    model, shown = video.load(clips), reports["video"].labels
    options = model.options
    held_out = read_material(options.clips, options.training.seed, quiet).validation
    shares = []
    for one in shown.clips:
        place = held_out.names.index(one.title)
        frames = torch.from_numpy(held_out.pixels(place))
        with torch.no_grad():
            taken = model.network(frames, torch.tensor([len(frames)])).softmax(-1).max(-1)
        assert [shown.classes[k] for k in one.truth] == held_out.labels[place]
        np.testing.assert_array_equal(one.predicted, taken.indices)
        np.testing.assert_allclose(one.probability, taken.values, rtol=1e-4)
        np.testing.assert_array_equal(one.frames, frames[torch.from_numpy(one.shown)])
        shares.append((one.truth == one.predicted).mean())
    assert shares == sorted(shares) and len(shares) == 6


def test_the_flow_of_the_reverse_direction_begins_with_the_gradient_of_the_first_loss(
    clips, reports
):
    subject, kept = open_view(clips, Asked(announce=quiet)).subject, []
    subject.network.readout.register_forward_pre_hook(lambda _, x: kept.append(x[0]))
    losses = subject.losses()
    for which, part, row in ((-1, slice(0, 5), 2), (0, slice(5, 10), 3)):  # of the upper layer
        (gradient,) = torch.autograd.grad(losses[which].sum(), kept[0], retain_graph=True)
        steps = gradient.view(-1, len(losses), 10)[:, which, part]  # [B, T, 2H] at one step
        expected = steps.norm(dim=-1).mean().item()
        assert reports["video"].flow.norm[row, 0] == pytest.approx(expected, rel=1e-4)


def test_losses_of_clips_are_those_of_their_first_frames(clips):
    model, subject = video.load(clips), open_view(clips, Asked(announce=quiet)).subject
    found = subject.losses().detach()
    options = model.options
    held_out = read_material(options.clips, options.training.seed, quiet).validation
    longest = max(range(len(held_out)), key=lambda i: held_out.lengths[i])
    frames = torch.from_numpy(held_out.pixels(longest)[: len(found)])
    truth = [model.classes.index(label) for label in held_out.labels[longest][: len(found)]]
    with torch.no_grad():
        logits = model.network(frames, torch.tensor([len(frames)]))
    own = cross_entropy(logits, torch.tensor(truth), reduction="none")
    torch.testing.assert_close(found[:, 0], own, rtol=1e-4, atol=1e-5)


def test_a_run_without_recurrence_has_its_own_section_and_says_why_no_other(tmp_path):
    options = tiny_texts(
        [table(tmp_path, reviews(60, seed=5))], model={"cell": "none", "pooling": "mean"}
    )
    sentiment.train(options, tmp_path / "run", quiet)
    report = inspect_run(tmp_path / "run", "bag", announce=quiet)
    assert report.saliency.texts
    assert all("no recurrent layer" in getattr(report, name).reason for name in SECTIONS)


@pytest.mark.parametrize(
    ("attention", "own", "others"),
    [("none", "no attention", None), ("before", None, "one step at a time")],
)
def test_a_captioner_says_what_its_attention_does_not_let_see(
    captions, tmp_path, attention, own, others
):
    options = tiny_captions(captions.parent, epochs=1)
    model = CaptionerOptions("gru", 6, embedding=5, attention=attention, places=4, queries=3)
    options = type(options)(options.text, model, options.training)
    captioning.train(options, tmp_path / "run", quiet)
    report = inspect_run(tmp_path / "run", "captions", announce=quiet)
    for part, reason in ((report.attention, own), (report.credit, others), (report.gates, others)):
        assert (reason in part.reason) if reason else not isinstance(part, Missing)


def test_texts_that_are_gone_leave_the_curves_and_say_so(tmp_path):
    options = tiny_texts([table(tmp_path, reviews(60, seed=5))], epochs=1)
    sentiment.train(options, tmp_path / "run", quiet)
    (tmp_path / "t.tsv").unlink()
    report = inspect_run(tmp_path / "run", "gone", announce=quiet)
    assert "t.tsv" in report.saliency.reason and "--text" not in report.saliency.reason
    assert report.credit == report.saliency and not isinstance(report.curves, Missing)


def test_a_text_for_a_run_that_reads_its_own_is_refused(texts, text, tmp_path, call):
    shown = call("inspect", texts, "--text", text, "--out", tmp_path / "report.html")
    assert_mistake(shown, "sentiment", "leave the text out")
