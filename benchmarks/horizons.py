"""How many steps back the losses of trained language models teach: the memory horizon, in a table.

    python benchmarks/horizons.py RUN...

Each model reads its own validation text at 32 places, 256 characters to make the state and 256 more
whose losses go back through time. The horizon is the lag at which the mean norm of dL_t/dh_k, of
an LSTM also of dL_t/dc_k, is under a share of that at lag 0; with a bootstrap interval over the
places.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

import throughtime as tt
from throughtime.instruments import Credit, credit
from throughtime.tasks.language_model import evaluate, load
from throughtime.tasks.language_text import read_texts

PLACES, STEPS, EVERY = 32, 256, 8
SHARES = (0.1, 0.01, 0.001)


def measure(run: Path) -> Credit:
    """What every eighth loss teaches, at all places."""
    model, tokens, options = load(run)
    text = read_texts(options.text).validation
    ids = torch.from_numpy(tokens.encode(text, "the validation text"))
    starts = torch.linspace(0, len(ids) - 2 * STEPS - 1, PLACES).long()
    x = ids[torch.arange(2 * STEPS + 1)[:, None] + starts]
    with torch.no_grad():
        _, state = model.unroll(x[:STEPS])
    with tt.watch(model) as tape:
        hidden, _ = model.unroll(x[STEPS:-1], state)
        logits = model.readout(hidden).flatten(0, 1)
        cross_entropy(logits, x[STEPS + 1 :].flatten(), reduction="sum").backward()
    return credit(tape, every=EVERY)


def main() -> None:
    print(f"| run | nats per character | state | {' | '.join(f'under {s:.1%}' for s in SHARES)} |")
    print(f"| --- | --: | --- |{' --: |' * len(SHARES)}")
    for run in map(Path, sys.argv[1:]):
        found, nats = measure(run), evaluate(run).nats_per_character
        for field in found.norm.data_vars:
            horizons = [str(found.memory_horizon(field=field, share=share)) for share in SHARES]
            print(f"| {run.name} | {nats:.3f} | {field} | {' | '.join(horizons)} |")


if __name__ == "__main__":
    main()
