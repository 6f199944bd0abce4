"""Progress over notebooks: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from tqdm import tqdm

from alignbook.runner import Run

__all__ = ["show"]


def show(runs: Iterable[Run], names: Sequence[str]) -> Iterator[Run]:
    """Yield the runs as they end, saying on stderr which ended, how, and which are still out."""
    waiting = list(names)
    with tqdm(total=len(names), disable=not (names and sys.stderr.isatty()), unit="notebook", leave=False) as bar:
        bar.set_postfix_str(", ".join(waiting))
        for run in runs:
            waiting.remove(run.name)
            verdict = "failed" if run.failures else "done"
            bar.write(f"{run.name} {verdict} in {run.seconds:.1f} s", file=sys.stderr)
            bar.update()
            bar.set_postfix_str(", ".join(waiting))
            yield run
