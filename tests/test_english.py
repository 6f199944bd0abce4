"""Plain English on the pages: no archaisms, no tallies for answers, one of a thing in the singular."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from alignbook.project import Notebook, Project
from tests.built_book import HTML, ROOT, need_book, toc_pages

# What readers stumbled over, and words that no textbook uses today.
AVOIDED = (
    r"\bmend(?:s|ed|ing)?\b",
    r"\b(?:nought|whilst|hereby|thereof|wherein|amongst)\b",
    r"\bthe effective sample size is not\b",
    r"\bg turns \d",
    r"wide to either side",
    r"\babove at \S+ and below at\b",
    r"\b(?:boasts?|delves?)\b",
)
SINGULAR = re.compile(
    r"(?<![\d.,/–-])1 (?:nats|prompts|samples|tokens|labels|draws|points|steps|runs|tables|letters|responses|"
    r"checkpoints|raters|members|models|values|words|queries|seeds|penalties|laws|budgets|contexts)\b"
)
CODE = re.compile(r"<(pre|code|svg|script|style)\b.*?</\1>", re.DOTALL)
TAG = re.compile(r"<[^>]*>")
PROSE = [
    *sorted((ROOT / "book").glob("*.md")),
    *Project(ROOT).scripts(),
    *sorted((ROOT / "notebooks/_pages").glob("*.py")),
]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_pages_say_it_plainly(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [match[0] for pattern in AVOIDED for match in re.finditer(pattern, text, re.IGNORECASE)]
    assert found == []


def test_one_of_a_thing_is_singular_on_every_built_page() -> None:
    need_book()
    found = []
    for name in toc_pages():
        page = (HTML / f"{name}.html").read_text(encoding="utf-8")
        text = html.unescape(TAG.sub(" ", CODE.sub(" ", page.partition("<article")[2].partition("</article>")[0])))
        assert len(text) > 300
        found += [(name, match[0]) for match in SINGULAR.finditer(text)]
    assert found == []


def test_titles_cannot_be_confused() -> None:
    """No title is another's beginning or end, and no two share all of their longer words."""
    titles = [page.title for page in Project(ROOT).notebooks()]
    titles += [
        path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for path in (ROOT / "book").glob("*.md")
    ]
    plain = [re.sub(r"[^\w ]", "", title).lower() for title in titles]
    assert len(set(plain)) == len(plain)
    for one in plain:
        for other in plain:
            if one != other:
                assert not other.startswith(f"{one} ")
                assert not other.endswith(f" {one}")
                words, others = ({w for w in text.split() if len(w) > 3} for text in (one, other))
                assert not words or not others or words != others, (one, other)


LEAST = re.compile(r"(?:at least|no less than|can err less than|errs less than)\s+(?:# )?\{\{(\w+):([^}]+)\}\}")
MOST = re.compile(r"(?:at most|no more than|within|by more than|differ by at most)\s+(?:# )?\{\{(\w+):([^}]+)\}\}")


@pytest.mark.parametrize("page", Project(ROOT).notebooks(), ids=lambda page: page.name)
def test_a_bound_is_rounded_to_the_side_on_which_it_is_true(page: Notebook) -> None:
    """ "At least 99.93 %" is false of 99.926 %: write ``{{share:.2%-}}``, and ``+`` behind "at most"."""
    text = page.script.read_text(encoding="utf-8")
    for pattern, sign in ((LEAST, "-"), (MOST, "+")):
        for name, spec in pattern.findall(text):
            if name not in page.parameters and not spec.endswith(("d", "g")):
                assert spec.endswith(sign), f"{name}:{spec}"
