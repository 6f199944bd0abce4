"""Below each figure of a chapter: links to its data, to the drawing as a file, and to the code that drew it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.fileutil import copy_asset

from alignlib._core.safe_text import for_html

FOLDER = "figures"
_FIGURE = re.compile(
    r'(?P<start><figure [^>]*id="(?P<name>fig-[^"]+)"[^>]*>(?:(?!</figure>).)*?<img [^>]*?src="(?P<picture>[^"]+\.svg)"'
    r"(?:(?!</figure>).)*?)(?P<end></figcaption>)",
    re.DOTALL,
)


def name_cells(app: Sphinx, tree: nodes.document) -> None:
    """Give the code that draws a figure an anchor, before the figure may be moved away from it."""
    for cell in tree.findall(nodes.container):
        if "cell" not in cell.get("classes", ()):
            continue
        figure = next((one for one in cell.findall(nodes.figure) if one["ids"]), None)
        code = next((one for one in cell.findall(nodes.container) if "cell_input" in one["classes"]), None)
        if figure is not None and code is not None:
            code["ids"].append(f"code-{figure['ids'][0]}")


def link_files(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None) -> None:
    """Add the links to each figure of which there are files."""
    if "body" not in context:
        return
    root = "../" * page.count("/")

    def linked(match: re.Match[str]) -> str:
        name = match["name"]
        if not Path(app.srcdir, FOLDER, f"{name}.csv").is_file():
            return match[0]
        shown = for_html(name)
        files = [
            (f"{root}_{FOLDER}/{shown}.csv", "data (CSV)", f"{shown}.csv"),
            (match["picture"], "SVG", f"{shown}.svg"),
            (f"{root}_{FOLDER}/{shown}.pdf", "PDF", f"{shown}.pdf"),
        ]
        links = [f'<a href="{href}" download="{saved}">{said}</a>' for href, said, saved in files]
        if f'id="code-{shown}"' in context["body"]:
            links.append(f'<a href="#code-{shown}">code</a>')
        return f'{match["start"]}<p class="figure-files">This figure: {", ".join(links)}</p>{match["end"]}'

    context["body"] = _FIGURE.sub(linked, context["body"])


def copy_files(app: Sphinx, error: Exception | None) -> None:
    """Copy data and drawings beside the pages."""
    source = Path(app.srcdir, FOLDER)
    if error is None and app.builder.format == "html" and source.is_dir():
        copy_asset(source, Path(app.outdir, f"_{FOLDER}"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("doctree-read", name_cells, priority=400)  # before the picture of the answer is raised
    app.connect("html-page-context", link_files)
    app.connect("build-finished", copy_files)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
