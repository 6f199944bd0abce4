"""``python -m alignlib`` is ``alignlib``."""

import _signal  # type: ignore[import-not-found]  # `signal` is slow to import, and Ctrl-C is not caught before
import os
import sys

__all__ = ["run"]


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
        from alignlib._core.make import find_make

        make = find_make() if sys.argv[1:2] == ["make"] else None
        if make is None:
            raise
        return make(sys.argv[2:])
    main(prog_name="alignlib")


if __name__ == "__main__":
    run()
