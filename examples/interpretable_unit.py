"""Finds the unit that knows whether a quotation is open, in an LSTM that learnt to write.

Between quotation marks words are joined by hyphens, elsewhere by blanks: who predicts the next
character must remember the mark, and one unit does.

python examples/interpretable_unit.py
"""

import random

import torch

import throughtime as tt
from throughtime.instruments import Reading, find_units, units

random.seed(1)
torch.manual_seed(1)


def word():
    """Two to six letters."""
    return "".join(random.choices("abcde", k=random.randint(2, 6)))


def phrase():
    """Words, one time in two and a half between quotation marks."""
    words = [word() for _ in range(random.randint(1, 4))]
    return f'"{"-".join(words)}"' if random.random() < 0.4 else " ".join(words)


text = " ".join(phrase() for _ in range(3000))
vocabulary = sorted(set(text))
tokens = torch.tensor([vocabulary.index(character) for character in text])

embedding = torch.nn.Embedding(len(vocabulary), 16)
lstm = tt.LSTM(16, 32)
readout = torch.nn.Linear(32, len(vocabulary))
model = torch.nn.Sequential(embedding, lstm)
optimizer = torch.optim.Adam([*model.parameters(), *readout.parameters()], lr=0.01)

streams = tokens[: 40 * (len(tokens) // 40)].view(40, -1).T  # [T, B], texts side by side
for _ in range(2):
    state = None
    for window in streams.split(50):
        hidden, state = lstm(embedding(window[:-1]), state)
        loss = torch.nn.functional.cross_entropy(
            readout(hidden).flatten(0, 1), window[1:].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        state = [part.detach() for part in state]
print(f"{loss.item():.3f} nats per character")

unseen = " ".join(phrase() for _ in range(600))
with tt.watch(model) as tape, torch.no_grad():
    model(torch.tensor([vocabulary.index(character) for character in unseen])[:, None])
reading = Reading(list(unseen), tape)
found = find_units(reading, "inside quotes", ranks=3)
print(found)
best = found.unit()
print(units(reading, best.unit, of=best.of)[:200].terminal(width=70, is_coloured=False))
