"""Execute notebooks: converted in memory, run by papermill in processes of their own, made reproducible."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from traitlets.config import Config

from alignbook.claim import Claim, from_json
from alignbook.given import giving
from alignbook.normalise import collect, fill, normalise, untidy
from alignbook.parameters import Value
from alignbook.processes import Died, in_processes
from alignbook.project import Notebook, words
from alignbook.watched_files import files_read, modules_read
from alignlib._core.open_files import allow_open_files

__all__ = ["Failure", "Job", "Run", "execute", "execute_all", "execute_elsewhere", "failed"]

_FILES, _FILES_OF_ONE = 64, 8  # that a kernel opens, and that this process opens for each
# One thread per kernel: the same sums in the same order, and as many kernels as cores. The folders keep a
# user's own matplotlibrc and IPython start-up files out of the pages.
_KERNEL_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "PYTHONWARNINGS": "ignore:Glyph:UserWarning",  # a name in a script that the font lacks is no news to its owner
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM")},
}


@dataclass(frozen=True)
class Job:
    """One notebook to execute: with which parameters, and whether as a page of the book (``strict``).

    What it reads below the folders ``watched`` is noted. ``given`` is what it need not compute (see `alignbook.given`).
    """

    notebook: Notebook
    parameters: Mapping[str, Value] = field(default_factory=dict)
    strict: bool = False
    watched: tuple[str, ...] = ()
    given: object = None


@dataclass(frozen=True)
class Failure:
    """Why a notebook failed; ``cell`` counts from 1 and is None where no one cell is to blame.

    ``claim`` is the key of a claim that does not hold, None for every other reason.
    """

    message: str
    cell: int | None = None
    source: str = ""
    traceback: str = ""
    claim: str | None = None

    def __str__(self) -> str:
        """One sentence."""
        return f"cell {self.cell}: {self.message}" if self.cell else self.message


@dataclass(frozen=True)
class Run:
    """An executed notebook: the text of the ``.ipynb``, its claims and numbers, or why it failed.

    ``read`` are the files of the watched folders that it depends on, ``started`` when it may first have read one;
    ``place`` is that of its job among those executed together.
    """

    name: str
    title: str
    notebook: str
    claims: tuple[Claim, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    failures: tuple[Failure, ...] = ()
    read: tuple[str, ...] = ()
    started: float = field(default=0.0, compare=False)
    place: int = field(default=0, compare=False)

    @property
    def record(self) -> dict[str, Any]:
        """What the scorecard needs, the same on every run."""
        numbers = {
            name: repr(v) if v in (float("inf"), -float("inf")) or v != v else v for name, v in self.numbers.items()
        }
        return {"title": self.title, "claims": [claim.to_json() for claim in self.claims], "numbers": numbers}


def execute(job: Job) -> Run:
    """Execute one notebook in this process's environment; a failure is returned, never raised."""
    import papermill  # here, not above: half a second that `alignlib --help` need not wait for

    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    started = time.perf_counter()
    failures: list[Failure] = []
    read: set[Path] = set()
    with tempfile.TemporaryDirectory(prefix="run-") as folder:  # in a folder of ours, where `execute_all` runs it
        source, output, log = Path(folder, "in.ipynb"), Path(folder, "out.ipynb"), Path(folder, "read")
        nbformat.write(job.notebook.node, source)
        try:
            with giving(job.given, Path(folder)):
                papermill.execute_notebook(
                    _as_it_is(source),
                    _as_it_is(output),
                    parameters=dict(job.parameters),
                    kernel_name="python3",
                    progress_bar=False,
                    request_save_on_cell_execute=False,
                    autosave_cell_every=0,
                    cwd=job.notebook.script.parent,
                    config=_transport(folder),
                    # The level, lest it report every interrupt that shuts it down.
                    extra_arguments=["--log-level=CRITICAL", *_at_start(log, job)],
                )
        except papermill.PapermillExecutionError as error:
            failures.append(_failure(error))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # what was written is a part of a notebook
                raise OSError(error.errno, error.strerror, error.filename or str(output)) from None
            failures.append(Failure(f"{type(error).__name__}: {error}"))
        except Exception as error:  # a kernel that dies or never starts says so in many types
            failures.append(Failure(f"{type(error).__name__}: {error}"))
        try:
            node = nbformat.read(output if output.exists() else source, as_version=4)
        except nbformat.reader.NotJSONError:  # papermill tells nobody that it could not write it
            failures.append(Failure("what it wrote is cut: the disk is full, or files may not be that large"))
            node = nbformat.read(source, as_version=4)
        node = _without_markers(node)
        if job.watched:
            read = files_read(log, Path(job.watched[0])) | modules_read(job.watched)
    run = _finish(job, node, failures, time.perf_counter() - started)
    return replace(run, read=tuple(sorted(map(str, read))))


def execute_all(jobs: Sequence[Job], workers: int | None = None) -> Generator[Run, None, None]:
    """Execute notebooks in parallel processes (as many as cores), yielding each as it ends."""
    workers = min(workers or os.cpu_count() or 1, max(len(jobs), 1))
    allow_open_files(_FILES + _FILES_OF_ONE * workers)
    started = time.time()
    with closing(in_processes(execute, jobs, workers, _prepare)) as found:
        for place, run in found:
            if isinstance(run, Died):
                run = failed(jobs[place].notebook, f"its process ended: {run}")
            yield replace(run, started=started, place=place)


@lru_cache(maxsize=1)
def _elsewhere() -> tempfile.TemporaryDirectory[str]:
    """Make ready, once, a process that others started: what it keeps goes with it."""
    home = tempfile.TemporaryDirectory(prefix="run-")
    _prepare(home.name)
    return home


def execute_elsewhere(job: Job) -> Run:
    """Execute one notebook in a process that others started, such as a worker of Dask."""
    _elsewhere()
    return execute(job)


def failed(notebook: Notebook, message: str) -> Run:
    """Return the run of a notebook that could not be executed at all."""
    return Run(notebook.name, notebook.name, "", failures=(Failure(message),))


def _as_it_is(path: Path) -> str:
    """A path as papermill must be given it, which fills ``{names}`` in paths with parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _transport(folder: str) -> Config:
    """How to talk to the kernel: by sockets in ``folder`` where there are any, so that no two kernels share a port."""
    socket = str(Path(folder, "kernel"))
    usable = sys.platform == "linux" and len(socket) < 90  # the system allows a socket's path 107 characters
    return Config(KernelManager={"transport": "ipc", "ip": socket} if usable else {})


def _at_start(log: Path, job: Job) -> list[str]:
    """How to have the kernel note what it reads, and show figures as a page needs them; it leaves no names behind."""
    # What a page imports are many objects that stay; looking for garbage among them took a tenth of the imports.
    lines = ["__import__('gc').set_threshold(20_000, 10, 10)"]
    if job.watched:
        lines.append(
            f"__import__('alignbook.watched_files', fromlist=['watch']).watch({str(log)!r}, {list(job.watched)!r})"
        )
    if job.strict:
        lines.append("__import__('alignbook.figures', fromlist=['forms']).show_all_forms()")
    return [f"--IPKernelApp.exec_lines={line}" for line in lines]


def _prepare(home: str) -> None:
    os.environ.update(_KERNEL_ENVIRONMENT)
    os.environ["IPYTHONDIR"] = str(Path(home, "ipython"))
    os.environ["JUPYTER_RUNTIME_DIR"] = home


def _finish(job: Job, node: NotebookNode, failures: list[Failure], seconds: float) -> Run:
    normalise(node)
    found: list[Claim] = []
    numbers: dict[str, Any] = {}
    values = {name: parameter.default for name, parameter in job.notebook.parameters.items()} | dict(job.parameters)
    try:
        data, numbers = collect(node)
        found = [from_json(item) for item in data]
        if not failures:
            fill(node, words(values) | numbers)
    except ValueError as error:
        failures.append(Failure(str(error)))
    failures += [
        Failure(
            f"the claim {claim.key!r} does not hold: {claim.statement} ({claim.comparison})",
            claim=claim.key,
        )
        for claim in found
        if claim.must_hold and not claim.holds
    ]
    if job.strict and not failures:
        failures += [Failure(message) for message in untidy(node)]
        if not found:
            failures.append(Failure("it records no claims; end it with claims.record(...)"))
    record = {"parameters": values, "numbers": numbers, "claims": [claim.to_json() for claim in found]}
    node.metadata["alignlib"] = nbformat.from_dict(json.loads(json.dumps(record, default=str)))
    text = nbformat.writes(node).rstrip("\n") + "\n"
    return Run(job.notebook.name, job.notebook.title, text, tuple(found), numbers, seconds, tuple(failures))


def _failure(error: Any) -> Failure:
    traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
    return Failure(f"{error.ename}: {error.evalue}", error.cell_index + 1, error.source, traceback)


def _without_markers(node: NotebookNode) -> NotebookNode:
    node.cells = [cell for cell in node.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])]
    return node
