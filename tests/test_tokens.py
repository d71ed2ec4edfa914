import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.data.byte_pairs import BytePairs
from throughtime.data.characters import Characters
from throughtime.data.tokens import build_tokens, tokens_from_json
from throughtime.data.words import Words
from throughtime.errors import DataError

KINDS = ["characters", "bpe", "words"]
TEXT = "the cat sat on the mat\nthe end\n"
unicode = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(unicode)
def test_characters_give_back_any_text(text):
    tokens = Characters.build(text)
    ids = tokens.encode(text)
    assert tokens.decode(ids) == text
    assert [tokens.alphabet[i] for i in ids] == list(text)


@given(unicode)
def test_byte_pairs_give_back_a_text_they_never_saw(text):
    tokens = build_tokens("bpe", TEXT, 260)
    assert tokens.decode(tokens.encode(text)) == text


def test_byte_pairs_cut_a_long_text_without_loss():
    text = "x" * 70_000 + "\n" + TEXT * 4000
    tokens = BytePairs.build(TEXT, 300)
    assert tokens.decode(tokens.encode(text)) == text


def test_words_mark_line_ends_and_rank_by_count():
    tokens = Words.build(TEXT, vocabulary=4)
    assert tokens.words == ["<eos>", "<unk>", "the", "cat"]
    assert tokens.encode("the dog\ncat").tolist() == [2, 1, 0, 3]


def test_words_decode_alike_one_by_one_and_together():
    tokens = Words.build(TEXT, vocabulary=20)
    ids = tokens.encode(TEXT)
    assert "".join(tokens.decode([i]) for i in ids) == tokens.decode(ids)
    assert tokens.decode(ids).split() == TEXT.split()


@pytest.mark.parametrize("kind", KINDS)
def test_a_vocabulary_survives_json(kind):
    tokens = build_tokens(kind, TEXT, 300)
    again = tokens_from_json(json.loads(json.dumps(tokens.to_json())))
    assert again.size == tokens.size
    assert np.array_equal(again.encode(TEXT), tokens.encode(TEXT))


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_is_below_the_size_and_int64(kind):
    tokens = build_tokens(kind, TEXT, 300)
    ids = tokens.encode(TEXT)
    assert ids.dtype == np.int64 and 0 <= ids.min() and ids.max() < tokens.size


@pytest.mark.parametrize("odd", ["é", "\udcff", "\U0001f600"])
def test_an_unseen_character_is_refused_by_name_and_place(odd):
    with pytest.raises(DataError, match=rf"prompt .*U\+{ord(odd):04X}\) at line 2, column 3"):
        Characters.build("ab\n").encode(f"a\nab{odd}", "the prompt")


@pytest.mark.parametrize(
    "data",
    [
        *([], {}, {"kind": "odd"}, {"kind": []}, {"kind": "bpe", "tokenizer": 3}),
        *({"kind": "characters", "alphabet": 5}, {"kind": "characters", "alphabet": ""}),
        *({"kind": "words", "words": ["a"]}, {"kind": "words", "words": [1, "<unk>", "<eos>"]}),
    ],
)
def test_a_damaged_vocabulary_is_refused(data):
    with pytest.raises(DataError, match="a vocabulary must be"):
        tokens_from_json(data)


def test_byte_pairs_without_room_for_the_bytes_are_refused():
    with pytest.raises(DataError, match="at least 256 entries, got 255"):
        BytePairs.build(TEXT, 255)


def test_words_of_blanks_are_refused():
    with pytest.raises(DataError, match="blanks only"):
        Words.build(" \n ", 5)
