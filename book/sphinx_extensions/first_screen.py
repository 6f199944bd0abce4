"""The first screen of a chapter: the question, the answer, a picture.

A chapter computes its picture where its code is ready for it. On the page it stands below the answer: the first
figure of the chapter, or the one whose cell has the tag ``answer-picture``. The notebook stays as it is.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

TAG = "tag_answer-picture"


def raise_picture(app: Sphinx, doctree: nodes.document) -> None:
    """Move the picture of a page that has an answer below it."""
    answer = next((node for node in doctree.findall(nodes.admonition) if "answer" in node["classes"]), None)
    if answer is None:
        return
    chosen = [node for node in doctree.findall(nodes.container) if TAG in node["classes"]]
    figure = next((figure for place in (*chosen, doctree) for figure in place.findall(nodes.figure)), None)
    if figure is not None and "explorer-instead" in figure.parent.get("classes", ()):
        figure = figure.parent.parent  # it stands in for the explorer, which has its place
    if figure is None or figure.parent is answer.parent:
        return
    figure.parent.remove(figure)
    answer.parent.insert(answer.parent.index(answer) + 1, figure)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("doctree-read", raise_picture)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
