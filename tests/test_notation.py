"""The page of notation: one meaning a symbol in a part, letters with several meanings listed, names that exist."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

import yaml

SAME_SENSE = {r"\pi", "r"}  # a policy, a reward, whatever index or hat tells them apart
ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "book" / "notation.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def symbols(cell: str) -> list[str]:
    """Return what stands between dollar signs, one symbol each."""
    found = [part for math in re.findall(r"\$([^$]+)\$", cell) for part in re.split(r",(?![^({]*[)}])", math)]
    return [one.strip() for one in found]


def letter(symbol: str) -> str:
    """Return the bare letter: without hats, indices and arguments."""
    bare = re.sub(r"\\(hat|bar|tilde|mathrm)\b", "", symbol).replace("{", "").replace("}", "").strip()
    match = re.match(r"\\[A-Za-z]+|[A-Za-z]", bare)
    assert match is not None, symbol
    return match[0]


def test_every_row_names_symbol_meaning_and_part() -> None:
    parts = {part["caption"] for part in yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())["parts"]}
    for row in table("Symbols"):
        assert len(row) == 4, row
        assert symbols(row[0]), row
        assert row[1], row
        assert row[3] == "all" or row[3] in parts, row


def test_a_symbol_has_one_meaning_in_a_part() -> None:
    seen = Counter((part, symbol) for name, _, _, part in table("Symbols") for symbol in symbols(name))
    assert [key for key, times in seen.items() if times > 1] == []


def test_letters_with_several_meanings_are_listed() -> None:
    """The same bare letter in two rows of different parts stands in the second table."""
    uses: dict[str, set[str]] = defaultdict(set)
    for name, _, _, part in table("Symbols"):
        for symbol in symbols(name):
            uses[letter(symbol)].add(part)
    listed = {letter(symbol) for name, _ in table("Letters with several meanings") for symbol in symbols(name)}
    several = {one for one, parts in uses.items() if len(parts) > 1}
    assert sorted(several - listed - SAME_SENSE) == []


def test_names_of_the_library_exist() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "alignlib").rglob("*.py"))
    names = {name for row in table("Symbols") for name in re.findall(r"`([^`]+)`", row[2])}
    assert sorted(name for name in names if not re.search(rf"\b{re.escape(name)}\b\s*[(:=,)]", code)) == []


GREEK = set(
    re.findall(
        r"\w+",
        "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon "
        "phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell",
    )
)


def test_every_greek_letter_of_a_page_is_listed() -> None:
    known = {name for row in table("Symbols") for name in re.findall(r"\\([A-Za-z]+)", row[0])}
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.py")):
        text = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# "))
        used = {name for math in re.findall(r"\$+([^$]+)\$+", text) for name in re.findall(r"\\([A-Za-z]+)", math)}
        assert sorted((used & GREEK) - known) == [], path.name
