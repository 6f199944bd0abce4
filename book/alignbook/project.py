"""Where the notebooks live, and what each page made of them is: its script, title, parameters."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import yaml
from nbformat import NotebookNode

from alignbook.conditions import check_conditions
from alignbook.pairing import read_script, read_source
from alignbook.parameters import Parameter, ParameterError, Value, parse_cell
from alignlib._core.errors import InputError, quoted
from alignlib._core.names import unknown_name

__all__ = ["Notebook", "Project", "another_clone", "find_clone", "own_project"]

_DISTRIBUTION = "alignment-limits"
_ONLY = "only-"


@dataclass(frozen=True)
class Notebook:
    """One page: the script ``notebooks/NN_topic.py``, or, where the script gives several, one of them.

    ``page`` is the page's own name and ``fixed`` the parameters whose defaults it changes, as ``notebooks/pages.yml``
    says.
    """

    script: Path
    page: str = ""
    fixed: Mapping[str, Value] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``NN_topic``."""
        return self.page or self.script.stem

    @property
    def node(self) -> NotebookNode:
        """The notebook as read from its script, without outputs and without what belongs to other pages."""
        node = read_script(self.script)
        if self.page:
            node.cells = [cell for cell in node.cells if _belongs(cell, self.page)]
            if self.page != self.script.stem:
                _name_figures_apart(node, self.page)
            _change_defaults(_parameters_cell(node, self.script.name), self.fixed)
        return node

    @cached_property
    def title(self) -> str:
        """The first top-level heading."""
        for cell in self.node.cells:
            for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
                if line.startswith("# "):
                    return self.with_defaults(str(line[2:].strip()))
        raise ParameterError(f"{self.script.name} has no title: start it with a markdown cell '# Title'.")

    @property
    def text(self) -> str:
        """The cells of text, one after another."""
        return "\n\n".join(cell.source for cell in self.node.cells if cell.cell_type == "markdown")

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The declarations of the one cell tagged ``parameters``."""
        cell = _parameters_cell(self.node, self.script.name)
        return parse_cell(cell.source, where=f"the parameters cell of {self.script.name}")

    def check(self, values: Mapping[str, Value]) -> None:
        """Refuse values that do not fit together, before anything runs (`alignbook.conditions`).

        Raises
        ------
        ParameterError
            In a sentence.
        """
        defaults = {
            name: str(self.script.parent / parameter.default)  # wherever this is run
            if parameter.range.file and isinstance(parameter.default, str)
            else parameter.default
            for name, parameter in self.parameters.items()
        }
        for cell in self.node.cells:
            if "conditions" in cell.metadata.get("tags", []):
                check_conditions(cell.source, {**defaults, **values})

    def with_defaults(self, text: str) -> str:
        """Put the parameters that this page fixes into a text that is wanted before anything runs."""
        for name, value in words(self.fixed).items():
            text = text.replace(f"{{{{{name}}}}}", str(value))
        return text


def words(values: Mapping[str, Value]) -> dict[str, Value]:
    """Values by name, and texts also by capitalised name with a capital, for the beginning of a sentence.

    >>> words({"task": "safety", "n": 2})
    {'task': 'safety', 'n': 2, 'Task': 'Safety'}
    """
    texts = {name.capitalize(): value[:1].upper() + value[1:] for name, value in values.items() if type(value) is str}
    return dict(values) | {name: value for name, value in texts.items() if name not in values}


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

    def scripts(self) -> list[Path]:
        """All scripts, by name."""
        return sorted(self.folder.glob("[0-9][0-9]_*.py"))

    def notebooks(self) -> list[Notebook]:
        """All pages, by name: each script is one, or those that ``notebooks/pages.yml`` lists for it."""
        scripts = {path.stem: path for path in self.scripts()}
        listed = list(self._listed(scripts))
        several = {notebook.script.stem for notebook in listed}
        alone = [Notebook(path) for stem, path in scripts.items() if stem not in several]
        return sorted([*listed, *alone], key=lambda notebook: notebook.name)

    def _listed(self, scripts: Mapping[str, Path]) -> Iterator[Notebook]:
        file = self.folder / "pages.yml"
        for page, entry in _pages(file).items():
            fixed = dict(entry)
            script = str(fixed.pop("script"))
            if script not in scripts:
                raise ParameterError(f"{file} makes the page {page} from {script!r}, but there is no {script}.py.")
            yield Notebook(scripts[script], page, fixed)

    def find(self, name: str) -> Notebook:
        """Find a page by ``03_bounds``, ``03``, ``3``, ``bounds`` or the path of its file here.

        Raises
        ------
        ParameterError
            For any other name: a file that lies elsewhere is not this project's, whatever it is called.
        """
        notebooks, path = self.notebooks(), Path(name)
        ours = path.parent == Path() or path.resolve().parent == self.folder.resolve()
        if not ours or (path.parent != Path() and not path.exists()):
            raise ParameterError(
                f"{name!r} is no notebook of this project; give its name, as `alignlib run --list` shows it."
            )
        if not name.strip():
            raise ParameterError("The name of the notebook is empty; give one that `alignlib run --list` shows.")
        stem = path.stem
        found = [n for n in notebooks if stem == n.name] or [n for n in notebooks if stem == n.script.stem]
        found = found or [n for n in notebooks if stem.zfill(2) in n.name.split("_", 1)]
        if len(found) == 1:
            return found[0]
        names = [n.name for n in found or notebooks]
        if found:
            raise ParameterError(f"{name!r} could be any of {', '.join(names)}; say which.")
        topics = {n.name.split("_", 1)[-1]: n.name for n in notebooks}
        raise ParameterError(unknown_name("notebook", topics.get(stem, stem), names))


def _pages(file: Path) -> dict[str, dict[str, Value]]:
    """Return what ``notebooks/pages.yml`` lists, by page: its script and the parameters that it fixes."""
    try:
        entries = yaml.safe_load(read_source(file)) if file.exists() else None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise ParameterError(f"{file} is no YAML that can be read ({' '.join(str(error).split()):.200}).") from None
    if not isinstance(entries or {}, dict):
        raise ParameterError(f"{file} is no list of pages by name; give NAME: {{script: NN_topic, …}} for each.")
    for page, entry in (entries or {}).items():
        if not (isinstance(page, str) and isinstance(entry, dict) and isinstance(entry.get("script"), str)):
            raise ParameterError(f"{file} names no script for the page {quoted(page)}; give script: NN_topic.")
    return entries or {}


def find_clone(start: Path | None = None) -> Project:
    """The clone of this project around ``start`` (the working directory).

    Raises
    ------
    ParameterError
        Where there is none.
    """
    start = (start or Path.cwd()).resolve()
    for root in (start, *start.parents):
        if _is_clone(root):
            return Project(root)
    raise ParameterError(f"{start} is in no clone of {_DISTRIBUTION}; change into one.")


def own_project() -> Project:
    """The notebooks that belong to this library: those of the clone that it is imported from, or those shipped."""
    here = Path(__file__).resolve().parent
    return Project(here.parents[1] if _is_clone(here.parents[1]) else here / "shipped")


def another_clone() -> Path | None:
    """The clone around the working directory where it is not the one that this library is imported from; else None.

    Its notebooks are not run: a folder that was downloaded may call itself a clone.
    """
    try:
        found = find_clone().root.resolve()
    except ParameterError:
        return None
    return None if found == own_project().root.resolve() else found


def _is_clone(root: Path) -> bool:
    """Whether a folder is a clone of this project: another project's ``notebooks`` are not run by our commands."""
    try:
        data = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    name = data.get("project", {}).get("name")
    return name == _DISTRIBUTION and any((root / "notebooks").glob("[0-9][0-9]_*.py"))


def _parameters_cell(node: NotebookNode, name: str) -> NotebookNode:
    cells = [cell for cell in node.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ParameterError(f"{name} needs exactly one cell tagged 'parameters'; it has {len(cells)}.")
    cell: NotebookNode = cells[0]
    return cell


def _belongs(cell: NotebookNode, page: str) -> bool:
    """Whether a cell is on a page; its tags ``only-…`` have then served."""
    tags = cell.metadata.get("tags", [])
    pages = {tag.removeprefix(_ONLY) for tag in tags if tag.startswith(_ONLY)}
    if pages:
        cell.metadata["tags"] = [tag for tag in tags if not tag.startswith(_ONLY)]
        if not cell.metadata["tags"]:
            del cell.metadata["tags"]
    return not pages or page in pages


def _name_figures_apart(node: NotebookNode, page: str) -> None:
    """Give the figures of a further page of a script names of their own, with its number; in its text too."""
    figures = [cell.metadata.get("mystnb", {}).get("figure", {}) for cell in node.cells]
    for figure in figures:
        name = figure.get("name", "{{")
        if "{{" in name:  # a parameter that the page fixes tells its names apart
            continue
        figure["name"] = f"{name}-{page.split('_', 1)[0]}"
        for cell in node.cells:
            cell.source = cell.source.replace(f"`{name}`", f"`{figure['name']}`")


def _change_defaults(cell: NotebookNode, fixed: Mapping[str, Value]) -> None:
    for name, value in fixed.items():
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
        pattern = rf"^({re.escape(name)}: [^=]+ = ).*?(  # )"
        cell.source, n = re.subn(pattern, lambda m, text=text: m[1] + text + m[2], cell.source, flags=re.M)  # type: ignore[misc]
        if n != 1:
            raise ParameterError(f"notebooks/pages.yml gives {name!r}, which is no parameter of that script.")
