"""References of a page that stands alone: what lies on another page is named by its title, for it has no link there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from alignbook.project import Project

__all__ = ["name_other_pages"]

_ROLE = re.compile(r"\{(doc|prf:ref|numref|ref|eq)\}`([^`<>]+)`")
_THEOREM = re.compile(r"`{3,}\{prf:\w+\} *(?P<title>[^\n]*)\n(?:# ?)?:label: *(?P<label>\S+)")
_FIGURE = re.compile(r'"name": *"(?P<label>[^"]+)"')
_HEADING = re.compile(r"^(?:# )?# (?!%%)(?P<title>.+)$", re.MULTILINE)


def name_other_pages(node: Any, root: Path) -> None:
    """Replace each reference that leads out of a notebook by the title of what it refers to, in italics.

    Parameters
    ----------
    node : notebook
        Changed in place.
    root : path
        The project; titles are looked up in its ``notebooks`` and ``book``. A target that is not found there keeps its
        own name.
    """
    cells = [cell for cell in node.cells if cell.cell_type == "markdown"]
    if not any(_ROLE.search(cell.source) for cell in cells):
        return
    here = {match["label"] for cell in cells for match in _THEOREM.finditer(cell.source)}
    here |= {str(cell.metadata.get("mystnb", {}).get("figure", {}).get("name")) for cell in node.cells}
    titles = _titles(root)

    def plain(match: re.Match[str]) -> str:
        kind, target = match[1], match[2]
        if kind != "doc" and (target in here or f":label: {target}" in text):
            return match[0]
        return f"*{titles.get(Path(target).name if kind == 'doc' else target, target)}*"

    text = "\n".join(cell.source for cell in cells)
    for cell in cells:
        cell.source = _ROLE.sub(plain, cell.source)


def _titles(root: Path) -> dict[str, str]:
    """Titles of all pages by file name, of their theorems by label; of a figure, the title of its page."""
    found: dict[str, str] = {}
    notebooks = {
        page.name: page.with_defaults(page.script.read_text(encoding="utf-8")) for page in Project(root).notebooks()
    }
    prose = {path.stem: path.read_text(encoding="utf-8") for path in sorted((root / "book").glob("*.md"))}
    for name, text in (notebooks | prose).items():
        heading = _HEADING.search(text)
        found[name] = heading["title"].strip() if heading else name
        found |= {match["label"]: match["title"].strip() or found[name] for match in _THEOREM.finditer(text)}
        found |= {match["label"]: found[name] for match in _FIGURE.finditer(text)}
    return found
