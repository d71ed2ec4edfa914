"""Properties of texts, against texts marked by hand: X where the property holds."""

import re

import numpy as np
import pytest

from throughtime.errors import OptionError, ShapeError
from throughtime.instruments import code_properties, properties


def marked(property, text):
    """The text with everything blank where the property does not hold; line ends as |."""
    values = property(text)
    assert values.dtype == bool and values.shape == (len(text),)
    return "".join("X" if value else "." for value in values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a "b c" d', "..XXXX..."),
        ('"" x', "X..."),
        ("a “b” c", "..XX..."),
        ('"open\n\nnot "b"', "XXXXX......XX."),
        ('"over\na line"', "XXXXXXXXXXXX."),
        ("none", "...."),
    ],
)
def test_quotes_are_inside_from_the_opening_mark_to_before_the_closing_one(text, expected):
    assert marked(properties.inside_quotes, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f(a[i])+x", ".XXXXX..."),
        ("a) (b", "....."),
        ("(a]b)", "XXXX."),
        ("x(a[b)c", ".XXXX.."),
        ("{}", "X."),
    ],
)
def test_brackets_are_inside_where_they_have_a_partner(text, expected):
    assert marked(properties.inside_brackets, text) == expected


def test_a_line_position_counts_the_characters_read():
    assert properties.line_position("ab\n\ncde").tolist() == [1, 2, 0, 0, 1, 2, 3]


def test_an_indentation_is_that_of_the_line_and_blank_lines_change_none():
    text = "a\n  b\n\n \tc\nd"
    assert properties.indentation(text).tolist() == [0, 0] + [2] * 5 + [8] * 4 + [0]


def test_a_word_counts_as_upper_case_with_all_of_at_least_two_letters():
    assert marked(properties.upper_case_word, "KING I Äb ÄÖ_X 9AB") == "XXXX......XX....XX"


def test_a_pattern_holds_at_its_first_group_that_took_part():
    either = properties.matching(r"a(b)|c(d+)|(?=z)(z)?")
    assert marked(either, "ab cdd ac z") == ".X..XX....X"
    assert marked(properties.matching(re.compile("a.")), "xaby") == ".XX."
    assert marked(properties.matching("x(y)?"), "xyx") == ".X."


PYTHON = '''def f(x):  # if "x
    """if x: no"""
    if (x and "a:b" in y[1:2]) or z:
        pass
    elif x:  return "if"
'''
C_LIKE = """#if (X)
int f(int a) { // if (b)
  if (a > g(1)) { s = "if (c) /*"; /* if
    (d) */ }
  else if(q) r();
}
"""


def kept(property, text):
    """The stretches in which a property holds."""
    values = np.concatenate([[False], property(text), [False]])
    edges = np.flatnonzero(values[1:] != values[:-1])
    return [text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]


def test_conditions_and_comments_of_python_are_told_from_strings():
    assert kept(code_properties.inside_comment, PYTHON) == ['# if "x']
    assert kept(code_properties.inside_if, PYTHON) == [' (x and "a:b" in y[1:2]) or z', " x"]


def test_conditions_and_comments_of_c_are_told_from_strings():
    assert kept(code_properties.inside_comment, C_LIKE) == ["// if (b)", "/* if\n    (d) *"]
    assert kept(code_properties.inside_if, C_LIKE) == [" (a > g(1)", "(q"]


def test_what_is_left_open_ends_with_the_text():
    assert kept(code_properties.inside_if, "if (a") == [" (a"]
    assert kept(code_properties.inside_comment, "a;\nb;\n/* c") == ["/* c"]


@pytest.mark.parametrize(
    "name", ["inside_quotes", "inside_brackets", "upper_case_word", "line_position", "indentation"]
)
@pytest.mark.parametrize("text", ["", "\n", "\ud800", "é\n\t☃"])
def test_odd_texts_have_one_value_per_character(name, text):
    assert getattr(properties, name)(text).shape == (len(text),)


def test_a_token_has_the_value_of_its_last_character():
    values = np.array([True, False, True, True])
    tokens = ["", "ab", "", "c", "d", ""]
    assert properties.to_tokens(values, tokens).tolist() == [False, False, False, True, True, True]
    assert properties.to_tokens(np.zeros(0), []).shape == (0,)


def test_a_property_of_another_length_and_a_pattern_that_is_none_are_refused():
    with pytest.raises(ShapeError, match=r"must give \[3\], one value per character, got \[2\]"):
        properties.to_tokens(np.zeros(2), ["ab", "c"])
    with pytest.raises(OptionError, match="must be a regular expression, '\\(' is none"):
        properties.matching("(")
