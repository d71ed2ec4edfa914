"""Settings of every test: hypothesis' profile for continuous integration, seed and threads.

And a run that was trained through the command line, with what calls it.
"""

import shutil
import signal
import subprocess
from types import SimpleNamespace

import pytest
import torch
from command_line import COMMAND, SMALL, TEXT
from hypothesis import settings

settings.load_profile("ci")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
torch.set_num_threads(1)  # tensors are tiny; a test of threads sets its own number


@pytest.fixture(autouse=True)
def fixed_seed():
    """Every test draws the same numbers whichever tests ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def fresh_compiler():
    """A compiler that no other test has used: it counts compilations of a function, up to eight."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """A file of twelve lines."""
    file = tmp_path_factory.mktemp("text") / "hamlet.txt"
    file.write_text(TEXT)
    return file


@pytest.fixture(scope="session")
def trained(text, tmp_path_factory):
    """A run folder that was trained through the command line, and what was shown."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "language-model", str(text), *SMALL, "--out", str(folder)]
    return folder, subprocess.run([*COMMAND, *words], capture_output=True, text=True)


@pytest.fixture(scope="session")
def run(trained):
    """The folder of that run, to be read alone."""
    return trained[0]


@pytest.fixture
def copied(run, tmp_path):
    """A copy of that run, to be spoilt."""
    return shutil.copytree(run, tmp_path / "copied")


@pytest.fixture
def call(capsys):
    """Runs the command in this process: its exit code, stdout and stderr."""
    from throughtime.cli import main

    def call(*words):
        code = main([str(word) for word in words])
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return call


@pytest.fixture(scope="module")
def visitor(folder):
    """Visits the pages of a folder, which is a fixture of the tests that ask for this one."""
    from browsers import launch
    from page_visits import Visitor
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield Visitor(browser, folder)
        browser.close()


@pytest.fixture
def visit(visitor):
    """Opens a page, and in the end looks whether the browser complained."""
    yield visitor
    while visitor.fresh:
        visitor.fresh.pop().close()
    complaints, visitor.complaints[:] = list(visitor.complaints), []
    assert complaints == []
