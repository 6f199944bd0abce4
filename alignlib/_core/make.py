"""What does the work of ``make`` in the clone that this package lies in; nothing but Python itself is needed."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as of typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["find_make"]


def find_make() -> Callable[[list[str]], None] | None:
    """Return what takes the words behind ``make``; None where the package lies in no clone."""
    import runpy

    here = os.path.dirname(os.path.abspath(__file__))
    file = os.path.join(os.path.dirname(os.path.dirname(here)), "supply", "make.py")
    if not os.path.isfile(file):
        return None
    found: Callable[[list[str]], None] = runpy.run_path(file)["main"]
    return found
