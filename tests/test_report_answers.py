"""What recipes answered, in a real browser: coloured words, maps, strips of labels."""

import numpy as np
import pytest
from browsers import needs_chromium
from page_visits import chart, come_near, value
from playwright.sync_api import expect
from report_data import make_report, without

from throughtime.web import build_page

pytestmark = needs_chromium

OWN = ("saliency", "attention", "labels")


@pytest.fixture(scope="module")
def report():
    """Made-up measurements of one run, no instrument among them."""
    others = ("curves", "flow", "credit", "gates", "units", "spectra", "points")
    return without(make_report("run"), **dict.fromkeys(others, "Nothing to show here."))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, report):
    folder = tmp_path_factory.mktemp("pages")
    (folder / "answers.html").write_text(build_page([report]))
    return folder


@pytest.fixture
def page(visit):
    page = visit("answers")
    come_near(page, *OWN)
    return page


def colours(locator):
    """Red, green and blue behind each element."""
    texts = locator.evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")
    return [[int(part) for part in text.strip("rgb()").split(",")[:3]] for text in texts]


def pixel(canvas, x, y):
    """Red, green and blue of a canvas at a place given as shares of its width and height."""
    return canvas.evaluate(
        """(one, [x, y]) => {
          const copy = document.createElement("canvas")
            .getContext("2d", { willReadFrequently: true });
          Object.assign(copy.canvas, { width: one.width, height: one.height });
          copy.drawImage(one, 0, 0);
          const at = [x * one.width, y * one.height].map(Math.floor);
          return [...copy.getImageData(...at, 1, 1).data].slice(0, 3);
        }""",
        [x, y],
    )


def test_words_that_speak_for_an_answer_are_orange_and_those_against_it_blue(page):
    against, neither, speaks, _ = colours(page.locator(".answer .reader").first.locator(".token"))
    assert against[2] > 190 > against[0] + 50 and speaks[0] > 220 > speaks[2] + 50
    assert min(neither) > 235
    low, high = page.locator("#saliency .legend").inner_text().removeprefix("against ").split()[:2]
    assert value(high) == -value(low) == pytest.approx(1, abs=0.1)  # the size after the largest


def test_answers_say_truth_prediction_and_probability(page):
    right, wrong = page.locator("#saliency .verdict").all_inner_texts()
    assert right == "✓ right: taken for “negative” with 90.0 %"
    assert wrong == "✗ wrong: taken for “negative” with 60.0 %, it is “positive”"


def test_wrong_answers_can_be_shown_alone(page):
    page.get_by_label("Show", exact=True).select_option("wrong answers")
    expect(page.locator("#saliency .verdict:visible")).to_have_text(
        [r"✗ wrong: taken for “negative” with 60.0 %, it is “positive”"]
    )
    page.get_by_label("Show", exact=True).select_option("all answers")
    expect(page.locator("#saliency .verdict:visible")).to_have_count(2)


def test_a_table_holds_what_each_word_adds_and_their_sum(page, report):
    page.locator("#saliency summary").first.click()
    cells = page.locator("#saliency table").first.locator("td")
    cells.first.wait_for()
    sent = report.saliency.texts[0].influence
    assert [value(cell) for cell in cells.all_inner_texts()] == pytest.approx(
        [*sent, sent.sum()], rel=1e-3
    )


def test_the_arrow_keys_read_what_a_word_adds(page, report):
    reader = page.locator(".answer .reader").nth(1)
    expect(page.locator(".answer .reading").nth(1)).to_be_empty()
    for _ in range(2):
        reader.press("ArrowRight")
    sent = report.saliency.texts[1].influence[1]
    said = page.locator(".answer .reading").nth(1).inner_text()
    assert said.startswith("Token 1, “dull”: ") and said.endswith(" nats")
    assert value(said.split()[-2]) == pytest.approx(sent, rel=1e-3)


def test_a_picture_is_as_it_is_where_the_network_looked_and_pale_elsewhere(page):
    panes = page.locator("#attention .look")
    assert panes.locator("span").all_inner_texts() == ["the picture", "eine", "graue", "Katze"]
    grey = panes.nth(2).locator("canvas")  # the map of this word is all at the top right
    assert pixel(grey, 0.9, 0.1) == [240, 120, 0]
    pale = [round(235 + 0.25 * (colour - 235)) for colour in (240, 120, 0)]
    assert pixel(grey, 0.9, 0.9) == pytest.approx(pale, abs=1)
    assert pixel(grey, 0.1, 0.9) == pytest.approx([176, 176, 176], abs=1)  # 235 - 235 / 4
    assert "row 1 of 2, column 2 of 2" in grey.get_attribute("aria-label")


def test_a_map_fades_between_the_middles_of_its_places(page):
    canvas = page.locator("#attention .look canvas").nth(2)
    lights = [pixel(canvas, x, 0.2)[2] for x in (0.05, 0.3, 0.45)]  # of the black half
    assert lights[0] > lights[1] > lights[2]


def opened_rows(part, count):
    """The rows of a table that is made when it is opened."""
    part.locator("summary").click()
    rows = part.locator("tbody tr")
    expect(rows).to_have_count(count)
    return rows.all_inner_texts()


def test_a_sentence_is_a_heat_map_of_written_over_read_pieces(page, report):
    page.get_by_label("Sentence").select_option(index=1)
    heat = chart(page, "attention.heat.0")
    expect(heat.locator(".xtick text")).to_have_text(["a", "grey", "cat", "."])
    expect(heat.locator(".ytick text")).to_have_text(["eine", "graue", "Katze"])
    expect(page.locator("#attention .looks")).to_be_hidden()
    rows = opened_rows(heat, 3)
    assert [row.split("\t")[0] for row in rows] == ["eine", "graue", "Katze"]
    shown = [[value(cell) for cell in row.split("\t")[1:]] for row in rows]
    np.testing.assert_allclose(shown, report.attention.texts[0].weights, rtol=1e-3)
    page.get_by_role("button", name="Next").click()
    expect(heat).to_be_hidden()
    assert page.locator("#attention dd").all_inner_texts() == [
        "eine graue Katze",
        "die graue Katze",
    ]


def test_a_strip_is_as_wide_as_its_frames_are_many(page):
    true, predicted = (page.locator("#labels .strip").nth(i).locator(".stretch") for i in (0, 1))
    assert true.all_inner_texts() == ["nothing", "bar", "nothing"]
    assert predicted.all_inner_texts() == ["nothing", "bar", "post", "nothing"]
    widths = predicted.evaluate_all("all => all.map(one => one.getBoundingClientRect().width)")
    np.testing.assert_allclose(np.array(widths) / sum(widths), [0.2, 0.2, 0.4, 0.2], atol=0.01)
    assert colours(true)[1] == colours(predicted)[1] != colours(predicted)[2]


def test_frames_that_were_taken_for_another_are_marked(page):
    apart, whole = (
        page.locator(which).evaluate(
            "one => { const r = one.getBoundingClientRect(); return [r.left, r.width]; }"
        )
        for which in ("#labels .apart", "#labels .strip >> nth=0")
    )
    assert apart[1] / whole[1] == pytest.approx(8 / 20, abs=0.01)
    assert (apart[0] - whole[0]) / whole[1] == pytest.approx(8 / 20, abs=0.01)


def test_a_frame_is_shown_with_the_greys_it_has(page, report):
    frames = page.locator("#labels .film canvas")
    assert frames.count() == 5
    y, x = 3, 7
    grey = int(report.labels.clips[0].frames[2, y, x])
    assert pixel(frames.nth(2), (x + 0.5) / 12, (y + 0.5) / 8) == [grey] * 3


def test_a_table_holds_the_labels_of_every_frame(page):
    rows = opened_rows(page.locator("#labels"), 20)
    assert rows[8].split("\t")[:3] == ["8", "bar", "post"]
