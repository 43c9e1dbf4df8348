"""The page: chapters → one HTML file that needs nothing but itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from strl import __version__
from strl.report.data import Chapter
from strl.report.disk import write_text
from strl.report.plots import Figure
from strl.report.sections import Section, sections
from strl.report.text import escape

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""Nothing may be fetched, whatever a script would like."""


@dataclass(slots=True)
class _Figures:
    """Hands out one element a figure, and keeps what is drawn into it."""

    drawn: list[tuple[str, Figure]]

    def place(self, figure: Figure) -> str:
        name = f"plot-{len(self.drawn)}"
        self.drawn.append((name, figure))
        return f'<div id="{name}" class="plot" style="height:{figure["layout"]["height"]}px"></div>'

    def script(self) -> str:
        """What draws them. ``</`` cannot occur in it, so no text of a file ends the script."""
        plain = json.dumps(self.drawn, allow_nan=False).replace("</", "<\\/").replace("<!--", "<\\!--")
        return (
            f"for (const [name, figure] of {plain})"
            "Plotly.newPlot(name, figure.data, figure.layout,"
            "{displayModeBar: false, responsive: true, plotlyServerURL: '', topojsonURL: ''});"
        )


def page(chapters: Sequence[Chapter], *, title: str = "strl report") -> str:
    """One HTML document: styles, plotly and data inside, nothing outside. The same input, the same bytes."""
    from plotly.offline import get_plotlyjs

    figures = _Figures([])
    body = "\n".join(_chapter(f"chapter-{k}", chapter, figures) for k, chapter in enumerate(chapters))
    links = "".join(f'<a href="#chapter-{k}">{escape(c.title)}</a>' for k, c in enumerate(chapters))
    contents = f"<nav>{links}</nav>" if len(chapters) > 1 else ""
    style = (files("strl.report") / "page.css").read_text("utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header><h1>{escape(title)}</h1>{contents}</header>
<main>
{body}
</main>
<footer>strl {escape(__version__)}. This file is whole: it needs no network.</footer>
<script>{get_plotlyjs()}</script>
<script>{figures.script()}</script>
</body>
</html>
"""


def write(path: Path, chapters: Sequence[Chapter], *, title: str = "strl report") -> Path:
    """Write the page, beside ``path`` first and then renamed.

    Raises:
        StrlError: it cannot be written.
    """
    return write_text(path, page(chapters, title=title), "the report")


def _chapter(anchor: str, chapter: Chapter, figures: _Figures) -> str:
    parts = "".join(_section(section, figures) for section in sections(chapter))
    return f'<article id="{anchor}"><h2>{escape(chapter.title)}</h2>\n{parts}</article>'


def _section(section: Section, figures: _Figures) -> str:
    heading = f"<h3>{escape(section.title)}</h3>" if section.title else ""
    plot = figures.place(section.figure) if section.figure else ""
    lead = f"<p>{section.lead}</p>" if section.lead else ""
    return f"<section>{heading}{lead}{plot}{section.body}</section>\n"
