"""The pages on the library: a page a noun, written from its sources; from each chapter, links to what it uses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from alignbook.formulas import with_links
from alignbook.library import Library, Named

__all__ = ["API_PAGES", "NAMES_FILE", "UNDOCUMENTED", "WITHOUT_DOOR", "ApiPages"]

# File, title, room.
API_PAGES = (
    ("laws", "Laws", "alignlib.laws"),
    ("divergences", "Divergences", "alignlib.divergences"),
    ("rules", "Rules", "alignlib.rules"),
    ("tables", "Tables", "alignlib.tables"),
    ("fit", "Fits of sampled rewards", "alignlib.estimation"),
    ("gold", "Proxies against gold", "alignlib.hacking"),
    ("scale", "Tables of any size", "alignlib.scale"),
    ("pass_at_k", "pass@k and votes", "alignlib.pass_at_k"),
    ("sequences", "Long sequences", "alignlib.sequences"),
    ("certified", "Numbers with a proof", "alignlib.certified"),
    ("lm", "Small language models", "alignlib.lm"),
    ("bottleneck", "The bottleneck", "alignlib.bottleneck"),
    ("models", "Real models", "alignlib.models"),
    ("training", "Training runs", "alignlib.training"),
    ("answers", "Answers", "alignlib.answers"),
    ("plotting", "Plotting", "alignlib.plotting"),
)
# The commands themselves, or (`_core`) what no reader uses.
UNDOCUMENTED = ("_core", "cli", "__main__")
# What has an entry of a room without a door, where no chapter uses it: its modules bring more than every reader needs.
WITHOUT_DOOR = tuple(
    Named(f"alignlib.models.{module}", name)
    for module, names in {
        "prompts": ("Prompts", "read_prompts"),
        "sample": ("SampleSummary", "sample"),
        "sample_job": ("SampleSettings",),
        "score": ("ScoreSummary", "score"),
        "scoring": ("ScoreSettings",),
        "next_token": ("SamplingLaw",),
    }.items()
    for name in names
)
NAMES_FILE = "api/names.json"

_INDEX = """The library
===========

Everything in this book is computed with ``alignlib``. ``import alignlib`` is enough for the names on this page; each is
imported when it is first used. The pages that follow have the rest of what a room offers or a chapter uses, and every
name is in the :ref:`genindex`; ``alignlib.cli``, the command ``alignlib``, has none. Install it from a copy of the
repository with ``pip install .``.

Units are nats; ``lam`` is the inverse temperature λ = 1/β; a reward is in whatever unit it comes in. A number in gives
a number back, an array an array.

"""


@dataclass(frozen=True)
class ApiPages:
    """The pages on a library, and what chapters use of it.

    Parameters
    ----------
    library : Library
        The sources.
    chapters : mapping of str to str
        The code of each chapter; what a chapter uses is on a page, even where no door of a room offers it.
    """

    library: Library
    chapters: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def used(self) -> dict[str, list[Named]]:
        """What each chapter uses that is on a page."""
        found = {name: self.library.used(source) for name, source in self.chapters.items()}
        return {name: sorted(named for named in names if self._documentable(named)) for name, names in found.items()}

    @cached_property
    def paths(self) -> dict[Named, str]:
        """Under which path each name is documented: as it is imported from the package, a room, or its own module."""
        found = {named: f"alignlib.{name}" for name, named in self.library.front_door.items()}
        for _, _, room in API_PAGES:
            module = self.library.modules.get(room)
            for name in module.offered if module else ():
                named = self.library.home(room, name)
                if named is not None:
                    found.setdefault(named, f"{room}.{name}")
        for named in WITHOUT_DOOR:
            if named.module in self.library.modules:
                found.setdefault(named, named.path)
        for names in self.used.values():
            for named in names:
                found.setdefault(named, self._at_inner_door(named) or named.path)
        return found

    def texts(self) -> dict[str, str]:
        """Return the text of every page by its file, and the names for `linked`."""
        pages = {
            f"api/{file}.rst": self._page(title, room)
            for file, title, room in API_PAGES
            if room in self.library.modules
        }
        names = {named.path: path for named, path in sorted(self.paths.items())}
        return {"api/index.rst": self._index(), NAMES_FILE: json.dumps(names, indent=1) + "\n"} | pages

    def used_by(self, chapter: str) -> str:
        """Return a line of Markdown that links to what a chapter uses, empty where it uses nothing."""
        links = [self._link(self.paths[named]) for named in self.used.get(chapter, [])]
        return f"*From the library:* {', '.join(sorted(links, key=str.lower))}." if links else ""

    @cached_property
    def _at_doors(self) -> set[Named]:
        return {named for _, _, room in API_PAGES if room in self.library.modules for named in self.library.door(room)}

    def _documentable(self, named: Named) -> bool:
        """Whether what a chapter uses has an entry; constants have where a room offers them."""
        if self.library.room(named.module).removeprefix("alignlib.") in UNDOCUMENTED:
            return False
        is_data = self.library.modules[named.module].kind(named.name) == "data"
        at_door = named in self._at_doors or self._at_inner_door(named) is not None
        return at_door or not (is_data or "._" in named.path)

    def _at_inner_door(self, named: Named) -> str | None:
        """Under which path the folder of its file offers a name, such as ``alignlib.lm.methods.find``."""
        folder = named.module.rpartition(".")[0]
        module = self.library.modules.get(folder)
        return f"{folder}.{named.name}" if module is not None and named.name in module.offered else None

    @staticmethod
    def _link(path: str) -> str:
        return f"{{py:obj}}`{path.removeprefix('alignlib.')} <{path}>`"

    def _index(self) -> str:
        lines = []
        for _, title, room in API_PAGES:
            entries = [
                (n, named) for n, named in self.library.front_door.items() if self.library.room(named.module) == room
            ]
            if entries:
                lines += [title, "-" * len(title), ""]
                lines += [self._entry(f"alignlib.{name}", named) for name, named in sorted(entries)]
        rest = [
            (n, named) for n, named in self.library.front_door.items() if named.module.startswith("alignlib._core.")
        ]
        if rest:
            lines += ["Errors", "------", ""]
            lines += [self._directive(f"alignlib.{name}", named) for name, named in sorted(rest)]
        return _INDEX + "\n".join(lines) + "\n"

    def _entry(self, path: str, named: Named) -> str:
        said = self.library.modules[named.module].first_sentence(named.name)
        names = {named.path: where for named, where in self.paths.items()}
        return f":py:obj:`{path.removeprefix('alignlib.')} <{path}>`\n    {with_links(said, names)}\n"

    def _page(self, title: str, room: str) -> str:
        names = sorted(
            ((named, path) for named, path in self.paths.items() if self._place(named, path) == room),
            key=lambda item: (item[1].count("."), item[1].lower()),
        )
        head = [title, "=" * len(title), "", f".. automodule:: {room}", ""]
        groups: list[str] = []
        last = None
        for named, path in names:
            place = path.rpartition(".")[0]
            if place != last:
                heading = f"From ``{place}``"
                groups += [heading, "-" * len(heading), ""]
                last = place
            groups.append(self._directive(path, named))
        return "\n".join([*head, *groups])

    def _place(self, named: Named, path: str) -> str:
        """The room on whose page a name stands: that which offers it, or where it lives, if the front door does."""
        return self.library.room(path if path.count(".") > 1 else named.module)

    def _directive(self, path: str, named: Named) -> str:
        kind = self.library.modules[named.module].kind(named.name)
        module, _, name = path.rpartition(".")
        options = {"class": ["   :members:"], "data": ["   :no-value:"]}.get(kind, [])
        directive = {"class": "autoclass", "data": "autodata"}.get(kind, "autofunction")
        return "\n".join([f".. {directive}:: {module}::{name}", *options, ""])


def code_of(cells: Iterable[Mapping[str, Any]]) -> str:
    """Return the code of a notebook's cells as one text, without magics."""
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    lines = "\n".join(sources).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))
