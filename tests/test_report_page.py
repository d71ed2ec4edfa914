"""The page as a file: one HTML document that holds everything and loads nothing."""

import base64
import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from report_data import HOSTILE, make_report, without

from throughtime.errors import OptionError
from throughtime.web import MOST_BYTES, MOST_RUNS, Curves, build_page
from throughtime.web.pack import to_json


def test_json_holds_no_sign_that_html_reads_and_says_the_same():
    text = to_json({"text": HOSTILE, "missing": float("nan")})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"text": HOSTILE, "missing": None}


@pytest.mark.parametrize(
    ("given", "kind"), [("float16", "float16"), ("float64", "float32"), ("int64", "int32")]
)
def test_an_array_keeps_its_shape_and_numbers(given, kind):
    array = np.arange(6).reshape(2, 3).astype(given)
    packed = json.loads(to_json(array))
    read = np.frombuffer(base64.b64decode(packed["base64"]), np.dtype(kind).newbyteorder("<"))
    assert packed["type"] == kind
    np.testing.assert_array_equal(read.reshape(packed["shape"]), array)


@pytest.fixture(scope="module")
def page():
    return build_page([make_report(HOSTILE), make_report("b")])


def test_the_policy_allows_the_two_scripts_of_the_page_and_no_address(page):
    scripts = re.findall(r'<script(?: .*id="plotly")?>(.*?)</script>', page, re.DOTALL)
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    hashes = {f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests}
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert set(parts.pop("script-src").split()) == hashes and len(hashes) == 2
    assert parts.pop("default-src") == "'none'"
    assert not re.search(r"https?:|\*", " ".join(parts.values()))


def test_what_came_from_a_run_is_nowhere_markup(page):
    assert page.count("<script") == page.count("</script>") == 3
    assert "<img" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_the_same_numbers_make_the_same_page(page):
    assert build_page([make_report(HOSTILE), make_report("b")]) == page


def test_too_many_runs_and_runs_of_two_tasks_are_refused():
    report = make_report()
    with pytest.raises(OptionError, match=f"1 to {MOST_RUNS} runs, got 5"):
        build_page([report] * 5)
    with pytest.raises(OptionError, match="1 to 4 runs, got 0"):
        build_page([])
    with pytest.raises(OptionError, match=r"same task, got language-model \(LSTM\) and adding"):
        build_page([report, replace(report, task="adding")])


def test_a_page_that_would_be_too_large_is_refused():
    points = np.zeros(MOST_BYTES // 8)
    curves = Curves("nats", points.astype(int), points, points[:0], points[:0], None, "")
    with pytest.raises(OptionError, match="at most 15 MB, got"):
        build_page([replace(without(make_report()), curves=curves)])
