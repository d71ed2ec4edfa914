"""Units over a text as HTML: one page that needs no other file and no network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from throughtime.instruments.glyphs import shown
from throughtime.instruments.unit_text import LEVELS, UnitText, colour

_STYLE = """
.tt-unit { margin: 1.5rem 0; font: 15px/1.5 system-ui, sans-serif; color: #111; }
.tt-unit figcaption { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; margin-bottom: .6rem; }
.tt-unit b { font-weight: 600; }
.tt-scale { display: inline-flex; align-items: center; gap: .4rem; color: #444; }
.tt-scale i { width: 9rem; height: .9em; border: 1px solid #ccc; }
.tt-text { padding: 0 4rem 2rem 0; background: #fff; font: 15px/1.7 ui-monospace, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.tt-text span { position: relative; color: #000; }
.tt-text span:hover { outline: 2px solid #000; z-index: 1; }
.tt-text span:hover::after { content: attr(data-v); position: absolute; left: 0; top: 1.6em;
  z-index: 1; padding: 0 .4em; background: #111; color: #fff; white-space: nowrap; }
.tt-text em { font-style: normal; color: #767676; }
.tt-note { display: none; }
@media (max-width: 40rem) {
  .tt-text { padding-right: 0; }
  .tt-text span:hover::after { position: fixed; left: auto; right: 1rem; top: auto; bottom: 1rem; }
}
@media print {
  .tt-unit { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .tt-text .tt-low { text-decoration: underline dotted; text-underline-offset: .2em; }
  .tt-note { display: inline; }
}
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ max-width: 62rem; margin: 0 auto; padding: 1rem; background: #fff; }}{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def page(texts: Sequence[UnitText], title: str = "Units over a text") -> str:
    """Texts one below the other, as a page of HTML.

    A token shows its value when pointed at; those well below the middle are underlined in print, as
    grey paper has one kind of dark only. Whatever the tokens hold is text: no part of one becomes
    markup, and the page's own policy forbids scripts and everything from elsewhere.

    Args:
        texts: what to show.
        title: of the page.
    """
    body = "\n".join(map(_figure, texts))
    return _PAGE.format(title=escape(shown(title)), style=_STYLE, body=body)


def fragment(text: UnitText) -> str:
    """One text as an element of HTML with its style, for a page or a notebook of your own."""
    return f"<style>{_STYLE}</style>{_figure(text)}"


def _figure(text: UnitText) -> str:
    low, middle, high = text.scale()
    ends = [f"rgb{tuple(colour(level))}" for level in (-LEVELS, 0, LEVELS)]
    return (
        f'<figure class="tt-unit"><figcaption><b>{escape(shown(text.title))}</b>'
        f'<span class="tt-scale">{low:.3g}<i style="background: linear-gradient(90deg, '
        f'{", ".join(ends)})" title="white is {middle:g}"></i>{high:.3g}'
        '<span class="tt-note">values below are underlined</span></span></figcaption>'
        f'<div class="tt-text">{"".join(_spans(text))}</div></figure>'
    )


def _spans(text: UnitText) -> Iterator[str]:
    looks = {level: _look(level) for level in range(-LEVELS, LEVELS + 1)}
    for token, value, level in zip(text.tokens, text.values, text.levels(), strict=True):
        yield f'<span data-v="{value:.3g}" {looks[int(level)]}>{_glyphs(token)}</span>'


def _look(level: int) -> str:
    rgb = "".join(f"{part:02x}" for part in colour(level))
    return f'style="background:#{rgb}"' + (' class="tt-low"' if level <= -LEVELS / 4 else "")


def _glyphs(token: str) -> str:
    """What is shown of a token, escaped: signs are faint, a line's end also ends the line."""
    text = escape(shown(token))
    text = re.sub("([\u2400-\u2421\u21b5\u21e5\u25af])", r"<em>\1</em>", text)
    return text.replace("<em>\u21b5</em>", "<em>\u21b5</em>\n").replace(
        "<em>\u21e5</em>", "<em>\u21e5</em>\t"
    )
