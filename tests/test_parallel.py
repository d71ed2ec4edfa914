"""Pairs of sentences: files side by side, tables, and what is refused."""

import json
from datetime import datetime

import pytest

from throughtime.data.drawn_pairs import dates, reversals
from throughtime.data.parallel import read_parallel, read_sentences
from throughtime.errors import DataError

COLUMNS = ("en", "de")


def files(folder, english, german):
    """Two files with these lines."""
    for name, lines in (("a.en", english), ("a.de", german)):
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return [str(folder / "a.en"), str(folder / "a.de")]


def test_line_n_of_one_file_goes_with_line_n_of_the_other(tmp_path):
    found = read_parallel(files(tmp_path, [" yes", "a\fb"], ["ja", "c "]), *COLUMNS)
    assert (found.sources, found.targets) == (["yes", "a\fb"], ["ja", "c"])


def test_windows_line_ends_and_a_last_line_without_one_are_read(tmp_path):
    (tmp_path / "x").write_bytes(b"one\r\ntwo")
    (tmp_path / "y").write_bytes(b"eins\nzwei\n")
    found = read_parallel([str(tmp_path / "x"), str(tmp_path / "y")], *COLUMNS)
    assert found.sources == ["one", "two"]
    assert read_sentences(str(tmp_path / "x"), "en") == ["one", "two"]


@pytest.mark.parametrize("nested", [False, True])
def test_tables_and_files_are_read_in_the_order_of_their_names(tmp_path, nested):
    rows = [{"en": "one", "de": "eins"}, {"en": "two", "de": "zwei"}]
    content = [{"translation": row} if nested else row for row in rows]
    table = tmp_path / "t.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in content))
    found = read_parallel([str(table), *files(tmp_path, ["three"], ["drei"])], *COLUMNS)
    assert found.sources == ["one", "two", "three"]
    assert found.targets == ["eins", "zwei", "drei"]
    assert read_sentences(str(table), "de") == ["eins", "zwei"]


@pytest.mark.parametrize(
    ("english", "german", "said"),
    [
        (["a", "b"], ["x"], r"a.de must have a line for each line of .*a.en, 2, it has 1"),
        (["a", " ", ""], ["x", "y", "z"], r"2 of 3 pairs lack one, the first is line 2"),
        (["a", "b"], ["x", ""], r"1 of 2 pairs lack one, the first is line 2"),
    ],
)
def test_one_sided_pairs_are_refused(tmp_path, english, german, said):
    with pytest.raises(DataError, match=said):
        read_parallel(files(tmp_path, english, german), *COLUMNS)


def test_a_file_without_a_partner_is_refused(tmp_path):
    english, german = files(tmp_path, ["a"], ["x"])
    table = tmp_path / "t.tsv"
    table.write_text("en\tde\na\tx\n")
    for paths in ([english], [english, german, english], [english, str(table)]):
        with pytest.raises(DataError, match=r"a.en must come with the file of its translations"):
            read_parallel(paths, *COLUMNS)


def test_columns_that_are_not_there_are_refused(tmp_path):
    table = tmp_path / "t.jsonl"
    table.write_text('{"en": "a", "fr": "x"}\n')
    with pytest.raises(DataError, match=r"a column named de, it has en, fr; write --source"):
        read_parallel([str(table)], *COLUMNS)
    table.write_text('{"en": 3, "de": "x"}\n')
    with pytest.raises(DataError, match="text in every row of en, 1 of 1 have none"):
        read_sentences(str(table), "en")


def test_reversals_read_backwards_are_their_sources():
    found = reversals(400, seed=2)
    assert [letters[::-1] for letters in found.targets] == found.sources
    assert {len(letters) for letters in found.sources} == set(range(3, 13))
    assert found.sources == reversals(400, seed=2).sources != reversals(400, seed=3).sources


def test_dates_are_those_of_the_calendar():
    found = dates(400, seed=2)
    read = {"%d %B %Y", "%B %d, %Y", "%d.%m.%Y", "%A, %d %B %Y", "%b %d %Y"}
    for source, target in zip(found.sources, found.targets, strict=True):
        assert target in {day.isoformat() for form in read for day in parse(source, form)}


def parse(text, form):
    """The date that a text is in a form, if it is one."""
    try:
        return [datetime.strptime(text, form).date()]
    except ValueError:
        return []
