"""How a trained network writes sentences: what its user says, and else what its task does."""

from __future__ import annotations

import torch
from torch import Tensor

from throughtime.decode import Bounds, Hypothesis, Scoring, beam, draw
from throughtime.decode.hypothesis import R, Step
from throughtime.errors import OptionError
from throughtime.tasks.decoding_options import Decoding


class Writer:
    """Writes a sentence for each row, by a beam or by draws that go on from call to call.

    Args:
        how: what the user says.
        end: the token that ends a sentence.
        longest: most tokens, unless `how` says so; likewise the width and the length penalty.
        width: sentences kept side by side.
        length_penalty: what finished sentences are compared by.
        attends: whether the network has attention.

    Raises:
        OptionError: an option is out of its range, or coverage counts without attention.
    """

    def __init__(
        self,
        how: Decoding,
        end: int,
        *,
        longest: int,
        width: int,
        length_penalty: float,
        attends: bool,
    ) -> None:
        if how.coverage_penalty and not attends:
            raise OptionError(
                f"coverage_penalty must come with a network that has attention, got "
                f"{how.coverage_penalty} for one without; leave it out."
            )
        own = how.length_penalty
        self.how, self.width, self.best = how, how.beam or width, how.best or 1
        self.bounds = Bounds(end, how.longest or longest, how.shortest or 0, how.block_ngrams or 0)
        self.scoring = Scoring(length_penalty if own is None else own, how.coverage_penalty or 0.0)
        self.generator = torch.Generator().manual_seed(1 if how.seed is None else how.seed)

    def __call__(self, step: Step[R], begin: Tensor, state: R) -> list[list[Hypothesis]]:
        """The sentences of each row, the best first.

        Args:
            step: tokens [1, B] and a state to logits [1, B, V] and the next state.
            begin: what each row begins with, int64 [B].
            state: of the rows.

        Raises:
            OptionError: an option is out of its range.
            RunError: a row's largest logit is not finite.
        """
        how = self.how
        if how.temperature is None:
            return beam(
                *(step, begin, state, self.bounds, self.scoring), width=self.width, best=self.best
            )
        drawn = draw(
            step,
            begin,
            state,
            self.bounds,
            temperature=how.temperature,
            top_k=how.top_k,
            top_p=how.top_p,
            generator=self.generator,
        )
        return [[one] for one in drawn]
