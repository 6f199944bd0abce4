"""Where the system bounds the memory of a process (``ulimit -v``): libraries ask for little, or it is said."""

from __future__ import annotations

import os

from alignlib.cli._bad_input import BadInput

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["check_memory"]

_NEEDED = 512  # MiB of addresses, to import all and read a small table
_NEEDED_BY = {"run": 2048, "sweep": 2048, "report": 2048}  # which start a kernel, and wait for it
_AMPLE = 4 << 30
# What libraries else take for each core, or for a pool of their own; where that fails some abort in words of theirs.
_MODEST = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "1"}
_MODEST |= {"ARROW_DEFAULT_MEMORY_POOL": "system"}


def check_memory(command: str) -> None:
    """Refuse to begin with less memory than it takes to import the libraries: they would end the process themselves.

    Parameters
    ----------
    command : str
        Its name, which tells what it imports.

    Raises
    ------
    BadInput
        With the limit, and what is needed.
    """
    if resource is None or not hasattr(resource, "RLIMIT_AS"):
        return
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY or most >= _AMPLE:
        return
    for name, value in _MODEST.items():
        os.environ.setdefault(name, value)
    needed = _NEEDED_BY.get(command, _NEEDED)
    if most >> 20 < needed:
        raise BadInput(
            f"This process may have {most >> 20} MiB of memory (ulimit -v), and {needed} MiB are needed to begin; "
            "raise the limit."
        )
