"""What whoever runs a notebook has already computed, so that the notebook need not compute it again."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alignlib._core.files import write_whole

__all__ = ["given", "giving"]

# A variable, not a parameter: nobody can be talked into opening a file of another's with it. Pickled, for what is given
# is objects of the library (fits, rules, a reader's table), which have no other written form; the file is made by this
# process in a new folder that only its user may enter, is read by the kernel that it starts, and goes with the folder.
_VARIABLE = "ALIGNBOOK_GIVEN"


def given() -> Any:
    """Return, in a notebook, what it was given, or None.

    >>> given() is None
    True
    """
    place = os.environ.get(_VARIABLE)
    return None if not place else pickle.loads(Path(place).read_bytes())


@contextmanager
def giving(value: object, folder: Path) -> Iterator[None]:
    """Give a value to the notebook that is executed meanwhile, by a file in a folder of our own.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, giving([1], Path(folder)):
    ...     given()
    [1]
    """
    if value is None:
        yield
        return
    file = folder / "given"
    write_whole(file, pickle.dumps(value))
    os.environ[_VARIABLE] = str(file)
    try:
        yield
    finally:
        del os.environ[_VARIABLE]
