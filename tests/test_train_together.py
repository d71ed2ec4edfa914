"""Two processes that share a batch make the update of one that has all of it."""

import os
import socket
import subprocess
import sys

import pytest
import torch
from clip_files import write_shapes

from throughtime.record import read_metrics, read_weights

SCRIPT = """
import sys, torch, numpy as np
from torch.nn.functional import cross_entropy
from throughtime.data.subwords import Lexicon
from throughtime.data.words import Words
from throughtime.tasks.sentiment_network import Classifier
from throughtime.tasks.sentiment_options import ClassifierOptions
from throughtime.tasks.sentiment_texts import Encoded
from throughtime.training.processes import add_up, add_up_gradients, join, part_of_mean

torch.manual_seed(0)
torch.set_num_threads(1)
lexicon = Lexicon(Words.build("a b c d e f g", 20), 10)
options = ClassifierOptions("gru", 3, 2, embedding=4, subwords=10, dropout=0.0, word_dropout=0.0)
network = Classifier(lexicon.tokens.size, 3, options).double()
texts = Encoded([list("abcdefg"[: 1 + k * k % 7]) for k in range(7)], np.arange(7) % 3, 0)
weights = torch.tensor([0.5, 1.0, 3.0]).double()
found = []
for count in (7, 2, 1):
    sentences, target = texts.batch(lexicon, np.arange(count), join())
    losses = cross_entropy(network(sentences), target, weights, reduction="none")
    loss = part_of_mean(losses.sum(), weights[target].sum())
    network.zero_grad()
    loss.backward()
    add_up_gradients(network)
    found += [add_up([loss.detach()])[0], *(p.grad.clone() for p in network.parameters())]
if join().rank == 0:
    torch.save(found, sys.argv[1])
"""
VIDEO = """
import sys, torch, numpy as np
from torch.nn.functional import cross_entropy
from throughtime.tasks.video_clips import draw_clips, encode
from throughtime.tasks.video_network import Labeller
from throughtime.tasks.video_options import ClipOptions, VideoModel
from throughtime.training.processes import add_up, add_up_gradients, join, part_of_mean

torch.manual_seed(0)
torch.set_num_threads(1)
clips = draw_clips(ClipOptions(width=9, height=8), 0)
network = Labeller((8, 9), 4, VideoModel(hidden=3, channels=2, features=5, dropout=0.0)).double()
encoded = encode(clips, tuple(clips.counts()), "the clips")
found = []
for count in (5, 2, 1):
    batch = encoded.batch(np.arange(count), join())
    losses = cross_entropy(network(batch.frames, batch.lengths), batch.classes, reduction="none")
    loss = part_of_mean(losses.sum(), torch.tensor(float(len(losses))))
    network.zero_grad()
    loss.backward()
    add_up_gradients(network)
    found += [add_up([loss.detach()])[0], *(p.grad.clone() for p in network.parameters())]
if join().rank == 0:
    torch.save(found, sys.argv[1])
"""
TRANSLATION = """
import sys, torch, numpy as np
from throughtime.tasks.translation_loss import translation_loss
from throughtime.tasks.translation_network import Translator
from throughtime.tasks.translation_options import TranslationTraining, TranslatorOptions
from throughtime.tasks.translation_texts import Encoded
from throughtime.training.processes import add_up, add_up_gradients, join, part_of_mean

torch.manual_seed(0)
torch.set_num_threads(1)
network = Translator(9, 9, TranslatorOptions("gru", 4, embedding=3, dropout=0.0)).double()
sides = [[np.arange(1 + k * k % n) for k in range(7)] for n in (7, 5)]
pairs = Encoded(*sides, (8, 8))
found = []
for count in (7, 2, 1):
    batch = pairs.batch(np.arange(count), join())
    losses = translation_loss(network, batch, TranslationTraining())
    loss = part_of_mean(losses, batch.steps.sum().double())
    network.zero_grad()
    loss.backward()
    add_up_gradients(network)
    found += [add_up([loss.detach()])[0], *(p.grad.clone() for p in network.parameters())]
if join().rank == 0:
    torch.save(found, sys.argv[1])
"""
CAPTIONING = """
import sys, torch, numpy as np
from types import SimpleNamespace
from throughtime.tasks.captioning_loss import caption_losses
from throughtime.tasks.captioning_network import Captioner
from throughtime.tasks.captioning_options import CaptionerOptions, CaptioningTraining
from throughtime.tasks.captioning_pictures import Encoded
from throughtime.training.processes import add_up, add_up_gradients, join, part_of_mean

torch.manual_seed(0)
torch.set_num_threads(1)
features = np.random.default_rng(0).random((7, 4, 6)).astype(np.float16)
kept = SimpleNamespace(read=lambda rows: features[rows])
options = CaptionerOptions("gru", 4, embedding=3, places=5, queries=2, dropout=0.0)
network = Captioner(9, 4, 6, options).double()
captions = Encoded(kept, np.arange(7), [np.arange(1 + k * k % 7) for k in range(7)], 8, 0)
training = CaptioningTraining(doubly_stochastic=0.5)
found = []
for count in (7, 2, 1):
    features_, tokens, steps = captions.batch(np.arange(count), join())
    logits, weights = network(features_, tokens[:-1])
    losses = caption_losses(logits, weights, tokens[1:], steps, training)
    loss = part_of_mean(losses.sum(), steps.sum().double())
    network.zero_grad()
    loss.backward()
    add_up_gradients(network)
    found += [add_up([loss.detach()])[0], *(p.grad.clone() for p in network.parameters())]
if join().rank == 0:
    torch.save(found, sys.argv[1])
"""
CACHE = """
import sys
from throughtime.tasks.video_clips import read_clips
from throughtime.tasks.video_options import ClipOptions

said = []
read_clips([sys.argv[1]], ClipOptions(width=8, height=8, cache=sys.argv[2]), said.append)
print(len(said))
"""
TRAIN = """
import sys
from throughtime.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run_together(count, script, *words):
    """Runs a script in so many processes that know of each other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared["WORLD_SIZE"] = str(count)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, *map(str, words)],
            env=shared | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    printed = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    return printed


@pytest.mark.long
@pytest.mark.parametrize("script", [SCRIPT, VIDEO, TRANSLATION, CAPTIONING])
def test_the_gradient_of_two_processes_is_that_of_one_with_the_joined_batch(script, tmp_path):
    for count in (1, 2):
        run_together(count, script, tmp_path / str(count))
    one, two = (torch.load(tmp_path / str(count)) for count in (1, 2))
    assert one[1].abs().max() > 1e-3
    for ours, theirs in zip(one, two, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.long
def test_two_processes_train_the_network_that_one_does_and_go_on_to_the_same_bits(tmp_path):
    words = "train sentiment --hidden 5 --embedding 4 --batch 31 --epochs 2 --threads 1".split()
    exact = ["--dropout", 0, "--word-dropout", 0]
    for count in (1, 2):
        printed = run_together(count, TRAIN, *words, *exact, "--out", tmp_path / str(count))
        assert "Done" in printed[0] and "".join(printed[1:]) == ""
    one, two = (read_metrics(tmp_path / count) for count in "12")
    for ours, theirs in zip(one, two, strict=True):
        assert ours["nats_per_text"] == pytest.approx(theirs["nats_per_text"], rel=1e-3)
    for name in ("whole", "stopped"):
        run_together(2, TRAIN, *words, "--out", tmp_path / name)
    config = tmp_path / "stopped" / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 2", "epochs: 3"))
    assert read_weights(tmp_path / "whole")["readout.weight"].equal(
        read_weights(tmp_path / "stopped")["readout.weight"]
    )


@pytest.mark.long
def test_one_of_two_processes_decodes_clips_and_both_read_them(tmp_path):
    path = write_shapes(tmp_path, 3)
    printed = run_together(2, CACHE, path, tmp_path / "cache")
    assert [int(lines) for lines in printed] == [1, 0]
