"""The machine: what it is called, and what it can do at best."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from throughtime.native import _kernels

SIZES = {"L1": 16 << 10, "L2": 256 << 10, "L3": 4 << 20, "memory": 64 << 20}
"""Bytes per thread that are read to measure the rate of a level."""

PACKAGES = ("throughtime", "torch", "jax", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Ceilings:
    """The best of a few measurements, by number of threads."""

    operations: dict[int, float]  # floating-point operations a second in registers
    reading: dict[int, dict[str, float]]  # bytes a second of all threads, by level

    def with_better(self, other: Ceilings) -> Ceilings:
        """The better of two measurements."""
        return Ceilings(
            {n: max(rate, other.operations[n]) for n, rate in self.operations.items()},
            {
                n: {level: max(rate, other.reading[n][level]) for level, rate in rates.items()}
                for n, rates in self.reading.items()
            },
        )


def measure_ceilings(threads: tuple[int, ...] = (1, 2), rounds: int = 5) -> Ceilings:
    """Multiply-adds in registers, and reading from each level, in float32."""
    return Ceilings(
        {n: max(_kernels.measure_operations(n) for _ in range(rounds)) for n in threads},
        {
            n: {
                level: max(_kernels.measure_reading(size, n) for _ in range(rounds))
                for level, size in SIZES.items()
            }
            for n in threads
        },
    )


def about() -> dict[str, str]:
    """Processor, instruction set, system and versions of the packages that take part."""
    found = {"processor": _processor(), "kernels": _kernels.variant()}
    found |= {"system": platform.platform(terse=True), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor() or platform.machine()
