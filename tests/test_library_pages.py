"""The pages on the library: every public name has one place, formulas are formulas, chapters link to what they use."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

import alignlib
from alignbook.api_pages import API_PAGES, NAMES_FILE, UNDOCUMENTED, WITHOUT_DOOR, ApiPages, code_of
from alignbook.formulas import is_formula, to_tex, with_links
from alignbook.library import Library, Named
from alignbook.project import Project
from alignbook.runner import Run
from alignbook.staging import api_pages
from tests.docstrings import shows_use
from tests.small_project import LIBRARY, ROOT

# The files of a package, each after a line with its name.
PACKAGE = """\
== __init__
from alignlib.laws.finite import FiniteLaw as FiniteLaw
__version__ = "1"
== laws/__init__
from alignlib.laws.finite import FiniteLaw
from alignlib.laws.law import Law, root
__all__ = ["FiniteLaw", "Law", "root"]
== laws/law
__all__ = ["Law", "root"]
class Law:
    "A law."
def root(x):
    "Return the root."
== laws/finite
from alignlib.laws.law import Law
__all__ = ["FiniteLaw"]
class FiniteLaw(Law):
    "``Λ(λ)``, a `Law`."
== laws/bounds
__all__ = ["bennett", "TABLE"]
TABLE = 1
def bennett():
    "Bound."
def unused():
    "No."
== plotting
__all__ = ["curve"]
def curve():
    "Draw."
== _core/__init__
== _core/checks
def check():
    "Check."
"""
CHAPTER = """
import alignlib as al
import numpy as np
from alignlib import plotting
from alignlib._core.checks import check
from alignlib.laws import Law as AnyLaw
from alignlib.laws import bounds

al.FiniteLaw, plotting.curve(np.zeros(1)), AnyLaw.kl, bounds.bennett(), bounds.TABLE, check()
"""


@pytest.fixture(name="package")
def _package(tmp_path: Path) -> Path:
    for part in PACKAGE.split("== ")[1:]:
        name, _, text = part.partition("\n")
        path = tmp_path / "alignlib" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "alignlib"


def test_each_name_is_documented_where_it_is_imported_from(package: Path) -> None:
    pages = ApiPages(Library(package), {"01_one": CHAPTER})
    assert {named.path: path for named, path in pages.paths.items()} == {
        "alignlib.laws.finite.FiniteLaw": "alignlib.FiniteLaw",
        "alignlib.laws.law.Law": "alignlib.laws.Law",
        "alignlib.laws.law.root": "alignlib.laws.root",
        "alignlib.laws.bounds.bennett": "alignlib.laws.bounds.bennett",
        "alignlib.plotting.curve": "alignlib.plotting.curve",
    }
    texts = pages.texts()
    assert json.loads(texts[NAMES_FILE])["alignlib.laws.law.Law"] == "alignlib.laws.Law"
    laws = texts["api/laws.rst"]
    assert re.findall(r"\.\. auto(\w+):: (\S+)", laws) == [
        ("module", "alignlib.laws"),
        ("class", "alignlib::FiniteLaw"),
        ("class", "alignlib.laws::Law"),
        ("function", "alignlib.laws::root"),
        ("function", "alignlib.laws.bounds::bennett"),
    ]
    assert ":math:`\\Lambda (\\lambda )`, a :py:obj:`Law <alignlib.laws.Law>`" in texts["api/index.rst"]


def test_a_chapter_links_to_what_it_uses(package: Path) -> None:
    pages = ApiPages(Library(package), {"01_one": CHAPTER, "02_none": "1 + 1", "03_odd": "not python at all"})
    names = ["FiniteLaw", "laws.bounds.bennett", "laws.Law", "plotting.curve"]
    links = ", ".join(f"{{py:obj}}`{name} <alignlib.{name}>`" for name in names)
    assert pages.used_by("01_one") == f"*From the library:* {links}."
    assert pages.used_by("02_none") == pages.used_by("03_odd") == pages.used_by("04_absent") == ""


@pytest.fixture(scope="module", name="of_the_book")
def _of_the_book() -> ApiPages:
    project = Project(ROOT)
    pages = api_pages(project, [Run(page.name, page.title, nbformat.writes(page.node)) for page in project.notebooks()])
    assert pages is not None
    return pages


@pytest.fixture(scope="module", name="everything")
def _everything(of_the_book: ApiPages) -> Library:
    """All of the library: what the pages were made of, parsed once, and what they leave out."""
    parsed = of_the_book.library.modules
    library = Library(LIBRARY, leave_out={"__init__", *(name.split(".")[1] for name in parsed if "." in name)})
    assert library.modules
    assert not parsed.keys() & library.modules.keys()
    library.modules |= parsed
    return library


def test_every_chapter_links_to_what_it_uses_itself_or_through_shared_pages(of_the_book: ApiPages) -> None:
    pages = of_the_book
    assert len(pages.chapters) > 45
    assert [name for name in pages.chapters if not pages.used_by(name)] == []
    assert "BestOfN" in pages.used_by("54_training_on_proxies")


# Constants that chapters use and no room offers: each is said beside what it belongs to, and has no entry.
WITHOUT_ENTRY = {
    "answers": {"COLUMNS"},
    "certified": {"BITS"},
    "hacking": {"KINDS", "RESOLUTION", "FORMS"},
    "lm": {"FEW", "LONG", "PROXIES", "TRIALS", "FRESH", "PRICE", "RESPONSES", "TASKS", "SPLITS", "UNIT"},
    "sequences": {"LETTERS"},
}


def test_what_chapters_use_has_a_link_or_is_a_constant(of_the_book: ApiPages, everything: Library) -> None:
    pages, library = of_the_book, everything
    lacking: dict[str, set[str]] = {}
    for name, code in pages.chapters.items():
        for named in library.used(code) - set(pages.used[name]):
            room = library.room(named.module).removeprefix("alignlib.")
            lacking.setdefault(room, set()).add(named.name)
            assert room == "_core" or library.modules[named.module].kind(named.name) == "data", named
    assert {room: names for room, names in lacking.items() if room not in UNDOCUMENTED} == WITHOUT_ENTRY
    assert "divergences.CHI_SQUARED" in pages.used_by("71_which_divergence")
    assert "lm.level_law.LevelLaw" in pages.used_by("50_world")
    assert "lm.methods.find" in pages.used_by("51_safety_training")
    assert set(WITHOUT_DOOR) < set(pages.paths)


def test_every_name_that_can_be_linked_stands_on_one_page(of_the_book: ApiPages) -> None:
    texts = of_the_book.texts()
    names = json.loads(texts.pop(NAMES_FILE))
    entries = re.findall(r"\.\. auto(?:class|data|function):: (\S+)", "".join(texts.values()))
    assert sorted(entry.replace("::", ".") for entry in entries) == sorted(names.values())


def test_every_entry_has_an_example(of_the_book: ApiPages) -> None:
    """A class by itself or in one of its methods; constants show their value."""
    lacking, seen = [], 0
    for named, path in of_the_book.paths.items():
        tree = of_the_book.library.modules[named.module].tree
        found = [
            node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == named.name
        ]
        parts = [part for node in found for part in ast.walk(node) if isinstance(part, ast.ClassDef | ast.FunctionDef)]
        seen += bool(found)
        if found and not any(shows_use(ast.get_docstring(part) or "") for part in parts):
            lacking.append(path)
    assert seen > 400
    assert lacking == []


def test_rooms_can_be_left_out_and_imports_lead_home(package: Path) -> None:
    library = Library(package, leave_out=["plotting"])
    assert library.home("alignlib.laws", "Law") == Named("alignlib.laws.law", "Law")
    assert library.home("alignlib", "laws") is None
    assert library.home("numpy", "zeros") is None
    assert library.used("from alignlib import plotting\nplotting.curve()") == set()


def test_the_code_of_a_notebook_is_without_magics() -> None:
    cells = [{"cell_type": "code", "source": ["%time\n", "a = 1"]}, {"cell_type": "markdown", "source": "b"}]
    assert code_of(cells) == "a = 1"


def test_every_room_has_a_page_or_is_for_no_reader() -> None:
    rooms = {path.stem for path in LIBRARY.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    with_pages = {room.partition(".")[2] for _, _, room in API_PAGES}
    assert rooms - {"__init__"} == with_pages | set(UNDOCUMENTED)
    toc = (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    assert re.findall(r"file: api/(\w+)", toc) == ["index", *(file for file, _, _ in API_PAGES)]


def test_each_name_of_the_front_door_has_an_example(everything: Library) -> None:
    lacking = []
    for name, named in everything.front_door.items():
        shown = getattr(alignlib, name)
        text = shown.__doc__ or ""
        if not isinstance(shown, type) and not callable(shown):
            text += importlib.import_module(named.module).__doc__ or ""
        if ">>>" not in text:
            lacking.append(name)
    assert lacking == []


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("KL(π_λ‖p)", r"\operatorname{KL}(\pi _{\lambda }\,\Vert\,p)"),
        ("E_π* r̂ - E_p r", r"\mathbb{E}_{\pi ^{*}} \hat{r} - \mathbb{E}_{p} r"),
        ("F_i^N - F_{i-1}^N", "F_{i}^{N} - F_{i-1}^{N}"),
        ("max {E r : D ≤ Δ}", r"\max \{\mathbb{E} r : D \le \Delta \}"),
        ("b₁ = a c n^{-a}", "b_{1} = a c n^{-a}"),
        ("σ √(2Δ) + √x", r"\sigma \sqrt{2\Delta } + \sqrt{x}"),
        ("-inf", r"-\infty"),
        ("λ·max_kl", r"\lambda \cdot \mathtt{max\_kl}"),
    ],
)
def test_formulas_become_tex(text: str, tex: str) -> None:
    assert is_formula(text) or text == "-inf"
    assert to_tex(text) == tex


@pytest.mark.parametrize(
    "text", ["lam", "score_*", "x = run(1)", '"kl"', "(k, n)", "a[i]", "2 ** n", "log_policy", "{a"]
)
def test_code_stays_code(text: str) -> None:
    assert not is_formula(text)
    assert with_links(f"``{text}``", {}) == f"``{text}``"


def test_examples_are_left_alone_and_names_become_links() -> None:
    text = "Say `f` of ``λ``.\n\n>>> g('`f` ``λ``')\n``λ``\n\nThen :func:`a.b.f`."
    linked = ":py:obj:`f <a.f>`"
    expected = f"Say {linked} of :math:`\\lambda`.\n\n>>> g('`f` ``λ``')\n``λ``\n\nThen {linked}."
    assert with_links(text, {"a.b.f": "a.f"}) == expected


def test_all_formulas_of_the_library_can_be_set(everything: Library) -> None:
    """Braces match, and no letter is left that TeX would not know."""
    assert len(everything.modules) == len(list(LIBRARY.rglob("*.py")))
    for name, module in everything.modules.items():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for text in filter(is_formula, re.findall(r"``([^`]+)``", ast.get_docstring(node) or "")):
                    tex = to_tex(text)
                    assert tex.isascii(), (name, text, tex)
                    assert tex.replace(r"\{", "").count("{") == tex.replace(r"\}", "").count("}"), (text, tex)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("#0072B2", "``'#0072B2'``"),
        (("a", "b"), "``('a', 'b')``"),
        ({"a": object(), "b": object()}, "By name: ``'a'``, ``'b'``."),
    ],
)
def test_plain_data_does_not_show_the_docstring_of_its_type(value: object, shown: str) -> None:
    spec = importlib.util.spec_from_file_location(
        "library_pages", ROOT / "book" / "sphinx_extensions" / "library_pages.py"
    )
    assert spec is not None
    assert spec.loader is not None
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    app = SimpleNamespace(config=SimpleNamespace(library_names={}))
    lines = [*str(inspect.getdoc(type(value))).split("\n"), ""]
    extension.set_docstring(app, "data", "alignlib.plotting.X", value, None, lines)
    assert lines == [shown, ""]
    said = ["What it is.", ""]
    extension.set_docstring(app, "data", "alignlib.plotting.X", value, None, said)
    assert said == ["What it is.", ""]
