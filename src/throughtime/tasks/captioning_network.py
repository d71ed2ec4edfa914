"""The network of captioning: a picture's places to words, one after the other."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop

from throughtime.layers import States
from throughtime.tasks.captioning_options import CaptionerOptions
from throughtime.tasks.network import LAYERS


class Memory(NamedTuple):
    """What a decoder goes on from: where its layers stand, and the pictures' places.

    Args:
        states: of the recurrent layers; None without them.
        values: vectors of the places, [B, P, A].
        keys: what states are compared with, [B, P, K].
        coverage: attention that each place has had, [B, P].
    """

    states: States | None
    values: Tensor
    keys: Tensor
    coverage: Tensor

    def reorder(self, index: Tensor) -> Memory:
        """New row k continues from old row index[k], which may come several times.

        Args:
            index: int64 [B'].
        """
        states = None if self.states is None else self.states.reorder(index)
        return Memory(states, *(part[index] for part in self[1:]))


class Captioner(nn.Module):
    """Writes a caption word by word, looking at the places of a picture.

        v_i = relu(W_v f_i + p_i)                           f_i features, p_i a vector per place
        s_0 = tanh(W_s mean_i v_i + b_s)                    of every layer; c_0 of an LSTM likewise
        h_t = layers(D(e(w_t)), h_{t-1})                    w_1 is the mark that begins a caption
        a_ti = softmax_i(score(h_t, v_i)),   z_t = sum_i a_ti v_i
        logits_t = W_o D(tanh(W_h h_t + W_e D(e(w_t)) + W_z D(z_t) + b)) + b_o

    That is attention `after` a step, which lets the layers run over a whole caption at once. With
    attention `before` it, places are looked at by h_{t-1}, and the step reads what was seen:

        h_t = layers([D(e(w_t)); b_t z_t], h_{t-1}),   b_t = sigmoid(w_b . h_{t-1} + c)

        score(h, v) = (Q h) . (K v) / sqrt(size)       multiplicative, after
                      u . tanh(Q h + K v)              additive, before

    Without attention z_t = mean_i v_i. Without a cell h_t = tanh(W_s mean_i v_i + W_x D(e(w_t))): a
    word then depends on the one before it and on the picture alone.

    Source: before, Xu et al. 2015, eq. 4 to 9 and section 4.2.1; after, Luong, Pham and Manning
    2015, there without the root; the picture first, Vinyals et al. 2015.

    Args:
        size: words, the mark among them, V.
        places: P.
        features: of a place, F.
        options: cell, sizes, attention, dropout.

    Note:
        The vectors p_i and those of words begin normal with deviation 0.1.

    Example:
        >>> network = Captioner(9, 4, 6, CaptionerOptions(hidden=8, places=5, queries=3)).eval()
        >>> logits, weights = network(torch.rand(2, 4, 6), torch.zeros(3, 2, dtype=torch.int64))
        >>> logits.shape, weights.shape, bool((weights.sum(-1) - 1 < 1e-6).all())
        (torch.Size([3, 2, 9]), torch.Size([3, 2, 4]), True)
    """

    def __init__(self, size: int, places: int, features: int, options: CaptionerOptions) -> None:
        super().__init__()
        hidden, embedding, width = options.hidden, options.embedding, options.places
        self.options, self.dropout, self.attention = options, options.dropout, options.attention
        self.embedding = nn.Embedding(size, embedding)
        self.position = nn.Parameter(torch.empty(places, width))
        for table in (self.embedding.weight, self.position):
            nn.init.normal_(table, std=0.1)
        self.value = nn.Linear(features, width)
        self.layers: Any = None
        self.begin: nn.Linear
        if options.cell == "none":
            self.begin = nn.Linear(width, hidden)
            self.enter = nn.Linear(embedding, hidden)
        else:
            between = options.dropout if options.layers > 1 else 0.0
            inputs = embedding + (width if options.attention == "before" else 0)
            self.layers = LAYERS[options.cell](inputs, hidden, options.layers, dropout=between)
            fields = sum(len(layer) for layer in self.layers.initial_state(1))
            self.begin = nn.Linear(width, fields * hidden)
        if options.attention != "none":
            self.key = nn.Linear(width, options.queries)
            self.query = nn.Linear(hidden, options.queries, bias=False)
        if options.attention == "before":
            self.score = nn.Linear(options.queries, 1, bias=False)
            self.gate = nn.Linear(hidden, 1)
        self.join = nn.Linear(hidden + embedding + width, hidden)
        self.readout = nn.Linear(hidden, size)

    def forward(self, features: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the word after each, and where the network looked.

        Args:
            features: of the pictures, [B, P, F].
            tokens: w_1 ... w_T, int64 [T, B].

        Returns:
            logits: [T, B, V].
            weights: a_ti, [T, B, P]; equal ones without attention.
        """
        logits, weights, _ = self.read(tokens, self.look(features))
        return logits, weights

    def look(self, features: Tensor) -> Memory:
        """What captions of these pictures begin from.

        Args:
            features: [B, P, F], of any floating-point type.
        """
        values = torch.relu(self.value(features.to(self.value.weight.dtype)) + self.position)
        keys = self.key(values) if self.attention != "none" else values[..., :0]
        coverage = values.new_zeros(values.shape[:2])
        if self.layers is None:
            return Memory(None, values, keys, coverage)
        # One piece [1, B, H] for each field of each layer.
        begin = iter(torch.tanh(self.begin(values.mean(1))).chunk(self._fields, -1))
        empty = self.layers.initial_state(len(values))
        states = empty.map(lambda _: next(begin)[None].contiguous())
        return Memory(states, values, keys, coverage)

    def read(self, tokens: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Memory]:
        """Logits [T, B, V], weights [T, B, P] and what comes after, from what came before.

        Args:
            tokens: int64 [T, B].
            memory: as `look` or this gives it.
        """
        words = drop(self.embedding(tokens), self.dropout, self.training)  # [T, B, E]
        if self.attention == "before":
            h, seen, weights, states = self._step_by_step(words, memory)
        else:
            if self.layers is None:
                begin = self.begin(memory.values.mean(1))
                h, states = torch.tanh(begin + self.enter(words)), None
            else:
                h, states = self.layers(words, memory.states)
            seen, weights = self._attend(h, memory)
        seen = drop(seen, self.dropout, self.training)
        joined = torch.tanh(self.join(torch.cat([h, words, seen], -1)))
        logits: Tensor = self.readout(drop(joined, self.dropout, self.training))
        coverage = memory.coverage + weights.sum(0)
        return logits, weights, memory._replace(states=states, coverage=coverage)

    @property
    def _fields(self) -> int:
        return sum(len(layer) for layer in self.layers.initial_state(1))

    def _attend(self, h: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """What is seen by states [T, B, H], [T, B, A], and the weights of the places, [T, B, P]."""
        if self.attention == "none":
            places = memory.values.shape[1]
            weights = h.new_full((*h.shape[:2], places), 1 / places)
        else:
            weights = self._scores(self.query(h), memory.keys).softmax(-1)
        seen = torch.einsum("tbp,bpa->tba", weights, memory.values)
        return seen, weights

    def _scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """How well queries [T, B, K] fit keys [B, P, K], [T, B, P]."""
        if self.attention == "after":
            found: Tensor = torch.einsum("tbk,bpk->tbp", queries, keys)
            return found / math.sqrt(keys.shape[-1])
        scores: Tensor = self.score(torch.tanh(keys + queries[:, :, None]))
        return scores.squeeze(-1)

    def _step_by_step(self, words: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Tensor, States]:
        states = memory.states
        assert states is not None
        found = []
        for word in words:
            before = states[-1].h  # [1, B, H]
            seen, weights = self._attend(before, memory)
            seen = torch.sigmoid(self.gate(before)) * seen
            h, states = self.layers(torch.cat([word[None], seen], -1), states)
            found.append((h, seen, weights))
        h, seen, weights = (torch.cat(parts) for parts in zip(*found, strict=True))
        return h, seen, weights, states
