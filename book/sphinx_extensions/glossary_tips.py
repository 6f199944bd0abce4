"""Terms of the glossary: linked where a page first uses them, with the definition beside the link.

An author may link any term with the role ``term``. Words that mean nothing but the term are linked by themselves where
a page of the book first uses them in its text. ``book.js`` shows the definition on the spot (``terms.js``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from alignlib._core.safe_text import for_html

PAGE = "glossary"
# What is linked without being asked for: a phrase, and the term where that is another word.
SPOKEN = {
    **dict.fromkeys(
        (
            "base model",
            "best-of-Poisson",
            "bootstrap",
            "canonical loss",
            "confidence interval",
            "cumulants",
            "DPO",
            "effective sample size",
            "exchangeable",
            "Fano floor",
            "frontier",
            "GRPO",
            "hacking threshold",
            "held-out",
            "inverse temperature",
            "jackknife",
            "Jeffreys divergence",
            "KL",
            "KL penalty",
            "large deviations",
            "law",
            "log-concave",
            "log-partition function",
            "log-ratio",
            "Markov chain",
            "memoryless",
            "mutual information",
            "nat",
            "over-optimisation",
            "PAC-Bayes",
            "pessimistic rule",
            "plug-in estimate",
            "policy",
            "posterior",
            "PPO",
            "proxy",
            "quantile",
            "rate function",
            "Rényi divergence",
            "reverse KL",
            "reward model",
            "RLHF",
            "RLOO",
            "soft best-of-n",
            "standard error",
            "sub-Gaussian",
            "sycophancy",
            "tilt",
            "token",
            "total variation",
            "Tweedie's formula",
            "U-statistic",
            "win rate",
        )
    ),
    "best-of-N": None,
    "ensemble": None,
    "laws": "law",
    "nats": "nat",
    "policies": "policy",
    "prompts": "prompt",
    "proxies": "proxy",
    "reward hacking": "over-optimisation",
    "tilted": "tilt",
    "tokens": "token",
}
_PHRASE = re.compile(
    r"(?<![\w-])(?:" + "|".join(re.escape(one) for one in sorted(SPOKEN, key=len, reverse=True)) + r")(?![\w-])", re.I
)
_NO_TEXT = (
    nodes.reference,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.title,
    nodes.caption,
    nodes.raw,
    nodes.table,
    nodes.citation,
)
_LINK = re.compile(r'<a class="reference internal" href="(?P<page>[^"#]*)#(?P<term>term-[^"]+)"')


def anchors(tree: nodes.document) -> dict[str, str]:
    """Return the anchor of each term of the glossary, by the term in small letters."""
    return {term.astext().lower(): term["ids"][0] for term in tree.findall(nodes.term) if term["ids"]}


def definitions(tree: nodes.document) -> dict[str, str]:
    """Return the first paragraph of each definition, as plain text, by the anchor of its term."""
    found: dict[str, str] = {}
    for item in tree.findall(nodes.definition_list_item):
        first = next(item.findall(nodes.paragraph), None)
        if first is not None:
            text = " ".join(first.astext().split())
            found |= {anchor: text for term in item.findall(nodes.term) for anchor in term["ids"]}
    return found


def link_terms(tree: nodes.document, known: dict[str, str], glossary: str) -> None:
    """Link each term where the text of a page first uses it, unless the page links it already."""
    done = {ref.get("refuri", "").partition("#")[2] for ref in tree.findall(nodes.reference)}
    for paragraph in list(tree.findall(nodes.paragraph)):
        for text in list(paragraph.findall(nodes.Text)):
            if not _within(text, _NO_TEXT):
                _link_in(text, known, glossary, done)


def _within(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    parent = node.parent
    while parent is not None:
        if isinstance(parent, kinds):
            return True
        parent = parent.parent
    return False


def _link_in(text: nodes.Text, known: dict[str, str], glossary: str, done: set[str]) -> None:
    said, parts, end = text.astext(), [], 0
    for match in _PHRASE.finditer(said):
        phrase = next(one for one in SPOKEN if one.lower() == match[0].lower())
        anchor = known.get((SPOKEN[phrase] or phrase).lower())
        if anchor is None or anchor in done:
            continue
        done.add(anchor)
        link = nodes.reference("", "", internal=True, refuri=f"{glossary}#{anchor}")
        link += nodes.inline("", match[0], classes=["xref", "std", "std-term"])
        parts += [nodes.Text(said[end : match.start()]), link]
        end = match.end()
    if parts:
        text.parent.replace(text, [*parts, nodes.Text(said[end:])])


def link_page(app: Sphinx, tree: nodes.document, page: str) -> None:
    """Link the terms of a chapter, or of a page of prose that leads into the book."""
    chapter = page.startswith("notebooks/") or page in ("index", "primer")
    if chapter and app.builder.format == "html" and PAGE in app.env.all_docs:
        known = anchors(app.env.get_doctree(PAGE))
        link_terms(tree, known, app.builder.get_relative_uri(page, PAGE))


def tell_definitions(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """Write each definition beside the links to it."""
    if "body" not in context or page == PAGE or PAGE not in app.env.all_docs:
        return
    if not hasattr(app, "_glossary"):
        app._glossary = definitions(app.env.get_doctree(PAGE))  # type: ignore[attr-defined]
    known: dict[str, str] = app._glossary  # type: ignore[attr-defined]

    def told(link: re.Match[str]) -> str:
        here = Path(link["page"]).stem == PAGE and link["term"] in known
        return f'{link[0]} data-definition="{for_html(known[link["term"]])}"' if here else link[0]

    context["body"] = _LINK.sub(told, context["body"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("doctree-resolved", link_page)
    app.connect("html-page-context", tell_definitions)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
