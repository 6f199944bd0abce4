"""What needs the book's packages says so in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alignlib.cli._bad_input import BadInput

__all__ = ["needs_book"]


@contextmanager
def needs_book(what: str) -> Iterator[None]:
    """Say which extra to install where a package of the book is missing.

    >>> with needs_book("report"):
    ...     import no_such_package
    Traceback (most recent call last):
    alignlib.cli._bad_input.BadInput: `alignlib report` needs no_such_package, which is not installed; ...
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise BadInput(
            f"`alignlib {what}` needs {error.name}, which is not installed; install the extra [report]: "
            "pip install 'alignment-limits[report]'."
        ) from error
