"""How the book is cited, and each of its chapters: title, authors, version, date and address in one place each.

The version is `alignlib.__version__`, the date that of ``CITATION.cff``, the address the one of ``_config.yml``
(``repository: url``), and that of a chapter its page, where the workflow publishes it; where none is set, a reference
has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from alignbook.repository import read_repository
from alignlib._core.safe_text import for_markdown

__all__ = ["Citation", "book_reference", "chapter_references", "read_citation"]

_TEX = str.maketrans({"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$"})


@dataclass(frozen=True)
class Citation:
    """What a reference to the book says.

    ``address`` is that of the repository, ``pages`` that of its published pages; either is empty where there is none.
    """

    title: str
    authors: str
    version: str
    date: str
    licence: str
    address: str = ""
    pages: str = ""

    @property
    def name(self) -> str:
        """The title before its colon."""
        return self.title.partition(":")[0]

    @property
    def subtitle(self) -> str:
        """The title behind its colon, with a capital."""
        after = self.title.partition(":")[2].strip()
        return after[:1].upper() + after[1:]

    @property
    def year(self) -> str:
        """The year of the date."""
        return self.date[:4]

    @property
    def licences(self) -> str:
        """Under which licences code and text are."""
        return f"Code: {self.licence}. Text and figures: CC BY 4.0."

    def page(self, name: str) -> str:
        """The address of a page; that of the book where its pages are not published, and nothing where it has none."""
        return f"{self.pages}/{name}.html" if self.pages else self.address

    def bibtex(self, chapter: str = "", page: str = "") -> str:
        r"""Return the entry of BibTeX, of a chapter where one is named.

        >>> print(Citation("Limits: a companion", "The authors", "1.0", "2026-01-02", "MIT").bibtex("Best-of", "n/10"))
        @incollection{alignment_limits_10,
          author    = {{The authors}},
          title     = {Best-of},
          booktitle = {Limits: a companion},
          year      = {2026},
          version   = {1.0},
        }
        """
        rows = [("author", f"{{{_tex(self.authors)}}}"), ("title", _cased(_tex(chapter or self.title)))]
        rows += [("booktitle", _tex(self.title))] if chapter else []
        rows += [("year", self.year), ("version", self.version)]
        rows += [] if chapter else [("license", self.licence)]
        address = self.page(page) if chapter else self.address
        rows += [("url", address)] if address else []
        width = max(len(name) for name, _ in rows)
        kind, key = ("incollection", f"_{_number(page)}") if chapter else ("software", "")
        lines = [f"  {name:{width}} = {{{value}}}," for name, value in rows]
        return "\n".join([f"@{kind}{{alignment_limits{key},", *lines, "}"])

    def apa(self, chapter: str = "", page: str = "") -> str:
        """Return the reference in the style of the APA, as Markdown.

        >>> Citation("Limits: a companion", "The authors", "1.0", "2026-01-02", "MIT", "https://a.b").apa()
        'The authors. (2026). *Limits: a companion* (Version 1.0) [Computer software]. <https://a.b>'
        """
        authors, title = for_markdown(self.authors), for_markdown(self.title)
        address = self.page(page) if chapter else self.address
        where = f" <{address}>" if address else ""
        if chapter:
            said = for_markdown(chapter)
            end = "" if said.endswith(("?", "!")) else "."
            return f"{authors}. ({self.year}). {said}{end} In *{title}* (Version {self.version}).{where}"
        return f"{authors}. ({self.year}). *{title}* (Version {self.version}) [Computer software].{where}"


def read_citation(root: Path, version: str) -> Citation:
    """Read what a project says of itself.

    Parameters
    ----------
    root : Path
        The project, with ``CITATION.cff`` and ``_config.yml``.
    version : str
        Its version.
    """
    data = yaml.load((root / "CITATION.cff").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    repository = read_repository(root)
    address, pages = (repository.url, repository.pages) if repository else ("", "")
    authors = ", ".join(_person(one) for one in data["authors"])
    return Citation(data["title"], authors, version, data["date-released"], data["license"], address, pages)


def book_reference(citation: Citation) -> str:
    """Return the reference to the book as Markdown: in the style of the APA, and for BibTeX."""
    said = "" if citation.address else "\n\nThe book has no public address yet, so its references name none."
    return f"{citation.apa()}{said}\n\n```bibtex\n{citation.bibtex()}\n```\n"


def chapter_references(citation: Citation, pages: Mapping[str, str]) -> str:
    """Return the references to all chapters as Markdown; ``pages`` are their titles by name of page."""
    lines = [f"- {citation.apa(plain_title(title), page)}" for page, title in sorted(pages.items())]
    entries = "\n\n".join(citation.bibtex(plain_title(title), page) for page, title in sorted(pages.items()))
    box = ":::{dropdown} All of them for BibTeX\n:class-container: chapter-bibtex\n\n"
    return "\n".join(lines) + f"\n\n{box}```bibtex\n{entries}\n```\n:::\n"


def plain_title(title: str) -> str:
    """Return a title without the marks of Markdown and mathematics.

    >>> plain_title("Best of $N$, *exactly*")
    'Best of N, exactly'
    """
    return re.sub(r"[$*`\\]", "", title)


def _person(author: dict[str, str]) -> str:
    return author.get("name") or f"{author['family-names']}, {author['given-names']}"


def _tex(text: str) -> str:
    return re.sub(r"\s+", " ", text).translate(_TEX)


def _cased(title: str) -> str:
    """A title whose capitals styles of BibTeX leave as they are, but for that of its first word.

    >>> _cased("The KL of best-of-N")
    'The {KL} of best-of-{N}'
    """
    return re.sub(r"(?<!^)\b\w*[A-Z]\w*|^\w*[A-Z]\w*[A-Z]\w*", r"{\g<0>}", title)


def _number(page: str) -> str:
    return re.sub(r"\W+", "_", page.rpartition("/")[2].partition("_")[0])
