"""The network of translation: a sentence to another one, piece by piece."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop

from throughtime.layers import States
from throughtime.tasks.network import LAYERS
from throughtime.tasks.token_losses import is_read
from throughtime.tasks.translation_options import TranslatorOptions


class Memory(NamedTuple):
    """What a decoder goes on from: where its layers stand, and the source sentences.

    Args:
        states: of the decoder's layers; None without them.
        values: of the places of the source, m, [B, S, M].
        keys: what states are compared with, [B, S, K].
        is_place: which places the sources have, bool [B, S].
        summary: of a source, c, [B, M].
        coverage: attention that each place has had, 1 for one that is padding, [B, S].
        fed: what the step before was read out from, o, [B, E].
    """

    states: States | None
    values: Tensor
    keys: Tensor
    is_place: Tensor
    summary: Tensor
    coverage: Tensor
    fed: Tensor

    def reorder(self, index: Tensor) -> Memory:
        """New row k continues from old row index[k], which may come several times.

        Args:
            index: int64 [B'].
        """
        states = None if self.states is None else self.states.reorder(index)
        return Memory(states, *(part[index] for part in self[1:]))


class Translator(nn.Module):
    """Reads a sentence from both sides, and writes another one looking at what it read.

        m_i = encoder(D(e_s(x)))_i                        both directions, M = H numbers a place
        c   = [last state forward; last state backward],  s_0 = tanh(W_b c + b_b) of every layer,
                                                          or 0 without a bridge
        h_t = layers(D(e_t(y_{t-1})), h_{t-1})            y_0 is the mark that begins a sentence
        a_ti = softmax_i score(h_t, m_i),   z_t = sum_i a_ti m_i
        o_t = tanh(W_c [h_t; z_t] + b_c)
        logits_t = W_o D(o_t) + b_o

        score(h, m) = h . (W_a m)                         multiplicative
                      v . tanh(W_q h + W_k m)             additive

    Attention comes after the step, so that the layers run over a whole sentence at once. With
    input feeding the step reads [e_t(y_{t-1}); o_{t-1}], one step at a time. Without attention
    z_t = c, and every step reads [e_t(y_{t-1}); c]. Without a cell m_i = tanh(W_m e_s(x_i)), c is
    their mean and h_t = tanh(W_b c + W_x e_t(y_{t-1})): no order is known but that of two pieces
    side by side.

    Source: Luong, Pham and Manning 2015 (`general`, input feeding); the additive score, and the
    encoder, Bahdanau, Cho and Bengio 2015; without attention, Cho et al. 2014; tied embeddings,
    Press and Wolf 2017.

    Args:
        sources: pieces of the sources, the mark among them, V_s.
        targets: those of the targets, V_t.
        options: cell, sizes, attention, dropout, what is tied.

    Note:
        Embeddings begin normal with deviation 1 / sqrt(E), as a readout that shares them.

    Example:
        >>> network = Translator(9, 7, TranslatorOptions(hidden=4, embedding=3, tied="target"))
        >>> read, steps = torch.zeros(5, 2, dtype=torch.int64), torch.tensor([5, 3])
        >>> o, weights, _ = network.read(read[:3], network.look(read, steps))
        >>> network.choose(o).shape, weights.shape, weights[:, 1, 3:].sum().item()
        (torch.Size([3, 2, 7]), torch.Size([3, 2, 5]), 0.0)
    """

    def __init__(self, sources: int, targets: int, options: TranslatorOptions) -> None:
        super().__init__()
        hidden, size = options.hidden, options.embedding
        self.options = options
        self.source = nn.Embedding(sources, size)
        self.target = self.source if options.tied == "all" else nn.Embedding(targets, size)
        for table in (self.source.weight, self.target.weight):
            nn.init.normal_(table, std=size**-0.5)
        self.encoder: Any = None
        self.layers: Any = None
        if options.cell == "none":
            self.place = nn.Linear(size, hidden)
            self.enter = nn.Linear(size, hidden)
        else:
            layer, many = LAYERS[options.cell], options.layers
            between = options.dropout if many > 1 else 0.0
            extra = options.input_feeding * size + (options.attention == "none") * hidden
            self.encoder = layer(size, hidden // 2, many, bidirectional=True, dropout=between)
            self.layers = layer(size + extra, hidden, many, dropout=between)
        fields = 1 if self.layers is None else sum(map(len, self.layers.initial_state(1)))
        if options.bridge == "dense":
            self.begin = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(fields))
        if options.attention != "none":
            self.key = nn.Linear(hidden, hidden, bias=False)
        if options.attention == "additive":
            self.query = nn.Linear(hidden, hidden)
            self.score = nn.Linear(hidden, 1, bias=False)
        self.join = nn.Linear(2 * hidden, size)
        self.readout = nn.Linear(size, targets)
        if options.tied != "none":
            self.readout.weight = self.target.weight

    def look(self, source: Tensor, lengths: Tensor) -> Memory:
        """What translations of these sentences begin from.

        Args:
            source: their pieces, int64 [S, B].
            lengths: pieces of each, at least 1, int64 [B].
        """
        is_place = is_read(lengths, len(source))  # [S, B]
        read = self._drop(self.source(source))
        if self.encoder is None:
            values = torch.where(is_place[..., None], torch.tanh(self.place(read)), 0.0)
            summary, last = values.sum(0) / lengths[:, None], None
        else:
            values, last = self.encoder(
                read, self.encoder.initial_state(len(lengths)), lengths=lengths
            )
            summary = _side_by_side(last[-1].h)
        values, is_place = values.transpose(0, 1), is_place.T
        keys = values[..., :0] if self.options.attention == "none" else self.key(values)
        coverage = (~is_place).to(values.dtype)
        fed = values.new_zeros(len(lengths), self.options.embedding)
        states = self._begin(last, len(lengths))
        return Memory(states, values, keys, is_place, summary, coverage, fed)

    def read(self, tokens: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Memory]:
        """What is read out after each piece, o [T, B, E], weights [T, B, S], and what comes after.

        Args:
            tokens: y_0 ... y_{T-1}, int64 [T, B].
            memory: as `look` or this gives it.
        """
        words = self._drop(self.target(tokens))  # [T, B, E]
        if not self.options.input_feeding:
            return self._advance(words, memory)
        found = []
        for word in words:
            *one, memory = self._advance(torch.cat([word, memory.fed], -1)[None], memory)
            found.append(one)
        o, weights = (torch.cat(parts) for parts in zip(*found, strict=True))
        return o, weights, memory

    def choose(self, o: Tensor) -> Tensor:
        """The logits of the next piece, [..., V_t], from what is read out, o [..., E]."""
        logits: Tensor = self.readout(self._drop(o))
        return logits

    def _advance(self, x: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Memory]:
        """As `read`, from what the layers read, without the summary, [T, B, ·]."""
        states = None
        if self.layers is None:
            begin = self.begin[0](memory.summary) if self.options.bridge == "dense" else 0.0
            h = torch.tanh(self.enter(x) + begin)
        else:
            h, states = self.layers(self._with_summary(x, memory), memory.states)
        seen, weights = self._attend(h, memory)
        o = torch.tanh(self.join(torch.cat([h, seen], -1)))
        after = memory._replace(states=states, coverage=memory.coverage + weights.sum(0), fed=o[-1])
        return o, weights, after

    def enter_layers(self, tokens: Tensor, memory: Memory) -> Tensor:
        """What the layers read of pieces [T, B], [T, B, I]; without input feeding alone."""
        return self._with_summary(self._drop(self.target(tokens)), memory)

    def _with_summary(self, x: Tensor, memory: Memory) -> Tensor:
        if self.options.attention != "none":
            return x
        return torch.cat([x, memory.summary.expand(len(x), -1, -1)], -1)

    def _attend(self, h: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """What states [T, B, H] see of the sources, [T, B, M], and the weights, [T, B, S]."""
        if self.options.attention == "none":
            equal = memory.is_place.to(h.dtype)
            weights = equal / equal.sum(-1, keepdim=True)
            return memory.summary.expand_as(h), weights.expand(len(h), -1, -1)
        scores = self._scores(h, memory.keys).masked_fill(~memory.is_place, -torch.inf)
        weights = scores.softmax(-1)
        return torch.einsum("tbs,bsm->tbm", weights, memory.values), weights

    def _scores(self, h: Tensor, keys: Tensor) -> Tensor:
        """How well states [T, B, H] fit keys [B, S, K], [T, B, S]."""
        if self.options.attention == "multiplicative":
            found: Tensor = torch.einsum("tbk,bsk->tbs", h, keys)
            return found
        scores: Tensor = self.score(torch.tanh(keys + self.query(h)[:, :, None]))
        return scores.squeeze(-1)

    def _begin(self, last: States | None, rows: int) -> States | None:
        """Where the decoder's layers begin, from where the encoder's ended."""
        if self.layers is None or last is None:
            return None
        empty: States = self.layers.initial_state(rows)
        if self.options.bridge == "none":
            return empty
        ends = (_side_by_side(field) for layer in last for field in layer)
        begin = (torch.tanh(bridge(end)) for bridge, end in zip(self.begin, ends, strict=True))
        return empty.map(lambda _: next(begin)[None])

    def _drop(self, values: Tensor) -> Tensor:
        return drop(values, self.options.dropout, self.training)


def _side_by_side(state: Tensor) -> Tensor:
    """Both directions of a state [2, B, H / 2] as one, [B, H]."""
    return torch.cat([state[0], state[1]], -1)
