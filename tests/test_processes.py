"""Processes: forked and spawned, started and ended in every way, with more threads than cores.

Every process has a time limit: that one hangs fails by name.
"""

import importlib.util
import multiprocessing
import os
import subprocess
import sys

import pytest
import torch

import throughtime as tt

long = pytest.mark.long

# `check()` compares outputs and gradients with torch.nn's, computed on one thread, so that
# torch's pool has not begun; it has no operator that torch itself would split, which in a forked
# child hangs. The layer is large enough for as many threads as there may be.
PRELUDE = """
import os, signal, sys, threading, time
import torch, throughtime as tt
torch.set_num_threads(1)
torch.manual_seed(0)
options = dict(bidirectional=True, dtype=torch.float64)
theirs, ours = torch.nn.LSTM(32, 64, **options), tt.LSTM(32, 64, **options)
ours.load_state_dict(theirs.state_dict())
x = torch.randn(20, 8, 32, dtype=torch.float64)

def numbers(layer):
    y = layer(x)[0]
    return [y.detach(), *torch.autograd.grad((y * y).sum(), layer.parameters())]

expected = numbers(theirs)

def check():
    for ours_, theirs_ in zip(numbers(ours), expected, strict=True):
        assert (ours_ - theirs_).abs().max() < 1e-10

torch.set_num_threads(2)
"""
USES = {
    "nothing": "",
    "torch": "torch.tanh(torch.ones(1_000_000))",
    "kernels": "check()",
}


def run(*script, seconds=120, code=0, stderr="", **environment):
    """What a fresh interpreter prints; it must end in time, with this code and these errors."""
    command = [sys.executable, "-c", "\n".join(script)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=os.environ | environment
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"the process hung for {seconds} s")
    assert (done.returncode, done.stderr[-len(stderr) :] if stderr else done.stderr) == (
        code,
        stderr,
    ), done.stderr
    return done.stdout


# a child's exit code tells what happened; 14 is the alarm that ends one that hangs
FORK = """
def fork(end):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        check()
        end()
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"the child hung or failed: {status}"
"""


LOADER = """
class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 6
    def __getitem__(self, index):
        torch.set_num_threads(2)
        check()
        return ours(x + index)[0].detach()

loader = torch.utils.data.DataLoader(
    Rows(), batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=20
)
torch.set_num_threads(1)
wanted = [theirs(x + index)[0] for index in range(6)]
torch.set_num_threads(2)
for ours_, theirs_ in zip(loader, wanted, strict=True):
    assert (ours_ - theirs_).abs().max() < 1e-10
check()
"""


@pytest.mark.parametrize("use", USES)
def test_forked_children_and_workers_and_their_parent_compute_on_two_threads(use):
    run(PRELUDE, FORK, USES[use], "fork(lambda: os._exit(0))", LOADER)


def layer_and_input():
    torch.manual_seed(3)
    return tt.GRU(32, 64, dtype=torch.float64), torch.randn(20, 8, 32, dtype=torch.float64)


def send_output(connection):
    torch.set_num_threads(2)
    layer, x = layer_and_input()
    connection.send(layer(x)[0].tolist())


def test_a_spawned_process_gives_the_same_bits():
    context = multiprocessing.get_context("spawn")
    ours, other = context.Pipe(duplex=False)
    process = context.Process(target=send_output, args=(other,))
    process.start()
    assert ours.poll(120), "the spawned process hung"
    layer, x = layer_and_input()
    assert ours.recv() == layer(x)[0].tolist()
    process.join(120)
    assert process.exitcode == 0


ENDS = {
    "the end": ("check()", 0, ""),
    "os._exit": ("check(); os._exit(3)", 3, ""),
    "an exception": ("check(); raise KeyError('mine')", 1, "KeyError: 'mine'\n"),
    "sys.exit in a thread": (
        "def leave(): check(); sys.exit(5)\n"
        "thread = threading.Thread(target=leave); thread.start(); thread.join()",
        0,
        "",
    ),
    "a thread that outlives main": (
        "threading.Thread(target=lambda: [check() for _ in range(20)]).start()",
        0,
        "",
    ),
    "a call at exit": ("import atexit; atexit.register(check); check()", 0, ""),
    "an open session": ("session = tt.stream(tt.GRU(2, 3)); me = [session]; me.append(me)", 0, ""),
    "a daemon in a kernel": (
        "long = torch.randn(20_000, 8, 32, dtype=torch.float64)\n"
        "def work():\n"
        "    with torch.no_grad(): ours(long)\n"
        "check(); threading.Thread(target=work, daemon=True).start(); time.sleep(0.1)",
        0,
        "",
    ),
    "a daemon in a session": (
        "import numpy as np\n"
        "session = tt.stream(tt.LSTM(2, 2000)); step = session._native.step\n"
        "x, y = np.ones(2, np.float32), np.ones(2000, np.float32)\n"
        "def work():\n"
        "    while True: step(x, y)\n"
        "threading.Thread(target=work, daemon=True).start(); time.sleep(0.1)",
        0,
        "",
    ),
}


QUICK = ["sys.exit in a thread", "a daemon in a kernel", "a daemon in a session"]


@pytest.mark.parametrize(
    "end", [pytest.param(end, marks=[] if end in QUICK else [long]) for end in ENDS]
)
@pytest.mark.parametrize("time", [0, *(pytest.param(n, marks=long) for n in (1, 2, 3))])
def test_an_interpreter_ends_cleanly(end, time):
    script, code, stderr = ENDS[end]
    run(PRELUDE, script, code=code, stderr=stderr)


CHILDREN = """
check()
for number in range(1000):
    fork([lambda: os._exit(0), sys.exit][number % 2])
"""


@long
def test_a_thousand_children_start_threads_and_end():
    run(PRELUDE, FORK, CHILDREN, seconds=2000)


STREAM = """
import sys; sys.modules["torch"] = None
import numpy as np, throughtime.stream as stream
weights = ("gru", np.ones((6, 1)), np.ones((6, 2)), None, None)
assert stream.Session([weights]).step(np.ones(1)).shape == (2,)
"""


@pytest.mark.parametrize("count", [3, pytest.param(1000, marks=long)])
def test_a_stream_without_torch_starts_and_ends(count):
    for _ in range(count):
        run(STREAM, seconds=60)


@pytest.mark.parametrize(
    "environment",
    [
        {"OMP_NUM_THREADS": "8"},
        {"OMP_THREAD_LIMIT": "3"},
        pytest.param({"OMP_DYNAMIC": "true"}, marks=long),
        pytest.param({"OMP_WAIT_POLICY": "active"}, marks=long),
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_settings_of_openmp_change_no_number(environment):
    run(PRELUDE, "torch.set_num_threads(16)", "for _ in range(5): check()", **environment)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux's resource limits")
def test_fewer_threads_than_wanted_share_the_work():
    refuse = "import resource; resource.setrlimit(resource.RLIMIT_AS, (limit, limit))"
    limit = "limit = int(open('/proc/self/statm').read().split()[0]) * 4096 + 10_000_000"
    run(PRELUDE, FORK, "def again(): exec(refuse); check(); os._exit(0)", f"refuse = {refuse!r}",
        limit, "torch.set_num_threads(16); fork(again)")  # fmt: skip


def test_processes_at_once_give_the_right_numbers():
    script = "\n".join([PRELUDE, "torch.set_num_threads(8)", "for _ in range(5): check()"])
    processes = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    for process in processes:
        assert process.wait(timeout=120) == 0


@pytest.mark.skipif(
    importlib.util.find_spec("_xxsubinterpreters") is None, reason="Python 3.13 renamed it"
)
@pytest.mark.parametrize("before", ["", "import throughtime.native._kernels"])
def test_a_subinterpreter_is_refused_and_does_no_harm(before):
    shown = run(
        "import _xxsubinterpreters as interpreters",
        before,
        "other = interpreters.create()",
        "try: interpreters.run_string(other, 'import throughtime.native._kernels')",
        "except interpreters.RunFailedError as error: print(error)",
        "interpreters.destroy(other)",
        "from throughtime.native import _kernels",
        "print(_kernels.Session32(1).state_size)",
    )
    assert "must be imported in the main interpreter, this is a subinterpreter; import" in shown
    assert shown.endswith("\n0\n")


def test_a_python_without_its_lock_is_refused():
    shown = run(
        "import sys; sys._is_gil_enabled = lambda: False",
        "try: import throughtime.native._kernels",
        "except ImportError as error: print(error)",
        "sys._is_gil_enabled = lambda: True",
        "from throughtime.native import _kernels",
        "print(_kernels.Session32(1).state_size)",
    )
    assert "must run under Python's global interpreter lock, it is switched off; unset" in shown
    assert shown.endswith("\n0\n")
