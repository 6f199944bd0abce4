"""The directive ``json-schema``: the fields of what a command writes as JSON, from the schema that its output names."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from alignlib.answers.output.render import schema


class JsonSchema(SphinxDirective):
    """``{json-schema} frontier``: a list of fields for the document and each kind of entry in it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the lists."""
        found = schema(self.arguments[0])
        out: list[nodes.Node] = [_fields(found)]
        for name, part in found.get("$defs", {}).items():
            out += [
                nodes.paragraph("", "", nodes.strong("", name), nodes.Text(f": {part['description']}")),
                _fields(part),
            ]
        return out


def _fields(part: dict[str, Any]) -> nodes.definition_list:
    items = []
    for name, field in part["properties"].items():
        term = nodes.term("", "", nodes.literal("", name), nodes.Text(f" ({kind(field)})"))
        meaning = nodes.definition("", nodes.paragraph("", field["description"]))
        items.append(nodes.definition_list_item("", term, meaning))
    return nodes.definition_list("", *items)


def kind(field: dict[str, Any]) -> str:
    """Return the type of a field in words.

    >>> kind({"type": "array", "items": {"$ref": "#/$defs/limit"}}), kind({"type": ["number", "null"]})
    ('list of limit', 'number or null')
    """
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in field:
        return " or ".join(map(kind, field["anyOf"]))
    if "const" in field:
        return f"always {field['const']}"
    if "enum" in field:
        return " or ".join("null" if value is None else str(value) for value in field["enum"])
    names = [field["type"]] if isinstance(field["type"], str) else field["type"]
    items = f" of {kind(field['items'])}" if "items" in field else ""
    return " or ".join("list" + items if name == "array" else name for name in names)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("json-schema", JsonSchema)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
