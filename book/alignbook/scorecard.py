"""All recorded claims of the book: as one file, as a page, as lines on a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from alignbook.claim import Claim, from_json
from alignbook.runner import Run
from alignlib._core.errors import InputError
from alignlib._core.files import write_whole

__all__ = ["ACCOMPANIED", "read_claims", "to_lines", "to_markdown", "write_claims"]

ACCOMPANIED = ("Y24", "P26", "C25")  # the three papers, by their keys in the bibliography
_KINDS = (
    "Statements of the three papers",
    "Limits of the three papers' sentences, shown here",
    "Statements of other works",
    "Statements derived or asked here, and checks of our computation",
)
_LIMIT = (
    "A limit of a sentence is a claim that shows where the sentence stops holding, whether it holds itself or not; "
    "{doc}`verdicts` names it as the condition."
)


def write_claims(path: Path, runs: Iterable[Run]) -> None:
    """Write title, claims and numbers of each run to ``path``, sorted by notebook."""
    data = {run.name: run.record for run in sorted(runs, key=lambda run: run.name)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def read_claims(path: Path) -> dict[str, tuple[str, list[Claim]]]:
    """Read back ``{notebook: (title, claims)}``."""
    try:
        data: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = {name: (entry["title"], [from_json(c) for c in entry["claims"]]) for name, entry in data.items()}
        for title, claims in found.values():
            if not isinstance(title, str) or not all(isinstance(claim.statement, str) for claim in claims):
                raise TypeError(title)
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is not as `make book` writes it; run `make book` again.", argument="path") from error
    return found


def to_markdown(
    book: Mapping[str, tuple[str, list[Claim]]], papers: Collection[str] = (), limits: Mapping[str, str] | None = None
) -> str:
    """Return the scorecard page: counts by kind, then one table of claims per notebook; keys of ``papers`` are cited.

    ``limits`` names the claims (``notebook:key``) that show where a sentence of a paper stops holding, and which.
    """
    limits = limits or {}
    kinds: dict[str, list[Claim]] = {kind: [] for kind in _KINDS}
    for name, (_, found) in book.items():
        for claim in found:
            kinds[_kind(f"{name}:{claim.key}", claim, papers, limits)].append(claim)
    lines = [
        "# Scorecard",
        "",
        (
            "Every statement that a page of this book checks while it is built. The verdict follows from the two "
            "numbers beside it: the value that was computed, and what the statement requires of it. Where many cases "
            "were compared, the worst is shown."
        ),
        "",
        (
            "A statement that does not hold stays in the list, and its page says so: some are sentences of a paper "
            "read literally, some are what a reader may expect. Where the text of a page relies on a statement that "
            "fails, the book is not built."
        ),
        "",
        f"{sum(map(len, kinds.values()))} claims, recorded by {len(book)} notebooks, counted apart:",
        "",
        "| Kind | Hold | Do not hold |",
        "|---|---|---|",
        *(_counted(kind, found) for kind, found in kinds.items() if found),
        "",
        *([_LIMIT, ""] if limits else []),
    ]
    for name, (title, found) in book.items():
        lines += [
            f"## {title}",
            "",
            f"{_count(found)}. Recorded in {{doc}}`notebooks/{name}`.",
            "",
            "| Statement | Source | Value | Required | Verdict |",
            "|---|---|---|---|---|",
        ]
        lines += [_row(claim, papers, limits.get(f"{name}:{claim.key}", "")) for claim in found]
        lines.append("")
    return "\n".join(lines)


def to_lines(book: Mapping[str, tuple[str, list[Claim]]]) -> Iterable[str]:
    """Yield the scorecard as lines for a terminal."""
    for name, (title, found) in book.items():
        yield f"{name}  {title}"
        for claim in found:
            mark = "ok  " if claim.holds else "FAIL" if claim.must_hold else "no  "
            yield f"  {mark} {claim.statement} [{claim.source}]: {claim.comparison}"
    claims = [claim for _, found in book.values() for claim in found]
    yield f"{_count(claims)}."


def _count(claims: Collection[Claim]) -> str:
    """Say how many claims hold; those that need not, and whose page says that they do not, are no failures.

    >>> claim = Claim("a", "two is at most one", "arithmetic", "at most", 2.0, 1.0, 0.0, must_hold=False)
    >>> _count([claim])
    '0 of 1 claims hold; 1 does not, as its page says'
    """
    failed = sum(claim.must_hold and not claim.holds for claim in claims)
    said = sum(not claim.must_hold and not claim.holds for claim in claims)
    parts = [f"{sum(claim.holds for claim in claims)} of {len(claims)} claims hold"]
    if said:
        parts.append(f"{said} {'does not, as its page says' if said == 1 else 'do not, as their pages say'}")
    if failed:
        parts.append(f"{failed} that must hold {'does' if failed == 1 else 'do'} not")
    return "; ".join(parts)


def _kind(name: str, claim: Claim, papers: Collection[str], limits: Mapping[str, str]) -> str:
    cited = [word for word in re.findall(r"\w+", claim.source) if word in papers]
    theirs, limit, others, ours = _KINDS
    if name in limits:
        return limit
    return theirs if any(word in ACCOMPANIED for word in cited) else others if cited else ours


def _counted(kind: str, claims: Collection[Claim]) -> str:
    held = sum(claim.holds for claim in claims)
    return f"| {kind} | {held} | {len(claims) - held} |"


def _row(claim: Claim, papers: Collection[str], limited: str) -> str:
    verdict = claim.verdict if claim.holds else f"**{claim.verdict}**"
    verdict += f"; a limit of {limited}" if limited else ""
    source = re.sub(r"\w+", lambda word: f"{{cite:t}}`{word[0]}`" if word[0] in papers else word[0], claim.source)
    cells = (claim.statement, source, claim.shown, claim.requirement, verdict)
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
