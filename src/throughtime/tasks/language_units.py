"""A language model reads a text under watch: what every unit did at each token."""

from __future__ import annotations

import torch
from torch import Tensor

from throughtime.data.tokens import Tokens
from throughtime.errors import DataError
from throughtime.instruments import Keep, Reading, watch
from throughtime.tasks.language_network import LanguageModel, zero_column
from throughtime.tasks.language_score import STREAMS, WARM_UP


def read(model: LanguageModel, tokens: Tokens, text: str, with_gates: bool = False) -> Reading:
    """Lets a language model read a text and keeps what its layers did.

    A long text is read in up to 32 streams side by side; each but the first has read the 256 tokens
    before its place, unwatched, as in `language_score.score`.

    Args:
        model: in evaluation mode, as `language_model.load` gives it.
        tokens: its vocabulary.
        text: what it reads.
        with_gates: whether to keep gates as well as states, which takes several times the memory.

    Returns:
        A reading for `instruments.find_units` and `instruments.units`; its `tape` is for `gates`.

    Raises:
        DataError: the text is empty or has unknown characters.

    Example:
        >>> from throughtime.data.characters import Characters
        >>> from throughtime.tasks.options import ModelOptions
        >>> tokens = Characters.build("to be")
        >>> model = LanguageModel(tokens.size, ModelOptions(hidden=4)).eval()
        >>> read(model, tokens, "to be to be").values("c").shape  # units, tokens
        (4, 11)
    """
    ids = torch.from_numpy(tokens.encode(text))
    if not len(ids):
        raise DataError("a text to read must have a token, got none; give more text.")
    streams = max(1, min(STREAMS, len(ids) // (4 * WARM_UP)))
    steps = -(-len(ids) // streams)
    first = steps * torch.arange(streams)
    with torch.no_grad():
        state = None
        if streams > 1:
            before = _tokens_at(ids, first + torch.arange(-WARM_UP, 0)[:, None])
            state = zero_column(model.unroll(before)[1], 0)  # before the first there is no text
        with watch(model, Keep({"states", "gates"} if with_gates else {"states"})) as tape:
            model.unroll(_tokens_at(ids, first + torch.arange(steps)[:, None]), state)
    spelt = [tokens.decode([token]) for token in range(tokens.size)]
    return Reading([spelt[token] for token in ids.tolist()], tape)


def _tokens_at(ids: Tensor, places: Tensor) -> Tensor:
    """Tokens [steps, streams]; beyond the ends of the text the nearest one."""
    return ids[places.clamp(0, len(ids) - 1)]
