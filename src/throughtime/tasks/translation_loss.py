"""What a translator learns from: pieces of the reference, read after itself or after its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from throughtime.decode import choose
from throughtime.tasks.token_losses import is_read
from throughtime.tasks.translation_network import Memory, Translator
from throughtime.tasks.translation_options import TranslationTraining
from throughtime.tasks.translation_texts import Batch


def translation_loss(network: Translator, batch: Batch, options: TranslationTraining) -> Tensor:
    """The nats of all targets and their ends, summed.

        L = - sum_b sum_t sum_y q(y) ln p(y | pieces read before, source_b)

    q is 1 - e for the target, and e / V for every piece (Szegedy et al. 2016). What is read before
    is the reference (teacher forcing), or with scheduled sampling at each place with a share that
    rises linearly to `sampling` what the network has drawn there itself (Bengio et al. 2015).

    Args:
        network: in training.
        batch: pairs, and how much of the training is over.
        options: label smoothing e, and the share of pieces that are drawn.
    """
    memory = network.look(batch.source, batch.lengths)
    share = options.sampling * batch.progress
    read, target = batch.target[:-1], batch.target[1:]
    o = _read_own(network, read, memory, share) if share else network.read(read, memory)[0]
    # Padding is left out before the readout, the most expensive part.
    kept = is_read(batch.steps, len(target))
    return cross_entropy(
        network.choose(o[kept]),
        target[kept],
        reduction="sum",
        label_smoothing=options.label_smoothing,
    )


def _read_own(network: Translator, tokens: Tensor, memory: Memory, share: float) -> Tensor:
    """What is read out, [T, B, E], where a share of the pieces is what the network drew."""
    found = []
    read = tokens[0]
    for place in range(len(tokens)):
        o, _, memory = network.read(read[None], memory)
        found.append(o)
        if place + 1 < len(tokens):
            with torch.no_grad():
                drawn = choose(network.choose(o[0]))
            is_own = torch.rand(len(drawn)) < share
            read = torch.where(is_own, drawn, tokens[place + 1])
    return torch.cat(found)
