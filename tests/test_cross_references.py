from pathlib import Path

import nbformat
import pytest

from alignbook.page import name_other_pages

OTHER = """# %% [markdown]
# # The other page
#
# ```{prf:theorem} A bound
# :label: thm-bound
# x
# ```

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
