"""What the library offers, read from its sources without importing it: rooms, doors, and where each name lives."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

__all__ = ["Library", "Named"]


@dataclass(frozen=True, order=True)
class Named:
    """A class, function or constant by the module it lives in."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """``module.name``."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Module:
    """One source file: what it offers, and what its imports and definitions stand for."""

    tree: ast.Module

    @cached_property
    def offered(self) -> tuple[str, ...]:
        """``__all__``, or nothing."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and any(
                isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
            ):
                return tuple(ast.literal_eval(node.value))
        return ()

    @cached_property
    def imports(self) -> dict[str, tuple[str, str]]:
        """Local name: module and name there; the name is empty for a module."""
        return dict(_imports(self.tree))

    def kind(self, name: str) -> str:
        """``class``, ``function`` or ``data``."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return "class"
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return "function"
        return "data"

    def first_sentence(self, name: str = "") -> str:
        """The first line of a docstring, of the module or of what it defines."""
        nodes = [n for n in self.tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == name]
        text = ast.get_docstring(nodes[0] if nodes else self.tree) if nodes or not name else None
        return " ".join((text or "").partition("\n\n")[0].split())


class Library:
    """The package at ``folder``.

    Parameters
    ----------
    folder : Path
        The folder of the package.
    leave_out : collection of str
        Rooms that are not read.
    """

    def __init__(self, folder: Path, leave_out: Collection[str] = ()) -> None:
        self.folder = folder
        self.modules: dict[str, Module] = {}
        for path in sorted(folder.rglob("*.py")):
            if path.relative_to(folder).parts[0].removesuffix(".py") in leave_out:
                continue
            parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
            if parts[-1] == "__init__":
                parts.pop()
            self.modules[".".join(parts)] = Module(ast.parse(path.read_text(encoding="utf-8")))

    def room(self, module: str) -> str:
        """The room that a module belongs to, such as ``alignlib.laws``."""
        return ".".join(module.split(".")[:2])

    def home(self, module: str, name: str) -> Named | None:
        """Follow imports to where a name is defined; None for a module and for what is not ours."""
        seen: set[tuple[str, str]] = set()
        while (module, name) not in seen:
            seen.add((module, name))
            if module not in self.modules:
                return None
            if f"{module}.{name}" in self.modules and name not in self.modules[module].offered:
                return None  # a module, and no function of that name hides it
            there = self.modules[module].imports.get(name)
            if there is None:
                return Named(module, name) if self._defines(module, name) else None
            module, name = there
            if not name:
                return None
        return None

    def door(self, room: str) -> list[Named]:
        """What a room's door offers, by where it lives."""
        found = (self.home(room, name) for name in self.modules[room].offered)
        return [named for named in found if named is not None]

    @cached_property
    def front_door(self) -> dict[str, Named]:
        """The names of the package itself."""
        package = self.modules[self.folder.name]
        homes = {name: self.home(self.folder.name, name) for name in package.imports}
        return {name: named for name, named in homes.items() if named is not None and not name.startswith("_")}

    def used(self, source: str) -> set[Named]:
        """What of the library a piece of Python uses, itself or through a module; what is not Python uses nothing."""
        try:
            tree = ast.parse(source)
        except SyntaxError:
            return set()
        local = dict(_imports(tree))
        found = set()
        for chain in _chains(tree):
            if chain[0] in local:
                module, name = local[chain[0]]
                found |= self._longest([*module.split("."), *([name] if name else []), *chain[1:]])
        return found

    def _longest(self, parts: list[str]) -> set[Named]:
        """The first name of ours along a dotted path, after as many modules as possible."""
        for depth in range(len(parts) - 1, 0, -1):
            named = self.home(".".join(parts[:depth]), parts[depth])
            if named is not None and ".".join(parts[:depth]) in self.modules:
                return {named}
        return set()

    def _defines(self, module: str, name: str) -> bool:
        for node in self.modules[module].tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                return True
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return True
        return False


def _imports(tree: ast.AST) -> Iterator[tuple[str, tuple[str, str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from ((alias.asname or alias.name, (node.module, alias.name)) for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or bound, (bound, "")


def _chains(tree: ast.AST) -> Iterable[list[str]]:
    """Every dotted chain of names that is read, such as ``["plotting", "curve"]``."""
    for node in ast.walk(tree):
        parts: list[str] = []
        inner = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
            yield [inner.id, *reversed(parts)]
