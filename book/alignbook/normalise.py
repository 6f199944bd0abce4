"""From an executed notebook to the same bytes on every run, with its generated numbers filled in."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any

import nbformat
from nbformat import NotebookNode

from alignbook.claims import MIME, Markdown
from alignbook.pairing import set_ids
from alignbook.rounding import written
from alignlib._core.safe_text import for_alt, for_markdown, for_math, lines_for_terminal

__all__ = ["collect", "fill", "normalise", "untidy"]

_ADDRESS = re.compile(r"\bat 0x[0-9a-f]+")
_KERNEL_FILE = re.compile(r"\S*ipykernel_\d+/\d+\.py")
_KERNEL_FILE_LINE = re.compile(r"^notebook:\d+: ")
_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*(?::([^{}]*))?\}\}")
_RECORDED = "application/papermill.record/text/plain"
_TABLE_HEAD = re.compile(r'(<table[^>]* class="dataframe">\s*<thead>)(.*?)(?=\s*</thead>)', re.DOTALL)
_ROW = re.compile(r"<tr[^>]*>(.*?)</tr>", re.DOTALL)
_HEADING = re.compile(r"<th([^>]*)>(.*?)</th>", re.DOTALL)
# Parts of Markdown in which running text does not stand: code (roles too) and mathematics.
_APART = re.compile(
    r"(?P<code>(?<!`)(?P<ticks>`{1,2})(?!`)[^`]+(?P=ticks)(?!`))"
    r"|^(?P<fence>`{3,})\{math\}.*?^(?P=fence)|(?<!\\)\$\$.*?\$\$|(?<![\\$])\$(?![\s$])[^$]*\$",
    re.DOTALL | re.MULTILINE,
)


def normalise(notebook: NotebookNode) -> None:
    """Remove what differs between two runs: timings, run metadata, ids, memory addresses, split streams."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": notebook.metadata.get("kernelspec", {}),
            "language_info": {"name": "python", "pygments_lexer": "ipython3"},
        }
    )
    for cell in notebook.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        if cell.cell_type == "code":
            cell.outputs = _merged([output for output in cell.outputs if not _mere_value(cell, output)])
            for output in cell.outputs:
                _scrub(output)
    set_ids(notebook)


def collect(notebook: NotebookNode) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Take the recorded claims out of the outputs; return them and the glued numbers."""
    claims: list[dict[str, Any]] = []
    numbers: dict[str, Any] = {}
    for _, output in _displays(notebook):
        claims += output.data.pop(MIME, [])
        glued = output.metadata.get("scrapbook")
        if glued is not None and _RECORDED in output.data:
            if glued["name"] in numbers:
                raise ValueError(f"the number {glued['name']!r} is glued twice; give each its own name.")
            value = _literal(output.data[_RECORDED])
            numbers[glued["name"]] = Markdown(value) if glued.get("markdown") else value
    return claims, numbers


def fill(notebook: NotebookNode, values: Mapping[str, object]) -> None:
    """Replace ``{{name}}`` and ``{{name:.3f}}`` in text cells, captions and alternative texts by generated values.

    A value that is text is shown as it is: it is escaped for where it stands (running text, mathematics, alternative
    text), unless the notebook made it as :class:`~alignbook.claims.Markdown`. What was filled in is not read again.

    A format that ends in ``-`` rounds down, as behind "at least", one that ends in ``+`` up.

    Raises
    ------
    ValueError
        For a name that is neither a parameter nor a glued number, a format it cannot take, or a text in code that is
        more than a word: nothing can be escaped there.
    """
    for index, cell in enumerate(notebook.cells, start=1):
        where = f"cell {index}"
        if cell.cell_type == "markdown":
            cell.source = _filled_markdown(cell.source, values, where)
        elif "mystnb" in cell.metadata:
            cell.metadata["mystnb"] = _filled_tree(cell.metadata["mystnb"], values, where)


def untidy(notebook: NotebookNode) -> list[str]:
    """Name what no page may show: warnings, addresses, pictures without caption or alt text."""
    found = []
    for index, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type != "code" or "remove-output" in cell.metadata.get("tags", []):
            continue
        options = cell.metadata.get("mystnb", {})
        text = "\n".join(_texts(cell.outputs))
        errors = [o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"]
        if errors:
            found.append(f"cell {index} writes to stderr: {_KERNEL_FILE_LINE.sub('', errors[0].splitlines()[0])}")
        if "at 0x…" in text:
            found.append(f"cell {index} shows a memory address; end its last line with ';'")
        if any(mime.startswith("image/") for o in cell.outputs for mime in o.get("data", {})):
            figure, image = options.get("figure", {}), options.get("image", {})
            missing = [f"figure.{key}" for key in ("caption", "name") if not figure.get(key)]
            missing += [] if image.get("alt") else ["image.alt"]
            if missing:
                found.append(f"cell {index} shows a picture without mystnb {', '.join(missing)}")
    return found


def _displays(notebook: NotebookNode) -> list[tuple[int, NotebookNode]]:
    return [
        (index, output)
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type in ("display_data", "execute_result")
    ]


def _merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream: where the kernel cuts them is a matter of timing."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last is not None and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def _mere_value(cell: NotebookNode, output: NotebookNode) -> bool:
    """Whether an output is only the value of a figure cell's last line, such as the axes it drew on."""
    is_figure = "figure" in cell.metadata.get("mystnb", {})
    return is_figure and output.output_type == "execute_result" and list(output.data) == ["text/plain"]


def _scrub(output: NotebookNode) -> None:
    if output.output_type == "stream":
        output.text = _seen(_clean(output.text))
    elif output.output_type == "error":
        output.evalue = _seen(_clean(output.evalue))
        output.traceback = [_clean(line) for line in output.traceback]
    else:
        for mime in ("text/plain", "text/html", "text/markdown"):
            if mime in output.data:
                output.data[mime] = _clean(output.data[mime])
        if "text/html" in output.data:
            output.data["text/html"] = _TABLE_HEAD.sub(_one_head, output.data["text/html"])
        if "text/plain" in output.data:
            output.data["text/plain"] = _seen(output.data["text/plain"])


def _one_head(table: re.Match[str]) -> str:
    """Return the head of a table of pandas with the names of its index in the row of its columns' names.

    Pandas gives them a row of their own, where the cells above columns are empty, as those above the index are in the
    row before. A cell that stays empty is no heading.
    """
    *above, last = rows = [_HEADING.findall(row) for row in _ROW.findall(table[2])]
    if above and len(above[-1]) == len(last) and not any("span" in marks for marks, _ in (*above[-1], *last)):
        pairs = list(zip(above[-1], last, strict=True))
        if all(not (upper and lower) for (_, upper), (_, lower) in pairs):
            rows = [*above[:-1], [(marks, upper or lower) for (marks, upper), (_, lower) in pairs]]
    lines = []
    for row in rows:
        cells = [f"<th{marks}>{text}</th>" if text else f"<td{marks}></td>" for marks, text in row]
        lines += ["    <tr>", *(f"      {cell}" for cell in cells), "    </tr>"]
    return "\n".join([table[1], *lines])


def _clean(text: str) -> str:
    return _KERNEL_FILE.sub("notebook", _ADDRESS.sub("at 0x…", text))


def _seen(text: str) -> str:
    """What a page shows as from a terminal: no character may hide, colour or turn what stands beside it."""
    return lines_for_terminal(text.split("\n"))


def _texts(outputs: list[NotebookNode]) -> list[str]:
    streams = [o.text for o in outputs if o.output_type == "stream"]
    return streams + [
        str(value) for o in outputs for mime, value in o.get("data", {}).items() if mime.startswith("text/")
    ]


def _filled_tree(tree: Any, values: Mapping[str, object], where: str, key: str = "") -> Any:
    """Fill the options of a cell: its caption is Markdown, all else of them plain text."""
    if isinstance(tree, dict):
        return nbformat.from_dict({name: _filled_tree(item, values, where, name) for name, item in tree.items()})
    if isinstance(tree, list):
        return [_filled_tree(item, values, where, key) for item in tree]
    if not isinstance(tree, str):
        return tree
    return _filled_markdown(tree, values, where) if key == "caption" else _filled(tree, values, where, for_alt)


def _filled_markdown(text: str, values: Mapping[str, object], where: str) -> str:
    filled, done = [], 0
    for match in _APART.finditer(text):
        filled.append(_filled(text[done : match.start()], values, where, for_markdown))
        filled.append(_filled(match[0], values, where, None if match["code"] else for_math))
        done = match.end()
    return "".join([*filled, _filled(text[done:], values, where, for_markdown)])


def _filled(text: str, values: Mapping[str, object], where: str, escape: Callable[[str], str] | None) -> str:
    def shown(match: re.Match[str], item: object) -> str:
        said = written(item, match[2] or "")
        if (isinstance(item, Markdown) and escape is for_markdown) or not isinstance(item, str):
            return said
        if escape is None:
            if re.fullmatch(r"[A-Za-z0-9_-]+", said):
                return said  # a plain word reads the same anywhere
            raise ValueError(f"{where} quotes {match[0]}, a text, in code; quote it in the running text.")
        return escape(said)

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            raise ValueError(
                f"{where} quotes {match[0]}, but {name!r} is neither a parameter nor a glued number; "
                f"known are {', '.join(sorted(values))}."
            )
        value = values[name]
        try:
            written(next(iter(value), "") if isinstance(value, list) else value, match[2] or "")
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where} quotes {match[0]}, but {name} is {value!r}: {error}.") from error
        return ", ".join(shown(match, item) for item in (value if isinstance(value, list) else [value]))

    return _PLACEHOLDER.sub(replacement, text)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except ValueError:
        return float(text)  # inf and nan, which are not literals
