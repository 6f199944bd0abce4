"""The Workflow Run RO-Crate of a bundle: JSON-LD that names each run's workflow, parameters, inputs, outputs, versions
and hashes.

It follows RO-Crate 1.1, Workflow RO-Crate 1.0 and the profiles Process Run Crate and Workflow Run Crate 0.5. A
notebook's script is the workflow of its run; a book has one more, its Makefile, of which the scripts are parts. The
same runs give the same bytes: a release has its own date, and only the crate of a single run says when it ran.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alignbook.bundle.sums import digests_within
from alignbook.parameters import Parameter, Value
from alignlib._core.names import counted
from alignlib._core.safe_text import for_json

__all__ = ["Crate", "RunOf"]

_CRATE = "https://w3id.org/ro/crate/1.1"
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
# RO-Crate 1.1 has no word for a hash; this is the one of the profile.
_CONTEXT = [f"{_CRATE}/context", {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}]
_FORMAL = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
_WORKFLOW = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
_DONE = "http://schema.org/CompletedActionStatus"
_LICENCES = "https://spdx.org/licenses/"
_KINDS = {"int": "Integer", "float": "Float", "bool": "Boolean", "str": "Text", "str | None": "Text"}
_MEDIA = {
    "ipynb": "application/x-ipynb+json", "json": "application/json", "csv": "text/csv", "pdf": "application/pdf",
    "epub": "application/epub+zip", "py": "text/x-python", "html": "text/html", "md": "text/markdown",
}  # fmt: skip


@dataclass(frozen=True)
class RunOf:
    """One run of a notebook: names of files are those in the bundle.

    ``given`` are inputs that are not in the bundle (a reader's own table): for each parameter what it was, with its
    hash.
    """

    name: str
    title: str
    script: str
    notebook: str
    declared: Mapping[str, Parameter]
    values: Mapping[str, Value]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    started: str = ""
    ended: str = ""


@dataclass(frozen=True)
class Crate:
    """All that the metadata say; ``files`` are sizes and SHA-256 by name, without sums and metadata."""

    name: str
    description: str
    date: str
    licence: str
    authors: str
    files: Mapping[str, tuple[int, str]]
    runs: Sequence[RunOf]
    versions: Mapping[str, str]
    main: str
    folders: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return ``ro-crate-metadata.json``."""
        return for_json({"@context": _CONTEXT, "@graph": list(self._graph())})

    def _graph(self) -> Iterator[dict[str, Any]]:
        alone = [name for name in sorted(self.files) if not self._folder(name)]
        actions = [f"#run-{run.name}" for run in self.runs]
        whole = [] if self._main_is_script() else ["#build"]
        yield {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "conformsTo": [_at(_CRATE), _at("https://w3id.org/workflowhub/workflow-ro-crate/1.0")],
            "about": _at("./"),
        }
        yield {
            "@id": "./",
            "@type": "Dataset",
            "name": self.name,
            "description": self.description,
            "datePublished": self.date,
            "license": _at(_LICENCES + self.licence),
            "author": _at("#authors"),
            "publisher": _at("#authors"),
            "conformsTo": [_at(profile) for profile in _PROFILES],
            "hasPart": [_at(name) for name in [*alone, *sorted(self.folders)]],
            "mainEntity": _at(self.main),
            "mentions": [_at(action) for action in whole + actions],
        }
        for profile, (name, version) in _PROFILES.items():
            yield {"@id": profile, "@type": "CreativeWork", "name": name, "version": version}
        yield {"@id": _LICENCES + self.licence, "@type": "CreativeWork", "name": self.licence}
        yield {"@id": "#authors", "@type": "Organization", "name": self.authors}
        yield {"@id": "#python", "@type": "ComputerLanguage", "name": "Python", "version": self.versions["Python"]}
        yield {"@id": "#make", "@type": "ComputerLanguage", "name": "GNU make"}
        for name, version in self.versions.items():
            yield {
                "@id": f"#software-{name.lower()}",
                "@type": "SoftwareApplication",
                "name": name,
                "softwareVersion": version,
            }
        within = digests_within(self.folders, {name: digest for name, (_, digest) in self.files.items()})
        for folder, said in sorted(self.folders.items()):
            yield {
                "@id": folder,
                "@type": "Dataset",
                "name": folder.rstrip("/"),
                "description": said,
                "sha256": within[folder],
            }
        scripts: dict[str, RunOf] = {}
        for run in self.runs:  # several pages may come from one script
            scripts.setdefault(run.script, run)
        for name in alone:
            yield self._file(name, scripts)
        if whole:
            yield {
                "@id": "#build",
                "@type": "CreateAction",
                "name": "Build of the book: every notebook executed with its defaults, the pages made of them",
                "instrument": _at(self.main),
                "object": _all_at(sorted({*scripts, *(name for run in self.runs for name in run.inputs)})),
                "result": _all_at(self._results()),
                "actionStatus": _DONE,
            }
        for run in self.runs:
            yield from self._run(run, scripts)

    def _main_is_script(self) -> bool:
        return any(run.script == self.main for run in self.runs)

    def _folder(self, name: str) -> bool:
        return any(name.startswith(folder) for folder in self.folders)

    def _results(self) -> list[str]:
        made = {run.notebook for run in self.runs}
        alone = {name for name in self.files if not self._folder(name)}  # pictures of the pages are in their folder
        made |= {name for name in alone if name.startswith("results/") or name.endswith((".pdf", ".epub"))}
        return sorted(made) + sorted(self.folders)

    def _file(self, name: str, scripts: Mapping[str, RunOf]) -> dict[str, Any]:
        size, digest = self.files[name]
        entity: dict[str, Any] = {"@id": name, "@type": "File", "name": name.rpartition("/")[2]}
        if said := self.about.get(name):
            entity["description"] = said
        entity |= {"contentSize": str(size), "sha256": digest}
        if kind := _MEDIA.get(name.rpartition(".")[2]):
            entity["encodingFormat"] = kind
        if name in scripts or name == self.main:
            entity["@type"] = ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
            entity["programmingLanguage"] = _at("#python" if name.endswith(".py") else "#make")
            entity |= {"version": self.versions["alignlib"], "conformsTo": _at(_WORKFLOW)}
            entity["softwareRequirements"] = [_at(f"#software-{one.lower()}") for one in self.versions]
        if name in scripts:
            run = scripts[name]
            entity["name"] = run.title
            entity["input"] = [_at(_formal(run, parameter)) for parameter in run.declared]
        elif name == self.main:
            entity["hasPart"] = [_at(script) for script in sorted(scripts)]
        return entity

    def _run(self, run: RunOf, scripts: Mapping[str, RunOf]) -> Iterator[dict[str, Any]]:
        of = scripts[run.script]
        values = [f"#run-{run.name}-{name}" for name in run.values]
        action: dict[str, Any] = {
            "@id": f"#run-{run.name}",
            "@type": "CreateAction",
            "name": f"Run of {run.name}",
            "description": f"The notebook '{run.title}' executed with {counted(len(run.values), 'parameter')}.",
            "instrument": _at(run.script),
            "object": _all_at([*values, *run.inputs]),
            "result": _all_at([run.notebook, *run.outputs]),
            "actionStatus": _DONE,
        }
        if run.started:
            action["startTime"] = run.started
        if run.ended:
            action["endTime"] = run.ended
        yield action
        for name, value in run.values.items():
            entity = {"@id": f"#run-{run.name}-{name}", "@type": "PropertyValue", "name": name, "value": written(value)}
            if name in of.declared:
                entity["exampleOfWork"] = _at(_formal(of, name))  # type: ignore[assignment]
            if name in run.given:
                entity["description"] = run.given[name]
            yield entity
        if of is run:
            for name, parameter in run.declared.items():
                entity = {
                    "@id": _formal(run, name),
                    "@type": "FormalParameter",
                    "name": name,
                    "description": parameter.meaning,
                    "additionalType": _KINDS[parameter.element],
                    "conformsTo": _at(_FORMAL),  # type: ignore[dict-item]
                    "defaultValue": written(parameter.default),
                }
                if parameter.is_list:
                    entity["multipleValues"] = "True"
                yield entity


def written(value: Value) -> str:
    """Return a parameter's value as text that says its type too.

    >>> written([1, 2]), written("law"), written(None), written(0.5)
    ('[1, 2]', '"law"', 'null', '0.5')
    """
    return json.dumps(value, ensure_ascii=False)


def _formal(run: RunOf, name: str) -> str:
    return f"#parameter-{run.script.rpartition('/')[2].removesuffix('.py')}-{name}"


def _at(name: str) -> dict[str, str]:
    return {"@id": name}


def _all_at(names: Iterable[str]) -> dict[str, str] | list[dict[str, str]]:
    """One reference as itself, as profiles ask for, and several as a list."""
    found = [_at(name) for name in names]
    return found[0] if len(found) == 1 else found
