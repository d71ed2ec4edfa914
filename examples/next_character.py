"""Learns to write a sentence: an LSTM, truncated BPTT and a plain PyTorch training loop.

python examples/next_character.py
"""

import torch

import throughtime as tt
from throughtime.bptt import Truncated

text = "the gradient travels back through time, one step after the other. " * 40
vocabulary = sorted(set(text))
tokens = torch.tensor([vocabulary.index(character) for character in text]).unsqueeze(1)  # [T, B=1]

torch.manual_seed(0)
embedding = torch.nn.Embedding(len(vocabulary), 32)
lstm = tt.LSTM(32, 128)
readout = torch.nn.Linear(128, len(vocabulary))
parameters = [*embedding.parameters(), *lstm.parameters(), *readout.parameters()]
optimizer = torch.optim.Adam(parameters, lr=3e-3)

bptt = Truncated(k1=50, k2=100)  # an update every 50 steps, gradients back through 100
for epoch in range(5):
    carry = None
    for inputs, targets in zip(tokens[:-1].split(50), tokens[1:].split(50), strict=True):
        hidden, carry = bptt.advance(lambda x, state: lstm(embedding(x), state), inputs, carry)
        loss = torch.nn.functional.cross_entropy(readout(hidden).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: {loss.item():.3f} nats per character")

token, state, written = tokens[:1], None, vocabulary[tokens[0, 0]]
with torch.no_grad():
    for _ in range(len("the gradient travels back through time, one step after the other.") - 1):
        hidden, state = lstm(embedding(token), state)
        token = readout(hidden).argmax(-1)
        written += vocabulary[token.item()]
print(written)
