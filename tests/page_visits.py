"""Visits of a page by a real browser, for the tests that look at it."""

from playwright.sync_api import expect

PATIENCE_MS = 60_000  # for a machine that is busy with other work
expect.set_options(timeout=PATIENCE_MS)
GO_TO = """chosen => new Promise(done => {
  const next = new URL(chosen || "#", location).hash, same = location.hash === next;
  addEventListener("hashchange", () => done(), { once: true });  // behind the page's own
  if (same) dispatchEvent(new Event("hashchange"));
  else location.hash = next;
})"""
"""Has the page read another address, and waits until it has."""


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


def come_near(page, *sections):
    """Scrolls to sections, so that they are drawn."""
    for section in sections:
        page.locator(f"#{section} h2").scroll_into_view_if_needed()
        page.locator(f"#{section}[data-drawn]").wait_for()


def chart(page, name):
    """A figure by its name."""
    return page.locator(f"#chart-{name}".replace(".", "\\."))


def value(text):
    """A number as the page writes it."""
    return float(text.replace("\N{MINUS SIGN}", "-"))
