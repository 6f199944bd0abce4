"""The index of symbols: the table of the page on notation, with the chapter that first uses each symbol."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

__all__ = ["HEADING", "Row", "formulas_of", "letters", "rows", "symbols", "with_chapters"]

HEADING = "Symbols"
Row = list[str]
_CELLS = re.compile(r"(?<!\\)\|")
_MATH = re.compile(
    r"```\{math\}\n(.*?)```|(?<!\\)\$\$(.+?)\$\$|(?<![\\$])\$(?![\s$])([^$]+?)(?<!\s)\$(?!\d)", re.DOTALL
)
_FILLED = re.compile(r"\{\{[^{}]*\}\}")  # a number that the page fills in
_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)[^`\n]+\1(?!`)")
# Commands whose argument is a word, and words that are no letters.
_WORDS = re.compile(r"\\(?:mathrm|text|textrm|operatorname\*?|begin|end|tag|label|mathbb)\s*\{[^{}]*\}|:\w+:[^\n]*")
_LETTER = re.compile(r"\\[A-Za-z]+|[A-Za-z]")
_GREEK = frozenset(
    re.findall(
        r"\w+",
        "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon "
        "phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell",
    )
)


def rows(page: str, heading: str = HEADING) -> list[Row]:
    """Return the cells of the table below a heading, row by row."""
    part = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in _CELLS.split(line)[1:-1]] for line in lines]


def symbols(cell: str) -> list[str]:
    r"""Return what stands between dollar signs, one symbol each.

    >>> symbols(r"$S,U$, short $\bar C(x,y)$")
    ['S', 'U', '\\bar C(x,y)']
    """
    found = [part for math in re.findall(r"\$([^$]+)\$", cell) for part in re.split(r",(?![^({]*[)}])", math)]
    return [one.strip() for one in found]


def letters(tex: str) -> set[str]:
    r"""Return the letters of a formula, without words and functions.

    >>> print(sorted(letters(r"\KL{\pi_\lambda}{p}\le D_{\max}+\mathrm{osc}(f)")))
    ['D', '\\lambda', '\\pi', 'f', 'p']
    """
    found = _LETTER.findall(_WORDS.sub(" ", tex))
    return {one for one in found if len(one) == 1 or one[1:] in _GREEK}


def formulas_of(text: str) -> list[str]:
    """Return the formulas of a text in Markdown."""
    return [next(filter(None, match.groups())) for match in _MATH.finditer(_FILLED.sub("0", _CODE.sub("", text)))]


def with_chapters(page: str, parts: Mapping[str, Sequence[str]], chapters: Mapping[str, tuple[str, str]]) -> str:
    """Return the page with a link, in the last cell of each row of its symbols, to the chapter that first uses them.

    Parameters
    ----------
    page : str
        The page on notation, in Markdown; the last cell names a part of the book, or ``all``.
    parts : mapping of str to sequence of str
        The names of the chapters of each part, in order.
    chapters : mapping of str to (str, str)
        Title and text of each chapter.
    """
    order = [name for names in parts.values() for name in names if name in chapters]

    @cache
    def used(name: str) -> set[str]:
        return {part for tex in formulas_of(chapters[name][1]) for part in _pieces(tex)}

    lines = page.splitlines(keepends=True)
    start = next((k for k, line in enumerate(lines) if line == f"## {HEADING}\n"), len(lines))
    inside = False
    for k, line in enumerate(lines[start:], start):
        if line.startswith("## ") and k > start:
            break
        inside = line.startswith("|") and (inside or lines[k - 1].startswith("|---"))
        if not inside:
            continue
        cells = [cell.strip() for cell in _CELLS.split(line)[1:-1]]
        part, _, chosen = cells[-1].partition(", ")  # the author may say which, where an earlier use is another's
        wanted = _pieces(re.sub(r"\(.*\)", "", symbols(cells[0])[0]))
        near = order if part == "all" else [name for name in parts.get(part, ()) if name in chapters]
        first: str | None = chosen or next((name for name in near if wanted <= used(name)), None)
        if first is not None and first in chapters:
            cells[-1] = f"{part}: [{chapters[first][0]}](notebooks/{first}.ipynb)"
            lines[k] = f"| {' | '.join(cells)} |\n"
    return "".join(lines).replace("| part |", "| part: first used in |")


def _pieces(tex: str) -> set[str]:
    r"""The symbols of a formula: each letter with its accent and index, without arguments.

    >>> sorted(_pieces(r"\bar C_{\mathrm{tot}\mid S}\le D(\lambda)"))
    ['D', '\\bar C_tot', '\\lambda']
    """
    plain = re.sub(r"\\(?:mathrm|text|operatorname)\s*\{([^{}]*)\}", r"\1", tex).replace("\\mid", "|")
    plain = re.sub(r"\\(hat|bar|tilde)\s*\{([^{}])\}", r"\\\1 \2", plain)
    found = set()
    pattern = r"(\\(?:hat|bar|tilde)\s*)?(\\[A-Za-z]+|[A-Za-z])(?:_(?:\{([^{}|]*)(?:\|[^{}]*)?\}|(\\?[A-Za-z]+|\d)))?"
    for accent, letter, long, short in re.findall(pattern, plain):
        if len(letter) > 1 and letter[1:] not in _GREEK:
            continue
        index = (long or short).strip()
        found.add(f"{accent.strip()} {letter}".strip() + (f"_{index}" if index else ""))
        if index and not index.strip("\\").isalpha():
            found.add(f"{accent.strip()} {letter}".strip())
    return found
