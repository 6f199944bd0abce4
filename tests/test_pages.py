"""The built pages in a browser: mathematics, requests, errors, accessibility, width, print, search, key numbers.

Each test loads its page once and collects everything that is wrong with it, so that one run tells all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from alignbook import claims
from alignbook.project import Project
from tests.built_book import HTML, ROOT, toc_pages

PAGES = toc_pages()
PHONE, DESKTOP, PAPER = (390, 844), (1280, 900), (720, 1018)
# axe would fetch style sheets a second time, some by wrong addresses; it does not need to.
AXE = {"resultTypes": ["violations"], "preload": False}
WCAG = AXE | {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
CONTRAST = AXE | {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
SCROLLING = AXE | {"runOnly": {"type": "rule", "values": ["scrollable-region-focusable"]}}

# Mathematics typeset, its fonts loaded, and two frames for what the page does next.
SETTLED = """async () => {
  await window.MathJax?.startup?.promise;
  await document.fonts.ready;
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""

# Mathematics that was not rendered, rendered as an error, or left in the text.
MATHS = """() => {
  const wrong = [];
  for (const node of document.querySelectorAll(".math, mjx-container"))
    if (node.matches(".math") && !node.querySelector("mjx-container")) wrong.push("not rendered: " + node.textContent);
  for (const node of document.querySelectorAll("mjx-merror, [data-mjx-error]"))
    wrong.push("error: " + (node.getAttribute("data-mjx-error") || node.textContent));
  for (const node of document.querySelectorAll("mjx-assistive-mml mtext"))
    if (node.textContent.startsWith("\\\\")) wrong.push("unknown command " + node.textContent);
  const text = document.querySelector("article").cloneNode(true);
  for (const node of text.querySelectorAll("pre, code, script, style, mjx-container, .math")) node.remove();
  for (const raw of text.textContent.match(/\\$\\$|\\\\[()[\\]]|\\$[^\\s$][^$\\n]*\\$|\\{\\{/g) || [])
    wrong.push("left in the text: " + raw);
  return wrong;
}"""

PICTURES = """() => {
  const wrong = [];
  for (const img of document.querySelectorAll("article img")) {
    const alt = (img.getAttribute("alt") || "").trim();
    if (!alt || /\\.(png|svg)$/.test(alt)) wrong.push("no alternative text: " + img.getAttribute("src"));
    if (!img.complete || !img.naturalWidth) wrong.push("not loaded: " + img.getAttribute("src"));
    if (!img.closest(".cell_output")) continue;
    const caption = img.closest("figure")?.querySelector("figcaption");
    if (!caption?.querySelector(".caption-text")?.textContent.trim()) wrong.push("no caption: " + alt);
    if (!caption?.querySelector(".caption-number")) wrong.push("no number: " + alt);
  }
  return wrong;
}"""

# Elements past the right edge of the screen that no scrolling box contains.
STICKING_OUT = """width => {
  const wrong = [], root = document.documentElement;
  const apart = "mjx-assistive-mml, dialog:not([open]), .skip-link, svg *";
  if (root.scrollWidth > width) wrong.push("the page is " + root.scrollWidth + " px wide");
  for (const node of document.querySelectorAll("body *")) {
    const box = node.getBoundingClientRect();
    if (box.right <= width + 1 || box.width <= 1 || box.height <= 1 || node.closest(apart)) continue;
    if (!node.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    let around = node.parentElement;
    while (around && !/auto|scroll/.test(getComputedStyle(around).overflowX)) around = around.parentElement;
    if (!around || around === document.body || around.getBoundingClientRect().right > width + 1)
      wrong.push(node.tagName + "." + node.className + " reaches " + Math.round(box.right) + " px");
  }
  return wrong.slice(0, 8);
}"""


@dataclass
class Visit:
    """One loaded page and what went wrong while it loaded."""

    page: Page
    trouble: list[str] = field(default_factory=list)

    def add(self, kind: str, found: list[str]) -> None:
        """Note findings."""
        self.trouble += [f"{kind}: {' '.join(item.split())}" for item in found]

    def add_axe(self, options: dict[str, Any]) -> None:
        """Note what axe finds."""
        for violation in Axe().run(self.page, options=options).response["violations"]:
            nodes = [f"{node['target']} {node['html'][:150]}" for node in violation["nodes"][:3]]
            self.add(f"axe {violation['id']} ({len(violation['nodes'])})", nodes)


@contextmanager
def visit(browser: Browser, url: str, size: tuple[int, int]) -> Iterator[Visit]:
    """Load ``url`` in a fresh context, wait for its mathematics, and note requests that leave and errors."""
    home = url.split("/")[0] + "//" + url.split("/")[2]
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce")
    try:
        page = context.new_page()
        seen = Visit(page)
        page.on("request", lambda r: r.url.startswith((home, "data:", "blob:")) or seen.add("leaves", [r.url]))
        page.on("requestfailed", lambda r: seen.add("failed", [r.url]))
        page.on("response", lambda r: r.status < 400 or seen.add(f"status {r.status}", [r.url]))
        page.on("console", lambda m: m.type not in ("error", "warning") or seen.add("console", [m.text]))
        page.on("pageerror", lambda e: seen.add("script", [e.message]))
        page.goto(url)
        page.evaluate(SETTLED)
        yield seen
    finally:
        context.close()


def key_numbers(name: str, shown: str, ids: set[str]) -> list[str]:
    """Return the recorded claims and generated numbers of a notebook that its page does not show."""

    def absent(text: str) -> bool:
        # Mathematics inside a generated sentence is typeset: what stands around it must be there.
        return not all(squeeze(part) in squeeze(shown) for part in re.split(r"\$[^$]*\$", text))

    recorded = json.loads((ROOT / "build" / "claims.json").read_text(encoding="utf-8"))[name]
    missing = []
    for claim in map(claims.from_json, recorded["claims"]):
        if f"claim-{claim.key}" not in ids:
            missing.append(f"claim {claim.key} has no row")
        if absent(claims.number(claim.value)):
            missing.append(f"{claim.key} = {claims.number(claim.value)}")
    notebook = Project(ROOT).find(name)
    values = {key: parameter.default for key, parameter in notebook.parameters.items()}
    values |= {key.capitalize(): value.capitalize() for key, value in notebook.fixed.items() if isinstance(value, str)}
    values |= recorded["numbers"]
    text = "\n".join(f"{cell.source}\n{cell.metadata}" for cell in notebook.node.cells)
    for key, form in re.findall(r"\{\{\s*(\w+)\s*(?::([^{}]+))?\}\}", text):
        if absent(format(values[key], form.strip())):
            missing.append(f"{key} = {format(values[key], form.strip())}")
    return missing


def squeeze(text: str) -> str:
    """Drop what typesetting changes: spaces, apostrophes, and the minus sign of mathematics."""
    return re.sub(r"\s", "", text).replace("\N{MINUS SIGN}", "-").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


@pytest.mark.parametrize("name", PAGES)
def test_page_over_http(browser: Browser, site: str, name: str) -> None:
    with visit(browser, f"{site}/{name}.html", DESKTOP) as seen:
        seen.add("maths", seen.page.evaluate(MATHS))
        if re.search('class="math ', (HTML / f"{name}.html").read_text(encoding="utf-8")):
            seen.add("maths", [] if seen.page.query_selector("mjx-container") else ["none on the page"])
        seen.add("picture", seen.page.evaluate(PICTURES))
        if name.startswith("notebooks/"):
            ids = set(seen.page.evaluate("[...document.querySelectorAll('article [id]')].map(e => e.id)"))
            alts = seen.page.evaluate("[...document.querySelectorAll('article img')].map(e => e.alt)")
            text = " ".join([seen.page.inner_text("article"), *alts])
            seen.add("number", key_numbers(name.removeprefix("notebooks/"), text, ids))
        seen.add_axe(WCAG)
        seen.page.evaluate("document.documentElement.dataset.theme = 'dark'")
        seen.add_axe(CONTRAST)
        assert seen.trouble == []


@pytest.mark.parametrize("name", PAGES)
def test_page_from_a_file_and_on_paper(browser: Browser, name: str) -> None:
    with visit(browser, (HTML / f"{name}.html").as_uri(), DESKTOP) as seen:
        seen.add("maths", seen.page.evaluate(MATHS))
        seen.page.set_viewport_size({"width": PAPER[0], "height": PAPER[1]})
        seen.page.emulate_media(media="print")
        seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        seen.add("on paper", seen.page.evaluate(STICKING_OUT, PAPER[0]))
        assert seen.trouble == []


@pytest.mark.parametrize("name", [*PAGES, "search"])
def test_page_on_a_phone(browser: Browser, site: str, name: str) -> None:
    with visit(browser, f"{site}/{name}.html", PHONE) as seen:
        seen.add("width", seen.page.evaluate(STICKING_OUT, PHONE[0]))
        seen.add_axe(SCROLLING)
        assert seen.trouble == []


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_search_finds_a_term(browser: Browser, site: str, scheme: str) -> None:
    base = site if scheme == "http" else HTML.as_uri()
    with visit(browser, f"{base}/search.html?q=frontier", DESKTOP) as seen:
        # Results are listed one after another; the front page is among them.
        seen.page.wait_for_selector("#search-results li a[href*='index.html']")
        assert seen.trouble == []


def test_checks_notice_a_bad_page(browser: Browser) -> None:
    """The control: a page with every fault must be found wanting in each."""
    bad = (
        "<html lang='en'><title>t</title><body style='margin:0'><article><div style='width:900px'>wide</div>"
        "<span class='math'>\\(x\\)</span><p>$a+b$ {{x}}</p><div class='cell_output'><img src='gone.png'></div>"
        "<p style='color:#ccc;background:#fff'>faint</p></article></body></html>"
    )
    context = browser.new_context(viewport={"width": PHONE[0], "height": PHONE[1]})
    try:
        seen = Visit(context.new_page())
        seen.page.set_content(bad)
        assert [text.split(":")[0] for text in seen.page.evaluate(MATHS)] == ["not rendered", *["left in the text"] * 2]
        assert len(seen.page.evaluate(PICTURES)) == 4
        assert len(seen.page.evaluate(STICKING_OUT, PHONE[0])) == 2
        seen.add_axe(WCAG)
        assert {item.split()[1] for item in seen.trouble} == {"color-contrast", "image-alt"}
    finally:
        context.close()
