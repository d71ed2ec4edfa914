"""What the documents show runs as it stands there."""

import doctest
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.stem)


def run_examples(text: str, name: str) -> doctest.TestResults:
    """Runs the lines with a prompt, from first to last with the same names."""
    # A fence would count as output; an empty line in its place keeps the lines' numbers.
    without_fences = re.sub(r"^```.*$", "", text, flags=re.M)
    test = doctest.DocTestParser().get_doctest(without_fences, {}, name, name, 0)
    return doctest.DocTestRunner().run(test)


@every_document
def test_the_examples_of_a_document_hold(document):
    assert run_examples(document.read_text(), document.name).failed == 0


@every_document
def test_the_python_of_a_document_runs(document):
    for block in re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL):
        if not block.startswith(">>>"):
            exec(compile(block, document.name, "exec"), {})


def test_a_wrong_example_is_found():
    text = "```python\n>>> one = 1\n```\n\n```python\n>>> one + 1\n{}\n```\n"
    assert run_examples(text.format(2), "right") == (0, 2)
    assert run_examples(text.format(3), "wrong") == (1, 2)


@every_document
def test_what_a_document_links_to_is_there(document):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert not [link for link in links if not (document.parent / link).exists()]


def test_the_scripts_of_the_lecture_draw_its_pictures(tmp_path):
    for script in (ROOT / "docs").glob("draw_*.py"):
        runpy.run_path(str(script))["main"](tmp_path)
    shown = re.findall(r"\]\((lecture_\w+\.svg)\)", (ROOT / "docs" / "lecture.md").read_text())
    assert {file.name for file in tmp_path.iterdir()} == set(shown)


SHOWN = {
    # every memory is a stable point
    "flip_flop": r"rnn .* 8 .*  \+\+\+ \+\+- \+-\+ \+-- -\+\+ -\+- --\+ ---  ",
    "next_character": "the gradient travels back through time",
    "interpretable_unit": r"[hc]\[\d+\] of layer 0 +(0\.9\d\d|1\.000) .* 0\.005 ",
    "leaky_rate_cell": r"8\d% of the choices are right, 8\d% by the mean.*\n.*all: True",
    "plain_loop": r"0\.0",  # nats a step: it has learnt
}
WORDS = {"flip_flop": ["--cell", "rnn", "--updates", "250"]}  # what makes it short


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.py")), ids=lambda f: f.stem)
def test_an_example_runs_to_its_end(file, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", [str(file), *WORDS.get(file.stem, [])])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(file), run_name="__main__")
    assert re.search(SHOWN[file.stem], capsys.readouterr().out)


def test_the_commands_of_the_readme_exist():
    from throughtime.cli import app

    commands = re.findall(
        r"^(?:\d  )? *throughtime ([a-z]+)", (ROOT / "README.md").read_text(), re.M
    )
    assert len(commands) >= 6
    assert all(app[command] for command in commands)
