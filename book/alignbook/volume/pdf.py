"""The book as a PDF: its articles in one document, set by MathJax, printed by Chromium, the same bytes every time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbook.citation import Citation
from alignbook.volume.articles import Part, articles
from alignbook.volume.browser import page_of_browser
from alignbook.volume.document import document
from alignlib._core.errors import InputError
from alignlib._core.files import write_whole
from alignlib._core.working import working_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["page_numbers", "same_cells", "same_dates", "write_pdf"]

_WAIT = 600_000  # milliseconds for the whole book's mathematics
_FOOTER = '<div style="width:100%;font:8pt serif;color:#555;text-align:center"><span class="pageNumber"></span></div>'
# Whatever is wider than the column is set smaller, down to where it can still be read; a box taller than most of a
# page may be cut after all. What is still too wide is returned. All is measured before anything is changed: each
# change in between would have the whole book laid out again.
_FIT = """
async () => {
  await MathJax.startup.promise;
  await fontsHere();  // those of the formulas, which have come with them
  const room = element => {
    let box = element.parentElement;
    while (getComputedStyle(box).display.startsWith("inline")) box = box.parentElement;
    const style = getComputedStyle(box);
    const eqno = element.parentElement.querySelector(":scope > .eqno");
    const taken = eqno ? 2 * eqno.getBoundingClientRect().width + 12 : 0;
    return box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - taken;
  };
  const inside = element => element.tagName == "TABLE" ? element : element.firstElementChild;
  const width = element => Math.max(inside(element).scrollWidth, inside(element).getBoundingClientRect().width);
  const size = element => parseFloat(getComputedStyle(element).fontSize);
  let all = [...document.querySelectorAll("table, .math > mjx-container")];
  const first = new Map(all.map(element => [element, size(element)]));
  for (let step = 0; step < 7; step++) {
    const found = all.map(element => [element, width(element), room(element), size(element)]);
    const wide = found.filter(([, has, free]) => has > free + 1);
    if (!wide.length) { all = []; break; }
    for (const [element, has, free, now] of wide) {
      const least = 0.6 * first.get(element);
      const wanted = element.tagName == "TABLE" ? 0.92 * now : 0.99 * now * free / has;
      element.style.fontSize = Math.max(wanted, least) + "px";
      if (element.tagName == "TABLE" && step > 3) element.classList.add("narrow");
    }
    all = wide.map(([element]) => element);
  }
  const boxes = [...document.querySelectorAll(".admonition, .sd-card")];
  const heights = boxes.map(box => box.getBoundingClientRect().height);
  boxes.forEach((box, i) => { if (heights[i] > 500) box.classList.add("tall"); });
  const tables = [...document.querySelectorAll("table")];
  const tall = tables.map(table => table.getBoundingClientRect().height);
  tables.forEach((table, i) => { if (tall[i] < 450) table.classList.add("short"); });
  // Laid out once more from nothing: a line that was laid out before its fonts and sizes came keeps part of its place,
  // now and then (one link of a whole book stood .7 px lower in one of two prints).
  document.body.style.display = "none";
  document.body.getBoundingClientRect();
  document.body.style.display = "";
  const broken = [...document.images].filter(image => !image.naturalWidth).map(image => image.src);
  broken.push(...[...document.fonts].filter(face => face.status != "loaded").map(face => face.family));
  const errors = [...document.querySelectorAll("mjx-merror, [data-mjx-error]")].map(e => e.textContent.slice(0, 80));
  const wide = all.filter(element => width(element) > room(element) + 1).map(e => e.textContent.trim().slice(0, 80));
  return {wide, broken, errors};
}
"""

_CELL = re.compile(rb"(?<=\(node)\d{8}(?=\))")


def write_pdf(
    target: Path,
    html: Path,
    parts: Sequence[Part],
    citation: Citation,
    macros: Mapping[str, Any],
    browser: Browser | None = None,
) -> list[str]:
    """Print the pages in ``html`` as one PDF; return what is still wider than its column.

    Parameters
    ----------
    target : Path
        The PDF, written whole.
    html : Path
        The built pages.
    parts : sequence of Part
        Which pages, in order.
    citation : Citation
        What the title page says.
    macros : mapping
        TeX macros of the book.
    browser : Browser, optional
        A Chromium that runs already.

    Raises
    ------
    BrowserError
        Where there is no Chromium.
    InputError
        Where a page, a picture or a formula is missing or cannot be set.
    """
    with page_of_browser(browser) as page, working_folder() as folder:
        source = folder / "book.html"
        # Twice: the first print says on which page each chapter begins, the second says it in the contents.
        write_whole(source, document(citation, articles(html, parts), html, macros, {}))
        first, _ = _print(page, source)
        numbers = page_numbers(first)
        write_whole(source, document(citation, articles(html, parts), html, macros, numbers))
        printed, wide = _print(page, source)
    if page_numbers(printed) != numbers:
        raise InputError("The pages moved between two prints, so the contents would lie; print again.")
    write_whole(target, same_cells(same_dates(printed, citation.date)))
    return wide


def _print(page: Page, source: Path) -> tuple[bytes, list[str]]:
    page.emulate_media(media="print")
    page.goto(source.as_uri(), wait_until="load", timeout=_WAIT)
    page.set_default_timeout(_WAIT)
    found = page.evaluate(_FIT)
    for what, names in (
        ("Pictures or fonts that are missing", found["broken"]),
        ("Formulas with errors", found["errors"]),
    ):
        if names:
            raise InputError(f"{what}: {'; '.join(names[:5])}.")
    printed = page.pdf(
        prefer_css_page_size=True,
        print_background=True,
        outline=True,
        tagged=True,
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=_FOOTER,
    )
    return printed, found["wide"]


def same_dates(pdf: bytes, date: str) -> bytes:
    """Put the day of the release in the place of when a PDF was printed.

    >>> same_dates(b"/CreationDate (D:20240506070809+00'00')", "2026-01-02")
    b"/CreationDate (D:20260102000000+00'00')"
    """
    day = date.replace("-", "").encode()
    return re.sub(rb"(/(?:CreationDate|ModDate) \(D:)\d{14}", lambda match: match[1] + day + b"000000", pdf)


def same_cells(pdf: bytes) -> bytes:
    """Number the cells of tables from 1, which Chromium numbers from wherever its tree of accessibility stands.

    >>> same_cells(b"/ID (node00038629) /Headers [(node00038614)] /Limits [(node00038614) (node00038629)]")
    b'/ID (node00000002) /Headers [(node00000001)] /Limits [(node00000001) (node00000002)]'
    """
    found = sorted(set(_CELL.findall(pdf)))  # as they lie in the PDF's own index, which stays in order
    number = {old: b"%08d" % new for new, old in enumerate(found, start=1)}
    return _CELL.sub(lambda match: number[match[0]], pdf)


def page_numbers(pdf: bytes) -> dict[str, int]:
    """Return the page, from 1, of every anchor that Chromium keeps in a PDF it has printed."""
    kids: dict[int, list[int]] = {}
    for match in re.finditer(rb"(\d+) 0 obj\s*<<(?=[^>]*?/Type /Pages\b)(.*?)>>\s*endobj", pdf, re.DOTALL):
        listed = re.search(rb"/Kids \[([^\]]*)\]", match[2])
        kids[int(match[1])] = [int(n) for n in re.findall(rb"(\d+) 0 R", listed[1])] if listed else []
    roots = set(kids) - {kid for inside in kids.values() for kid in inside}
    order: list[int] = []

    def walk(node: int) -> None:
        if node in kids:
            for kid in kids[node]:
                walk(kid)
        else:
            order.append(node)

    for root in sorted(roots):
        walk(root)
    place = {node: number for number, node in enumerate(order, start=1)}
    found = re.findall(rb"/([^\s/\[\]()<>]+) \[(\d+) 0 R /XYZ", pdf)
    return {_name(name): place[int(node)] for name, node in found if int(node) in place}


def _name(name: bytes) -> str:
    return re.sub(rb"#([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), name).decode("utf-8", "replace")
