"""Where the notebooks live, and what each of them is: its script, title, parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nbformat import NotebookNode

from alignbook.pairing import read_script
from alignbook.parameters import Parameter, ParameterError, parse_cell
from alignlib._core.names import unknown_name

__all__ = ["Notebook", "Project", "find_project"]


@dataclass(frozen=True)
class Notebook:
    """One notebook, by its script ``notebooks/NN_topic.py``."""

    script: Path

    @property
    def name(self) -> str:
        """``NN_topic``."""
        return self.script.stem

    @property
    def node(self) -> NotebookNode:
        """The notebook as read from its script, without outputs."""
        return read_script(self.script)

    @cached_property
    def title(self) -> str:
        """The first top-level heading."""
        for cell in self.node.cells:
            for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
                if line.startswith("# "):
                    return str(line[2:].strip())
        raise ParameterError(f"{self.script.name} has no title: start it with a markdown cell '# Title'.")

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The declarations of the one cell tagged ``parameters``."""
        cells = [cell for cell in self.node.cells if "parameters" in cell.metadata.get("tags", [])]
        if len(cells) != 1:
            raise ParameterError(f"{self.script.name} needs exactly one cell tagged 'parameters'; it has {len(cells)}.")
        return parse_cell(cells[0].source, where=f"the parameters cell of {self.script.name}")


@dataclass(frozen=True)
class Project:
    """A folder with ``notebooks/``; everything generated goes to ``build/``."""

    root: Path

    @property
    def folder(self) -> Path:
        """Where the scripts are."""
        return self.root / "notebooks"

    @property
    def build(self) -> Path:
        """Where everything generated goes."""
        return self.root / "build"

    @property
    def claims_file(self) -> Path:
        """What the last build recorded of each notebook."""
        return self.build / "claims.json"

    @property
    def lock(self) -> Path:
        """The lock file of the environment."""
        return self.root / "requirements.lock"

    def notebooks(self) -> list[Notebook]:
        """All notebooks, by name."""
        return [Notebook(path) for path in _scripts(self.folder)]

    def find(self, name: str) -> Notebook:
        """Find a notebook by ``03_bounds``, ``03``, ``3`` or ``bounds``."""
        notebooks = self.notebooks()
        stem = Path(name).stem
        found = [n for n in notebooks if stem == n.name] or [
            n for n in notebooks if stem.zfill(2) in n.name.split("_", 1)
        ]
        if len(found) == 1:
            return found[0]
        names = [n.name for n in found or notebooks]
        if found:
            raise ParameterError(f"{name!r} could be any of {', '.join(names)}; say which.")
        topics = {n.name.split("_", 1)[-1]: n.name for n in notebooks}
        raise ParameterError(unknown_name("notebook", topics.get(stem, stem), names))


def find_project(start: Path | None = None) -> Project:
    """The project around ``start`` (the working directory), else the one this library lies in.

    Raises:
        ParameterError: where neither has a folder of notebooks.
    """
    start = start or Path.cwd()
    for root in (start, *start.parents, Path(__file__).resolve().parents[2]):
        if any(_scripts(root / "notebooks")):
            return Project(root)
    raise ParameterError(f"No folder 'notebooks' with NN_topic.py scripts at or above {start}; work inside a clone.")


def _scripts(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.glob("[0-9][0-9]_*.py")))
