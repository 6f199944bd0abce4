"""References of a page that stands alone: what lies on another page is named by its title, for it has no link there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["name_other_pages"]

_ROLE = re.compile(r"\{(doc|prf:ref|numref|ref|eq)\}`([^`<>]+)`")
_THEOREM = re.compile(r"`{3,}\{prf:\w+\} *(?P<title>[^\n]*)\n(?:# ?)?:label: *(?P<label>\S+)")
_FIGURE = re.compile(r'"name": *"(?P<label>[^"]+)"')
_HEADINGS = {".py": re.compile(r"^# # (?P<title>.+)$", re.MULTILINE), ".md": re.compile(r"^# (?P<title>.+)$", re.M)}


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
    for path in (*sorted((root / "notebooks").glob("*.py")), *sorted((root / "book").glob("*.md"))):
        text = path.read_text(encoding="utf-8")
        heading = _HEADINGS[path.suffix].search(text)
        found[path.stem] = heading["title"].strip() if heading else path.stem
        found |= {match["label"]: match["title"].strip() or found[path.stem] for match in _THEOREM.finditer(text)}
        found |= {match["label"]: found[path.stem] for match in _FIGURE.finditer(text)}
    return found
