"""Files that appear whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["whole_file", "write_whole"]


def write_whole(path: Path | str, data: str | bytes) -> None:
    r"""Write text (UTF-8, line ends as they are) or bytes to ``path``, whole or not at all.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "a.txt"), "α\n")
    ...     Path(folder, "a.txt").read_bytes()
    b'\xce\xb1\n'
    """
    with whole_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def whole_file(path: Path | str, *, folder: Path | None = None, durable: bool = False) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of ``path`` once the block has ended without an error.

    A new file has the permissions that the umask leaves, a replaced one keeps its own; a link is followed.

    Parameters
    ----------
    path : path
        The file to write.
    folder : path, optional
        Where the passing file lies (on the same disk), by default beside ``path``; it is called ``.NAME.DIGITS``.
    durable : bool
        Whether the content must be on the disk before the name is.

    Raises
    ------
    OSError
        With the name of ``path``, not of the passing file.
    """
    target = Path(path).resolve()
    part = (folder or target.parent) / f".{target.name[:60]}.{secrets.randbelow(10**12)}"
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "is a folder")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if target.is_file():
            os.chmod(part, stat.S_IMODE(target.stat().st_mode))
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
