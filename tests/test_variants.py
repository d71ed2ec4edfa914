"""Every instruction set's kernels, without Python: their tests in C++, their symbols, refusals."""

from __future__ import annotations

import platform
import re
import subprocess

import kernel_counts
import pytest
import torch
from kernel_builds import ROOT, build, run, tool

import throughtime as tt
from throughtime.native import _kernels

MACHINE = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
VARIANTS = {"x86_64": ["avx512", "avx2", "plain"], "aarch64": ["neon"]}.get(MACHINE, ["plain"])
MAINFRAME = [
    "-DCMAKE_SYSTEM_NAME=Linux",
    "-DCMAKE_SYSTEM_PROCESSOR=s390x",
    "-DCMAKE_CXX_COMPILER_TARGET=s390x-linux-gnu",
]
every_variant = pytest.mark.parametrize("name", VARIANTS)


@pytest.fixture(scope="module")
def built():
    return build("kernels")


@every_variant
def test_a_variant_computes_what_the_definition_says(built, name):
    run(built / "kernel_tests", name)


@every_variant
def test_a_variant_shares_no_symbol_with_another(built, name):
    # The linker keeps one copy of a function that two objects define: an inline function of the
    # standard library, compiled for AVX-512, would then run on every processor.
    (kernels,) = built.glob(f"CMakeFiles/kernels_{name}.dir/**/variant.cpp.o")
    lines = run(tool("nm"), "-C", "--defined-only", "--extern-only", kernels).splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines if line] == [f"throughtime::{name}"]


# Apart, and as little as finds a fault: together they took GCC more than eight minutes a variant.
SANITIZERS = {
    "address": "-fsanitize=address -fno-sanitize-address-use-after-scope",
    "undefined": "-fsanitize=undefined -fsanitize-undefined-trap-on-error",
    "thread": "-fsanitize=thread",
}


@pytest.mark.long
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_no_sanitizer_finds_fault(sanitizer):
    flags = f"-O1 -g1 -fno-sanitize-recover=all {SANITIZERS[sanitizer]}"
    place = build(f"sanitize-{sanitizer}", CMAKE_BUILD_TYPE="Debug", CMAKE_CXX_FLAGS=flags)
    # the code that starts threads and meets them is the same in every variant
    run(place / "kernel_tests", *([_kernels.variant()] if sanitizer == "thread" else []))


@pytest.mark.long
def test_neon_computes_what_the_definition_says():
    compiler, emulator = tool("aarch64-linux-gnu-g++"), tool("qemu-aarch64")
    place = build(
        "neon",
        CMAKE_SYSTEM_NAME="Linux",
        CMAKE_SYSTEM_PROCESSOR="aarch64",
        CMAKE_CXX_COMPILER=compiler,
    )
    # with OpenMP's pool, for the emulator keeps memory of every thread that ever was
    library, pool = ("-L", "/usr/aarch64-linux-gnu"), ("-E", "LD_PRELOAD=libgomp.so.1")
    run(emulator, *library, *pool, place / "kernel_tests")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["-DCMAKE_SYSTEM_NAME=FreeBSD"], "needs Linux or macOS .*, got FreeBSD"),
        (["-DCMAKE_CXX_FLAGS=-m32"], "needs a 64-bit machine, got pointers of 4 bytes"),
        (["-DCMAKE_CXX_COMPILER=clang++", *MAINFRAME], "needs a little-endian machine, got s390x"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path, settings, message):
    if settings[0].endswith("clang++"):
        tool("clang++")
    command = [tool("cmake"), "-S", ROOT / "kernels" / "tests", "-B", tmp_path, *settings]
    # without libraries for the other system nothing can be linked, nor needs to be
    command.append("-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY")
    process = subprocess.run(command, capture_output=True, text=True)
    said = " ".join(process.stderr.split())
    assert process.returncode != 0
    assert re.search(message, said), said


@pytest.mark.long
def test_no_call_takes_more_instructions_than_before():
    known, measured = kernel_counts.known_counts(), kernel_counts.measure()
    if known["compiler"] != measured["compiler"]:
        pytest.skip(f"not compared: counted with GCC {known['compiler']}")
    assert not kernel_counts.grown(known, measured)


@pytest.mark.parametrize(("now", "expected"), [(102, 0), (103, 1)])
def test_a_count_may_grow_by_two_percent(now, expected):
    known, measured = ({"instructions": {"a call": count}} for count in (100, now))
    assert len(kernel_counts.grown(known, measured)) == expected


def test_numbers_below_the_smallest_normal_one_survive_outside_the_kernels():
    torch.set_num_threads(2)
    try:
        tt.LSTM(64, 64)(torch.randn(100, 8, 64))
        # large enough for the pool, so that its other thread answers too
        tiny = torch.full((1 << 20,), 1e-39) * 1.5
    finally:
        torch.set_num_threads(1)
    assert (tiny > 0).all()
