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


# What is no running text: fences, tables, headings; and what stands in it for a word.
NO_PROSE = re.compile(r"^```.*?^```|^:::.*?$|^\|.*?$|^#.*?$|^\s*(?:[-*]|\d\.) ", re.DOTALL | re.MULTILINE)
WORDS = (
    (re.compile(r"\$\$.*?\$\$|\$[^$]+\$|\{\{[^}]*\}\}", re.DOTALL), "X"),
    (re.compile(r"\{[\w:]+\}`([^`<]*)[^`]*`"), r"\1"),
    (re.compile(r"`[^`]*`"), "X"),
    (re.compile(r"\[([^\]]*)\]\([^)]*\)"), r"\1"),
)
END = re.compile(r"(?<=[.!?])\s+(?=[\"“A-Z(*\d])|(?<=[;:])\s+")
LONGEST = 60  # words from one stop to the next


def paragraphs(text: str) -> list[str]:
    plain = NO_PROSE.sub("\n\n", text)
    for pattern, word in WORDS:
        plain = pattern.sub(word, plain)
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", plain) if part.strip()]


def faults_of_style(text: str) -> list[str]:
    """Sentences too long to be read aloud, words said twice, thoughts that trail off."""
    found = []
    for part in paragraphs(text):
        found += [sentence for sentence in END.split(part) if len(sentence.split()) > LONGEST]
        found += [match[0] for match in re.finditer(r"\b([a-z]{2,}) \1\b", part, re.IGNORECASE)]
        found += [part[max(0, m.start() - 30) : m.end()] for m in re.finditer(r"(?<!, )(?:…|(?<!\.)\.\.\.)", part)]
    return found


def texts() -> dict[str, str]:
    pages = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "book").glob("*.md"))}
    for page in Project(ROOT).notebooks():
        pages[page.name] = page.text
    return pages


def test_sentences_can_be_read_aloud() -> None:
    assert {name: found for name, text in texts().items() if (found := faults_of_style(text))} == {}


def test_faults_of_style_are_found() -> None:
    good = f"# the the\\n\\nA law of $x$, $y$, … and {'a word, ' * 29}of; {'a word, ' * 29}.\\n\\n| the | the |\\n"
    assert faults_of_style(good) == []
    assert faults_of_style("A law of of $x$.") == ["of of"]
    assert faults_of_style("It goes on …") == ["It goes on …"]
    assert len(faults_of_style("A word, " * 31)) == 1


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
