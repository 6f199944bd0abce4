"""``python -m alignlib`` is ``alignlib``."""

from __future__ import annotations

import sys

__all__ = ["run"]


def run() -> None:
    """Run the command line; Ctrl-C while it is still being imported ends it as it does later."""
    try:
        from alignlib.cli.main import main
    except KeyboardInterrupt:
        sys.stderr.write("Stopped by SIGINT.\n")
        sys.exit(130)
    main(prog_name="alignlib")


if __name__ == "__main__":
    run()
