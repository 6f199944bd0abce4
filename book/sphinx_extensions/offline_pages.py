"""Pages that read offline and from ``file://``, may load nothing from elsewhere, and name the parts of a bibliography
as ARIA knows them.

MathJax comes from the package ``sphinx-mathjax-offline``. That package copies every MathJax build (25 MB);
a page loads one of them, its web fonts and, for rare commands, a TeX extension, so only those are copied.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.fileutil import copy_asset

NEEDED = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions")

# MathJax and the theme write styles and scripts into the page, so inline ones must be allowed.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'"
)


def mathjax_folder() -> Path:
    """Return the folder of MathJax files; the package that holds it has a name that cannot be imported."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("package sphinx-mathjax-offline is not installed; run `make book`")
    return Path(spec.origin).parent / "static" / "mathjax"


def copy_needed(app: Sphinx, error: Exception | None) -> None:
    """Copy what the pages load into ``_static/mathjax``."""
    if error is not None or app.builder.format != "html":
        return
    source, target = mathjax_folder(), Path(app.outdir, "_static", "mathjax")
    for name in NEEDED:
        item = source / name
        copy_asset(item, target / name if item.is_dir() else (target / name).parent)


def forbid_the_rest(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """Tell the browser that a page needs nothing from outside the book."""
    meta = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />'
    context["metatags"] = f"{meta}\n{context.get('metatags', '')}"


def name_list_items(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """Replace the deprecated role of a bibliography's entries by the one its list demands."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.config.mathjax_path = "mathjax/tex-chtml.js"  # type: ignore[attr-defined]
    app.connect("html-page-context", forbid_the_rest)
    app.connect("html-page-context", name_list_items)
    app.connect("build-finished", copy_needed)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
