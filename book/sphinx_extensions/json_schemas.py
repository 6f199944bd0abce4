"""The directive ``json-schema``: the fields of what a command writes as JSON, from the schema that its output names."""

from __future__ import annotations

import json
import re
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
        document = self.arguments[0]
        found = schema(document)
        places = {name: f"json-{document}-{name}".replace("_", "-") for name in found.get("$defs", {})}
        out: list[nodes.Node] = [_fields(found, places)]
        for name, part in found.get("$defs", {}).items():
            heading = nodes.paragraph("", "", nodes.strong("", name), nodes.Text(f": {part['description']}"))
            heading["ids"] = [places[name]]
            out += [heading, _fields(part, places)]
        return out


def _fields(part: dict[str, Any], places: dict[str, str]) -> nodes.definition_list:
    """The fields of an object; where one holds objects, their name leads to the paragraph that has that id."""
    items = []
    for name, field in part["properties"].items():
        term = nodes.term("", "", nodes.literal("", name), nodes.Text(" ("))
        for word in re.split(r"(\w+)", kind(field)):
            linked = word in places and f'"#/$defs/{word}"' in json.dumps(field)
            term += nodes.reference("", word, internal=True, refid=places[word]) if linked else nodes.Text(word)
        term += nodes.Text(")")
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
    held = field.get("items", field.get("additionalProperties"))
    items = f" of {kind(held)}" if isinstance(held, dict) else ""
    containers = {"array": f"list{items}", "object": f"object{items}"}
    return " or ".join(containers.get(name, name) for name in names)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("json-schema", JsonSchema)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
