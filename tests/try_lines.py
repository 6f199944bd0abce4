"""The lines "Try" of the book: what they tell the reader to type, and a chapter executed in this process with it.

``python -m tests.try_lines`` executes all of them (minutes); `tests/test_try_lines.py` checks each and executes the
quick ones.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from alignbook.claim import Claim
from alignbook.parameters import Value, resolve_texts
from alignbook.project import Notebook, Project
from alignlib.cli.run import name_and_parameters
from tests.small_project import ROOT

__all__ = ["TRIES", "Ran", "Try", "execute", "tries"]

PROJECT = Project(ROOT)
NO_FILE = {"TABLE", "trainer_state.json", "base.parquet", "ratings.csv", "my_book.txt"}  # the reader's own


@dataclass(frozen=True)
class Try:
    """What one page says to type: words of a command line, or parameters of the page itself."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """The command with the page's own name where it has none."""
        words = shlex.split(self.text)
        return ["alignlib", "run", self.page, *words] if words[0].startswith("-p") else words

    @property
    def is_run(self) -> bool:
        """Whether it runs a page of the book."""
        return self.words[:2] == ["alignlib", "run"]

    @property
    def files(self) -> set[str]:
        """Files of the reader's own that it names."""
        return NO_FILE & set(self.words)

    def resolved(self, folder: Path) -> tuple[Notebook, dict[str, Value]]:
        """Return the page that is run and the values given to it, as `alignlib run` reads them.

        The reader's own files are looked for in ``folder``.
        """
        pairs, rest, words = [], [], iter(self.words[2:])
        for word in words:
            if word == "-p":
                pairs.append((next(words), next(words)))
            elif word == "-o":
                assert next(words).endswith(".ipynb")
            elif word != "--html":
                rest.append(word)
        name, more = name_and_parameters(tuple(rest))
        assert name is not None, f"{self.text} names no page"
        notebook = PROJECT.find(name)
        return notebook, resolve_texts(notebook.parameters, [*pairs, *more], folder)


def tries() -> Iterator[Try]:
    """Yield all that is quoted in paragraphs that begin with "Try", except names of files and of parameters."""
    for notebook in PROJECT.notebooks():
        texts = [cell.source for cell in notebook.node.cells if cell.cell_type == "markdown"]
        lines = [text for text in texts if text.startswith("**Try:**")]
        assert len(lines) == 1, f"{notebook.name} has {len(lines)} lines to try"
        for quoted in re.findall(r"`([^`]+)`", lines[0]):
            if re.match(r"alignlib |-p |make ", quoted):
                yield Try(notebook.name, quoted)


TRIES = tuple(tries())


@dataclass(frozen=True)
class Ran:
    """A chapter executed: its variables and its claims."""

    names: dict[str, Any]
    claims: tuple[Claim, ...]


def execute(notebook: Notebook, values: dict[str, Value]) -> Ran:
    """Execute the code of a page in this process, with other parameters; nothing is shown."""
    import matplotlib.pyplot as plt

    recorded: list[Claim] = []
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in notebook.node.cells if cell.cell_type == "code"]
    with (
        chdir(PROJECT.folder),
        redirect_stdout(open(os.devnull, "w", encoding="utf-8")) as shown,
        patch("alignbook.claims.record", lambda *claims: recorded.extend(claims)),
        patch("alignbook.claims.glue", lambda **numbers: None),
    ):
        for cell in cells:
            exec(compile(cell.source, notebook.name, "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names.update(values)
        shown.close()
    plt.close("all")
    return Ran(names, tuple(recorded))


def main(wanted: Sequence[str]) -> int:
    """Execute every line to try that needs no file of the reader's own; 1 where a claim that must hold does not."""
    import matplotlib as mpl

    mpl.use("Agg")
    failed = 0
    for one in TRIES:
        if not one.is_run or one.files or (wanted and not any(one.page.startswith(name) for name in wanted)):
            continue
        notebook, values = one.resolved(PROJECT.folder)
        start, said = time.process_time(), ""
        try:
            bad = [claim.key for claim in execute(notebook, values).claims if claim.must_hold and not claim.holds]
            said = f"does not hold: {', '.join(bad)}" if bad else ""
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        failed += bool(said)
        print(f"{time.process_time() - start:6.1f} s  {one.page}: {one.text}  {said}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
