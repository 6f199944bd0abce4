"""Which version of the estimator a count belongs to: a digest of its code, whatever its comments and docstrings say."""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

__all__ = ["code_version"]

_ROOT = Path(__file__).parents[2]
_COUNTED = ("alignlib/estimation", "alignlib/rules", "benchmarks/coverage/study.py", "benchmarks/coverage/truth.py")


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return eight hexadecimal digits, the same until a line that may change a count does."""
    found = hashlib.sha256()
    for name in _COUNTED:
        path = _ROOT / name
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if (
                    isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
                    and ast.get_docstring(node) is not None
                ):
                    node.body = node.body[1:]
            found.update(f"{file.name}\n{ast.dump(tree)}\n".encode())
    return found.hexdigest()[:8]
