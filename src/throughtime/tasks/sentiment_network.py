"""The network of sentiment classification: words to the probabilities of classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop

from throughtime.tasks.network import LAYERS
from throughtime.tasks.pooling import Pooling
from throughtime.tasks.sentiment_options import ClassifierOptions


class Classifier(nn.Module):
    """Reads the words of a text and says how likely each class is.

        e_t = W_e[word_t]
        y_t = layers(D(e_t), y_{t-1})       (dropout D between layers, in both directions)
        logits = W_o D(pool(y_1 ... y_n)) + b_o

    Without a cell y_t = D(e_t), and the order of the words has no part in it: a bag of words.

    Source: bidirectional layers, Schuster and Paliwal 1997; words dropped, Iyyer et al. 2015; the
    bag of words with mean pooling, Joulin et al. 2017.

    Args:
        size: words in the vocabulary, V.
        classes: K.
        unknown: the word that stands for all unknown ones, and for dropped ones.
        options: cell, sizes, pooling, dropout.

    Note:
        Embeddings begin normal with deviation 0.1, not with torch's 1, which is slow to move.

    Example:
        >>> network = Classifier(7, 3, 1, ClassifierOptions(hidden=4)).eval()
        >>> network(torch.tensor([[2, 5], [4, 0]]), torch.tensor([2, 1])).shape
        torch.Size([2, 3])
    """

    def __init__(self, size: int, classes: int, unknown: int, options: ClassifierOptions) -> None:
        super().__init__()
        self.unknown, self.dropout = unknown, options.dropout
        self.word_dropout = options.word_dropout
        self.embedding = nn.Embedding(size, options.embedding)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.layers: nn.Module | None = None
        pooled = options.embedding
        if options.cell != "none":
            between = options.dropout if options.layers > 1 else 0.0
            self.layers = LAYERS[options.cell](
                options.embedding,
                options.hidden,
                options.layers,
                dropout=between,
                bidirectional=options.bidirectional,
            )
            pooled = options.hidden * (2 if options.bidirectional else 1)
        self.pooling = Pooling(options.pooling, pooled, options.bidirectional)
        self.readout = nn.Linear(pooled, classes)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Logits of the classes, [B, K].

        Args:
            words: [T, B].
            lengths: words of each text, int64 [B]; what stands behind them is not read.
        """
        if self.training and self.word_dropout:
            is_dropped = torch.rand(words.shape) < self.word_dropout
            words = words.masked_fill(is_dropped, self.unknown)
        return self.classify(self.embedding(words), lengths)

    def classify(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Logits of the classes, [B, K], from embeddings, [T, B, E]."""
        y = drop(embedded, self.dropout, self.training)
        if self.layers is not None:
            y, _ = self.layers(y, lengths=lengths)
        logits: Tensor = self.readout(drop(self.pooling(y, lengths), self.dropout, self.training))
        return logits
