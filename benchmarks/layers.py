"""Times our layers beside torch's in one interleaved run; results are verified before timing.

python benchmarks/layers.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

import throughtime as tt

SHAPES = [(1000, 1, 64), (100, 1, 256), (100, 8, 128), (100, 32, 256), (128, 32, 512)]
PAIRS = {
    "RNN": (tt.RNN, torch.nn.RNN),
    "GRU": (tt.GRU, torch.nn.GRU),
    "LSTM": (tt.LSTM, torch.nn.LSTM),
}


def inference(layer: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return layer(x)[0]


def training_step(layer: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    layer.zero_grad()
    y = layer(x)[0]
    y.sum().backward()
    return torch.cat([p.grad.flatten() for p in layer.parameters()])


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(name: str, shape: tuple[int, int, int], rounds: int) -> None:
    T, B, H = shape
    ours, theirs = (kind(H, H) for kind in PAIRS[name])
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(T, B, H)
    for work in (inference, training_step):
        torch.testing.assert_close(work(ours, x), work(theirs, x), rtol=1e-3, atol=1e-3)
        times: dict[str, list[float]] = {"ours": [], "torch 1": [], "torch 2": []}
        for _ in range(rounds):
            times["ours"].append(seconds(partial(work, ours, x)))
            for threads in (1, 2):
                torch.set_num_threads(threads)
                times[f"torch {threads}"].append(seconds(partial(work, theirs, x)))
        ms = {key: 1e3 * statistics.median(values) for key, values in times.items()}
        ratio = min(ms["torch 1"], ms["torch 2"]) / ms["ours"]
        print(
            f"{name:5} T={T:<5} B={B:<3} H={H:<4} {work.__name__:14} "
            + "  ".join(f"{key} {value:8.2f} ms" for key, value in ms.items())
            + f"   {ratio:5.2f} times the better torch"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds of each side")
    rounds = parser.parse_args().rounds
    for name in PAIRS:
        for shape in SHAPES:
            compare(name, shape, rounds)


if __name__ == "__main__":
    main()
