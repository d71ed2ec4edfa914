"""Labelled texts: read from every kind of table as they are, or refused with counts."""

import sys
from types import SimpleNamespace

import pytest

from throughtime.data.labelled import Labelled, read_labelled, read_texts
from throughtime.data.reviews import reviews
from throughtime.data.tables import read_table
from throughtime.data.word_split import split_words
from throughtime.errors import DataError, PackageError

ROWS = Labelled(["a film, a song", 'he said "no"', "naïve\u2028café"], ["good", "bad", "good"])


def write(folder, name, content):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def write_parquet(folder):
    arrow = pytest.importorskip("pyarrow", reason="reading Parquet needs pyarrow")
    from pyarrow.parquet import write_table

    write_table(
        arrow.table({"label": ROWS.labels, "text": ROWS.texts, "id": [1, 2, 3]}),
        folder / "t.parquet",
    )
    return str(folder / "t.parquet")


FORMS = {
    "bare.tsv": "".join(
        f"{t}\t{label}\n" for t, label in zip(ROWS.texts, ROWS.labels, strict=True)
    ),
    "named.tsv": "".join(
        f"{n}\t{label}\t{t}\r\n"
        for n, label, t in zip(
            "n12x", ["label", *ROWS.labels], ["sentence", *ROWS.texts], strict=True
        )
    ),
    "named.csv": '\ufefftext,label\n"a film, a song",good\n"he said ""no""",bad\n'
    "naïve\u2028café,good\n",
    "t.jsonl": '{"text": "a film, a song", "label": "good"}\n\n'
    '{"label": "bad", "text": "he said \\"no\\""}\n{"text": "naïve\u2028café", "label": "good"}\n',
}


@pytest.mark.parametrize("name", [*FORMS, "t.parquet"])
def test_every_kind_of_table_gives_the_same_rows(name, tmp_path):
    path = write(tmp_path, name, FORMS[name]) if name in FORMS else write_parquet(tmp_path)
    assert read_labelled([path], None, "label") == ROWS
    assert read_texts(path, None, "label") == ROWS.texts


def test_columns_can_be_named(tmp_path):
    path = write(tmp_path, "t.csv", "review,stars,note\nfine,5,x\npoor,1,y\n")
    assert read_labelled([path, path], "review", "stars").labels == ["5", "1", "5", "1"]
    assert read_texts(path, "note", "stars") == ["x", "y"]


def test_a_text_of_a_hundred_thousand_words_is_read_whole(tmp_path):
    text = "word " * 100_000
    path = write(tmp_path, "t.csv", f'text,label\n"{text}",long\nshort,"s"\n')
    assert read_labelled([path], None, "label").texts == [text, "short"]


def test_a_text_without_words_and_a_number_as_a_label_are_rows_like_others(tmp_path):
    path = write(tmp_path, "t.jsonl", '{"text": "", "label": 0}\n{"text": "x", "label": true}\n')
    assert read_labelled([path], None, "label") == Labelled(["", "x"], ["0", "True"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.tsv", "a\tgood\nb\nc\n", "2 cells a row.* 2 of 3 rows have not, the first is line 2"),
        ("t.tsv", "review\tmood\n" + "a\tx\nb\ty\n" * 2, "ends in 'mood', as none of the 4 others"),
        ("t.csv", "text,mood\na,b\n", "column of labels named label, it has text, mood"),
        ("t.csv", "a,b,label\nx,y,z\n", "column of texts named text or sentence, it has a, b"),
        ("t.csv", "text,text,label\nx,y,z\n", "name each column once"),
        ("t.csv", 'text,label\n"open,z\n', "must be CSV, line 2"),
        ("t.csv", "text,label\na,x\nb,\nc, \n", "in every row of label, 2 of 3 .* row 2 with ''"),
        ("t.jsonl", '{"text": "a", "label": "x"}\n[1]\n', "object a line, line 2"),
        ("t.jsonl", '{"text": "a"}\n', "column of labels named label, it has text"),
        (
            "t.jsonl",
            '{"text": "a", "label": "x"}\n{"label": "y"}\n',
            "text in every row of text, 1 of 2",
        ),
        (
            "t.jsonl",
            '{"text": "a", "label": 0.5}\n',
            "a whole number, in every row of label, 1 of 1",
        ),
        ("t.parquet", "PAR", "readable Parquet file"),
        ("t.tsv", "caf\xe9\tgood\n".encode("latin-1"), "must be UTF-8 text, byte 3 is 0xe9"),
        ("t.tsv", "a\tb\n".encode("utf-16"), "0x00|UTF-8"),
        ("t.tsv", "", "it is empty"),
        ("t.tsv", "\n\n", "blanks only"),
        ("t.xlsx", "x", "ends in .tsv, .csv"),
    ],
)
def test_a_table_that_is_none_is_refused_with_what_is_wrong(name, content, message, tmp_path):
    path = write(tmp_path, name, content)
    with pytest.raises(DataError, match=message):
        read_labelled([path], None, "label")


@pytest.mark.parametrize(
    ("package", "path"), [("pyarrow", "t.parquet"), ("datasets", "hf:owner/name:train")]
)
def test_a_package_that_is_missing_is_named(package, path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PackageError, match=f"pip install {package}"):
        read_table(path, ["text", "label"])


def test_a_set_of_hugging_face_gives_its_classes_names(monkeypatch):
    class Set(dict):
        @property
        def features(self):
            spell = ["bad", "good"].__getitem__
            return {"sentence": SimpleNamespace(), "label": SimpleNamespace(int2str=spell)}

    def load_dataset(name, split):
        assert (name, split) == ("owner/name", "test")
        return Set(sentence=["a", "b"], label=[1, 0])

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    found = read_labelled(["hf:owner/name:test"], None, "label")
    assert found == Labelled(["a", "b"], ["good", "bad"])
    with pytest.raises(DataError, match="NAME:SPLIT, got hf:owner/name"):
        read_table("hf:owner/name", ["label"])


def test_the_hash_tells_what_moved_from_a_text_to_its_label():
    one, other = Labelled(["ab", "c"], ["d", "e"]), Labelled(["a", "bc"], ["d", "e"])
    assert one.sha256() != other.sha256() != Labelled(["ab", "c"], ["e", "d"]).sha256()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop - it 's `fine'", ["don't", "stop", "-", "it", "'s", "'fine", "'"]),
        ("हिन्दी फ़िल्म", ["हिन्दी", "फ़िल्म"]),
        ("good\x0cbad\u2028ugly", ["good", "bad", "ugly"]),
        ("😀😀", ["😀", "😀"]),
        (" \t\n", []),
    ],
)
def test_words_are_split_as_people_would(text, words):
    assert split_words(text) == words


def test_generated_reviews_mean_what_their_last_clause_says():
    found = reviews(200, seed=3)
    good = {"great", "funny", "moving", "fresh", "clever"}
    for text, label in zip(found.texts, found.labels, strict=True):
        last = text.split(" but ")[-1].split()
        assert (label == "positive") == ((last[-1] in good) != ("not" in last))
    assert reviews(200, seed=3) == found != reviews(200, seed=4)
