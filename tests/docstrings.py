"""Docstrings as the sources have them: what is public, its arguments, and what each section names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from textwrap import dedent

__all__ = ["Documented", "documented", "offered_by", "shows_use", "without_session"]

_RULE = re.compile(r"-{3,}")
_TYPED = ("Parameters", "Attributes")
_NOT_CALLED = {"property", "cached_property", "setter", "overload"}


@dataclass(frozen=True)
class Documented:
    """A function, method or class with its docstring."""

    module: str
    name: str
    node: ast.FunctionDef | ast.ClassDef
    arguments: tuple[str, ...]
    inherits: bool  # a method that has its sections where it is first defined

    @property
    def path(self) -> str:
        """Module and name."""
        return f"{self.module}.{self.name}"

    @property
    def is_function(self) -> bool:
        """Whether it is a function of its module, and no method."""
        return isinstance(self.node, ast.FunctionDef) and "." not in self.name

    @property
    def text(self) -> str:
        """The docstring."""
        return ast.get_docstring(self.node) or ""

    def section(self, *titles: str) -> list[str] | None:
        """Names at the heads of the entries of sections; None where there is no such section."""
        if not any(f"{title}\n---" in self.text for title in titles):
            return None
        found: list[str] = []
        inside = False
        lines = [*self.text.splitlines(), ""]
        for line, below in pairwise(lines):
            if _RULE.fullmatch(below):
                inside = line in titles
            elif inside and line and not line.startswith((" ", "-")):
                found += line.partition(" : ")[0].split(", ")
        return found

    @property
    def untyped(self) -> list[str]:
        """Entries of parameters and attributes that do not say what they are."""
        entries = re.split(r"^(\w[\w ]*)\n-{3,}$", self.text, flags=re.MULTILINE)
        kept = [body for title, body in zip(entries[1::2], entries[2::2], strict=True) if title in _TYPED]
        heads = [line for body in kept for line in body.splitlines() if line and line[0] not in " -"]
        return [head for head in heads if " : " not in head]


def documented(trees: Mapping[str, ast.Module], among: Iterable[ast.Module]) -> list[Documented]:
    """All without a leading underscore, with the public methods of classes; ``among`` are their ancestors."""
    classes: dict[str, list[ast.ClassDef]] = {}
    for tree in among:
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, []).append(node)
    return [one for module, tree in trees.items() for one in _of_module(module, tree, classes)]


def _of_module(module: str, tree: ast.Module, classes: Mapping[str, list[ast.ClassDef]]) -> Iterator[Documented]:
    named = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    offered = offered_by(tree) | {name for name in named if not name.startswith("_")}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in offered:
            yield Documented(module, node.name, node, _arguments(node, False), False)
        elif isinstance(node, ast.ClassDef) and node.name in offered:
            before = list(_ancestors(node, classes))
            yield Documented(module, node.name, node, _fields(node, before), False)
            known = {part.name for one in before for part in one.body if isinstance(part, ast.FunctionDef)}
            for part in node.body:
                public = isinstance(part, ast.FunctionDef) and not part.name.startswith("_")
                if public and not _decorators(part) & _NOT_CALLED and ast.get_docstring(part):
                    name = f"{node.name}.{part.name}"
                    yield Documented(module, name, part, _arguments(part, True), part.name in known)


def without_session(text: str) -> str:
    """The Python of a docstring's last block of code: an example that needs a model, which a test of `lm` runs."""
    return dedent(text.partition(".. code-block:: python\n")[2])


def shows_use(text: str) -> bool:
    """Whether a docstring has an example."""
    return ">>>" in text or bool(without_session(text))


def offered_by(tree: ast.Module) -> set[str]:
    """What ``__all__`` of a module names."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return set(ast.literal_eval(node.value))
    return set()


def _ancestors(node: ast.ClassDef, classes: Mapping[str, list[ast.ClassDef]]) -> Iterator[ast.ClassDef]:
    for base in node.bases:
        for found in classes.get(ast.unparse(base).partition("[")[0].rpartition(".")[2], []):
            if found is not node:
                yield found
                yield from _ancestors(found, classes)


def _decorators(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    return {ast.unparse(one).partition("(")[0].rpartition(".")[2] for one in node.decorator_list}


def _arguments(node: ast.FunctionDef, method: bool) -> tuple[str, ...]:
    given = node.args
    names = [one.arg for one in (*given.posonlyargs, *given.args)]
    names = names[1:] if method and "staticmethod" not in _decorators(node) else names
    names += [f"*{given.vararg.arg}"] if given.vararg else []
    names += [one.arg for one in given.kwonlyargs]
    return (*names, *([f"**{given.kwarg.arg}"] if given.kwarg else []))


def _fields(node: ast.ClassDef, before: Iterable[ast.ClassDef]) -> tuple[str, ...]:
    """What the class itself is made from: the arguments of its ``__init__``, or its fields if it is a dataclass."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return _arguments(part, True)
    if "dataclass" not in _decorators(node):
        return ()
    known = {part.target.id for one in before for part in one.body if _is_field(part)}  # they are explained there
    return tuple(part.target.id for part in node.body if _is_field(part) and part.target.id not in known)


def _is_field(part: ast.stmt) -> bool:
    if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name) or part.target.id.startswith("_"):
        return False
    said = f"{ast.unparse(part.annotation)} {ast.unparse(part.value) if part.value else ''}"
    return "ClassVar" not in said and "init=False" not in said
