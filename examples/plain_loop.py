"""Truncated BPTT in an ordinary loop: a GRU learns to repeat what it heard eight steps before.

With k2=4 no gradient goes back eight steps, and it learns next to nothing.

python examples/plain_loop.py
"""

import math

import torch

import throughtime as tt

torch.manual_seed(0)
x = torch.randint(0, 2, (4000, 16, 1)).float()  # [T, B, I]
targets = x.roll(8, dims=0)  # [T, B, 1]: the input of eight steps before

gru, readout = tt.GRU(1, 32), torch.nn.Linear(32, 1)
optimizer = torch.optim.Adam([*gru.parameters(), *readout.parameters()], lr=1e-2)
bptt, carry = tt.bptt.Truncated(k1=4, k2=12), None  # every 4 steps, back through 12

for window, target in zip(x.split(4), targets.split(4), strict=True):
    hidden, carry = bptt.advance(gru, window, carry)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(readout(hidden), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

print(f"{loss.item():.3f} nats a step; guessing costs {math.log(2):.3f}")
