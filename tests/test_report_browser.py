"""The page in a real browser: what it shows, how it is used, and what it must never run."""

import re
from dataclasses import replace
from urllib.parse import parse_qs

import numpy as np
import pytest
from browsers import needs_chromium
from page_visits import chart, come_near, value
from playwright.sync_api import expect
from report_data import (
    HOSTILE,
    make_attention,
    make_labels,
    make_report,
    make_saliency,
    make_units,
    without,
)

from throughtime.web import build_page

pytestmark = needs_chromium

CHARTED = ("curves", "flow", "credit", "gates", "units", "spectra", "points")
SECTIONS = ("curves", "saliency", "attention", "labels", *CHARTED[1:])
SENTENCE = "#attention.shown.0=2: a grey cat ."
"""Chooses the sentence whose attention is a heat map."""

REASON = "This run has nothing to show here."


@pytest.fixture(scope="module")
def reports():
    """What each page shows, by its name."""
    lstm, rnn = make_report("LSTM"), make_report("tanh RNN", 1, 0.8)
    hostile = make_report(HOSTILE, layers=(HOSTILE, "layer 1"))
    draw = np.random.default_rng(0)
    hostile = replace(
        hostile,
        units=make_units(draw, 8, 90, (HOSTILE,), f"{HOSTILE}\u202eabc\x00"),
        facts={HOSTILE: HOSTILE},
        saliency=make_saliency(draw, [HOSTILE] * 4, (HOSTILE, "<b>")),
        attention=make_attention(draw, [HOSTILE] * 3, [HOSTILE] * 4),
        labels=make_labels(draw, [HOSTILE, "<i>", "<b>"], HOSTILE),
    )
    bare = dict.fromkeys(("saliency", "attention", "labels"))
    return {
        "two": [lstm, rnn],
        "bare": [lstm, without(rnn, **dict.fromkeys(SECTIONS, REASON))],
        "hostile": [hostile],
        "plain": [replace(lstm, **bare), replace(rnn, **bare)],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, reports):
    folder = tmp_path_factory.mktemp("pages")
    for name, runs in reports.items():
        (folder / f"{name}.html").write_text(build_page(runs))
    return folder


def address(page, *names):
    """What the address says, once it holds these names."""
    for name in names:
        expect(page).to_have_url(re.compile(re.escape(name)))
    return {key: values[0] for key, values in parse_qs(page.url.partition("#")[2]).items()}


def test_every_chart_is_drawn_and_has_a_name_and_a_table_of_numbers(visit):
    page = visit("two", SENTENCE)
    come_near(page, *SECTIONS)
    for section in (*CHARTED, "attention"):
        assert page.locator(f"#{section} figure:visible").count() >= 1
    for figure in page.locator("figure:visible").all():
        title = figure.locator("figcaption").evaluate("caption => caption.firstChild.textContent")
        assert figure.locator(".plot").get_attribute("aria-label").startswith(title)
        assert figure.locator(".main-svg").count()
        figure.locator("summary").click()
        expect(figure.locator("table caption")).to_have_count(1)
        assert figure.locator("tbody tr").count() >= 2 <= figure.locator("th[scope=col]").count()


def test_a_table_holds_the_numbers_that_were_given(visit, reports):
    page = visit("two", "#open=curves.loss")
    curves = reports["two"][0].curves
    table = chart(page, "curves.loss").locator("tbody tr")
    table.first.wait_for()
    rows = table.all_inner_texts()
    assert len(rows) == 2 * (len(curves.update) + len(curves.validation_update))
    name, what, update, loss = rows[3].split("\t")
    assert (name, what, int(update)) == ("LSTM", "training", curves.update[3])
    assert value(loss) == pytest.approx(curves.training[3], rel=1e-3)  # four digits are shown


def test_half_precision_arrives_as_it_was_sent(visit, reports):
    page = visit("two", "#units.unit.0=5&open=units.course.0&section=units")
    rows = chart(page, "units.course.0").locator("tbody tr")
    rows.first.wait_for()
    cells = rows.locator("td:last-child").all_inner_texts()
    sent = reports["two"][0].units.layers[0].signals["h"][:, 5].astype(float)
    np.testing.assert_allclose([value(cell) for cell in cells], sent, rtol=1e-3)  # four digits


def test_a_section_without_data_says_why_in_one_sentence(visit):
    page = visit("bare")
    come_near(page, *SECTIONS)
    for section in SECTIONS:
        assert page.locator(f"#{section} .missing").all_inner_texts() == [f"tanh RNN: {REASON}"]


def test_what_was_chosen_is_in_the_address_and_comes_back(visit):
    page = visit("two")
    come_near(page, "flow", "gates", "units")
    page.get_by_role("slider", name="Update").fill("4")
    page.get_by_label("Gate", exact=True).select_option("output")
    page.get_by_label("Unit", exact=True).first.select_option("7")
    page.get_by_label("Search the text").fill("or not")
    kept = address(page, "flow.update", "gates.gate", "units.unit.0", "units.search")
    assert kept["flow.update"] == "4" and kept["gates.gate"] == "output"
    assert kept["units.unit.0"] == "7" and kept["units.search"] == "or not"
    again = visit.open("two", f"#{page.url.partition('#')[2]}")
    come_near(again, "flow", "units")
    assert again.get_by_role("slider", name="Update").input_value() == "4"
    assert again.get_by_label("Unit", exact=True).first.input_value() == "7"
    assert page.locator(".match").count() > 0
    expect(again.locator(".match")).to_have_count(page.locator(".match").count())


def test_keys_zoom_and_move_a_chart_and_0_goes_back(visit):
    page = visit("two")
    plot = chart(page, "curves.loss").locator(".plot")
    ticks = plot.locator(".xtick text")
    first = before = ticks.all_text_contents()
    for key in ("+", "ArrowRight"):
        plot.press(key)
        expect(ticks).not_to_have_text(before)
        before = ticks.all_text_contents()
        address(page, "curves.loss.zoom")
    plot.press("0")
    expect(ticks).to_have_text(first)
    expect(page).not_to_have_url(re.compile("zoom"))


def test_charts_of_two_runs_zoom_together(visit):
    page = visit("two")
    come_near(page, "credit")
    ticks = [chart(page, f"credit.matrix.{i}").locator(".xtick text") for i in (0, 1)]
    before = ticks[1].all_text_contents()
    page.get_by_label("Zoom in: Which loss teaches which step").first.click()
    for axis in ticks:
        expect(axis).not_to_have_text(before)
    assert ticks[0].all_text_contents() == ticks[1].all_text_contents()


def test_pointing_at_a_line_shows_its_value(visit):
    page = visit("two")
    come_near(page, "flow")
    chart(page, "flow.lag").locator(".scatterlayer .js-line").first.hover(force=True)
    shown = chart(page, "flow.lag").locator(".hoverlayer text")
    expect(shown.filter(has_text=re.compile("^lag ")).first).to_be_attached()


def test_the_arrow_keys_read_the_text_token_by_token(visit, reports):
    page = visit("two", "#units.unit.0=5")
    come_near(page, "units")
    for _ in range(2):
        page.locator("#units .reader").first.press("ArrowRight")
    place, read = page.locator("#units .reading").first.inner_text().split(": ")
    sent = reports["two"][0].units.layers[0].signals["h"][2, 5]
    assert place == "Token 2, “e”" and value(read) == pytest.approx(float(sent), rel=1e-3)


def test_the_unit_that_follows_a_search_comes_first(visit):
    page = visit("two", "#units.search=to be, or not to be")
    come_near(page, "units")
    page.locator("#units .panel").first.locator(
        ".suggestions:not(:has-text('held-out')) button"
    ).first.click()
    expect(page.get_by_label("Unit", exact=True).first).to_have_value("5")


def test_every_control_can_be_reached_and_has_a_name(visit):
    page = visit.open("bare")
    come_near(page, *SECTIONS)
    for control in page.locator("select, input, button").all():
        named = control.evaluate("one => one.labels?.[0]?.textContent || one.ariaLabel")
        assert named.strip()
        assert control.evaluate("one => one.tabIndex") == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(one => one.tagName)")
    assert levels[0] == "H1" and levels.count("H1") == 1
    assert levels.count("H2") == len(SECTIONS) + 1


def test_hostile_names_and_tokens_are_shown_and_run_nothing(visit, reports):
    page = visit("hostile", "#units.search=%3Cimg&units.layer.0=%3Cimg src=x onerror=alert(1)%3E")
    come_near(page, *SECTIONS)
    page.locator("#attention select").select_option(index=1)
    page.locator("#attention .main-svg").first.wait_for()
    assert page.locator("img, iframe, main a, main script, main b, main i").count() == 0
    assert page.locator(".match").count() > 0
    shown = page.locator("h1").inner_text()
    assert shown.startswith("</script><script>alert(1)</script><img")
    assert page.evaluate("document.scripts.length") == 3


@pytest.mark.parametrize(
    "chosen",
    ["#flow.update=-1&curves.loss.zoom=a,b;;1", "#flow.update=1e9&credit.layer=__proto__&%E0%A4%A"],
)
def test_an_address_that_means_nothing_changes_nothing(visit, chosen):
    page = visit("two", chosen)
    come_near(page, "flow", "credit")
    assert page.get_by_role("slider", name="Update").input_value() == "12"
    assert page.locator("#credit select").input_value() == "layer 0"


def test_on_a_phone_nothing_is_wider_than_the_screen(visit):
    page = visit.open("two", width=390, has_touch=True, is_mobile=True)
    come_near(page, *SECTIONS)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_printing_draws_every_section_first(visit, tmp_path):
    page = visit("two")
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    for section in CHARTED:
        assert page.locator(f"#{section} .main-svg").count()
    for section in ("saliency", "attention", "labels"):
        assert page.locator(f"#{section} :is(.reader, canvas)").count()


def test_sections_that_a_task_does_not_have_are_not_in_its_page(visit):
    page = visit("plain")
    assert page.locator("main section").evaluate_all("all => all.map(one => one.id)") == [
        "runs",
        *CHARTED,
    ]
    assert page.locator("nav a").count() == len(CHARTED)
