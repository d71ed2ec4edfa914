"""Contiguous streams: text laid side by side, cut into windows that follow each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from throughtime.errors import DataError


class Streams(Dataset[tuple[Tensor, Tensor]]):
    """Windows of B parallel streams; each one a pure function of seed, epoch and place.

        n = (N - 1) // B                      steps per stream
        input[t, b]  = token[(r_e + b n + w T + t)     mod N]
        target[t, b] = token[(r_e + b n + w T + t + 1) mod N]

    in window w of epoch e, with r_e = 0, or, shuffled, a place drawn from (seed, e). Stream b
    goes on in window w+1 where it ended in window w, so a state may be carried within an
    epoch. The item of index g is window `g % windows` of epoch `g // windows`: any number of
    loading processes gives the same batches, and starting at g = s is resuming at s.

    Args:
        tokens: the text, [N].
        batch: streams side by side, B.
        window: steps per window, T.
        epochs: passes over the text.
        seed: decides where each epoch begins.
        shuffle: begin every epoch at another place of the text.

    Raises:
        DataError: the text is shorter than one batch of windows.

    Note:
        With shuffling the text is a ring: its end is followed by its beginning. The up to
        B + T B - 1 tokens that fill no window are left out, at another place every epoch.

    Example:
        >>> inputs, targets = Streams(range(9), batch=2, window=3)[0]
        >>> inputs.tolist(), targets.tolist()
        ([[0, 4], [1, 5], [2, 6]], [[1, 5], [2, 6], [3, 7]])
    """

    def __init__(
        self,
        tokens: NDArray[np.int64] | Sequence[int],
        batch: int,
        window: int,
        epochs: int = 1,
        seed: int = 0,
        shuffle: bool = False,
    ) -> None:
        self.tokens = torch.as_tensor(np.asarray(tokens, np.int64))
        self.batch, self.window, self.epochs = batch, window, epochs
        self.seed, self.shuffle = seed, shuffle
        self.steps = (len(self.tokens) - 1) // batch
        self.windows = self.steps // window
        if self.windows < 1:
            raise DataError(
                f"a text must fill one window of {window} steps in each of {batch} streams, "
                f"{batch * window + 1} tokens, got {len(self.tokens)}; "
                "give more text, or lower --batch or --window."
            )

    def __len__(self) -> int:
        return self.epochs * self.windows

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets, each [T, B]."""
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        epoch, w = divmod(index, self.windows)
        first = self.start(epoch) + w * self.window
        places = first + torch.arange(self.window + 1)[:, None]  # [T+1, 1]
        places = (places + self.steps * torch.arange(self.batch)) % len(self.tokens)  # [T+1, B]
        tokens = self.tokens[places]
        return tokens[:-1], tokens[1:]

    def start(self, epoch: int) -> int:
        """Where in the text an epoch begins, r_e."""
        if not self.shuffle:
            return 0
        # The words of a SeedSequence are promised to stay the same in every NumPy.
        word = np.random.SeedSequence((self.seed, epoch)).generate_state(1, np.uint64)[0]
        return int(word) % len(self.tokens)
