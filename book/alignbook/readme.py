"""The table of headlines in ``README.md``, from the last build: ``python -m alignbook.readme`` puts it there."""

from __future__ import annotations

from pathlib import Path

from alignbook.project import find_clone
from alignbook.scorecard import read_claims
from alignbook.verdicts import headlines
from alignbook.works import short_names
from alignlib._core.files import write_whole

__all__ = ["headline_table", "with_headlines"]

BEGIN, END = "<!-- headlines: python -m alignbook.readme -->\n", "<!-- end of headlines -->\n"


def headline_table(root: Path, claims: Path) -> str:
    """Return the table of the front page as a file outside of the book shows it."""
    names = short_names(root / "book" / "references.bib")
    return headlines(root / "book" / "verdicts.yml", read_claims(claims), plain=names)


def with_headlines(text: str, table: str) -> str:
    """Return a text with the table between its two marks replaced.

    >>> with_headlines(f"a\\n{BEGIN}old\\n{END}b", "| new |\\n") == f"a\\n{BEGIN}\\n| new |\\n\\n{END}b"
    True
    """
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    project = find_clone()
    file = project.root / "README.md"
    write_whole(
        file, with_headlines(file.read_text(encoding="utf-8"), headline_table(project.root, project.claims_file))
    )
