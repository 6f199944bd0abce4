"""Scripts and their paired notebooks: the ``.ipynb`` is a pure function of the ``.py``.

Cell ids are derived from the cells' content, so a fresh pairing gives the same bytes everywhere. The pair also holds a
digest of what both files held when they last agreed: it says, in any clone, which of the two was edited since.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from alignlib._core.errors import InputError
from alignlib._core.files import write_whole

__all__ = ["PairingError", "alone", "disagreement", "read_script", "read_source", "render_pair", "sync"]

_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
_KEPT = ("tags", "mystnb")
_FILTERS = {"cell_metadata_filter": "tags,mystnb,-all", "notebook_metadata_filter": "kernelspec,-all"}


class PairingError(InputError):
    """A script and a notebook that cannot be brought into agreement without losing an edit."""


def read_source(path: Path) -> str:
    """Return the text of a script, its pair or a list of pages, without the mark that some editors write before it.

    Raises
    ------
    InputError
        For what is no file, and text that is not UTF-8.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no file, but a pipe, a folder or a device; take it away.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from None


def read_script(path: Path) -> NotebookNode:
    """Read a py:percent script as a notebook with content-derived cell ids and minimal metadata."""
    return deepcopy(_parsed(read_source(path)))  # the reader's own, which may be changed


@lru_cache(maxsize=128)  # asked for title, parameters and cells of each page, again and again: a copy costs a fiftieth
def _parsed(text: str) -> NotebookNode:
    notebook: NotebookNode = jupytext.reads(text, fmt="py:percent")
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in _KEPT})
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
    notebook = read_script(script)
    notebook.metadata["alignbook"] = {"agreed": _digest(notebook)}
    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"


def disagreement(script: Path) -> str | None:
    """Say in one sentence how a script and its pair disagree, or return None when they do not."""
    pair = script.with_suffix(".ipynb")
    if not pair.is_file():
        return f"{script.name} has no paired {pair.name}; run `make sync`."
    if read_source(pair) != render_pair(script):
        return f"{pair.name} does not agree with {script.name}; run `make sync`."
    return None


def alone(scripts: Sequence[Path]) -> list[str]:
    """Return a sentence for each notebook beside the scripts that has none.

    Parameters
    ----------
    scripts : sequence of Path
        All scripts of a project.
    """
    folders = dict.fromkeys(script.parent for script in scripts)
    known = {script.with_suffix(".ipynb") for script in scripts}
    return [
        f"{pair.name} has no script {pair.with_suffix('.py').name} beside it; put that back, or delete the notebook."
        for folder in folders
        for pair in sorted(folder.glob("[0-9][0-9]_*.ipynb"))
        if pair not in known
    ]


def sync(script: Path) -> str | None:
    """Bring script and pair into agreement: what was edited since they last agreed is taken, whichever it is.

    Returns
    -------
    str or None
        The name of the file whose edit was taken, or None where nothing had to be written.

    Raises
    ------
    PairingError
        Where both were edited since, or nothing tells which was; neither file is then touched.
    """
    if disagreement(script) is None:
        return None
    pair = script.with_suffix(".ipynb")
    taken = script
    if pair.is_file():
        ours, theirs = read_script(script), _read_pair(pair)
        agreed = theirs.metadata.get("alignbook", {}).get("agreed")
        if _digest(theirs) not in (agreed, _digest(ours)):
            if _digest(ours) != agreed:
                since = "since they last agreed" if agreed else "and nothing says when they last agreed"
                raise PairingError(
                    f"Both {script.name} and {pair.name} were edited {since}: copy what you want from {pair.name} into "
                    f"{script.name}, delete {pair.name}, then sync."
                )
            write_whole(script, _as_script(theirs, script))
            taken = pair
    write_whole(pair, render_pair(script))
    return taken.name


def _read_pair(pair: Path) -> NotebookNode:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a cell without an id, which is read all the same
            notebook: NotebookNode = nbformat.reads(pair.read_text(encoding="utf-8"), as_version=4)
    except Exception as error:  # nbformat has no one type for what it cannot read
        raise PairingError(f"{pair.name} is no notebook that can be read; delete it, then sync.") from error
    if any(cell.get("attachments") for cell in notebook.cells):
        raise PairingError(
            f"{pair.name} holds a pasted picture, which a script cannot; save it as a file and refer to it."
        )
    return notebook


def _content(cell: NotebookNode) -> str:
    """What of a cell both files hold."""
    return json.dumps([cell.cell_type, cell.source, {k: cell.metadata[k] for k in _KEPT if cell.metadata.get(k)}])


def _digest(notebook: NotebookNode) -> str:
    return hashlib.sha256("\n".join(map(_content, notebook.cells)).encode()).hexdigest()


def _as_script(notebook: NotebookNode, script: Path) -> str:
    """The text of the script with the notebook's cells; cells that are unchanged keep the blank lines around them."""
    former = jupytext.reads(read_source(script), fmt="py:percent")
    cells = [nbformat.from_dict({**cell, "metadata": dict(cell.metadata)}) for cell in notebook.cells]
    for cell in cells:
        cell.metadata.pop("lines_to_next_cell", None)
    before, after = ([_content(cell) for cell in side] for side in (former.cells, cells))
    for block in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
        for k in range(block.size):
            cells[block.b + k].metadata = former.cells[block.a + k].metadata
    written = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": _KERNEL, "jupytext": _FILTERS})
    lines = jupytext.writes(written, fmt="py:percent").splitlines(keepends=True)
    return "".join(_readable(line) if line.startswith("# %% ") else line for line in lines)


def _readable(header: str) -> str:
    r"""Write letters beyond ASCII in a cell's header as themselves.

    >>> print(_readable(r'# %% mystnb={"alt": "\u03bb, \\u"}'))
    # %% mystnb={"alt": "λ, \\u"}
    """
    return re.sub(r"(?<!\\)((?:\\\\)*)\\u(?!d[89a-f])([0-9a-f]{4})", lambda m: m[1] + chr(int(m[2], 16)), header)
