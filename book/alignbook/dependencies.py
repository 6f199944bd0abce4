"""Which source files of our packages a notebook depends on, found without running anything."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

__all__ = ["library_files", "mentioned_files"]


def library_files(source: str, *packages: Path) -> list[Path]:
    """Return the files of ``packages`` that ``source`` imports, directly or not, sorted.

    Where the imports cannot be told from the text (``import alignlib``, an imported name that is no module,
    ``importlib``, text that is not Python), all files are returned: better one execution too many than an old number.
    """
    everything = {p for root in packages for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    needed = {path for path in everything if path.suffix != ".py"}  # data files: styles and the like
    tree = _parsed(source)
    waiting = None if tree is None else _imports(tree, packages)
    while waiting is not None and waiting - needed:
        path = (waiting - needed).pop()
        needed.add(path)
        further = _imports_of(path, path.stat().st_mtime_ns, packages)
        waiting = None if further is None else waiting | further
    return sorted(everything if waiting is None else needed)


def mentioned_files(source: str, folder: Path) -> list[Path]:
    """Return the existing files, relative to ``folder``, that text literals of ``source`` name."""
    tree = _parsed(source)
    if tree is None:
        return []
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    candidates = (folder / text for text in texts if 0 < len(text) < 200 and "\n" not in text and "\0" not in text)
    return sorted(path for path in candidates if path.is_file())


def _parsed(source: str) -> ast.AST | None:
    """The syntax tree, or None for what is not Python: the notebook says so itself when it runs."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return None


@cache
def _imports_of(path: Path, modified: int, packages: tuple[Path, ...]) -> set[Path] | None:
    return _imports(ast.parse(path.read_text(encoding="utf-8")), packages)


def _imports(tree: ast.AST, packages: tuple[Path, ...]) -> set[Path] | None:
    """Files imported by a syntax tree, or None where that cannot be known."""
    known = {package.name: package for package in packages}
    found: set[Path] = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if package := known.get(node.module.split(".")[0]):
                names = [_submodule(node.module, alias.name, package) for alias in node.names]
        for name in names:
            if name.split(".")[0] == "importlib":
                return None
            if package := known.get(name.split(".")[0]):
                files = _files(name, package)
                if files is None:
                    return None
                found |= files
    return found


def _submodule(module: str, name: str, package: Path) -> str:
    """``alignlib.x`` for ``from alignlib import x`` where x is a module, else ``alignlib``."""
    return f"{module}.{name}" if _files(f"{module}.{name}", package) is not None else module


def _files(module: str, package: Path) -> set[Path] | None:
    """The file of a module and the ``__init__`` of each package above it; None for the bare package."""
    parts = module.split(".")[1:]
    if not parts:
        return None
    target = package.joinpath(*parts)
    file = target.with_suffix(".py") if target.with_suffix(".py").is_file() else target / "__init__.py"
    if not file.is_file():
        return None
    above = {package.joinpath(*parts[:depth], "__init__.py") for depth in range(len(parts))}
    return {path for path in above | {file} if path.is_file()}
