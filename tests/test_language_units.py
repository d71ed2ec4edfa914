"""A language model under watch reads a text as it does unwatched, one token after the other."""

import pytest
import torch
from tiny_runs import TEXT

from throughtime.data.tokens import build_tokens
from throughtime.errors import DataError
from throughtime.instruments import find_units, gates, units
from throughtime.tasks import language_units
from throughtime.tasks.language_network import LanguageModel
from throughtime.tasks.language_units import read
from throughtime.tasks.options import ModelOptions


def make(kind="characters", **options):
    tokens = build_tokens(kind, TEXT, 300)
    return LanguageModel(tokens.size, ModelOptions(hidden=4, **options)).double().eval(), tokens


def step_by_step(model, ids):
    """States (h, c) of the last layer after every token, [H, N] each."""
    state, found = None, []
    with torch.no_grad():
        for token in ids:
            _, state = model.unroll(torch.tensor([[token]]), state)
            found.append([part[-1, 0] for part in state])
    return [torch.stack(field, 1) for field in zip(*found, strict=True)]


@pytest.mark.parametrize("streams", [1, 3])
def test_every_state_is_that_after_its_token(monkeypatch, streams):
    monkeypatch.setattr(language_units, "STREAMS", streams)
    monkeypatch.setattr(language_units, "WARM_UP", 60)  # 3 streams from 720 tokens on
    model, tokens = make()
    reading = read(model, tokens, TEXT[:802])
    h, c = step_by_step(model, tokens.encode(TEXT[:802]))
    assert reading.recording.layers[0].shape == (-(-802 // streams), streams)
    for name, expected in (("h", h), ("c", c)):
        # a stream begins after 60 tokens only, by which a small network has forgotten the rest
        torch.testing.assert_close(
            torch.as_tensor(reading.values(name)), expected, rtol=0, atol=1e-6 * (streams > 1)
        )


@pytest.mark.parametrize("kind", ["characters", "bpe", "words"])
def test_a_reading_knows_its_text_in_tokens_of_any_kind(kind):
    model, tokens = make(kind)
    reading = read(model, tokens, TEXT[:300], with_gates=True)
    assert reading.text == tokens.decode(tokens.encode(TEXT[:300]))
    assert units(reading, 2, of="forget", layer=0).tokens == reading.tokens
    assert find_units(reading, "line position", ranks=3).data.sizes["rank"] == 3


def test_gates_are_kept_when_asked_for():
    model, tokens = make(cell="gru", layers=1)
    reading = read(model, tokens, TEXT[:90], with_gates=True)
    shares = (reading.values("update") < 0.1).mean(1)
    torch.testing.assert_close(gates(reading.tape).left.sel(gate="update").values[0, 0], shares)


def test_an_empty_text_is_refused():
    with pytest.raises(DataError, match="must have a token, got none"):
        read(*make(), "")
