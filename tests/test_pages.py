"""The built pages in a browser: mathematics, requests, errors, accessibility, width, print, search, key numbers.

Each page is loaded once, looked at on a phone, on a wide screen and on paper, and everything that is wrong with it is
collected, so that one run tells all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from alignbook.claim import from_json, number
from alignbook.project import Project
from alignbook.rounding import written
from tests.built_book import HTML, ROOT, toc_pages

pytestmark = pytest.mark.xdist_group("pages")  # one tab for all, and no kind of text measured twice
PAGES = toc_pages()
# One page of prose, one without code, chapters with and without a table of training runs, a page on the library.
OF_EACH_KIND = ("index", "notation", "notebooks/01_closed_form", "notebooks/51_safety_training", "api/laws", "json")
IN_FULL = ("index", "notebooks/01_closed_form")  # where all text and all links are measured, not one of each kind
PHONE, DESKTOP, PAPER = (390, 844), (1280, 900), (720, 1018)
# axe would fetch style sheets a second time, some by wrong addresses; it does not need to.
AXE = {"resultTypes": ["violations"], "preload": False}
OFF = {"enabled": False}
WCAG: dict[str, Any] = AXE | {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "rules": {"color-contrast": OFF}}
BUT_LINKS = WCAG | {"rules": {"color-contrast": OFF, "link-in-text-block": OFF}}
# Of whole pages also landmarks, the order of headings, headings of tables: what axe calls good practice.
EVERY, EVERY_BUT_LINKS = ({**rules, "runOnly": [*WCAG["runOnly"], "best-practice"]} for rules in (WCAG, BUT_LINKS))
LINKS = {"preload": False, "elementRef": True, "runOnly": {"type": "rule", "values": ["link-in-text-block"]}}
CONTRAST = AXE | {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
SCROLLING = AXE | {"runOnly": {"type": "rule", "values": ["scrollable-region-focusable"]}}
AXE_SCRIPT = Axe().axe_script

PAINTED = """
  const behind = new Map([[null, ""]]);  // of each element, what it and all around it paint
  const painted = node => {
    if (!behind.has(node)) {
      const {backgroundColor, backgroundImage, opacity} = getComputedStyle(node);
      const own = [backgroundColor, backgroundImage, opacity].join(" ");
      behind.set(node, (own === "rgba(0, 0, 0, 0) none 1" ? "" : own + " ") + painted(node.parentElement));
    }
    return behind.get(node);
  };
"""

# Of each kind of text, by all that its contrast depends on, one element.
KINDS_OF_TEXT = (
    f"""() => {{{PAINTED}"""
    """
  const kinds = new Map(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), seen = new Set();
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (seen.has(node) || !walk.currentNode.data.trim()) continue;
    seen.add(node);
    if (!node.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    const style = getComputedStyle(node), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);  // which may be fainter
    const key = [style.color, large, style.textShadow, painted(node)].join(" ");
    if (!kinds.has(key)) kinds.set(key, node);
  }
  window.kindsOfText = kinds;
  return [...kinds.keys()];
}"""
)
OF_KINDS = """async options => await axe.run(
  {include: options.kinds.map(kind => window.kindsOfText.get(kind))}, options)"""
WHOLE = "async options => await axe.run(options)"

# Of each kind of link in a text, by how it and all up to its block look, that with most text beside it. Whether a link
# can be told from its text takes axe more time than all else.
KINDS_OF_LINK = (
    f"""() => {{{PAINTED}"""
    """
  const kinds = new Map(), most = new Map();
  const look = (node, part) => {
    const style = getComputedStyle(node, part);
    const names = "display content color opacity font textDecoration border outline boxShadow backgroundColor";
    return [...names.split(" "), "backgroundImage"].map(name => style[name]).join(" ");
  };
  const length = node => node.textContent.replace(/\\s/g, "").length;
  for (const link of document.querySelectorAll("a[href], [role='link']")) {
    const own = length(link);
    if (!own || !link.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    const looks = [look(link), look(link, "::before"), look(link, "::after")];
    let block = link.parentElement;
    for (; getComputedStyle(block).display === "inline"; block = block.parentElement) looks.push(look(block));
    const linked = [...block.querySelectorAll("a[href], [role='link']")].reduce((sum, a) => sum + length(a), 0);
    const beside = length(block) - linked;
    const kind = [...looks, look(block), painted(block)].join("; ");
    if (beside <= 0 || beside - own <= most.get(kind)) continue;
    most.set(kind, beside - own);
    kinds.set(kind, link);
  }
  window.kindsOfLink = kinds;
  return [...kinds.keys()];
}"""
)
OF_LINKS = """async options => {
  const links = new Map(options.kinds.map(kind => [window.kindsOfLink.get(kind), kind]));
  const found = await axe.run({include: [...links.keys()]}, options);
  const nodes = rules => rules.flatMap(rule => rule.nodes);
  for (const node of nodes(found.violations)) node.element = null;
  return {violations: found.violations, good: nodes(found.passes).map(node => links.get(node.element))};
}"""

# axe walks over every element. What it has nothing to say of is away meanwhile: what cells repeat of their columns,
# where that is hidden from all; formulas as drawn, which are hidden from screen readers and hold no text; the marks of
# formulas as read out, whose text stays; the list of all pages, once it was looked at; the colours of code, once their
# contrast was measured.
PUT_AWAY = """({colours, pages}) => {
  window.away ??= [];
  const put = (around, inside) => {
    window.away.push([around, [...around.childNodes]]);
    around.replaceChildren(...inside);
  };
  const without = part => put(part.parentElement, [...part.parentElement.childNodes].filter(node => node !== part));
  const all = (node, plain) => [...node.querySelectorAll("*")].every(plain);
  for (const label of document.querySelectorAll(".cell-label[aria-hidden='true']"))
    if (!label.checkVisibility() && !label.querySelector("a, [tabindex], [id], :enabled")) without(label);
  for (const drawn of document.querySelectorAll("mjx-container > mjx-math[aria-hidden='true']"))
    if (!drawn.textContent.trim() && !drawn.querySelector("a, [tabindex], [role]")) without(drawn);
  const told = /^(aria-.*|on.*|xlink:.*|xml:.*|role|id|href|src|lang|title|tabindex|style)$/;
  const mark = e => e.namespaceURI.endsWith("/MathML") && ![...e.attributes].some(a => told.test(a.name));
  for (const read of document.querySelectorAll("mjx-assistive-mml"))
    if (read.firstElementChild && all(read, mark)) put(read, [read.textContent]);
  const colour = e => e.tagName === "SPAN" && [...e.attributes].every(a => a.name === "class");
  for (const code of colours ? document.querySelectorAll("pre") : [])
    if (code.firstElementChild && all(code, colour)) put(code, [code.textContent]);
  for (const list of pages ? document.querySelectorAll("nav.bd-links") : [])
    if (!list.querySelector("[id]")) put(list, []);
}"""
BRING_BACK = """() => {
  for (const [around, inside] of window.away.reverse()) around.replaceChildren(...inside);
  window.away = [];
}"""

# Of what kinds the parts of the list of all pages are: by tag, attributes, whether there is text, and what is around.
PARTS_OF_LIST = """() => {
  const kinds = new Set();
  const walk = (node, around) => {
    const attributes = [...node.attributes].map(a => a.name === "href" ? a.name : a.name + "=" + a.value);
    const text = [...node.childNodes].some(child => child.nodeType === Node.TEXT_NODE && child.data.trim());
    const kind = [around, node.tagName, ...attributes, text].join(" ");
    kinds.add(kind);
    for (const child of node.children) walk(child, kind);
  };
  for (const part of document.querySelectorAll("nav.bd-links > *")) walk(part, "");
  return [...kinds];
}"""

# Boxes that scroll, with nothing inside that the keyboard reaches: axe decides whether that is a fault.
OUT_OF_REACH = """() => {
  const reached = node => node.tabIndex >= 0 && !node.matches(":disabled") && !node.closest("[inert]")
    && node.checkVisibility({visibilityProperty: true});
  for (const box of document.querySelectorAll("*")) {
    if (box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight) continue;
    if (!box.checkVisibility({visibilityProperty: true})) continue;  // a side bar that is folded away
    const style = getComputedStyle(box);
    if (!/auto|scroll/.test(style.overflowX + style.overflowY)) continue;
    if (!reached(box) && ![...box.querySelectorAll("*")].some(reached)) return true;
  }
  return false;
}"""

# Mathematics typeset, its fonts loaded, and two frames for what the page does next.
SETTLED = """async () => {
  await window.MathJax?.startup?.promise;
  await document.fonts.ready;
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""

# Side bars folded after a change of size, and two frames for what the page does next.
RESIZED = """async () => {
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  await Promise.all(document.getAnimations().map(animation => animation.finished.catch(() => {})));
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

# Elements past the right edge of the screen that no scrolling box contains, and options broken at a hyphen.
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
  for (const word of document.querySelectorAll(".bd-article code .whole"))
    if (word.getClientRects().length > 1) wrong.push("broken at a hyphen: " + word.textContent);
  return wrong.slice(0, 8);
}"""


# Boxes that hide part of what they hold. A formula may scroll where the screen is a phone's: it gets only so small.
CUT_OFF = """phone => {
  const cut = [];
  for (const box of document.querySelectorAll("article *")) {
    if (!/auto|scroll|hidden|clip/.test(getComputedStyle(box).overflowX)) continue;
    if (box.clientWidth <= 1 || box.scrollWidth <= box.clientWidth + 3) continue;
    if (box.closest("mjx-assistive-mml, mjx-ext")) continue;  // unseen; the middle of a tall bracket
    if (phone && (box.matches("mjx-container") || box.querySelector("mjx-container[data-scroll-box]"))) continue;
    cut.push(box.tagName + "." + box.className + " holds " + box.scrollWidth + " px in " + box.clientWidth);
  }
  return cut.slice(0, 8);
}"""

# A chapter begins with its question, the answer and a picture; its code is folded.
FIRST_SCREEN = """height => {
  const wrong = [], answer = document.querySelector("article .admonition.answer");
  if (!answer) return ["no answer"];
  const figure = answer.nextElementSibling;
  if (!figure || !figure.matches("figure")) wrong.push("no picture below the answer");
  else if (figure.getBoundingClientRect().top > 0.75 * height) wrong.push("the picture begins below the first screen");
  for (const code of document.querySelectorAll("article .cell_input"))
    if (code.checkVisibility() && code.getBoundingClientRect().height > 0 && !code.closest("details:not([open])"))
      wrong.push("code in sight: " + code.textContent.trim().slice(0, 60));
  return wrong.slice(0, 8);
}"""


@dataclass
class Visit:
    """One loaded page, what is wrong with it, and the kinds of text and of parts found good, here or before."""

    page: Page
    trouble: list[str] = field(default_factory=list)
    measured: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    linked: set[str] = field(default_factory=set)

    def add(self, kind: str, found: list[str]) -> None:
        """Note findings."""
        self.trouble += [f"{kind}: {' '.join(item.split())}" for item in found]

    def add_axe(self, options: dict[str, Any], where: str = WHOLE) -> Any:
        """Note what axe finds, and return it."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE_SCRIPT)
        found = self.page.evaluate(where, options)
        for violation in found["violations"]:
            nodes = [f"{node['target']} {node['html'][:150]}" for node in violation["nodes"][:3]]
            self.add(f"axe {violation['id']} ({len(violation['nodes'])})", nodes)
        return found

    def add_contrast(self) -> None:
        """Note what axe finds in one text of each kind that no page before had."""
        new = [kind for kind in self.page.evaluate(KINDS_OF_TEXT) if kind not in self.measured]
        before = len(self.trouble)
        if new:
            self.add_axe(CONTRAST | {"kinds": new}, OF_KINDS)
        if len(self.trouble) == before:
            self.measured.update(new)

    def add_wcag(self, options: dict[str, Any] = BUT_LINKS) -> None:
        """Note what axe finds besides contrast: in the list of all pages where a part is new, of one link of a kind."""
        parts = self.page.evaluate(PARTS_OF_LIST)
        self.page.evaluate(PUT_AWAY, {"colours": True, "pages": self.listed.issuperset(parts)})
        before = len(self.trouble)
        self.add_axe(options)
        new = (
            [] if options is EVERY else [kind for kind in self.page.evaluate(KINDS_OF_LINK) if kind not in self.linked]
        )
        if new:
            self.linked.update(self.add_axe(LINKS | {"kinds": new}, OF_LINKS)["good"])
        self.page.evaluate(BRING_BACK)
        if len(self.trouble) == before:
            self.listed.update(parts)


@dataclass
class Tab:
    """One tab for all pages, so that scripts they share are compiled once, and what was found good on them."""

    page: Page
    measured: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    linked: set[str] = field(default_factory=set)


@pytest.fixture(scope="session")
def tab(browser: Browser) -> Iterator[Tab]:
    """Where the pages are opened one after another."""
    context = browser.new_context(reduced_motion="reduce")
    yield Tab(context.new_page())
    context.close()


@contextmanager
def visit(tab: Tab, url: str, size: tuple[int, int]) -> Iterator[Visit]:
    """Load ``url``, wait for its mathematics, and note requests that leave and errors."""
    home = url.split("/")[0] + "//" + url.split("/")[2]
    page, seen = tab.page, Visit(tab.page, measured=tab.measured, listed=tab.listed, linked=tab.linked)
    page.goto("about:blank")  # what the page before was still about is not laid at the door of this one
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    listeners: dict[str, Callable[[Any], object]] = {
        "request": lambda r: r.url.startswith((home, "data:", "blob:")) or seen.add("leaves", [r.url]),
        "requestfailed": lambda r: seen.add("failed", [r.url]),
        "response": lambda r: r.status < 400 or seen.add(f"status {r.status}", [r.url]),
        "console": lambda m: m.type not in ("error", "warning") or seen.add("console", [m.text]),
        "pageerror": lambda e: seen.add("script", [e.message]),
    }
    for event, listener in listeners.items():
        page.on(event, listener)  # type: ignore[call-overload]
    try:
        page.goto(url)
        page.evaluate(SETTLED)
        yield seen
    finally:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)


def key_numbers(name: str, shown: str, ids: set[str]) -> list[str]:
    """Return the recorded claims and generated numbers of a notebook that its page does not show."""
    seen = squeeze(shown)

    def absent(text: str) -> bool:
        # Mathematics and code are typeset, tables have cells and lists have marks: what stands around must be there.
        parts = re.split(r"\$[^$]*\$|\|[-|]*|^- |`", text, flags=re.MULTILINE)
        return not all(squeeze(part) in seen for part in parts)

    recorded = json.loads((ROOT / "build" / "claims.json").read_text(encoding="utf-8"))[name]
    missing = []
    for claim in map(from_json, recorded["claims"]):
        if f"claim-{claim.key}" not in ids:
            missing.append(f"claim {claim.key} has no row")
        if absent(number(claim.value)):
            missing.append(f"{claim.key} = {number(claim.value)}")
    notebook = Project(ROOT).find(name)
    values = {key: parameter.default for key, parameter in notebook.parameters.items()}
    values |= {key.capitalize(): value.capitalize() for key, value in notebook.fixed.items() if isinstance(value, str)}
    values |= recorded["numbers"]
    text = "\n".join(f"{cell.source}\n{cell.metadata}" for cell in notebook.node.cells)
    for key, form in re.findall(r"\{\{\s*(\w+)\s*(?::([^{}]+))?\}\}", text):
        if absent(written(values[key], form.strip())):
            missing.append(f"{key} = {written(values[key], form.strip())}")
    return missing


def squeeze(text: str) -> str:
    """Drop what typesetting changes: spaces, apostrophes, and the minus sign of mathematics."""
    plain = re.sub("[\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}]", "'", re.sub(r"\s", "", text))
    return plain.replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize("name", [*PAGES, "search"])
def test_page(tab: Tab, site: str, name: str) -> None:
    with visit(tab, f"{site}/{name}.html", PHONE) as seen:
        on_a_phone(seen)
        if name != "search":  # which is of the theme
            on_a_screen(seen, name)
            on_paper(seen)
        assert seen.trouble == []


def on_a_phone(seen: Visit) -> None:
    """Nothing is wider than the screen, and what scrolls can be reached by keyboard."""
    seen.add("width", seen.page.evaluate(STICKING_OUT, PHONE[0]))
    seen.add("cut off", seen.page.evaluate(CUT_OFF, True))
    if seen.page.evaluate(OUT_OF_REACH):
        seen.add_axe(SCROLLING)


def on_a_screen(seen: Visit, name: str) -> None:
    """Mathematics, pictures and numbers are there, and all is accessible, in light and in dark."""
    seen.page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    seen.page.evaluate(RESIZED)
    seen.add("maths", seen.page.evaluate(MATHS))
    if re.search('class="math ', (HTML / f"{name}.html").read_text(encoding="utf-8")):
        seen.add("maths", [] if seen.page.query_selector("mjx-container") else ["none on the page"])
    seen.add("picture", seen.page.evaluate(PICTURES))
    seen.add("cut off", seen.page.evaluate(CUT_OFF, False))
    if name.startswith("notebooks/"):
        seen.add("first screen", seen.page.evaluate(FIRST_SCREEN, DESKTOP[1]))
        seen.page.evaluate("document.querySelectorAll('details.sd-dropdown').forEach(e => e.open = true)")  # solutions
        ids = set(seen.page.evaluate("[...document.querySelectorAll('article [id]')].map(e => e.id)"))
        alts = seen.page.evaluate("[...document.querySelectorAll('article img')].map(e => e.alt)")
        text = " ".join([seen.page.inner_text("article"), *alts])
        seen.add("number", key_numbers(name.removeprefix("notebooks/"), text, ids))
    seen.page.evaluate(PUT_AWAY, {"colours": False, "pages": False})
    for theme in ("light", "dark"):
        seen.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        if name in IN_FULL:
            seen.add_axe(CONTRAST)
        else:
            seen.add_contrast()
    seen.add_wcag(EVERY if name in IN_FULL else EVERY_BUT_LINKS)


def on_paper(seen: Visit) -> None:
    """Nothing is wider than a sheet, and what is read in the dark is printed as in the light."""
    theme = "document.documentElement.dataset.theme"
    seen.page.set_viewport_size({"width": PAPER[0], "height": PAPER[1]})
    seen.page.evaluate(f"{theme} = 'dark'")
    seen.page.emulate_media(media="print")
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    seen.add("on paper", seen.page.evaluate(STICKING_OUT, PAPER[0]))
    seen.add("printed in the", [t for t in [seen.page.evaluate(theme)] if t != "light"])
    seen.page.evaluate("dispatchEvent(new Event('afterprint'))")
    seen.add("after print in the", [t for t in [seen.page.evaluate(theme)] if t != "dark"])


@pytest.mark.parametrize("name", [*OF_EACH_KIND, "search"])
def test_page_from_a_file(tab: Tab, name: str) -> None:
    """That no page loads anything from elsewhere is checked for all of them in `test_links.py`."""
    with visit(tab, (HTML / f"{name}.html").as_uri(), DESKTOP) as seen:
        seen.add("maths", seen.page.evaluate(MATHS) if name != "search" else [])
        on_paper(seen)
        assert seen.trouble == []


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_search_finds_a_term(tab: Tab, site: str, scheme: str) -> None:
    base = site if scheme == "http" else HTML.as_uri()
    with visit(tab, f"{base}/search.html?q=frontier", DESKTOP) as seen:
        seen.page.wait_for_selector("#search-results li a[href*='glossary.html#term-frontier']")
        assert seen.trouble == []


def test_checks_notice_a_bad_page(tab: Tab) -> None:
    """The control: a page with every fault must be found wanting in each."""
    faint = "<p style='color:#999'>on black</p>"
    bad = (
        "<html lang='en'><title>t</title><body style='margin:0'><article><div style='width:900px'>wide</div>"
        "<div style='width:90px;height:20px;overflow:auto'><div style='width:200px'>cut<p>off</p></div></div>"
        "<span class='math'>\\(x\\)</span><p>$a+b$ {{x}}</p><div class='cell_output'><img src='gone.png'></div>"
        f"<div style='background:#000'>{faint}</div><div style='background:#fff'>{faint}{faint}</div></article></body>"
        "</html>"
    )
    page, seen = tab.page, Visit(tab.page)
    page.goto("about:blank")
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    page.set_content(bad)
    assert [text.split(":")[0] for text in page.evaluate(MATHS)] == ["not rendered", *["left in the text"] * 2]
    assert len(page.evaluate(PICTURES)) == 4
    assert len(page.evaluate(STICKING_OUT, PHONE[0])) == 2
    assert len(page.evaluate(CUT_OFF, True)) == 1
    assert page.evaluate(FIRST_SCREEN, PHONE[1]) == ["no answer"]
    assert page.evaluate(OUT_OF_REACH)

    def found() -> set[str]:
        said, seen.trouble = {item.partition(":")[0] for item in seen.trouble}, []
        return said

    seen.add_axe(SCROLLING)
    assert found() == {"axe scrollable-region-focusable (1)"}
    seen.add_axe(WCAG)
    assert found() == {"axe image-alt (1)", "axe scrollable-region-focusable (1)"}
    seen.add_axe(CONTRAST)
    assert found() == {"axe color-contrast (2)"}
    for _ in range(2):  # the two are of one kind, that on black of another; what was found wanting is looked at again
        seen.add_contrast()
        assert found() == {"axe color-contrast (1)"}
    page.evaluate("document.querySelectorAll('[style*=color]').forEach(p => p.style.color = '#000')")
    page.evaluate("document.querySelectorAll('[style*=background]').forEach(p => p.style.background = '#fff')")
    seen.add_contrast()
    assert found() == set()
    assert page.evaluate(KINDS_OF_TEXT)
    assert set(page.evaluate(KINDS_OF_TEXT)) <= seen.measured


def test_nothing_is_put_away_that_axe_has_something_to_say_of(tab: Tab) -> None:
    """The control: a fault in each part that is ever away is found, in the list of pages on the first of its kind."""
    link = "<a href='#{}' class='{}'>{}</a>"
    start = "<html lang='en'><title>t</title><body><nav class='bd-links'>{}</nav><article>{}</article></body></html>"
    formula = (
        "<mjx-container><mjx-math aria-hidden='true'><mjx-c>{}</mjx-c></mjx-math>"
        "<mjx-assistive-mml><math xmlns='http://www.w3.org/1998/Math/MathML'>{}</math></mjx-assistive-mml></mjx-container>"
    )
    good, bad = link.format("a", "", "a page"), link.format("b", "", "")
    row = (
        "<table><tr><th>n</th></tr><tr><td><span class='cell-label' aria-hidden='true' {}>n{}</span>1</td></tr></table>"
    )
    hidden, shown = "style='display:none'", ""
    page, seen = tab.page, Visit(tab.page)
    page.goto("about:blank")
    page.emulate_media(media="screen")

    def found(listed: str, text: str) -> set[str]:
        page.set_content(start.format(listed, text))
        seen.add_wcag()
        said, seen.trouble = {item.partition(" (")[0] for item in seen.trouble}, []
        return said

    name, focus = {"axe link-name"}, {"axe aria-hidden-focus"}
    for _ in range(2):  # what was found wanting in the list is looked at again
        assert found(good + bad, "") == name
    assert found(good, "") == set()
    assert page.inner_text("nav") == "a page"  # all is back
    assert found(good * 3, bad) == name  # the list is away, the article is not
    assert found(good * 3, good) == set()
    assert found(good + bad, "") == name  # a part of a kind the list did not have
    assert found(good + link.format("c", "new", ""), "") == name
    assert found(f"<ul>{good}<p>no item</p></ul>", "") == {"axe list"}
    for spoken in ("<mi>x</mi>", "<mi mathvariant='bold'>x</mi>"):
        assert found(good, formula.format("", spoken)) == set()
        assert page.locator("mjx-assistive-mml mi").count() == 1
    assert found(good, formula.format("", "<mi aria-nothing='x'>x</mi>")) == {"axe aria-valid-attr"}
    assert found(good, formula.format("", "<mi>x</mi></math><a href='#x'></a><math>")) == name
    assert found(good, formula.format("<a href='#x'>x</a>", "<mi>x</mi>")) == focus
    for how, inside, expected in ((hidden, "", set()), (shown, "", set()), (shown, "<a href='#x'>x</a>", focus)):
        assert found(good, row.format(how, inside)) == expected
        assert page.locator(".cell-label").count() == 1
    assert found(good, "<pre><span class='k'>if</span></pre>") == set()
    assert found(good, "<pre><span class='k' role='nothing'>if</span></pre>") == {"axe aria-roles"}


def test_links_that_only_colour_tells_are_found(tab: Tab) -> None:
    """The control: in a text, of each kind; not where they stand alone, which does not make their kind a good one."""
    page, seen = tab.page, Visit(tab.page)
    page.goto("about:blank")
    page.emulate_media(media="screen")
    link = "<a href='#{0}' style='text-decoration:{1};color:{2}'>a page {0}</a>"
    bad, good, plain = (
        link.format("a", "none", "#006"),
        link.format("b", "underline", "#006"),
        "<p>in a text longer than {}</p>",
    )
    wrong = {"axe link-in-text-block"}

    def found(*parts: str) -> set[str]:
        page.set_content(f"<html lang='en'><title>t</title><body>{''.join(parts)}</body></html>")
        seen.add_wcag()
        said, seen.trouble = {item.partition(" (")[0] for item in seen.trouble}, []
        return said

    assert found(f"<p>{bad}</p>") == set() == seen.linked
    for _ in range(2):
        assert found(plain.format(good), f"<p>{bad}</p><p>a {bad}</p>", plain.format(bad)) == wrong
        assert len(seen.linked) == 1
    assert found(plain.format(good)) == set()
    assert found(plain.format(good), f"<div style='color:#008'>{plain.format(good)}</div>") == set()
    assert len(seen.linked) == 2
    assert found(plain.format(f"<b>{bad}</b>")) == set()  # told by its weight
    assert found(plain.format(f"<b>{link.format('c', 'none', '#060;font-weight:400')}</b>")) == wrong


def test_on_a_phone_only_claims_and_outputs_are_folded(browser: Browser) -> None:
    """Verdicts are what their page is read for; an empty cell has no name before it."""
    page = browser.new_page(viewport={"width": 390, "height": 800})
    cells = "".join(
        f"<tr><td>{'long ' * 9}</td><td>{'words ' * 9}</td><td>{'x' * 60 * (n % 2)}</td></tr>" for n in range(9)
    )
    table = f"<thead><tr><th>a</th><th>b</th><th>c</th></tr></thead><tbody>{cells}</tbody></table>"
    assets = ROOT / "book" / "_assets"
    page.set_content(
        f"<body class='bd-article'><article><section id='verdicts'><table>{table}</section>"
        f"<section id='scorecard'><table>{table}</section>"
        f"<div class='cell_output'><div class='output'><table>{table}</div></div>"
    )
    page.add_style_tag(path=assets / "book.css")
    page.add_script_tag(path=assets / "book.js")
    page.evaluate("window.dispatchEvent(new Event('DOMContentLoaded'))")
    assert page.evaluate("[...document.querySelectorAll('table.as-list')].map(t => 'folded' in t.dataset)") == [
        False,
        True,
        True,
    ]
    row = "[...document.querySelectorAll('#verdicts tbody tr')].map(r => r.querySelectorAll('.cell-label').length)"
    assert page.evaluate(row) == [1, 2] * 4 + [1]
    page.close()
