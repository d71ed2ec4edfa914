"""What the documents show runs as it stands there."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


SHOWN = {
    "next_character": "the gradient travels back through time",
    "plain_loop": "0.0",  # nats a step: it has learnt
}


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.py")), ids=lambda f: f.stem)
def test_an_example_runs_to_its_end(file, capsys):
    runpy.run_path(str(file), run_name="__main__")
    assert SHOWN[file.stem] in capsys.readouterr().out


def test_the_python_of_the_readme_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_the_commands_of_the_readme_exist():
    from throughtime.cli import app

    commands = re.findall(
        r"^(?:\d  )? *throughtime ([a-z]+)", (ROOT / "README.md").read_text(), re.M
    )
    assert len(commands) >= 6
    assert all(app[command] for command in commands)
