"""Scripts and their paired notebooks: the ``.ipynb`` is a pure function of the ``.py``.

Cell ids are derived from the cells' content, so a fresh pairing gives the same bytes everywhere.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from alignlib._core.files import write_whole

__all__ = ["disagreement", "read_script", "render_pair", "sync"]

_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def read_script(path: Path) -> NotebookNode:
    """Read a py:percent script as a notebook with content-derived cell ids and minimal metadata."""
    notebook: NotebookNode = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    kept = ("tags", "mystnb")
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in kept})
    notebook.metadata = nbformat.from_dict({"kernelspec": _KERNEL})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    set_ids(notebook)
    return notebook


def set_ids(notebook: NotebookNode) -> None:
    """Give each cell an id from its kind, text and how often both came before."""
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        cell["id"] = digest if not seen[digest] else f"{digest}-{seen[digest]}"
        seen[digest] += 1


def render_pair(script: Path) -> str:
    """Return the text of the paired ``.ipynb`` of a script."""
    text = nbformat.writes(read_script(script))
    return str(text).rstrip("\n") + "\n"


def disagreement(script: Path) -> str | None:
    """Say in one sentence how a script and its pair disagree, or return None when they do not."""
    pair = script.with_suffix(".ipynb")
    if not pair.is_file():
        return f"{script.name} has no paired {pair.name}; run `make sync`."
    if pair.read_text(encoding="utf-8") != render_pair(script):
        return f"{pair.name} does not agree with {script.name}; run `make sync`."
    return None


def sync(script: Path) -> bool:
    """Bring script and pair into agreement; return whether a file was written.

    An edit made to the newer notebook goes to the script first (``jupytext --sync``); the pair is then
    written from the script.
    """
    pair = script.with_suffix(".ipynb")
    if disagreement(script) is None:
        return False
    if pair.is_file() and pair.stat().st_mtime > script.stat().st_mtime:
        subprocess.run([sys.executable, "-m", "jupytext", "--sync", str(script)], check=True, capture_output=True)
    write_whole(pair, render_pair(script))
    return True
