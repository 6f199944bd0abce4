"""Texts of a notebook without where its files lay while it ran."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from alignlib._core.safe_text import for_markdown

__all__ = ["renamed", "without_places"]


def without_places(notebook: str, names: Mapping[str, str]) -> str:
    """Name files and folders otherwise, in the text of an executed notebook: record, parameters, and what was shown."""
    data = json.loads(notebook)
    spelled = {spell(place): spell(name) for place, name in names.items() for spell in (str, html.escape, for_markdown)}
    # Of a bare name there is no telling what it names within a text.
    spelled = {place: name for place, name in spelled.items() if place != name and ("/" in place or "\\" in place)}
    data["metadata"] = _within(renamed(data["metadata"], names), spelled)
    written = {_assigned(place): _assigned(name) for place, name in names.items()}
    for cell in data["cells"]:
        cell["outputs"] = _within(cell.get("outputs", []), spelled)
        if cell["cell_type"] != "code":
            del cell["outputs"]
            cell["source"] = _within(cell["source"], spelled)
        if "injected-parameters" in cell["metadata"].get("tags", []):
            lines = "".join(cell["source"]).split("\n")
            parts = [line.partition(" = ") for line in lines]
            cell["source"] = "\n".join(f"{key}{sign}{written.get(value, value)}" for key, sign, value in parts)
    return json.dumps(data, ensure_ascii=False, indent=1)


def renamed(data: Any, names: Mapping[str, str]) -> Any:
    """Return data of JSON with each text that is a key of ``names`` replaced.

    >>> renamed({"a": ["/tmp/x", 1]}, {"/tmp/x": "x"})
    {'a': ['x', 1]}
    """
    if isinstance(data, dict):
        return {key: renamed(item, names) for key, item in data.items()}
    if isinstance(data, list):
        return [renamed(item, names) for item in data]
    return names.get(data, data) if isinstance(data, str) else data


def _within(data: Any, spelled: Mapping[str, str]) -> Any:
    """Return data of JSON with every place that its texts mention called by its name, the longest place first."""
    if isinstance(data, dict):
        return {key: _within(item, spelled) for key, item in data.items()}
    if isinstance(data, list):
        return [_within(item, spelled) for item in data]
    if isinstance(data, str):
        for place in sorted(spelled, key=len, reverse=True):
            data = data.replace(place, spelled[place])
    return data


def _assigned(text: str) -> str:
    """The text as the cell of parameters writes it."""
    from papermill.translators import PythonTranslator

    return str(PythonTranslator.translate(text))
