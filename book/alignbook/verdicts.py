"""The page of verdicts: each sentence of the papers' abstracts, in our words, beside what the runs say of it.

``book/verdicts.yml`` names for each sentence the claims that decide; the verdict follows from whether they hold:

- all that must hold does: *verified*, or *toy* where it is shown in small worlds only;
- something that limits it holds too (or something that would carry it further does not): *holds under a condition*;
- none of what must hold does: *contested*; some of it: *inconclusive*.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from alignbook.claim import Claim
from alignbook.run_times import RunTimes
from alignlib._core.errors import InputError

__all__ = ["VERDICTS", "headlines", "limits", "read_verdicts", "verdict", "verdicts_page"]

VERDICTS = {
    "verified": "the statement holds wherever it was tried, and a derivation is in the chapter",
    "holds under a condition": "it holds, and the condition is named",
    "toy": "it holds in our small worlds, which is all that they can show",
    "contested": "our runs say otherwise",
    "inconclusive": "our runs differ among themselves",
}

_SAID = {  # of one, of several
    "verified": ("is verified", "are verified"),
    "holds under a condition": ("holds under a condition", "hold under a condition"),
    "toy": ("is shown in small worlds only", "are shown in small worlds only"),
    "contested": ("is contested by our runs", "are contested by our runs"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
}

_QUOTED = re.compile(
    r"\{(?P<claim>\w+:[\w-]+) (?P<field>value|expected|points|digits|low|high)(?: (?P<format>[^{}]+))?\}"
)
_Book = Mapping[str, tuple[str, list[Claim]]]


def read_verdicts(path: Path) -> list[dict[str, Any]]:
    """Read the sentences, and see that none of an abstract's is missing or out of order."""
    papers: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for paper in papers:
        seen = [row["sentence"] for row in paper["rows"]]
        if sorted(set(seen)) != list(range(1, paper["sentences"] + 1)) or seen != sorted(seen):
            raise InputError(
                f"{path.name}: {paper['paper']} needs rows for sentences 1 to {paper['sentences']}, in order."
            )
    return papers


def verdict(row: Mapping[str, Any], held: Mapping[str, bool]) -> str:
    """Compute the verdict of a row from which claims hold.

    >>> verdict({"for": ["a", "b"]}, {"a": True, "b": True}), verdict({"for": ["a", "b"]}, {"a": False, "b": True})
    ('verified', 'inconclusive')
    >>> verdict({"for": ["a"], "unless_not": ["b"]}, {"a": True, "b": False})
    'holds under a condition'
    """
    stands = [held[name] for name in row["for"]]
    if not any(stands):
        return "contested"
    if not all(stands):
        return "inconclusive"
    further = [held[name] for name in row.get("unless_not", ())]
    if any(held[name] for name in row.get("unless", ())) or not all(further):
        return "holds under a condition"
    return "toy" if row.get("world") else "verified"


def verdicts_page(path: Path, book: _Book, recorded: Sequence[RunTimes] = ()) -> str:
    """Return the page as Markdown; with what the runs of the chapters took, where that was ``recorded``."""
    papers, claims = _papers_and_claims(path, book)
    titles = {name: title for name, (title, _) in book.items()}
    held = {name: claim.holds for name, claim in claims.items()}
    counts = Counter(verdict(row, held) for paper in papers for row in paper["rows"] if "for" in row)
    said = [f"{counts[kind]} {_SAID[kind][counts[kind] > 1]}" for kind in VERDICTS if counts[kind]]
    tested = ", ".join(said[:-1]) + " and " * (len(said) > 1) + said[-1]
    lines = [
        "# Verdicts, sentence by sentence",
        "",
        "What became of the abstracts of the three papers?",
        "",
        ":::{admonition} Answer",
        ":class: answer",
        f"Of {counts.total()} statements in the three abstracts {tested}.",
        ":::",
        "",
        (
            "Each sentence of the abstracts stands here in our words; what only defines or motivates has nothing to "
            "test. A verdict is computed from claims, most of them of the chapter beside it, some also of other tasks "
            "or chapters; the number is that of one of them, the value found and what it is held against; of one test "
            "made in several chapters, that with the least margin; where runs differ among themselves, those of all. "
            "Of what was sampled or trained, the 95 % interval stands beside it, and the value is the end that decides "
            "where one does. The time is what the chapter takes on one core. "
            "{doc}`scorecard` lists every claim, those of our own and the checks of our code among them, and counts "
            "them apart."
        ),
        "",
        *(f"- **{kind}**: {meaning}." for kind, meaning in VERDICTS.items()),
        "",
    ]
    for paper in papers:
        head = ["| Sentence | Verdict | Number | Chapter |", "|---|---|---|---|"]
        lines += [f"## {paper['title']}", "", f"{{cite:t}}`{paper['paper']}`", "", *head]
        lines += [_row(row, held, claims, titles, recorded) for row in paper["rows"]]
        lines.append("")
    return "\n".join(lines)


def headlines(path: Path, book: _Book, *, plain: Mapping[str, str] | None = None) -> str:
    """Return the table of headline statements for the front page.

    With ``plain``, the names of the papers, it is one for a file outside of the book, where links lead to sources.
    """
    papers, claims = _papers_and_claims(path, book)
    titles = {name: title for name, (title, _) in book.items()}
    held = {name: claim.holds for name, claim in claims.items()}
    lines = ["| Statement | Verdict | Number | Chapter |", "|---|---|---|---|"]
    for paper in papers:
        for row in paper["rows"]:
            if "headline" in row:
                name = _shown(row, claims).partition(":")[0]
                source = plain[paper["paper"]] if plain else f"{{cite:t}}`{paper['paper']}`"
                where = f"{name[:2]}" if plain else f"{{doc}}`{titles[name]} <notebooks/{name}>`"
                said = _quoted(row["headline"], claims)
                lines.append(_line(f"{row['says']} ({source})", _said(row, held), said[:1].upper() + said[1:], where))
    return "\n".join([*lines, ""])


def limits(path: Path, book: _Book) -> dict[str, str]:
    """Return the claims that show where a sentence of an abstract stops holding, and which sentence.

    Those are what limits it and holds, and what would carry it further and does not.
    """
    papers, claims = _papers_and_claims(path, book)
    found: dict[str, str] = {}
    for paper in papers:
        for row in paper["rows"]:
            where = f"{{cite:t}}`{paper['paper']}`, sentence {row['sentence']}{row.get('part', '')}"
            shown = [name for name in row.get("unless", ()) if claims[name].holds]
            shown += [name for name in row.get("unless_not", ()) if not claims[name].holds]
            for name in shown:
                found[name] = f"{found[name]}; {where}" if name in found else where
    return found


def _quoted(text: str, claims: Mapping[str, Claim]) -> str:
    """Put the numbers of claims into a text."""

    def number(match: re.Match[str]) -> str:
        claim = claims[match["claim"]]
        if match["field"] == "digits":
            return f"{-math.log10(claim.tolerance / abs(claim.expected)):.0f}"
        ends = dict(zip(("low", "high"), claim.interval or (), strict=False))
        found = ends[match["field"]] if match["field"] in ("low", "high") else getattr(claim, match["field"])
        return format(found, match["format"] or "").replace("%", " %")

    return _QUOTED.sub(number, text)


def _said(row: Mapping[str, Any], held: Mapping[str, bool]) -> str:
    kind = verdict(row, held)
    if kind != "holds under a condition":
        return f"**{kind}**"
    texts = row["condition"] if isinstance(row["condition"], dict) else dict.fromkeys(_limits(row), row["condition"])
    first, *rest = [texts[name] for name in _limits(row) if held[name] == (name in row.get("unless", ()))]
    return " ".join([f"**{kind}**: {first}", *(text[:1].upper() + text[1:] for text in rest)])


def _limits(row: Mapping[str, Any]) -> list[str]:
    return [*row.get("unless", ()), *row.get("unless_not", ())]


def _numbers(row: Mapping[str, Any]) -> list[str]:
    """The claims one of whose numbers is shown."""
    named = row.get("number", [])
    return [named] if isinstance(named, str) else list(named)


def _shown(row: Mapping[str, Any], claims: Mapping[str, Claim]) -> str:
    """The claim whose number is shown: of several the nearest to what it must not pass, or the furthest past."""
    return min(_numbers(row), key=lambda name: _margin(claims[name]))


def _margin(claim: Claim) -> float:
    over = claim.value - claim.expected
    margin = claim.tolerance - {"at most": over, "at least": -over}.get(claim.kind, abs(over))
    return -math.inf if math.isnan(margin) else margin


def _row(
    row: Mapping[str, Any],
    held: Mapping[str, bool],
    claims: Mapping[str, Claim],
    titles: Mapping[str, str],
    recorded: Sequence[RunTimes],
) -> str:
    says = f"{row['sentence']}{row.get('part', '')}. {row['says']}"
    if "for" not in row:
        return _line(says, f"{row['nothing']}: nothing to test", "", "")
    shown = _shown(row, claims)
    chapter = shown.partition(":")[0]
    # Where runs differ among themselves, each has its say.
    named = row["for"] if verdict(row, held) == "inconclusive" else [shown]
    number = "; ".join(_number(name, claims[name]) for name in named)
    where = f"{{doc}}`{titles[chapter]} <notebooks/{chapter}>`, `alignlib run {chapter[:2]} -o out.ipynb`"
    where += next((f", {one.notebooks[chapter].time}" for one in recorded if chapter in one.notebooks), "")
    return _line(says, _said(row, held), number, where)


def _number(name: str, claim: Claim) -> str:
    return f"chapter {name[:2]}: {claim.statement}: {claim.comparison}" + ("" if claim.holds else f" ({claim.verdict})")


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _papers_and_claims(path: Path, book: _Book) -> tuple[list[dict[str, Any]], dict[str, Claim]]:
    """Read the sentences and see that their claims were recorded and conditions stand where they may."""
    papers = read_verdicts(path)
    claims = {f"{name}:{claim.key}": claim for name, (_, found) in book.items() for claim in found}
    for paper in papers:
        for row in paper["rows"]:
            limits = _limits(row)
            quoted = [match["claim"] for match in _QUOTED.finditer(str(row.get("headline", "")))]
            for name in [*row.get("for", ()), *limits, *_numbers(row), *quoted]:
                if name not in claims:
                    raise InputError(f"{path.name} names the claim {name!r}, which no notebook records.")
            said, where = row.get("condition", {}), f"{path.name}: sentence {row['sentence']} of {paper['paper']}"
            if len(limits) != 1 if isinstance(said, str) else list(said) != limits:
                raise InputError(
                    f"{where} needs the text of a condition for each claim that limits it, in their order."
                )
            if len({(claims[name].kind, claims[name].expected) for name in _numbers(row)}) != ("for" in row):
                raise InputError(f"{where} needs a number exactly where claims decide, of several claims of one test.")
    return papers, claims
