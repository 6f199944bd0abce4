"""The page "What it does with bad input": counts of what was tried and survived, from the tests."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from alignbook.processes import run_bound
from alignbook.project import Project
from alignlib._core.files import write_whole

__all__ = ["bad_input_page", "to_markdown", "tried"]

TRIALS = Path("tests", "trials.py")
# What each family of trials stands for, in the order of the page; a family that is not named here follows by its name.
FAMILIES = {
    "the file": "Files that are missing, empty, cut, damaged, too large, of another kind",
    "rows and columns": "Rows and columns that are missing, doubled, ragged, without a name",
    "quotation marks": "Quotation marks that would swallow rows",
    "types": "Columns of types that hold no such values: dates, lists, structures, decimals",
    "values": "Values that are missing, out of range, of another kind",
    "identifiers": "Identifiers that look like numbers, differ by a space, or are missing",
    "JSON": "JSON nested too deeply, of other shapes, with halves of characters",
    "size": "Files that unpack to more than they seem, cells and rows without an end",
    "training logs": "Logs of training runs without a KL, a unit, a start, or with damage",
    "runs compared and picked from": "Runs and scores to compare or pick by that have no KL, step or prompt in common",
    "checked answers": "Answers that are both right and wrong, missing, or fewer than are asked for",
    "log-probabilities": "Log-probabilities that no model gives",
    "comparing runs": "Training logs to be compared, with values beyond all bounds or of other kinds",
    "picking a checkpoint": "Logs of which a checkpoint is to be kept: impossible KLs, truth values, words for steps",
    "tables in parts": "Folders, patterns and summaries: parts that are damaged, doubled, of another kind",
    "bundles": "Releases and crates that are cut, forged, or lead outside, before they are verified",
    "parameters of notebooks": "Parameters and sweeps of notebooks that do not fit, before anything runs",
    "models": "Configs of models that promise what their folder does not hold; chat templates without an end",
    "arguments of the library": "Arguments of other kinds, given to functions of the library instead of a command",
    "pictures": "Settings of matplotlib that would speak, or read files, in its own words",
    "options": "Options that name nothing, contradict each other, or are out of range",
    "outputs": "Outputs that cannot be written: devices, links, closed folders, names too long, for every command",
    "values of options": "The smallest and largest numbers that options take, addresses of every protocol",
    "found by drawing files": "Files that broke a reader once, found by `make fuzz`",
    "hostile text in a page": "Names and cells that would like to be markup, code, a link or a formula, in a page",
    "hostile text on a terminal": "The same on a terminal: no line is forged, no cursor moved",
    "words of options": "Names and cells that are words of this program's own sentences and options",
    "names of files": "Names that no file can have, or that nothing can show",
    "unfinished jobs tampered with": "Shards exchanged, doubled, cut or edited, journals emptied, before a job goes on",
    "signals and systems": "Signals, full disks, closed streams, too little memory, devices, what others left",
    "folders of others": "Folders that look like ours and are not, where left ones are cleared away",
}


def tried(project: Project) -> dict[str, list[int]]:
    """How many were tried and how many survived, by family; run anew only where code or tests have changed.

    Empty where the project has no trials. What was not survived is said on standard error.
    """
    if not (project.root / TRIALS).is_file():
        return {}
    kept, digest = project.build / "bad_input.json", _digest(project)
    if kept.is_file():
        data = json.loads(kept.read_text(encoding="utf-8"))
        if data["digest"] == digest:
            return dict(data["counts"])
    paths = [str(project.root), str(project.root / "book"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # Little of what the trials make is garbage, which it is not worth looking for so often.
    program = (
        "import gc, runpy; gc.set_threshold(50_000, 20, 20); runpy.run_module('tests.trials', run_name='__main__')"
    )
    done = run_bound(program, cwd=project.root, env=environment, check=True)
    counts: dict[str, list[int]] = json.loads(done.stdout.splitlines()[-1])
    write_whole(kept, json.dumps({"digest": digest, "counts": counts}, indent=1) + "\n")
    return counts


def bad_input_page(project: Project) -> str:
    """Return the page as Markdown, or nothing where the project has no trials."""
    counts = tried(project)
    return to_markdown(counts) if counts else ""


def to_markdown(counts: Mapping[str, list[int]]) -> str:
    """Return the page for these counts.

    >>> "8 of 9 broken or hostile inputs" in to_markdown({"columns": [4, 4], "values": [5, 4]})
    True
    """
    order = list(FAMILIES)
    names = sorted(counts, key=lambda name: (order.index(name) if name in order else len(order), name))
    n_tried, n_survived = (sum(counts[name][k] for name in names) for k in (0, 1))
    rows = [f"| {FAMILIES.get(name, name.capitalize())} | {counts[name][0]} | {counts[name][1]} |" for name in names]
    return f"""# What it does with bad input

:::{{admonition}} Answer
:class: answer
{n_survived} of {n_tried} broken or hostile inputs that were tried while this book was built were survived: each ended
in one sentence that says what is wrong, or was read right, and nothing ran, vanished, crashed or was left behind.
:::

| What was fed in | Tried | Survived |
|---|---|---|
{chr(10).join(rows)}
| All | {n_tried} | {n_survived} |

*Survived* means: the command ends with its exit code (2 for bad input, 128 and the signal's number where it was
stopped); standard error holds one line, in terms of what was typed, and standard output nothing; every file that was
there before is as it was, and no other has appeared; no process lives on. Where an input is unusual but clear, it means
that the answer is right.

For whoever calls the library itself there is one rule. An argument that a function cannot take raises
`alignlib.InputError`, a `ValueError` whose one sentence names the argument, what was given and what is taken. Python's
own errors are left for Python's own rules: a `TypeError` where an argument is missing, doubled or unknown. What a
function of the reader's raises is passed on as it is, and options that a picture hands on to matplotlib are refused in
its words. `python -m tests.wrong_kinds` calls every public name that has an example with every argument exchanged, in
turn, for values of some thirty other kinds.

Each row is a part of the tests (`tests/trials.py`), which run when the book is built, and again in `make test` one by
one. There, properties draw further inputs of every kind; `make fuzz` draws new ones for ten minutes, and what it finds
is kept as a case of its own. In `make browser`, pages made of hostile text are opened in Chromium, which may ask for
nothing, run nothing and show the text as it was typed. {{doc}}`threat_model` says what is promised to whom,
{{doc}}`rerun` lists the exit codes.
"""


def _digest(project: Project) -> str:
    """Of the code and the tests that decide the counts."""
    digest = hashlib.sha256()
    folders = [project.root / "alignlib", project.root / "tests", project.root / "book" / "alignbook"]
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        digest.update(f"{path.relative_to(project.root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
