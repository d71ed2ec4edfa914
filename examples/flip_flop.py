"""Remembers three bits, and shows how: each memory is a fixed point that pulls states in.

Three inputs, mostly 0, now and then 1 or -1; three outputs, each the last of its input's pulses
(Sussillo and Barak 2013, section 3). A trained network has 2^3 = 8 stable fixed points, one for
each memory, and saddles between them.

python examples/flip_flop.py                     Elman, GRU and LSTM, two minutes or so
python examples/flip_flop.py --cell lstm --seed 3 --out flip_flop.png
"""

import argparse
import time

import torch
from matplotlib.figure import Figure
from torch import nn

import throughtime as tt
from throughtime.instruments import draw_fixed_points, fixed_points

CELLS = {"rnn": tt.RNN, "gru": tt.GRU, "lstm": tt.LSTM}
BITS, UNITS = 3, 32


def trials(num, steps, share):
    """Pulses at a share of the steps, [T, B, 3], and the last pulse of each input so far."""
    signs = 2.0 * torch.randint(0, 2, (steps, num, BITS)) - 1
    is_pulse = torch.rand(steps, num, BITS) < share
    is_pulse[0] = True
    step = torch.arange(steps)[:, None, None].expand_as(signs)
    last = torch.where(is_pulse, step, 0).cummax(0).values
    return torch.where(is_pulse, signs, 0.0), signs.gather(0, last)


def train(layer, readout, updates):
    """Adam on trials of 50 steps under noise, the rate rising and falling once; the last loss."""
    parameters = [*layer.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(parameters)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=updates)
    for _ in range(updates):
        pulses, bits = trials(64, 50, 0.1)
        h, _ = layer(pulses + 0.1 * torch.randn_like(pulses))
        loss = nn.functional.mse_loss(readout(h), bits)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
    return loss.item()


def look_at(layer, readout):
    """The fixed points, and the bits that the readout sees in each of the stable ones, sorted."""
    pulses, _ = trials(64, 100, 0.05)
    with torch.no_grad(), tt.watch(layer) as tape:
        layer(pulses)
    points = fixed_points(tape, noise=0.5)
    h = points.s.values[points.stable.values][:, points.field.values == "h"]
    with torch.no_grad():
        bits = readout(torch.from_numpy(h).float()).sign().int()
    return points, sorted("".join("+" if bit > 0 else "-" for bit in row) for row in bits)


def main(words=None):
    """Trains, looks, prints a row per cell and draws a picture."""
    parser = argparse.ArgumentParser(description="Fixed points of a memory of three bits.")
    parser.add_argument("--cell", choices=[*CELLS, "all"], default="all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--out", default="flip_flop.png", help="the picture")
    options = parser.parse_args(words)
    kinds = list(CELLS) if options.cell == "all" else [options.cell]
    figure = Figure(figsize=(5 * len(kinds), 5))
    figure.subplots_adjust(left=0.01, right=0.97, bottom=0.03, top=0.92, wspace=0.08)
    print("cell    loss  stable  saddles  slowest decay  memories                          seconds")
    for index, kind in enumerate(kinds, 1):
        begin = time.perf_counter()
        torch.manual_seed(options.seed)
        layer, readout = CELLS[kind](BITS, UNITS), nn.Linear(UNITS, BITS)
        loss = train(layer, readout, options.updates)
        points, memories = look_at(layer, readout)
        stable = int(points.stable.sum())
        slowest = float(points.time_constant[points.stable].max())
        print(
            f"{kind:<5} {loss:>7.4f} {stable:>7} {len(points.point) - stable:>8} "
            f"{slowest:>8.1f} steps  {' '.join(memories):<32}  {time.perf_counter() - begin:>7.0f}"
        )
        ax = figure.add_subplot(1, len(kinds), index, projection="3d")
        ax.set_title(f"{type(layer).__name__}, {UNITS} units")
        draw_fixed_points(points, ax)
    figure.savefig(options.out, dpi=100)
    print(f"{options.out}: filled is stable, hollow is not, lines are trajectories")


if __name__ == "__main__":
    main()
