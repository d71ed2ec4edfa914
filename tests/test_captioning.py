"""Captioning: what the network computes, runs that go on to the bit, commands as called."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from command_line import assert_mistake
from PIL import Image
from test_resume import Killed, kill, stop_at
from tiny_runs import (
    losses,
    quiet,
    threads_as_before,  # noqa: F401  # a fixture for every test here
    weight_bytes,
)

from throughtime.data.pictures import read_picture
from throughtime.data.words import UNKNOWN, Words
from throughtime.errors import DataError, OptionError, RunError
from throughtime.tasks import captioning
from throughtime.tasks.captioning_network import Captioner
from throughtime.tasks.captioning_options import (
    CaptionedOptions,
    CaptionerOptions,
    CaptioningOptions,
    CaptioningTraining,
)
from throughtime.tasks.captioning_write import look_again, write_all
from throughtime.tasks.decoding_options import Decoding

PLACES, FEATURES, V = 4, 6, 9
WAYS = [("lstm", "after"), ("gru", "before"), ("rnn", "none"), ("none", "after")]


@pytest.fixture(autouse=True)
def no_curve(monkeypatch):
    """Drawing takes longer than these runs."""
    monkeypatch.setattr("throughtime.training.run.draw_curve", lambda *_: None)


def captioner(cell="lstm", attention="after"):
    """A small network in double precision."""
    options = CaptionerOptions(cell, 5, embedding=3, attention=attention, places=7, queries=2)
    return Captioner(V, PLACES, FEATURES, options).double().eval()


def tiny(folder, **training):
    """Two epochs over drawn shapes."""
    return CaptioningOptions(
        CaptionedOptions(features=str(folder / "features")),
        CaptionerOptions("gru", 6, embedding=5, places=4, queries=3, dropout=0.2),
        CaptioningTraining(**{"batch": 256, "epochs": 2, "warmup": 2, "threads": 1} | training),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a short run, and pictures of its own."""
    folder = tmp_path_factory.mktemp("captioning")
    captioning.train(tiny(folder), folder / "run", quiet)
    Image.fromarray(np.full((96, 96, 3), 90, np.uint8)).save(folder / "grey.png")
    (folder / "bad.jpg").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize(("cell", "attention"), WAYS)
def test_words_read_one_by_one_give_what_they_give_at_once(cell, attention):
    network, features = captioner(cell, attention), torch.rand(2, PLACES, FEATURES).double()
    tokens = torch.randint(V, (5, 2))
    logits, weights = network(features, tokens)
    memory, found = network.look(features), []
    for word in tokens:
        one, seen, memory = network.read(word[None], memory)
        found.append((one, seen))
    for whole, parts in zip((logits, weights), zip(*found, strict=True), strict=True):
        torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(weights.sum(-1), torch.ones(5, 2).double())


@pytest.mark.parametrize(("cell", "attention"), WAYS)
def test_a_reordered_memory_goes_on_from_the_rows_it_names(cell, attention):
    network, features = captioner(cell, attention), torch.rand(3, PLACES, FEATURES).double()
    index, word = torch.tensor([2, 0, 2]), torch.randint(V, (1, 3))
    _, _, memory = network.read(word, network.look(features))
    _, _, other = network.read(word[:, index], network.look(features[index]))
    expected, _, _ = network.read(word, other)
    found, _, _ = network.read(word, memory.reorder(index))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_drawn_shapes_are_learnt_to_the_last_word(tmp_path):
    model = {"hidden": 64, "embedding": 32, "places": 64, "queries": 16, "dropout": 0.0}
    options = CaptioningOptions(
        CaptionedOptions(features=str(tmp_path / "features")),
        CaptionerOptions("lstm", **model),
        CaptioningTraining(batch=32, epochs=8, lr=0.006, warmup=20, threads=1),
    )
    captioning.train(options, tmp_path / "run", quiet)
    found, _ = captioning.evaluate(tmp_path / "run", announce=quiet)
    assert len(found.captions) == 100 and found.share_exact == 1.0
    assert found.measures.bleu[3] == pytest.approx(100)


def test_without_places_to_look_at_the_order_of_places_is_all_that_is_lost():
    network = captioner("lstm", "none")
    weights = network(torch.rand(2, PLACES, FEATURES).double(), torch.randint(V, (3, 2)))[1]
    assert weights.unique().tolist() == [1 / PLACES]


def test_a_run_that_was_killed_goes_on_to_the_same_bits(folder, tmp_path, monkeypatch):
    options = tiny(folder, checkpoint_every=3, validate_every=4)
    captioning.train(options, tmp_path / "whole", quiet)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        stop_at(patched, 5, kill)
        captioning.train(options, tmp_path / "run", quiet)
    captioning.resume(tmp_path / "run", quiet)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert weight_bytes(tmp_path / "run") == weight_bytes(tmp_path / "whole")


def test_a_step_whose_loss_is_not_finite_is_replayed(folder, tmp_path, call):
    options = tiny(folder, optimizer="sgd", lr=1e38, schedule="constant", clip=0.0)
    with pytest.raises(RunError, match="must be finite"):
        captioning.train(options, tmp_path / "run", quiet)
    assert "yes, to the bit" in call("replay", tmp_path / "run").out


@pytest.fixture
def spoilt(folder):
    """A list of four pictures with two captions each, one of them damaged."""
    for name, grey in (("black", 0), ("white", 255)):
        Image.fromarray(np.full((40, 60, 3), grey, np.uint8)).save(folder / f"{name}.png")
    names = ["black.png", "white.png", "grey.png", "bad.jpg"]
    lines = [
        json.dumps({"image": name, "captions": [f"a thing in {name[:4]}", "nothing"]})
        for name in names
    ]
    (folder / "spoilt.jsonl").write_text("\n".join(lines) + "\n")
    return str(folder / "spoilt.jsonl")


def of_list(folder, file, **text):
    """Two epochs over a list, which also chooses the weights."""
    options = tiny(folder)
    text = {"paths": (file,), "validation": (file,), "encoder": "pixels", **text}
    return replace(options, text=replace(options.text, **text))


def test_pictures_that_are_damaged_are_refused_or_left_out_and_counted(folder, spoilt, tmp_path):
    with pytest.raises(DataError, match=r"bad\.jpg .* 1 of 4 pictures cannot be read; --corrupt"):
        captioning.train(of_list(folder, spoilt), tmp_path / "refused", quiet)
    said = []
    captioning.train(of_list(folder, spoilt, corrupt="skip"), tmp_path / "run", said.append)
    (first,) = [line for line in said if line.startswith("Training")]
    assert "6 captions of 3 pictures" in first and "2 pictures skipped" in first
    found, known = captioning.evaluate(tmp_path / "run", [spoilt], quiet)
    assert len(found.captions) == 3 and "bad.jpg" in "".join(known.skipped)


def test_captions_of_pieces_have_no_unknown_word(folder, spoilt, tmp_path):
    options = of_list(folder, spoilt, corrupt="skip", tokens="bpe", vocabulary=270)
    captioning.train(options, tmp_path / "run", quiet)
    found, _ = captioning.evaluate(tmp_path / "run", [spoilt], quiet)
    assert found.unknown == 0 and len(found.captions) == 3
    (one,) = captioning.predict(captioning.load(tmp_path / "run"), [str(folder / "grey.png")])
    assert len(one.words) == len(one.found[0].tokens)


def test_looking_again_reads_the_caption_that_was_written(folder):
    model = captioning.load(folder / "run")
    features = np.random.default_rng(0).random((2, *captioning.read_shape(folder / "run")))
    features = features.astype(np.float32)
    found = write_all(model.network, model.tokens, [features], 6, Decoding(beam=2))
    written = [best for best, *_ in found]
    maps = look_again(model.network, model.tokens.size, features, [one.tokens for one in written])
    for one, weights in zip(written, maps, strict=True):
        assert len(weights) == len(one.tokens)
        assert weights.sum(-1) == pytest.approx(np.ones(len(weights)), abs=1e-5)


def test_evaluating_prints_the_measures_and_keeps_the_captions(folder, call):
    found, _ = captioning.evaluate(folder / "run", announce=quiet)
    printed = call("evaluate", folder / "run").out
    assert f"{found.measures.bleu[3]:.2f}  BLEU-4" in printed
    assert f"{found.measures.cider:.4f}  CIDEr-D" in printed
    lines = (folder / "run" / "captions.jsonl").read_text().splitlines()
    assert len(lines) == len(found.captions)


def test_a_picture_gets_a_line_and_a_drawing_of_where_was_looked(folder, call):
    shown = call("predict", folder / "run", folder / "grey.png", "--json", "--explain")
    found = json.loads(shown.out)
    assert found["picture"].endswith("grey.png") and isinstance(found["caption"], str)
    assert len(found["words"]) == len(found["weights"])
    assert (folder / "run" / "looked-grey.png").stat().st_size > 1000


def test_flags_of_decoding_decide_what_is_written(folder):
    model, picture = captioning.load(folder / "run"), str(folder / "grey.png")

    def captions(**how):
        (found,) = captioning.predict(model, [picture], Decoding(**how))
        return found

    found = captions(beam=4, best=3)
    assert len(found.captions) == 3 and found.captions[0] == captions(beam=4).captions[0]
    assert [one.score for one in found.found] == sorted(o.score for o in found.found)[::-1]
    for how in ({"beam": 3}, {"temperature": 1.5, "seed": 3}):
        fixed = captions(shortest=4, longest=4, block_ngrams=1, **how)
        assert len(set(fixed.found[0].tokens)) == 4 == len(fixed.maps)
    drawn = [captions(temperature=2.0, seed=seed, longest=9).captions for seed in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1] and drawn[0] not in drawn[2:]
    plain, covered = captions(beam=1), captions(beam=1, coverage_penalty=1.0)
    assert covered.found[0].tokens == plain.found[0].tokens
    n = len(plain.maps) + 1
    read = look_again(model.network, *reread(model, picture, plain.found[0].tokens))[0]
    missing = np.log(np.minimum(1.0, read.astype(np.float64).sum(0))).sum()
    score = plain.found[0].log_probability / ((5 + n) / 6) ** 0.8 + missing
    assert covered.found[0].score == pytest.approx(score, rel=1e-5)


def reread(model, picture, tokens):
    """The mark, the features and the tokens with an end, as looking again reads them."""
    features = model.encoder.encode(read_picture(picture, model.encoder.side)[None])
    return model.tokens.size, features.astype(np.float16), [[*tokens, model.tokens.size]]


def test_coverage_is_refused_without_attention():
    network = captioner("lstm", "none")
    words, parts = Words([UNKNOWN, "a"]), [np.zeros((1, PLACES, FEATURES))]
    with pytest.raises(OptionError, match=r"coverage_penalty .* attention, got 0\.5"):
        list(write_all(network, words, parts, 5, Decoding(coverage_penalty=0.5)))


def test_a_damaged_picture_is_one_line(folder, call):
    shown = call("predict", folder / "run", folder / "bad.jpg")
    assert_mistake(shown, "bad.jpg must be a picture")
