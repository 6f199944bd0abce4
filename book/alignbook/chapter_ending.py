"""The end of a chapter: the command that runs it again, what that takes, its parameters, where it opens at a click."""

from __future__ import annotations

from collections.abc import Sequence

from alignbook.parameters import Parameter
from alignbook.project import Notebook
from alignbook.repository import Repository
from alignbook.run_times import RunTimes
from alignlib._core.names import listed
from alignlib._core.safe_text import for_markdown

__all__ = ["ending"]

_KINDS = {
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "str": "text",
    "str | None": "text or `none`",
    "list[int]": "whole numbers, `1,2,3`",
    "list[float]": "numbers, `1,2.5,3`",
    "list[str]": "texts, `a,b,c`",
}


def ending(notebook: Notebook, recorded: Sequence[RunTimes], repository: Repository | None) -> str:
    """Return the section "Run it again" of a chapter as Markdown."""
    topic = notebook.name.split("_", 1)[-1]
    lines = ["## Run it again", "", "```console", f"$ alignlib run {topic} -o {topic}.ipynb --html", "```", ""]
    taken = next((one for one in recorded if notebook.name in one.notebooks), None)
    if taken is not None:
        found = taken.notebooks[notebook.name]
        took = f"One run takes {found.time} of one core and up to {found.memory} of memory"
        lines += [f"{took} ({{doc}}`as measured </versions>`)."]
    lines += ["Other values are given by name (`--NAME VALUE`, {doc}`/rerun`):", ""]
    for parameter in notebook.parameters.values():
        lines += [_option(parameter), f": {_described(parameter)}", ""]
    if repository is not None:
        lines += _hosted(notebook, repository)
    return "\n".join(lines).rstrip() + "\n"


def _option(parameter: Parameter) -> str:
    default = parameter.default
    shown = ",".join(map(str, default)) or "none" if isinstance(default, list) else str(default).replace("None", "none")
    text = f"--{parameter.name.replace('_', '-')} {shown}"
    return f"`{text}`" if "`" not in text else for_markdown(text)


def _described(parameter: Parameter) -> str:
    meaning = for_markdown(parameter.meaning)
    limits = parameter.range
    kind = "path" if limits.file or limits.folder else _KINDS[parameter.type]
    said = for_markdown(limits.text) if limits.text != "any" else "any" if "text" not in kind else ""
    return f"{meaning[:1].upper() + meaning[1:]}; {kind}{', ' + said if said else ''}."


def _hosted(notebook: Notebook, repository: Repository) -> list[str]:
    # The pair is that of the script; of several pages from one script it is the first one's.
    path = f"notebooks/{notebook.script.stem}.ipynb"
    binder, colab = repository.binder(path), repository.colab(path)
    links = [f"[Binder]({binder})", *([f"[Colab]({colab})"] if colab else [])]
    lines = [f"Open it ready to run, without installing anything: {' or '.join(links)}."]
    if colab:
        lines += [
            "In Colab a first cell must fetch what the notebook imports:",
            "",
            "```python",
            repository.colab_setup(),
            "```",
        ]
    usual = Notebook(notebook.script).parameters
    changed = [f"`{name} = {value!r}`" for name, value in notebook.fixed.items() if value != usual[name].default]
    if changed:
        chapter = notebook.script.stem.partition("_")[0]
        lines += ["", f"It opens chapter {chapter}; set {listed(changed)} in its cell of parameters for this one."]
    return ["", *lines]
