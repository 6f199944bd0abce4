"""The explorer: a picture that readers move. A page has it by the directive ``explorer``; its scripts load only there.

What stands in the directive is shown where scripts do not run, and on paper.
"""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SCRIPTS = ("maths", "table", "support", "picture", "explorer")


class ExplorerBox(SphinxDirective):
    """A box that the script fills; ``:small:`` leaves the reader's table and the finer controls to the full page."""

    has_content = True
    option_spec: ClassVar = {"small": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return the box around what stands in for it."""
        kinds = ["explorer", "explorer-small"] if "small" in self.options else ["explorer"]
        instead = nodes.container(classes=["explorer-instead"])
        self.state.nested_parse(self.content, self.content_offset, instead)
        self.env.metadata[self.env.docname]["explorer"] = True
        return [nodes.container("", instead, classes=kinds)]


def load_scripts(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """Load the scripts on pages with an explorer."""
    if app.env.metadata.get(page, {}).get("explorer"):
        for name in SCRIPTS:
            app.add_js_file(f"explorer/{name}.js")
        app.add_css_file("explorer/explorer.css")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("explorer", ExplorerBox)
    app.connect("html-page-context", load_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
