"""Texts of a notebook without where its files lay while it ran."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["renamed", "without_places"]


def without_places(notebook: str, names: Mapping[str, str]) -> str:
    """Name files and folders otherwise, in the text of an executed notebook: in its record and among its parameters."""
    data = json.loads(notebook)
    data["metadata"] = renamed(data["metadata"], names)
    written = {_assigned(place): _assigned(name) for place, name in names.items()}
    for cell in data["cells"]:
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


def _assigned(text: str) -> str:
    """The text as the cell of parameters writes it."""
    from papermill.translators import PythonTranslator

    return str(PythonTranslator.translate(text))
