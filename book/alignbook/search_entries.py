"""What the search of the book looks through: every section, theorem, term, symbol and name of the library.

``search/engine.js`` reads the entries that `script` writes, with formulas as plain text, and ranks them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pydoc import locate
from typing import Any

from docutils import nodes
from sphinx import addnodes

from alignbook.plain_math import plain_math

__all__ = ["Entry", "PageEntries", "entries", "script"]

# Pages on which much is listed that is explained elsewhere.
_WEIGHT = {
    "bad_input": 0.5, "json": 0.6, "notebooks/90_exercises": 0.7, "references": 0.6, "scorecard": 0.4, "verdicts": 0.8,
    "versions": 0.4, "reading_path": 0.8,
}  # fmt: skip
# What readers type, and what the book says for it.
_ALSO = {
    "bon": "best-of-N",
    "rejection": "best-of-N",
    "chi2": "chi-squared",
    "chisquare": "chi-squared",
    "ece": "calibration",
    "cite": "citation",
    "citing": "citation",
    "goodhart": "over-optimisation",
    "hacking": "over-optimisation",
    "overoptimization": "over-optimisation",
    "optimize": "optimise",
    "tempered": "tilt",
    "tilting": "tilt",
    "temperature": "lambda",
    "reproduce": "rerun",
    "replicate": "rerun",
    "symbols": "notation",
    "js": "Jensen–Shannon",
    "tv": "total variation",
    "mi": "mutual information",
    "blahut": "capacity",
    "spearman": "correlation",
    "pearson": "correlation",
    "sqrt": "root",
    "passk": "pass@k",
    "tensorboard": "trainer",
    "wandb": "trainer",
    "overlay": "training",
    "optimal": "optimum",
    "maximum": "largest",
    "rlhf": "training",
    "logprobs": "log-probabilities",
}
_SPACE = re.compile(r"[ \t\r\n]+")  # not the spaces within formulas
_SKIPPED = (
    nodes.raw,
    nodes.comment,
    nodes.doctest_block,
    nodes.target,
    nodes.system_message,
    addnodes.index,
    addnodes.toctree,
)


@dataclass
class Entry:
    """A place that a search can lead to: its anchor, what it is called, of which kind it is, its text."""

    anchor: str
    title: str
    kind: str
    words: list[str] = field(default_factory=list)
    asked: str = ""  # the question that a page opens with

    @property
    def text(self) -> str:
        """The text on one line."""
        return _SPACE.sub(" ", "".join(self.words)).strip(" ")


def entries(tree: nodes.document) -> list[Entry]:
    """Return the entries of a page, in its order."""
    found: list[Entry] = [Entry("", "", "page")]
    for child in tree.children:
        _read(child, found[0], found)
    return [entry for entry in found if entry.title]


def _read(node: nodes.Node, at: Entry, found: list[Entry]) -> None:
    """Add the text of a node to the entry ``at``, or begin new ones where something of its own begins."""
    if isinstance(node, nodes.Text):
        at.words.append(node.astext())
    elif isinstance(node, nodes.math | nodes.math_block):
        apart = " " if isinstance(node, nodes.math_block) else ""
        at.words.append(f"{apart}{plain_math(node.astext())}{apart}")
    elif isinstance(node, _SKIPPED) or "cell_input" in node.get("classes", ()):
        return
    elif "cell_output" in node.get("classes", ()):
        for kind in (nodes.caption, nodes.paragraph, nodes.math_block):  # not the bare text of a picture or a table
            for part in node.findall(kind):
                at.words += [_line(part), " "]
    elif isinstance(node, nodes.section) and node["ids"]:  # the text of a theorem is a section without an anchor
        _read_section(node, at, found)
    elif isinstance(node, addnodes.desc):
        _read_name(node, found)
    elif isinstance(node, nodes.definition_list_item) and (terms := _anchored_terms(node)):
        for term in terms:  # proxy and proxies: each is looked for
            _read_as(found, term["ids"][0], _line(term), "term", [one for one in node.children if one not in terms])
    elif isinstance(node, nodes.row) and node.get("ids"):
        title, *cells = map(_line, node.children)
        found.append(Entry(node["ids"][0], title, "symbol", [" · ".join(cell for cell in cells if cell)]))
    elif "proof" in node.get("classes", ()) and node.get("ids"):
        heading = next(iter(node.findall(nodes.title)), None)
        rest = [child for child in node.children if child is not heading]
        named = re.fullmatch(r"\((.*)\)", _line(heading) if heading else "")  # (The bound (Y24)), or nothing
        _read_as(found, node["ids"][0], str(named[1]) if named else "", "theorem", rest)
    else:
        for child in node.children:
            _read(child, at, found)
        if not isinstance(node, nodes.Inline):
            at.words.append(" ")


def _read_section(node: nodes.section, at: Entry, found: list[Entry]) -> None:
    if isinstance(node.parent, nodes.document):  # the page itself
        at.title = _line(node.children[0])
        opening = next((_line(child) for child in node.children[1:] if isinstance(child, nodes.paragraph)), "")
        at.asked = opening if opening.endswith("?") else ""
        for child in node.children[1:]:
            _read(child, at, found)
        return
    _read_as(found, node["ids"][0] if node["ids"] else "", _line(node.children[0]), "section", node.children[1:])


def _read_name(node: addnodes.desc, found: list[Entry]) -> None:
    signature = next(iter(node.findall(addnodes.desc_signature)), None)
    if signature is not None and signature["ids"]:
        content = [child for child in node.children if not isinstance(child, addnodes.desc_signature)]
        _read_as(found, signature["ids"][0], signature["ids"][0], "name", content)


def _read_as(found: list[Entry], anchor: str, title: str, kind: str, children: Sequence[nodes.Node]) -> None:
    entry = Entry(anchor, title, kind)
    found.append(entry)
    for child in children:
        _read(child, entry, found)


def _anchored_terms(node: nodes.definition_list_item) -> list[nodes.term]:
    return [child for child in node.children if isinstance(child, nodes.term) and child["ids"]]


def _line(node: nodes.Node) -> str:
    """The text of a heading or of a cell."""
    entry = Entry("", "", "")
    for child in node.children:
        _read(child, entry, [])
    return entry.text


@dataclass(frozen=True)
class PageEntries:
    """A page: its address, its title, its entries."""

    address: str
    title: str
    entries: list[Entry]


def script(pages: Mapping[str, PageEntries], words: Mapping[str, str] | None = None) -> str:
    """Return the script that hands the entries of all pages to the page of the search; with more words for some."""
    names = sorted(pages)
    rows: list[list[Any]] = []
    for number, name in enumerate(names):
        rows += [[number, one.anchor, one.title, one.kind, one.text] for one in pages[name].entries]
    asked = {name: [*(one.asked for one in pages[name].entries), (words or {}).get(name, "")] for name in names}
    listed = [
        [pages[name].address, pages[name].title, _WEIGHT.get(name, 1.0), " ".join(filter(None, asked[name]))]
        for name in names
    ]
    titles = [one.title for page in pages.values() for one in page.entries if one.kind == "name"]
    data = {"pages": listed, "entries": rows, "also": _ALSO, "bases": _bases(titles)}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return f"window.bookEntries = {text};\n"


def _bases(titles: Sequence[str]) -> dict[str, list[str]]:
    """For each class that is described: those that it inherits from and that are described, the nearest first."""
    classes = {title: found for title in titles if isinstance(found := locate(title), type)}
    names: dict[type, str] = {}
    for title, found in classes.items():
        names.setdefault(found, title)
    return {title: [names[base] for base in found.__mro__[1:] if base in names] for title, found in classes.items()}
