import re
from functools import cache
from pathlib import Path

import nbformat
import pytest

from alignbook import page as page_module
from alignbook.page import name_other_pages
from alignbook.project import Notebook, Project
from tests.small_project import ROOT

OTHER = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The other page
#
# ```{prf:theorem} A bound (we derive)
# :label: thm-bound
# x
# ```
# $$y$$ (eq-there)

# %% mystnb={"figure": {"caption": "c", "name": "fig-there"}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "40_other.py").write_text(OTHER)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "notation.md").write_text("# Notation\n")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see {doc}`40_other`", "see *The other page*"),
        ("see {doc}`../book/notation`", "see *Notation*"),
        ("see {doc}`that page <40_other>`", "see that page"),
        ("[](40_other.ipynb) and [the other](40_other.ipynb#part)", "*The other page* and the other"),
        ("[out](https://example.org/a.md)", "[out](https://example.org/a.md)"),
        ("by {eq}`eq-there`", "by *The other page*"),
        ("by {prf:ref}`thm-bound`.", "by *A bound*."),
        ("in {numref}`fig-there`", "in *The other page*"),
        ("in {numref}`fig-here`", "in {numref}`fig-here`"),
        ("by {prf:ref}`thm-here` and {eq}`eq-here`", "by {prf:ref}`thm-here` and {eq}`eq-here`"),
        ("by {prf:ref}`thm-nowhere`", "by *thm-nowhere*"),
        ("{glue:text}`share:.3f`", "{glue:text}`share:.3f`"),
    ],
)
def test_what_lies_elsewhere_is_named(root: Path, text: str, expected: str) -> None:
    figure = nbformat.v4.new_code_cell("x", metadata={"mystnb": {"figure": {"name": "fig-here"}}})
    theorem = "```{prf:theorem} Mine\n:label: thm-here\nx\n```\n```{math}\n:label: eq-here\nx\n```"
    node = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell(theorem), figure, nbformat.v4.new_markdown_cell(text)]
    )
    name_other_pages(node, root)
    assert node.cells[0].source == theorem
    assert node.cells[2].source == expected


REFERENCE = re.compile(r"(\{(?:doc|prf:ref|numref|ref|eq|term)\}`[^`]+`|\[[^\][]*\]\((?!\w+:)[^()\s]+\.(?:ipynb|md)\))")
PAGES = Project(ROOT).notebooks()


@cache
def headings() -> set[str]:
    """Titles of pages and of theorems, of which the sources in parentheses are no part."""
    texts = [page.with_defaults(cell.source) for page in PAGES for cell in page.node.cells]
    texts += [path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md")]
    found = {line[2:] for text in texts for line in text.splitlines() if line.startswith("# ")}
    theorems = (line.partition("} ")[2] for text in texts for line in text.splitlines() if line.startswith("```{prf:"))
    return found | {title.partition(" (")[0] for title in theorems}


titles = cache(page_module._titles)  # of all pages, read once for the checks of all of them


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_references_out_of_a_notebook_become_headings(page: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "_titles", titles)
    node = page.node
    before = [page.with_defaults(cell.source) for cell in node.cells]
    defined = "\n".join(re.sub(r"`[^`\n]+`", "", text) for text in before) + page.with_defaults(
        str([cell.metadata for cell in node.cells])
    )
    for cell in node.cells:
        cell.source = page.with_defaults(cell.source)
    name_other_pages(node, ROOT)
    known = headings()
    for old, cell in zip(before, node.cells, strict=True):
        assert "---" not in cell.source.replace("|---", "").replace("---|", "")
        parts = REFERENCE.split(old)
        pattern = "".join("(.+?)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
        found = re.fullmatch(pattern, cell.source, re.DOTALL)
        assert found is not None
        for reference, said in zip(parts[1::2], found.groups(), strict=True):
            label = re.sub(r".*`(.*)`", r"\1", reference)
            said_here = re.match(r"\[([^\]]+)\]", reference)
            if reference.startswith("{term}"):
                assert said == label.partition(" <")[0]
            elif said == reference:
                assert label in defined, f"{reference} leads nowhere"
            else:
                assert said.strip("*") in (known if said_here is None else {said_here[1]}), (reference, said)
