"""What a long job says while it runs: sentences and a bar with the time left, both on standard error."""

from __future__ import annotations

import sys

from tqdm import tqdm

__all__ = ["progress_bar", "say_on_stderr"]


def say_on_stderr(sentence: str) -> None:
    """Print a sentence, above the bar if there is one."""
    tqdm.write(sentence, file=sys.stderr)


def progress_bar(total: int, done: int) -> tqdm:
    """Show responses done, their rate and the time left; in a log rather than a terminal, twice a minute."""
    interval = 0.1 if sys.stderr.isatty() else 30.0
    return tqdm(total=total, initial=done, unit=" responses", mininterval=interval, dynamic_ncols=True)
