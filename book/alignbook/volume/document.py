"""One HTML document of many articles: a title page, the contents with page numbers, parts, chapters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alignbook.citation import Citation
from alignbook.volume.articles import Article, headings
from alignlib._core.safe_text import for_html

__all__ = ["FROM_NOTEBOOKS", "document", "style"]

FROM_NOTEBOOKS = (
    "Every number was computed by the notebook of its chapter. The code is left out here: it is in the notebooks, "
    "which <code>alignlib run NN -o out.ipynb</code> runs again, with other parameters too."
)

_HERE = Path(__file__).parent
# Matplotlib brings these fonts wherever it is installed, so that the volume looks alike on every machine.
_FONTS = (
    ("Book", "STIXGeneral", "normal", 400), ("Book", "STIXGeneralItalic", "italic", 400),
    ("Book", "STIXGeneralBol", "normal", 700), ("Book", "STIXGeneralBolIta", "italic", 700),
    ("Book Mono", "DejaVuSansMono", "normal", 400), ("Book Mono", "DejaVuSansMono-Bold", "normal", 700),
    ("Book Signs", "DejaVuSerif", "normal", 400),
)  # fmt: skip

# A browser loads a font when a line first wants it, and says that all are ready where it has begun with none. What is
# measured before then, by MathJax or to fit a table, is measured in another font, now and then.
_FONTS_FIRST = """
const fontsHere = () => Promise.allSettled([...document.fonts].map(face => face.load()));
MathJax.startup = {pageReady: () => fontsHere().then(() => MathJax.startup.defaultPageReady())};
"""


def document(
    citation: Citation, chosen: Sequence[Article], html: Path, macros: Mapping[str, Any], pages: Mapping[str, int]
) -> str:
    """Return the document that is printed.

    Parameters
    ----------
    citation : Citation
        What the title page says.
    chosen : sequence of Article
        The chapters; their bodies are changed.
    html : Path
        The built pages, whose pictures and MathJax are used.
    macros : mapping
        TeX macros.
    pages : mapping
        The page on which the chapter of a key begins, once known.
    """
    mathjax = {
        "tex": {"macros": dict(macros)},
        "options": {"enableMenu": False, "ignoreHtmlClass": "volume", "processHtmlClass": "math"},
        "chtml": {"matchFontHeight": False},
    }
    chapters = []
    part = ""
    for article in chosen:
        if article.part != part:
            part = article.part
            chapters.append(f'<h1 class="part" id="{_part_id(part)}">{for_html(part)}</h1>')
        for heading in reversed(list(headings(article.body))):
            heading.name = f"h{min(int(heading.name[1]) + 1, 6)}"
        chapters.append(f'<div class="chapter" id="{article.key}">{article.body}</div>')
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<base href="{html.resolve().as_uri()}/">
<title>{for_html(citation.title)}</title>
<style>{_faces()}{style("volume.css")}{_pygments(html)}</style>
<script>window.MathJax = {json.dumps(mathjax)};{_FONTS_FIRST}</script>
<script src="_static/mathjax/tex-chtml.js"></script>
</head>
<body class="volume">
{_title_page(citation)}
{_contents(chosen, pages)}
{"".join(chapters)}
</body>
</html>
"""


def style(name: str) -> str:
    """Return a style sheet that lies beside this module."""
    return (_HERE / name).read_text(encoding="utf-8")


def _title_page(citation: Citation) -> str:
    facts = [citation.authors, f"Version {citation.version}, {citation.date}", citation.address, citation.licences]
    said = "".join(f"<p>{for_html(fact)}</p>" for fact in facts if fact)
    return (
        f'<section class="title-page"><div class="book-title">{for_html(citation.name)}</div>'
        f'<div class="book-subtitle">{for_html(citation.subtitle)}</div>{said}'
        f'<p class="how">{FROM_NOTEBOOKS}</p></section>'
    )


def _contents(chosen: Sequence[Article], pages: Mapping[str, int]) -> str:
    lines, part = [], ""
    for article in chosen:
        if article.part != part:
            part = article.part
            lines.append(_line(_part_id(part), part, pages, "entry-part"))
        lines.append(_line(article.key, article.title, pages, "entry"))
    return f'<nav class="contents" id="contents"><h1>Contents</h1>{"".join(lines)}</nav>'


def _line(key: str, title: str, pages: Mapping[str, int], kind: str) -> str:
    number = pages.get(key, "")
    return (
        f'<p class="{kind}"><a href="#{key}"><span class="entry-title">{for_html(title)}</span>'
        f'<span class="entry-page">{number}</span></a></p>'
    )


def _part_id(part: str) -> str:
    return "part-" + "-".join(part.lower().split())


def _faces() -> str:
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return ""
    folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return "".join(
        f'@font-face{{font-family:"{family}";src:url("{(folder / f"{file}.ttf").as_uri()}");'
        f"font-style:{slope};font-weight:{weight}}}"
        for family, file, slope, weight in _FONTS
    )


def _pygments(html: Path) -> str:
    """Only the light half of the book's colours of code."""
    sheet = (html / "_static" / "pygments.css").read_text(encoding="utf-8")
    light = [line for line in sheet.splitlines() if line.startswith('html[data-theme="light"]')]
    return "\n".join(line.removeprefix('html[data-theme="light"]') for line in light)
