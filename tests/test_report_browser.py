"""The page in a real browser: what it shows, how it is used, and what it must never run."""

import re
from dataclasses import replace
from urllib.parse import parse_qs

import numpy as np
import pytest
from browsers import launch, needs_chromium
from playwright.sync_api import expect, sync_playwright
from report_data import HOSTILE, make_report, make_units, without

from throughtime.web import build_page

pytestmark = needs_chromium

SECTIONS = ("curves", "flow", "credit", "gates", "units", "spectra", "points")
REASON = "This run has nothing to show here."
PATIENCE_MS = 60_000  # for a machine that is busy with other work
expect.set_options(timeout=PATIENCE_MS)
GO_TO = """chosen => new Promise(done => {
  const next = new URL(chosen || "#", location).hash, same = location.hash === next;
  addEventListener("hashchange", () => done(), { once: true });  // behind the page's own
  if (same) dispatchEvent(new Event("hashchange"));
  else location.hash = next;
})"""
"""Has the page read another address, and waits until it has."""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reports():
    """What each page shows, by its name."""
    lstm, rnn = make_report("LSTM"), make_report("tanh RNN", 1, 0.8)
    hostile = make_report(HOSTILE, layers=(HOSTILE, "layer 1"))
    tokens = make_units(np.random.default_rng(0), 8, 90, (HOSTILE,), f"{HOSTILE}\u202eabc\x00")
    return {
        "two": [lstm, rnn],
        "bare": [lstm, without(rnn, **dict.fromkeys(SECTIONS, REASON))],
        "hostile": [replace(hostile, units=tokens, facts={HOSTILE: HOSTILE})],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, reports):
    folder = tmp_path_factory.mktemp("pages")
    for name, runs in reports.items():
        (folder / f"{name}.html").write_text(build_page(runs))
    return folder


class Visitor:
    """Shows pages and notes whatever the browser complains of or would load."""

    def __init__(self, browser, folder):
        self.browser, self.folder = browser, folder
        self.pages, self.fresh, self.complaints = {}, [], []

    def __call__(self, name, chosen="", **options):
        """A page that was opened before, with another address; opening takes a second."""
        if name not in self.pages:
            self.pages[name] = self.open(name, chosen, **options)
            self.fresh.remove(self.pages[name])
        else:
            self.pages[name].evaluate(GO_TO, chosen)
        return self.pages[name]

    def open(self, name, chosen="", width=1280, **options):
        """The same in a tab of its own, for one test."""
        size = {"width": width, "height": 900}
        page = self.browser.new_page(viewport=size, offline=True, **options)
        self.fresh.append(page)
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.on("request", self.note_request)
        page.goto(f"{(self.folder / f'{name}.html').as_uri()}{chosen}")
        return page

    def note_request(self, request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.complaints.append(request.url)


@pytest.fixture(scope="module")
def visitor(browser, folder):
    return Visitor(browser, folder)


@pytest.fixture
def visit(visitor):
    yield visitor
    while visitor.fresh:
        visitor.fresh.pop().close()
    complaints, visitor.complaints[:] = list(visitor.complaints), []
    assert complaints == []


def come_near(page, *sections):
    """Scrolls to sections, so that they are drawn."""
    for section in sections:
        page.locator(f"#{section} h2").scroll_into_view_if_needed()
        page.locator(f"#{section}[data-drawn]").wait_for()


def chart(page, name):
    """A figure by its name."""
    return page.locator(f"#chart-{name}".replace(".", "\\."))


def address(page, *names):
    """What the address says, once it holds these names."""
    for name in names:
        expect(page).to_have_url(re.compile(re.escape(name)))
    return {key: values[0] for key, values in parse_qs(page.url.partition("#")[2]).items()}


def value(text):
    """A number as the page writes it."""
    return float(text.replace("\N{MINUS SIGN}", "-"))


def test_every_chart_is_drawn_and_has_a_name_and_a_table_of_numbers(visit):
    page = visit("two")
    come_near(page, *SECTIONS)
    for section in SECTIONS:
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
        page.locator(".reader").first.press("ArrowRight")
    place, read = page.locator(".reading").first.inner_text().split(": ")
    sent = reports["two"][0].units.layers[0].signals["h"][2, 5]
    assert place == "Token 2, “e”" and value(read) == pytest.approx(float(sent), rel=1e-3)


def test_the_unit_that_follows_a_search_comes_first(visit):
    page = visit("two", "#units.search=to be, or not to be")
    come_near(page, "units")
    page.locator(".panel").filter(has=page.locator(".reader")).first.locator(
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
    assert page.locator("img, iframe, main a, main script").count() == 0
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
    for section in SECTIONS:
        assert page.locator(f"#{section} .main-svg").count()
