"""The shape of the house: what a room may import, read off the sources without running them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "alignlib"
ABOVE = {"alignbook": ROOT / "book" / "alignbook", "_pages": ROOT / "notebooks" / "_pages"}
MOST_ROOMS = 22
MOST_FLOORS = 10


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
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
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
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "option" and len(node.keywords) > 1:
                said = ast.unparse(node)
                if said in seen:
                    twins.append(f"{path.name} and {seen[said]}: {said}")
                seen[said] = path.name
    assert len(seen) > 60
    assert twins == []
