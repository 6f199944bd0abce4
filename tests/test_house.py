"""The shape of the house: what a room may import, read off the sources without running them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.docstrings import Documented, documented, offered_by, shows_use

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "alignlib"
ABOVE = {"alignbook": ROOT / "book" / "alignbook", "_pages": ROOT / "notebooks" / "_pages"}
MOST_ROOMS = 22
MOST_FLOORS = 10


# One process has all of these tests: it parses the sources once.
pytestmark = pytest.mark.xdist_group("house")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def rooms() -> dict[str, list[Path]]:
    """Files of each room: a folder or a single module at the top of the library, and what stands beside it."""
    found: dict[str, list[Path]] = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        found.setdefault(path.relative_to(LIBRARY).parts[0].removesuffix(".py"), []).append(path)
    return found | {name: sorted(folder.rglob("*.py")) for name, folder in ABOVE.items()}


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Dotted names of our modules that a file imports anywhere, in functions and for types too."""

    def walk() -> Iterator[str]:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    return tuple(name for name in walk() if name.split(".")[0] in {"alignlib", *ABOVE})


def room_of(name: str) -> str:
    first, *rest = name.split(".")
    if first != "alignlib":
        return first
    known = bool(rest) and ((LIBRARY / rest[0]).is_dir() or (LIBRARY / f"{rest[0]}.py").is_file())
    return rest[0] if known else "__init__"


def arrows() -> dict[str, set[str]]:
    return {
        room: {room_of(name) for path in paths for name in imports(path)} - {room} for room, paths in rooms().items()
    }


def test_no_circle_and_few_floors() -> None:
    below = arrows()
    floor: dict[str, int] = {}
    for room in TopologicalSorter(below).static_order():  # raises where there is a circle
        floor[room] = 1 + max((floor[other] for other in below[room]), default=0)
    assert max(floor.values()) <= MOST_FLOORS, sorted(floor.items(), key=lambda item: item[1])
    assert floor["_core"] == 1
    assert floor["laws"] < floor["rules"] < floor["estimation"] < floor["answers"] < floor["cli"]


@cache
def file_arrows() -> dict[str, set[str]]:
    """Which files each file imports, in functions and for types too; a door stands for what it does itself."""
    files = {
        ".".join((top, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__"): path
        for top, folder in {"alignlib": LIBRARY, **ABOVE}.items()
        for path in sorted(folder.rglob("*.py"))
    }

    def file_of(name: str) -> str | None:
        while name and name not in files:
            name = name.rpartition(".")[0]
        return name or None

    return {
        file: {found for name in imports(path) if (found := file_of(name))} - {file} for file, path in files.items()
    }


def circles(below: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle_between_files() -> None:
    assert len(file_arrows()) > 400
    assert sum(map(len, file_arrows().values())) > 2000
    assert circles(file_arrows()) == []


def test_no_circle_between_the_boxes_of_a_folder() -> None:
    """At every level: the files of a folder and its subfolders, each with all that is in it."""
    folders = {file.rpartition(".")[0] for file in file_arrows()} - {""}
    assert {"alignlib", "alignlib.lm", "alignlib.lm.methods", "alignlib.tables.formats"} <= folders

    def box(folder: str, file: str) -> str:
        return file.removeprefix(folder).removeprefix(".").partition(".")[0] or "__init__"

    for folder in sorted(folders):
        boxes: dict[str, set[str]] = {}
        for file, below in file_arrows().items():
            for other in below:
                if all(f"{name}.".startswith(f"{folder}.") for name in (file, other)):
                    boxes.setdefault(box(folder, file), set()).add(box(folder, other))
        assert circles({name: below - {name} for name, below in boxes.items()}) == [], folder


def test_few_rooms() -> None:
    names = [name for name in rooms() if name not in ABOVE and name not in ("__init__", "__main__")]
    assert len(names) <= MOST_ROOMS, names


@pytest.mark.parametrize("room", sorted(rooms()))
def test_nobody_looks_into_another_rooms_private_modules(room: str) -> None:
    private = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in rooms()[room]
        for name in imports(path)
        if room_of(name) not in (room, "_core", "_pages")
        and any(part.startswith("_") and not part.startswith("__") for part in name.split(".")[1:])
    ]
    assert not private, private


def test_every_room_is_on_the_map_below_what_it_uses() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    text = text.partition("Beside the library:")[0]
    listed = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted({*rooms()} - {*ABOVE, "__init__", "__main__"})
    for room, below in arrows().items():
        if room in listed:
            late = [other for other in below if other in listed and listed.index(other) > listed.index(room)]
            assert not late, f"{room} uses {late}, which the map has further down"


# Objects that are what they are, whatever they hold: two fits of one table draw on, two laws may differ in a function.
THEMSELVES = {"Fit", "SumLaw"}
ARRAY = re.compile(r"Array|ndarray|Tensor|DataFrame")


def test_a_dataclass_with_arrays_compares_without_an_error() -> None:
    """The equality that `dataclass` makes asks whether an array is true."""
    wrong, seen = [], 0
    for path in sorted(path for paths in rooms().values() for path in paths):
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ClassDef):
                continue
            made = [text for text in map(ast.unparse, node.decorator_list) if text.startswith("dataclass")]
            types = [ast.unparse(part.annotation) for part in node.body if isinstance(part, ast.AnnAssign)]
            held = [text for text in types if ARRAY.search(text) and not re.search(r"ClassVar|Callable", text)]
            if not made or not held:
                continue
            seen += 1
            bases = {ast.unparse(base) for base in node.bases}
            inherits = bool(bases & {"SameFields", "Frontier"}) or node.name in THEMSELVES
            if "eq=False" not in made[0] or not (inherits or any("Tensor" in text for text in held)):
                wrong.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert seen > 60
    assert wrong == [], f"{wrong}: say eq=False and inherit alignlib._core.same.SameFields"


# Where a seed is data: the key of a draw among many, or of a run of training (all of `lm`), written down with it.
SEEDS = {"uniforms"}


def test_the_library_takes_a_source_of_randomness_by_one_name() -> None:
    """Commands take ``--seed``; what is called takes ``rng``, a generator or its seed."""
    files = [path for path in LIBRARY.rglob("*.py") if path.relative_to(LIBRARY).parts[0] not in ("cli", "lm")]
    named = {
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in files
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef) and node.name not in SEEDS
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.arg in ("seed", "random_state")
    }
    assert named == set()


def test_the_map_names_what_is_there() -> None:
    """A folder or a file that the map of the house speaks of exists, beside the library too."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("What is added most often")[0]
    folder, seen, gone = ROOT, 0, []
    assert "`book/sphinx_extensions/`" in text
    for line in text.splitlines():
        for i, name in enumerate(re.findall(r"`((?!NN_)[\w/]+/|(?!NN_)[\w/]+\.(?:py|yml|md))`", line)):
            place = next((one for one in (folder, ROOT, LIBRARY) if (one / name).exists()), None)
            gone += [name] if place is None else []
            folder = place / name if place and i == 0 and line.startswith("|") else folder
            seen += 1
    assert seen > 25
    assert gone == []


def test_an_option_is_declared_once() -> None:
    """Two commands that take the same option take it from one place; what only sounds alike has another help."""
    seen: dict[str, str] = {}
    twins = []
    for path in sorted((LIBRARY / "cli").glob("*.py")):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "option" and len(node.keywords) > 1:
                said = ast.unparse(node)
                if said in seen:
                    twins.append(f"{path.name} and {seen[said]}: {said}")
                seen[said] = path.name
    assert len(seen) > 60
    assert twins == []


VERB = "register"  # what a file that is added to a folder imports from that folder: the recipes' one verb


def test_a_name_stands_at_one_door() -> None:
    """Doors are what a folder offers, or a module at the top; only the front door repeats what its rooms have."""
    files = [path for path in LIBRARY.rglob("*.py") if path.name == "__init__.py" or path.parent == LIBRARY]
    doors = {
        ".".join(path.relative_to(LIBRARY).with_suffix("").parts).removesuffix(".__init__"): path for path in files
    }
    seen: dict[str, list[str]] = {}
    for door, path in doors.items():
        if door not in ("__init__", "_core"):
            for name in offered_by(tree(path)):
                seen.setdefault(name, []).append(door)
    assert len(seen) > 300
    assert {name: at for name, at in seen.items() if len(at) > 1 and name != VERB} == {}


# Functions of commands: their arguments are options, which the help explains, and their docstring is that help.
COMMANDS = re.compile(r"@(?:\w+\.)?(?:make|command)\(")
REFUSES = re.compile(r"(?<![\w.])(?:require|require_range|as_number|as_vector|as_plain|as_level|as_law)\(|\braise \w")


@cache
def trees_read() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): tree(path)
        for room, paths in rooms().items()
        if room not in ABOVE
        for path in paths
    }


@cache
def public() -> list[Documented]:
    found = documented(trees_read(), [tree(path) for path in LIBRARY.rglob("*.py")])
    return [
        one for one in found if not COMMANDS.search("\n".join(f"@{ast.unparse(d)}" for d in one.node.decorator_list))
    ]


def test_every_argument_is_explained_by_its_name() -> None:
    """In order; a method that overrides another has them there, and a class may explain a result as attributes."""
    lacking = []
    for one in public():
        of_class = isinstance(one.node, ast.ClassDef)
        said = one.section("Parameters", "Attributes") if of_class else one.section("Parameters")
        if of_class:
            missing = [name for name in one.arguments if name not in (said or [])]
            lacking += [f"{one.path}: {', '.join(missing)}"] if missing else []
        elif tuple(said or ()) != one.arguments and not (one.inherits and said is None):
            lacking.append(f"{one.path}: {said} for {one.arguments}")
    assert len(public()) > 1700
    assert lacking == []


def test_results_and_errors_are_said() -> None:
    """Several results are told apart by name; an error that the body raises is named with its cause."""
    lacking = []
    for one in public():
        if one.inherits or not isinstance(one.node, ast.FunctionDef):
            continue
        returns = ast.unparse(one.node.returns) if one.node.returns else ""
        if returns.startswith("tuple") and "..." not in returns and one.section("Returns") is None:
            lacking.append(f"{one.path}: Returns")
        if one.section("Raises") is None and REFUSES.search(ast.unparse(one.node)):
            lacking.append(f"{one.path}: Raises")
    assert lacking == []


def test_every_function_at_a_door_has_an_example() -> None:
    """A line or two that run with the tests, or, where a model is needed, a block that `tests/lm` runs."""
    doors = {room: LIBRARY / room / "__init__.py" for room in rooms()}
    offered = {room: offered_by(tree(path)) for room, path in doors.items() if path.is_file()}
    lacking = [
        one.path
        for one in public()
        if one.is_function and one.node.name in offered.get(one.module.split(".")[1], ()) and not shows_use(one.text)
    ]
    assert lacking == []


def test_sections_hold_what_they_are_for() -> None:
    """An example or a source below a section, without a heading of its own, would be read as one of its entries."""
    wrong = [
        f"{one.path}: {name}"
        for one in public()
        for name in (one.section("Parameters", "Attributes", "Raises") or [])
        if not re.fullmatch(r"\*{0,2}[\w.]+", name)
    ]
    assert wrong == []
    assert [f"{one.path}: {head}" for one in public() for head in one.untyped] == []
