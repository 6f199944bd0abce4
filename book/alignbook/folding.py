"""Cells of a page that open on request: its parameters, and in the book all code, so that text and pictures lead."""

from __future__ import annotations

from typing import Any

__all__ = ["fold"]

_PARAMETERS = {
    "parameters": "the parameters",
    "injected-parameters": "the parameters that were given",
}


def fold(node: Any, *, all_code: bool = False) -> None:
    """Hide cells behind a line that opens them.

    Parameters
    ----------
    node : notebook
        As JSON or as nbformat reads it; changed in place.
    all_code : bool
        Whether every cell of code is folded, rather than those of parameters only.
    """
    for cell in node["cells"]:
        if cell["cell_type"] != "code":
            continue
        tags = cell["metadata"].get("tags", [])
        named = [_PARAMETERS[tag] for tag in tags if tag in _PARAMETERS]
        if "hide-input" in tags or not (named or all_code):
            continue
        cell["metadata"]["tags"] = [*tags, "hide-input"]
        if named:
            said = {f"code_prompt_{verb.lower()}": f"{verb} {named[0]}" for verb in ("Show", "Hide")}
            cell["metadata"]["mystnb"] = {**cell["metadata"].get("mystnb", {}), **said}
