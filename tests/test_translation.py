"""Translation: what the network computes, runs that go on to the bit, commands as called."""

import json
import math

import numpy as np
import pytest
import torch
from command_line import assert_mistake
from test_resume import Killed, kill, stop_at
from tiny_runs import (
    losses,
    quiet,
    threads_as_before,  # noqa: F401  # a fixture for every test here
    weight_bytes,
)

from throughtime.cli.recipes import refuse_decoding
from throughtime.errors import OptionError, RunError
from throughtime.record import read_metrics
from throughtime.tasks import translation
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.translation_loss import translation_loss
from throughtime.tasks.translation_network import Translator
from throughtime.tasks.translation_options import (
    ParallelOptions,
    TranslationOptions,
    TranslationTraining,
    TranslatorOptions,
)
from throughtime.tasks.translation_score import measure
from throughtime.tasks.translation_texts import Batch, Encoded, build_vocabulary, encode, read_pairs
from throughtime.tasks.translation_write import Reader

V = 9
WAYS = [
    TranslatorOptions("gru", 4, embedding=3, attention="multiplicative"),
    TranslatorOptions("lstm", 4, 2, embedding=3, attention="additive", tied="target"),
    TranslatorOptions("rnn", 4, embedding=3, attention="none", bridge="none"),
    TranslatorOptions("gru", 4, embedding=3, attention="additive", input_feeding=True),
    TranslatorOptions("lstm", 4, embedding=3, attention="none", input_feeding=True, tied="none"),
    TranslatorOptions("none", 4, embedding=3, bridge="none"),
    TranslatorOptions("none", 4, embedding=3, attention="none"),
]
every_way = pytest.mark.parametrize("options", WAYS, ids=range(len(WAYS)))


@pytest.fixture(autouse=True)
def no_curve(monkeypatch):
    """Drawing takes longer than these runs."""
    monkeypatch.setattr("throughtime.training.run.draw_curve", lambda *_: None)


def translator(options):
    """A small network in double precision."""
    torch.manual_seed(0)
    return Translator(V, V, options).double().eval()


def tiny(text=None, **training):
    """Two epochs over dates."""
    return TranslationOptions(
        ParallelOptions(
            **{"vocabulary": 256, "longest": 20, "validation_share": 0.02} | (text or {})
        ),
        TranslatorOptions("gru", 6, embedding=5, dropout=0.2),
        TranslationTraining(**{"batch": 300, "epochs": 2, "warmup": 2, "threads": 1} | training),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a short run, and files of its own."""
    folder = tmp_path_factory.mktemp("translation")
    translation.train(tiny(), folder / "run", quiet)
    (folder / "a.en").write_text("4 July 1976\n1.2.2003\n")
    (folder / "a.iso").write_text("1976-07-04\n2003-02-01\n")
    return folder


def sources():
    """Three sentences of unlike lengths, and the pieces that are read after them."""
    generator = torch.Generator().manual_seed(3)
    read = torch.randint(V, (6, 3), generator=generator)
    return read, torch.tensor([6, 1, 4]), torch.randint(V, (5, 3), generator=generator)


@every_way
def test_pieces_read_one_by_one_give_what_they_give_at_once(options):
    network, (source, lengths, target) = translator(options), sources()
    o, weights, after = network.read(target, network.look(source, lengths))
    memory, found = network.look(source, lengths), []
    for piece in target:
        *one, memory = network.read(piece[None], memory)
        found.append(one)
    for whole, parts in zip((o, weights), zip(*found, strict=True), strict=True):
        torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(memory.coverage, after.coverage, rtol=0, atol=1e-12)


@every_way
def test_what_stands_behind_the_end_of_a_source_changes_nothing(options):
    network, (source, lengths, target) = translator(options), sources()
    o, weights, after = network.read(target, network.look(source, lengths))
    for row, length in enumerate(lengths.tolist()):
        memory = network.look(source[:length, row : row + 1], lengths[row : row + 1])
        alone, where, _ = network.read(target[:, row : row + 1], memory)
        torch.testing.assert_close(alone[:, 0], o[:, row], rtol=0, atol=1e-12)
        torch.testing.assert_close(where[:, 0], weights[:, row, :length], rtol=0, atol=1e-12)
        assert (weights[:, row, length:] == 0).all()
        assert (after.coverage[row, length:] == 1).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(5, 3).double())


@every_way
def test_a_reordered_memory_goes_on_from_the_rows_it_names(options):
    network, (source, lengths, target) = translator(options), sources()
    index = torch.tensor([2, 0, 2, 1])
    _, _, memory = network.read(target[:2], network.look(source, lengths))
    _, _, other = network.read(target[:2, index], network.look(source[:, index], lengths[index]))
    expected, _, _ = network.read(target[2:, index], other)
    found, _, _ = network.read(target[2:, index], memory.reorder(index))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("attention", ["multiplicative", "additive"])
def test_attention_is_that_of_the_equations(attention):
    options = TranslatorOptions("gru", 4, embedding=3, attention=attention)
    network, (source, lengths, target) = translator(options), sources()
    memory = network.look(source, lengths)
    h, _ = network.layers(network.target(target), memory.states)
    o, weights, _ = network.read(target, memory)
    for b, length in enumerate(lengths.tolist()):
        for t in range(len(target)):
            scores = []
            for m in memory.values[b, :length]:
                if attention == "multiplicative":
                    scores.append(h[t, b] @ network.key.weight @ m)
                else:
                    joined = network.query(h[t, b]) + network.key.weight @ m
                    scores.append(network.score.weight[0] @ torch.tanh(joined))
            shares = torch.stack(scores).softmax(0)
            torch.testing.assert_close(weights[t, b, :length], shares, rtol=0, atol=1e-12)
            seen = shares @ memory.values[b, :length]
            expected = torch.tanh(network.join(torch.cat([h[t, b], seen])))
            torch.testing.assert_close(o[t, b], expected, rtol=0, atol=1e-12)


def test_tied_embeddings_are_one_parameter():
    every, target, none = (
        Translator(V, V, TranslatorOptions("gru", 4, embedding=3, tied=tied))
        for tied in ("all", "target", "none")
    )
    assert every.source.weight is every.target.weight is every.readout.weight
    assert target.source.weight is not target.target.weight is target.readout.weight
    assert none.readout.weight is not none.target.weight
    with pytest.raises(OptionError, match="tied must be target or none with pieces apart"):
        TranslationOptions(ParallelOptions(pieces="apart"), TranslatorOptions(tied="all"))


def encoded():
    """Three pairs as numbers."""
    source = [np.array([1, 2, 3]), np.array([4]), np.array([5, 6])]
    return Encoded(source, [np.array([7]), np.array([1, 2]), np.array([3, 3, 3])], (8, 8))


@every_way
def test_the_loss_is_that_of_the_pieces_one_after_the_other(options):
    network, batch = translator(options), encoded().batch(np.arange(3))
    loss = translation_loss(network, batch, TranslationTraining(label_smoothing=0.0))
    total = 0.0
    for pair in range(3):
        one = encoded().batch(np.array([pair]))
        o, _, _ = network.read(one.target[:-1], network.look(one.source, one.lengths))
        log_p = network.choose(o)[:, 0].log_softmax(-1)
        total -= sum(log_p[t, y].item() for t, y in enumerate(one.target[1:, 0].tolist()))
    assert loss.item() == pytest.approx(total, abs=1e-10)


def test_scheduled_sampling_reads_what_was_drawn_as_the_training_goes_on():
    network = translator(TranslatorOptions("gru", 4, embedding=3))
    batch, training = encoded().batch(np.arange(3)), TranslationTraining(sampling=0.999)
    taught = translation_loss(network, batch, TranslationTraining())
    torch.testing.assert_close(translation_loss(network, batch, training), taught)
    late = batch._replace(progress=1.0)
    drawn = {round(translation_loss(network, late, training).item(), 9) for _ in range(8)}
    assert len(drawn) > 1
    torch.testing.assert_close(translation_loss(network, late, TranslationTraining()), taught)
    # Were its own draws the reference itself, nothing would change.
    network.readout.bias.data.fill_(-1e9)[3] = 1e9
    same = Batch(*encoded().batch(np.array([2]))[:4], 1.0)
    same.target[:] = 3
    torch.testing.assert_close(
        translation_loss(network, same, training),
        translation_loss(network, same, TranslationTraining()),
    )


def test_dates_are_learnt_to_the_last_digit(tmp_path, monkeypatch):
    monkeypatch.setattr("throughtime.tasks.translation_texts.COUNT", 3000)
    options = TranslationOptions(
        ParallelOptions(validation_share=0.0),
        TranslatorOptions("gru", 64, embedding=64, attention="additive", dropout=0.0),
        TranslationTraining(
            batch=32, epochs=5, lr=0.008, warmup=20, threads=1, label_smoothing=0.0
        ),
    )
    translation.train(options, tmp_path / "run", quiet)
    found = translation.evaluate(tmp_path / "run")
    assert len(found.pairs) == 300
    assert found.greedy.share_exact == found.beam.share_exact == 1.0


def test_a_run_that_was_killed_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr("throughtime.tasks.translation_texts.COUNT", 1500)
    options = tiny(checkpoint_every=3, validate_every=4, sampling=0.5)
    translation.train(options, tmp_path / "whole", quiet)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        stop_at(patched, 7, kill)
        translation.train(options, tmp_path / "run", quiet)
    translation.resume(tmp_path / "run", quiet)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert weight_bytes(tmp_path / "run") == weight_bytes(tmp_path / "whole")


def test_a_run_whose_pairs_have_changed_is_not_gone_on_with(folder, tmp_path):
    paths = str(folder / "a.en"), str(tmp_path / "a.iso")
    (tmp_path / "a.iso").write_text("1976-07-04\n2003-02-01\n")
    translation.train(tiny({"paths": paths, "validation": paths}), tmp_path / "run", quiet)
    (tmp_path / "a.iso").write_text("1976-07-04\n2003-02-02\n")
    with pytest.raises(RunError, match="the pairs must be those of the run"):
        translation.resume(tmp_path / "run", quiet)


def test_files_of_validation_are_two_behind_one_flag(folder, tmp_path, call):
    pair = [folder / "a.en", folder / "a.iso"]
    words = "--vocabulary 256 --hidden 4 --embedding 4 --layers 1 --epochs 1 --threads 1".split()
    run = tmp_path / "run"
    done = call("train", "translation", *pair, "--validation", *pair, *words, "--out", run)
    assert done.code == 0, done.err
    assert translation.evaluate(run, tuple(map(str, pair))).pairs
    (best,) = [line for line in read_metrics(run) if line["kind"] == "validation"]
    assert best["update"] == 1


def test_pairs_that_are_too_long_are_counted_and_not_learnt_from(folder, tmp_path):
    said, paths = [], (str(folder / "a.en"), str(folder / "a.iso"))
    text = {"paths": paths, "validation": paths, "longest": 11}
    translation.train(tiny(text), tmp_path / "run", said.append)
    assert "1 pairs of sentences" in said[0]
    assert "1 pairs longer than 11 pieces left out" in said[0]
    found = translation.evaluate(tmp_path / "run", paths)
    assert len(found.pairs) == len(found.greedy.translations) == 2


def test_pieces_apart_spell_each_language(tmp_path):
    options = ParallelOptions(pieces="apart", vocabulary=300)
    pairs, _ = read_pairs(options, 1)
    vocabulary = build_vocabulary(pairs, options)
    found = encode(pairs, vocabulary)
    assert vocabulary.source.decode(found.sources[0]).strip() == pairs.sources[0]
    assert vocabulary.target.decode(found.targets[0]).strip() == pairs.targets[0]
    assert vocabulary.source.to_json() != vocabulary.target.to_json()
    again = type(vocabulary).from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again.to_json() == vocabulary.to_json()


def test_the_measures_are_those_of_a_worked_example():
    # 4 of 5 words, 2 of 4 pairs, 1 of 3 threes and 0 of 2 fours, smoothed to half of one of two.
    bleu, small, chrf = measure(["the cat sat on mats"], ["the cat sat at mats"])
    expected = 100 * (4 / 5 * 2 / 4 * 1 / 3 * 1 / 4) ** 0.25
    assert bleu.value == pytest.approx(expected) == small.value
    assert "tok:13a" in bleu.signature and "case:mixed" in bleu.signature
    assert "case:lc" in small.signature and 0 < chrf.value < 100
    assert measure(["A b c d"], ["a b c d"])[1].value == pytest.approx(100)


def test_looking_again_gives_a_row_for_each_piece_and_the_end():
    network = translator(WAYS[0]).float()
    reader = Reader(network, (8, 8))
    ((best,),) = reader.write([np.array([1, 2, 3])], 5, Decoding(beam=3))
    weights = reader.look_again(np.array([1, 2, 3]), best.tokens)
    assert weights.shape == (len(best.tokens) + 1, 4)
    assert weights.sum(-1) == pytest.approx(np.ones(len(weights)), abs=1e-5)


def test_flags_of_decoding_decide_what_is_written():
    reader = Reader(translator(WAYS[0]).float(), (8, 8))
    source = [np.array([1, 2, 3]), np.array([4])]
    many = reader.write(source, 5, Decoding(beam=6, best=3))
    assert [len(found) for found in many] == [3, 3]
    for found in reader.write(source, 9, Decoding(beam=3, shortest=4, longest=6, block_ngrams=1)):
        tokens = found[0].tokens
        assert 4 <= len(tokens) <= 6 and len(set(tokens)) == len(tokens)
    drawn = [
        [found[0].tokens for found in reader.write(source, 9, Decoding(temperature=1.0, seed=seed))]
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    plain = reader.write(source, 9, Decoding(beam=9, length_penalty=0.0))[0][0]
    assert plain.score == pytest.approx(plain.log_probability)
    covered = reader.write(source, 9, Decoding(beam=9, length_penalty=0.0, coverage_penalty=5.0))
    assert covered[0][0].score <= covered[0][0].log_probability


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"top_k": 3}, "top_k must come with temperature"),
        ({"temperature": 1.0, "beam": 3}, "beam must come without temperature"),
        ({"beam": 0}, "beam must be at least 1"),
        ({"best": 1.5}, "best must be a whole number"),
    ],
)
def test_flags_of_decoding_that_do_not_go_together_are_refused(wrong, said):
    with pytest.raises(OptionError, match=said):
        Decoding(**wrong)


def test_evaluating_prints_the_measures_and_keeps_the_translations(folder, call):
    paths = [str(folder / "a.en"), str(folder / "a.iso")]
    found = translation.evaluate(folder / "run", paths)
    shown = call("evaluate", folder / "run", *paths).out
    for greedy, best in zip(found.greedy.measures, found.beam.measures, strict=True):
        line = f"{greedy.value:8.2f}{best.value:10.2f}  {greedy.name}  ({greedy.signature})"
        assert line in shown
    assert "over 2 pairs" in shown
    lines = (folder / "run" / "translations.jsonl").read_text().splitlines()
    assert [json.loads(line)["reference"] for line in lines] == ["1976-07-04", "2003-02-01"]
    assert math.isfinite(found.nats_per_piece)


def test_a_sentence_gets_a_line_and_a_drawing_of_where_was_looked(folder, call):
    shown = call("predict", folder / "run", folder / "a.en", "--json", "--explain", "--best", 2)
    first, second = map(json.loads, shown.out.splitlines())
    assert (first["source"], second["source"]) == ("4 July 1976", "1.2.2003")
    assert len(first["best"]) == 2 and first["best"][0]["translation"] == first["translation"]
    assert np.shape(first["weights"]) == (len(first["rows"]), len(first["columns"]))
    assert (folder / "run" / "looked-2.png").stat().st_size > 1000
    plain = call("predict", folder / "run", folder / "a.en").out.splitlines()
    assert plain == [first["translation"], second["translation"]]
    both = call("predict", folder / "run", folder / "a.en", "--best", 2).out.splitlines()
    assert both[0].split("\t") == [one["translation"] for one in first["best"]]


def test_flags_of_decoding_that_do_not_fit_are_one_line(folder, call):
    assert_mistake(call("predict", folder / "run", folder / "a.en", "--top-k", 2), "temperature")
    assert_mistake(call("predict", folder / "run", folder / "a.en", "--best", 9), "best <= width")


def test_the_translation_of_a_blank_line_is_one(folder, call):
    (folder / "blank.txt").write_text("4 July 1976\n \n1.2.2003\n")
    lines = call("predict", folder / "run", folder / "blank.txt").out.splitlines()
    plain = call("predict", folder / "run", folder / "a.en").out.splitlines()
    assert lines == [plain[0], "", plain[1]]


def test_a_step_whose_loss_is_not_finite_is_replayed(tmp_path, call):
    options = tiny(optimizer="sgd", lr=1e38, schedule="constant", clip=0.0, sampling=0.5)
    with pytest.raises(RunError, match="must be finite"):
        translation.train(options, tmp_path / "run", quiet)
    assert "yes, to the bit" in call("replay", tmp_path / "run").out


def test_coverage_is_refused_without_attention_and_decoding_by_other_tasks():
    reader = Reader(translator(WAYS[2]).float(), (8, 8))
    with pytest.raises(OptionError, match=r"coverage_penalty .* attention, got 0\.5"):
        reader.write([np.array([1])], 5, Decoding(coverage_penalty=0.5))
    with pytest.raises(OptionError, match=r"--temperature must come .*, got 0\.0 for"):
        refuse_decoding("video", Decoding(temperature=0.0))
