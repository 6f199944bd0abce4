"""Docstrings on the pages of the library: formulas as mathematics, names in backticks as links."""

from __future__ import annotations

import json
from inspect import getdoc
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from alignbook.api_pages import NAMES_FILE
from alignbook.formulas import with_links


def set_docstring(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Change the lines in place, before numpydoc reads them."""
    # A number or text has no docstring of its own and would show that of its type. Of a table the names are enough:
    # what they stand for may say where it lies in memory, which differs from build to build.
    if what == "data" and type(obj).__module__ == "builtins" and "\n".join(lines).strip() == getdoc(type(obj)):
        names = ", ".join(f"``{name!r}``" for name in obj) if isinstance(obj, dict) else ""
        lines[:] = [f"By name: {names}." if names else f"``{obj!r}``", ""]
    lines[:] = with_links("\n".join(lines), app.config.library_names).split("\n")


def read_names(app: Sphinx, config: Any) -> None:
    """Read where each name is documented; the build has written it beside the pages."""
    file = Path(app.srcdir, NAMES_FILE)
    config.library_names = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_config_value("library_names", {}, "env")
    app.connect("config-inited", read_names)
    app.connect("autodoc-process-docstring", set_docstring, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
