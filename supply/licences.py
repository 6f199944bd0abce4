"""The licences of all that this project brings to a reader: what its install needs, and what its pages contain."""

from __future__ import annotations

import re
import tomllib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["IN_PAGES", "Licence", "licences", "needed", "objections"]

ROOT = Path(__file__).resolve().parent.parent
# Files of these are copied into the pages of the book and of reports: scripts, styles, fonts.
IN_PAGES = (
    "sphinx-mathjax-offline", "sphinx-book-theme", "pydata-sphinx-theme", "sphinx", "sphinx-design",
    "sphinx-copybutton", "sphinx-togglebutton", "sphinx-proof", "myst-nb", "pygments", "accessible-pygments",
)  # fmt: skip
_KNOWN = (
    "MIT", "BSD", "Apache", "ISC", "PSF", "Python Software Foundation", "MPL", "Mozilla Public", "HPND", "Unlicense",
    "Zlib", "ZPL", "Zope", "Public Domain", "0BSD", "CC0", "LGPL", "Lesser General Public", "matplotlib",
)  # fmt: skip
# What a licence text says of itself, where the metadata name none.
_TEXTS = (
    ("Apache License", "Apache-2.0"), ("MIT License", "MIT"), ("Permission is hereby granted, free of charge", "MIT"),
    ("Redistribution and use in source and binary forms", "BSD"), ("Mozilla Public License", "MPL-2.0"),
    ("PYTHON SOFTWARE FOUNDATION LICENSE", "PSF-2.0"), ("ISC License", "ISC"),
)  # fmt: skip


@dataclass(frozen=True)
class Licence:
    """A distribution, its licence as its metadata say it, and where it reaches a reader."""

    name: str
    version: str
    licence: str
    where: tuple[str, ...]


def needed(extra: str | None) -> set[str]:
    """Names of all distributions that an installation needs, with an extra, as the installed metadata say."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = canonicalize_name(project["name"])
    texts = [*project["dependencies"], *(project["optional-dependencies"][extra] if extra else [])]
    waiting: deque[tuple[Requirement, str]] = deque((Requirement(text), "") for text in texts)
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, of = waiting.popleft()
        name = canonicalize_name(requirement.name)
        if name == own or (requirement.marker is not None and not requirement.marker.evaluate({"extra": of})):
            continue
        for chosen in ("", *sorted(requirement.extras)):
            if (name, chosen) in seen:
                continue
            seen.add((name, chosen))
            found = _installed(name)
            waiting.extend((Requirement(text), chosen) for text in (found.requires or [] if found else []))
    return {name for name, _ in seen}


def licences() -> list[Licence]:
    """Licences of what the base install and the extra ``report`` need, and of what pages contain, by name."""
    base, report = needed(None), needed("report")
    pages: set[str] = {canonicalize_name(name) for name in IN_PAGES}
    places = {"base": base, "report": report - base, "pages": pages}
    out = []
    for name in sorted(base | report | pages):
        where = tuple(place for place, names in places.items() if name in names)
        found = _installed(name)
        version, licence = (found.version, licence_of(found)) if found else ("not installed", "")
        out.append(Licence(name, version, licence, where))
    return out


def licence_of(found: Distribution) -> str:
    """The licence of a distribution: its expression, else its classifiers, else its field, else its text."""
    metadata = found.metadata
    for expression in metadata.get_all("License-Expression", []):
        return str(expression)
    classifiers = [text.rsplit(" :: ", 1)[-1] for text in metadata.get_all("Classifier", []) if "License ::" in text]
    named = [text for text in classifiers if text != "OSI Approved"]
    if named:
        return "; ".join(named)
    field = " ".join(" ".join(metadata.get_all("License", [])).split())
    if 0 < len(field) < 100:
        return field
    for file in found.files or []:
        if re.match(r"(LICEN[CS]E|COPYING)", file.name, re.IGNORECASE):
            text = file.read_text(encoding="utf-8")
            said = next((name for words, name in _TEXTS if words.lower() in text.lower()), "")
            if said:
                return f"{said} (from {file.name})"
    return ""


def objections(found: Iterable[Licence]) -> list[str]:
    """Say which distributions have no licence that is known to let this project be passed on."""
    return [
        f"{one.name} {one.version}: {one.licence or 'no licence named'}"
        for one in found
        if not any(word.lower() in one.licence.lower() for word in _KNOWN)
    ]


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
