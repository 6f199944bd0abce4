"""``python -m alignlib`` is ``alignlib``."""

import _signal  # type: ignore[import-not-found]  # `signal` is slow to import, and Ctrl-C is not caught before
import os
import sys

TYPE_CHECKING = False  # as of typing, which is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["find_make", "run"]


def run() -> None:
    """Run the command line; a signal while it is still being imported ends it in the same sentence as later.

    There is nothing to put away yet, so the process ends at once: an exception might come in the middle of the import
    of a compiled module, which may turn it into another error.
    """

    def stop(number: int, frame: object) -> None:
        os.write(2, f"Stopped by {numbers[number]}.\n".encode())
        os._exit(128 + number)

    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = {getattr(_signal, name): name for name in names if hasattr(_signal, name)}
    for number in numbers:
        if _signal.getsignal(number) != _signal.SIG_IGN:  # which nohup chose
            _signal.signal(number, stop)
    try:
        from alignlib.cli.main import main
    except ModuleNotFoundError:  # a clone before its environment is made, which needs nothing
        make = find_make() if sys.argv[1:2] == ["make"] else None
        if make is None:
            raise
        return make(sys.argv[2:])
    main(prog_name="alignlib")


def find_make() -> "Callable[[list[str]], None] | None":
    """Return what does the work of `make` in the clone that this package lies in; None where it lies in none."""
    import runpy

    file = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "supply", "make.py")
    if not os.path.isfile(file):
        return None
    found: Callable[[list[str]], None] = runpy.run_path(file)["main"]
    return found


if __name__ == "__main__":
    run()
