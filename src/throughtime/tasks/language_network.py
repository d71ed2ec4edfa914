"""The network of a language model: embedding, recurrent layers, readout."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from throughtime import init
from throughtime.layers import GRU, LSTM, RNN
from throughtime.tasks.options import ModelOptions

_LAYERS: dict[str, Callable[..., nn.Module]] = {
    "lstm": LSTM,
    "gru": GRU,
    "rnn": partial(RNN, nonlinearity="tanh"),
    "rnn-relu": partial(RNN, nonlinearity="relu"),
    "irnn": partial(RNN, nonlinearity="relu"),
}


class LanguageModel(nn.Module):
    """Predicts the next token from all before it.

        e_t = D(W_e[token_t])
        h_t, state_t = layers(e_t, state_{t-1})          (dropout D between layers)
        logits_t = W_o D(h_t) + b_o                      (W_o = W_e if tied)

    Source: Zaremba, Sutskever and Vinyals 2014; tying: Press and Wolf 2017.

    Args:
        size: entries in the vocabulary, V.
        options: cell, sizes, dropout, initialisation.

    Note:
        A tied embedding starts like a readout, uniform in 1/sqrt(H): torch's embeddings, of
        variance 1, would make the first logits large.

    Example:
        >>> model = LanguageModel(7, ModelOptions(hidden=4))
        >>> logits, state = model(torch.zeros(5, 3, dtype=torch.int64))
        >>> tuple(logits.shape)
        (5, 3, 7)
    """

    def __init__(self, size: int, options: ModelOptions) -> None:
        super().__init__()
        embedding, hidden = options.embedding_size, options.hidden
        between = options.dropout if options.layers > 1 else 0.0
        self.embedding = nn.Embedding(size, embedding)
        self.layers = _LAYERS[options.cell](embedding, hidden, options.layers, dropout=between)
        self.dropout = nn.Dropout(options.dropout)
        self.readout = nn.Linear(hidden, size)
        if options.cell == "irnn":
            init.identity_(self.layers)
        if options.tied:
            self.embedding.weight = self.readout.weight
        if options.init_scale is not None:
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -options.init_scale, options.init_scale)

    def unroll(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Hidden states of the last layer, dropout applied, and the state after the last step.

        Args:
            tokens: [T, B].
            state: as the layers give it; None is zero.

        Returns:
            Hidden states, [T, B, H], and the state: (h, c) or h, each [L, B, H].
        """
        hidden, state = self.layers(self.dropout(self.embedding(tokens)), state)
        return self.dropout(hidden), state

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Logits of the next tokens.

        Args:
            tokens: [T, B].
            state: as the layers give it; None is zero.

        Returns:
            Logits, [T, B, V], and the state after the last step.
        """
        hidden, state = self.unroll(tokens, state)
        return self.readout(hidden), state


def zero_column(state: Any, column: int) -> Any:
    """The same state with one row of the batch set to zero, as at the start of a text.

    Args:
        state: tensors [L, B, H] in tuples.
        column: index into B.
    """
    if isinstance(state, Tensor):
        return state.index_fill(1, torch.tensor([column]), 0.0)
    return tuple(zero_column(part, column) for part in state)
