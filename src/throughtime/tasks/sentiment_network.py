"""The network of sentiment classification: words to the probabilities of classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop

from throughtime.data.subwords import Sentences
from throughtime.tasks.network import LAYERS
from throughtime.tasks.pooling import Pooling
from throughtime.tasks.sentiment_options import ClassifierOptions


class WordVectors(nn.Module):
    """Embeddings of words that share what their pieces share.

        e_w = W[w] + sum_{p in pieces(w)} G[p] / sqrt(n_w)      (n_w pieces)

    Without pieces e_w = W[w]. A word that is not in the vocabulary has the W of all unknown ones,
    and pieces of its own.

    Source: Bojanowski et al. 2017, there without the root.

    Args:
        size: words in the vocabulary, V.
        pieces: numbers of pieces, P; 0 for none.
        features: E.

    Note:
        They begin normal with deviation 0.1, not with torch's 1, which is slow to move.
    """

    def __init__(self, size: int, pieces: int, features: int) -> None:
        super().__init__()
        self.words = nn.Embedding(size, features)
        self.pieces = nn.Embedding(pieces + 1, features) if pieces else None
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1)

    def forward(self, sentences: Sentences, is_dropped: Tensor | None = None) -> Tensor:
        """The embeddings of all words, [T, B, E].

        Args:
            sentences: the words.
            is_dropped: which are read as the unknown word, bool [T, B].
        """
        vectors: Tensor = self.words(sentences.ids)  # [U, E]
        if self.pieces is not None:
            is_piece = (sentences.pieces > 0)[..., None]  # [U, P, 1]
            found = torch.where(is_piece, self.pieces(sentences.pieces), 0.0)
            count = is_piece.sum(1).clamp(min=1).to(found.dtype)
            vectors = vectors + found.sum(1) / count.sqrt()
        places = sentences.places
        return vectors[places if is_dropped is None else places.masked_fill(is_dropped, 0)]


class Classifier(nn.Module):
    """Reads the words of a text and says how likely each class is.

        e_t = vector of word_t               (`WordVectors`)
        y_t = layers(D(e_t), y_{t-1})       (dropout D between layers, in both directions)
        logits = W_o D(pool(y_1 ... y_n)) + b_o

    Without a cell y_t = D(e_t), and the order of the words has no part in it: a bag of words.

    Source: bidirectional layers, Schuster and Paliwal 1997; words dropped, Iyyer et al. 2015; the
    bag of words with mean pooling, Joulin et al. 2017.

    Args:
        size: words in the vocabulary, V.
        classes: K.
        options: cell, sizes, pooling, dropout.

    Example:
        >>> from throughtime.data.subwords import Lexicon, Words
        >>> lexicon = Lexicon(Words.build("to be or not to be", 9), pieces=100)
        >>> network = Classifier(lexicon.tokens.size, 3, ClassifierOptions(subwords=100)).eval()
        >>> network(lexicon.join([["to", "be"], ["not"]])).shape
        torch.Size([2, 3])
    """

    def __init__(self, size: int, classes: int, options: ClassifierOptions) -> None:
        super().__init__()
        self.dropout, self.word_dropout = options.dropout, options.word_dropout
        self.embedding = WordVectors(size, options.subwords, options.embedding)
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

    def forward(self, sentences: Sentences) -> Tensor:
        """Logits of the classes, [B, K]."""
        is_dropped = None
        if self.training and self.word_dropout:
            is_dropped = torch.rand(sentences.places.shape) < self.word_dropout
        return self.classify(self.embedding(sentences, is_dropped), sentences.lengths)

    def classify(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Logits of the classes, [B, K].

        Args:
            embedded: the words' vectors, [T, B, E].
            lengths: words of each text, int64 [B]; what stands behind them is not read.
        """
        y = drop(embedded, self.dropout, self.training)
        if self.layers is not None:
            y, _ = self.layers(y, lengths=lengths)
        logits: Tensor = self.readout(drop(self.pooling(y, lengths), self.dropout, self.training))
        return logits
