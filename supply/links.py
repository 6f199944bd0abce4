"""``python -m supply links``: the addresses outside the book that its pages link to, and which of them answer.

A report: what does not answer today may tomorrow, so nothing depends on it.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alignlib._core.safe_text import for_terminal

__all__ = ["external", "report"]

_LINK = re.compile(r'<a [^>]*?href="(https?://[^"#]+)')


def external(pages: Iterable[Path]) -> dict[str, list[str]]:
    """Return the names of the pages that link to each address."""
    found: dict[str, set[str]] = defaultdict(set)
    for page in pages:
        for address in _LINK.findall(page.read_text(encoding="utf-8")):
            found[address.replace("&amp;", "&")].add(page.stem)
    return {address: sorted(names) for address, names in sorted(found.items())}


def answer_of(address: str) -> str:
    """Ask for the head of a page, and say what came."""
    asked = urllib.request.Request(address, method="HEAD", headers={"User-Agent": "Mozilla/5.0 (link check)"})
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:  # addresses of our own pages, https or http
            return f"{answer.status}"
    except urllib.error.HTTPError as error:
        return f"{error.code}"
    except (OSError, ValueError) as error:
        return f"no answer ({type(error).__name__})"


def report(found: dict[str, list[str]], answer: Callable[[str], str] = answer_of) -> list[str]:
    """Return a line for each address, those that do not answer first, and a last line that counts.

    >>> linked = {"https://a.example/": ["index"], "https://b.example/": ["cite"]}
    >>> report(linked, lambda address: "404" if "b." in address else "200")
    ['404  https://b.example/  (cite)', '200  https://a.example/  (index)', '2 addresses, 1 with an answer.']
    """
    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(found, pool.map(answer, found), strict=True))
    good = [address for address in found if answers[address].startswith(("2", "3"))]
    order = [*(address for address in found if address not in good), *good]
    lines = [for_terminal(f"{answers[one]}  {one}  ({', '.join(found[one])})") for one in order]
    return [*lines, f"{len(found)} addresses, {len(good)} with an answer."]
