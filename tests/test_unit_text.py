"""A text coloured by a unit: as HTML that nothing can break out of, and in a terminal."""

import io
import re
import sys
import unicodedata
from html.parser import HTMLParser

import numpy as np
import pytest

from throughtime.errors import OptionError, ShapeError
from throughtime.instruments import UnitText
from throughtime.instruments.glyphs import shown
from throughtime.instruments.unit_html import page
from throughtime.instruments.unit_text import LEVELS, colour

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'&amp;&lt;",
    "</div></main><!--",
    "\x00\x1b[31m\x07\x7f\x9b",
    "\u202eevil\u2066",
    "\ud800",
    "e\u0301",
    "\u0301",
    "漢字",
    "",
    "\ufffd",
    "<unk> ",
    "a\nb\tc",
    "{style}{0}%s",
]


def text_of(tokens, **options):
    return UnitText(tokens, np.linspace(-1, 1, len(tokens)), **options)


class Reader(HTMLParser):
    """What a browser finds: elements with their attributes, and the text of the tokens."""

    def __init__(self, markup):
        super().__init__()
        self.tags, self.values, self.tokens, self.depth = set(), [], [], 0
        self.feed(markup)

    def handle_starttag(self, tag, attributes):
        self.tags.add((tag, *sorted(name for name, _ in attributes)))
        if "data-v" in dict(attributes):
            self.values.append(dict(attributes)["data-v"])
            self.tokens.append("")
            self.depth = 1
        elif self.depth:
            self.depth += 1

    def handle_endtag(self, tag):
        self.depth -= self.depth > 0

    def handle_data(self, data):
        if self.depth:
            self.tokens[-1] += data


def test_hostile_tokens_and_titles_add_no_markup_and_stay_readable():
    tame = Reader(text_of(["a", "b\t", "c\n"], title="t").html())
    read = Reader(text_of(HOSTILE, title=HOSTILE[1]).html())
    assert read.tags == tame.tags
    expected = [shown(token).replace("↵", "↵\n").replace("⇥", "⇥\t") for token in HOSTILE]
    assert read.tokens == expected
    assert len(read.values) == len(HOSTILE) and read.values[0] == "-1"


def test_a_page_is_whole_and_asks_for_nothing_else():
    markup = page([text_of(HOSTILE), text_of(["x"])], title="<b>")
    assert not re.search(r"https?:|src=(?!x)|@import|url\(", markup)
    assert "default-src 'none'" in markup and "<title>&lt;b&gt;</title>" in markup
    assert markup.count("<figure") == 2
    markup.encode()  # no half of a surrogate is left


@pytest.mark.parametrize("token", HOSTILE)
def test_what_is_shown_has_a_column_and_no_control_character(token):
    signs = shown(token)
    assert signs and not any(unicodedata.category(c)[0] == "C" for c in signs)
    assert not unicodedata.category(signs[0]).startswith("M")


@pytest.mark.parametrize("level", range(-LEVELS, LEVELS + 1))
def test_black_letters_are_readable_on_every_colour(level):
    def linear(part):
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(part / 255) for part in colour(level))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    assert (luminance + 0.05) / 0.05 >= 6


def test_colours_go_from_blue_over_white_to_orange_around_the_middle():
    text = UnitText(list("abcde"), np.array([0.0, 0.25, 0.5, 1.0, 9.0]), middle=0.5, reach=0.5)
    assert text.levels().tolist() == [-LEVELS, -LEVELS // 2, 0, LEVELS, LEVELS]
    assert text.scale() == (0, 0.5, 1)
    assert colour(-LEVELS).blue > 200 > colour(-LEVELS).red
    assert colour(LEVELS).red > 200 > colour(LEVELS).blue and colour(0) == (255, 255, 255)


def test_a_missing_value_has_no_colour_and_hides_no_other():
    text = UnitText(list("abc"), np.array([np.nan, 2.0, -1.0]), reach=2)
    assert text.levels().tolist() == [0, LEVELS, -LEVELS // 2]
    assert UnitText(["a"], np.zeros(1)).levels().tolist() == [0]
    assert UnitText([], np.zeros(0)).levels().tolist() == []


def test_a_part_has_the_colours_of_the_whole():
    text = text_of(list("abcdefgh"))
    np.testing.assert_array_equal(text[2:5].levels(), text.levels()[2:5])
    assert text[2:5].tokens == list("cde") and len(text[2:5]) == 3


def plain_lines(rendered):
    """Lines behind title and scale, without colours."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in rendered.split("\n")[2:]]


def columns(line):
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in line)
    return len(line) + wide - sum(unicodedata.category(c) in ("Mn", "Me") for c in line)


@pytest.mark.parametrize("width", [2, 7, 80])
@pytest.mark.parametrize("is_coloured", [True, False])
def test_lines_fit_the_terminal_and_lose_no_character(width, is_coloured):
    lines = plain_lines(text_of(HOSTILE).terminal(width, is_coloured))
    assert max(map(columns, lines)) <= width
    letters = lines if is_coloured else lines[::2]
    assert "".join(letters) == "".join(map(shown, HOSTILE))


def test_without_colours_a_figure_stands_below_each_character():
    text = UnitText(["ab", "漢", "e\u0301", "\n", "z"], np.array([-1, 1, 0.2, -0.3, 0.0]))
    assert plain_lines(text.terminal(9, is_coloured=False)) == ["ab漢e\u0301↵", "009 53", "z", "4"]


def test_in_colours_a_run_of_one_level_is_painted_once():
    line = UnitText(["a", "b", "c"], np.array([1.0, 1.0, -1.0])).terminal().split("\n")[2]
    orange, blue = (";".join(map(str, colour(level))) for level in (LEVELS, -LEVELS))
    assert line == (f"\x1b[38;2;0;0;0;48;2;{orange}mab\x1b[0m\x1b[38;2;0;0;0;48;2;{blue}mc\x1b[0m")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_stream_that_is_no_terminal_gets_no_colours(monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    text_of(HOSTILE).show()
    stream.flush()
    assert b"\x1b" not in stream.buffer.getvalue()


def test_values_widths_and_scales_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"values must be \[2\], one per token, got \[3\]"):
        UnitText(["a", "b"], np.zeros(3))
    with pytest.raises(OptionError, match="reach above 0, got 0 and 0"):
        UnitText(["a"], np.zeros(1), reach=0.0)
    with pytest.raises(OptionError, match="width must be at least 2 columns, got 1"):
        text_of(["a"]).terminal(1)
