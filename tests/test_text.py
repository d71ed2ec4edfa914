import hashlib

import pytest

from throughtime.data.text import read_text
from throughtime.errors import DataError


def test_a_folder_is_read_in_sorted_order_without_hidden_and_binary_files(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("hidden")
    (tmp_path / "b" / "z.txt").write_text("three")
    (tmp_path / "a.txt").write_text("one ")
    (tmp_path / "c.bin").write_bytes(b"\xff\xfe")
    (tmp_path / "d.txt").write_text("")
    text = read_text([tmp_path])
    assert text.text == "one three"
    assert text.skipped == (str(tmp_path / "c.bin"), str(tmp_path / "d.txt"))
    assert text.sha256 == hashlib.sha256(b"one three").hexdigest()


def test_a_file_named_twice_is_read_once(tmp_path):
    (tmp_path / "a.txt").write_text("é")
    assert read_text([str(tmp_path / "*.txt"), tmp_path / "a.txt"]).text == "é"


def test_line_ends_stay_as_they_are(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a\r\nb\rc\n")
    assert read_text([tmp_path / "a.txt"]).text == "a\r\nb\rc\n"


def test_a_byte_order_mark_is_no_character(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfto be")
    assert read_text([tmp_path / "a.txt"]).text == "to be"


def test_an_empty_path_is_refused():
    with pytest.raises(DataError, match="got an empty path"):
        read_text([""])


def test_without_paths_the_standard_library_is_read_without_its_tests():
    text = read_text()
    assert "def getline(filename, lineno" in text.text
    assert not any("/test/" in source or "site-packages" in source for source in text.sources)
    assert list(text.sources) != [] and len(text.text) > 5_000_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must hold text, it is empty"),
        (b"\xef\xbb\xbf", "must hold text, it is empty"),
        (b"ab\x00c", "byte 2 is 0x00"),
        (b"abc\xff", "byte 3 is 0xff"),
    ],
)
def test_a_named_file_that_is_no_text_is_refused(tmp_path, content, message):
    file = tmp_path / "odd.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"odd\.txt .*{message}"):
        read_text([file])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.txt", "missing.txt does not"),
        ("*.md", r"\*.md matches none"),
        ("empty", "holds none"),
    ],
)
def test_a_path_that_leads_to_no_text_is_refused(tmp_path, path, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        read_text([tmp_path / path])
