"""Decides which of two noisy inputs is stronger: rate units of neuroscience, a cell of one's own.

The rates are those of Yang et al. 2019 (Nature Neuroscience 22), the signs of their weights
those of Song, Yang and Wang 2016 (PLoS Computational Biology 12).

python examples/leaky_rate_cell.py
"""

from functools import partial

import torch
from torch import nn

import throughtime as tt


class LeakyRateCell(tt.Cell):
    """Firing rates that leak, under noise, of units that either excite or inhibit.

        tau dr/dt = -r + [W_rec r + W_in x + b + sqrt(2 tau) sigma xi]_+       (Yang et al. 2019)

    in steps of dt, with a = dt / tau and n_t ~ N(0, 1), drawn while training alone:

        r_t = (1 - a) r_{t-1} + a [W_rec r_{t-1} + W_in x_t + b + sqrt(2 / a) sigma n_t]_+

    W_rec = |W| diag(s) with zeros on its diagonal: all that leaves a unit has its sign, Dale's law,
    and no unit drives itself (Song, Yang and Wang 2016).
    """

    def __init__(self, input_size, hidden_size, alpha=0.2, sigma=0.1, excitatory=0.8):
        super().__init__(hidden_size)
        self.alpha, self.sigma = alpha, sigma
        self.input = nn.Linear(input_size, hidden_size)
        is_excitatory = torch.arange(hidden_size) < excitatory * hidden_size
        self.register_buffer("sign", torch.where(is_excitatory, 1.0, -1.0))
        self.register_buffer("others", 1 - torch.eye(hidden_size))
        balance = torch.where(is_excitatory, 1.0, excitatory / (1 - excitatory))  # few, but strong
        self.weight = nn.Parameter(torch.rand(hidden_size, hidden_size) / hidden_size * balance)

    def recurrent_weight(self):
        """W_rec, [H, H], from unit j in column j."""
        return self.weight.abs() * self.sign * self.others

    def step(self, x, state):
        """The rates one dt later."""
        a, (r,) = self.alpha, state
        drive = self.input(x) + r @ self.recurrent_weight().T
        if self.training:
            drive = drive + (2 / a) ** 0.5 * self.sigma * torch.randn_like(r)
        return self.State((1 - a) * r + a * torch.relu(drive))


def trials(num, steps=25, noise=0.5):
    """Inputs 1 +- c/2 under noise, [T, B, 2], and whether the second is stronger, [B]."""
    second = torch.randint(0, 2, (num,))
    strength = torch.tensor([0.1, 0.2, 0.4])[torch.randint(0, 3, (num,))]
    difference = strength * (1 - 2 * second)
    means = torch.stack([1 + difference / 2, 1 - difference / 2], dim=1)
    return means + noise * torch.randn(steps, num, 2), second


torch.manual_seed(0)
layer = tt.Layer(partial(LeakyRateCell, hidden_size=50), input_size=2)
readout = nn.Linear(50, 2)
optimizer = torch.optim.Adam([*layer.parameters(), *readout.parameters()], lr=3e-3)

for update in range(1, 101):
    x, second = trials(100)
    rates, _ = layer(x)
    loss = nn.functional.cross_entropy(readout(rates[-1]), second)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if update % 20 == 0:
        print(f"update {update}: {loss.item():.3f} nats per choice")

x, second = trials(10_000)
with torch.no_grad():
    rates, _ = layer.eval()(x)  # without noise of its own
    right = (readout(rates[-1]).argmax(1) == second).float().mean()
    best = (x.mean(0).argmax(1) == second).float().mean()
    weight = layer.layers[0][0].recurrent_weight()
print(f"{right:.0%} of the choices are right, {best:.0%} by the mean of each input")
obeyed = ((weight >= 0).all(0) | (weight <= 0).all(0)).all()
print(f"every unit excites all others or inhibits all: {bool(obeyed)}")
