"""The lock, the conda environment and the package metadata describe one environment."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
import rattler
import yaml
from hypothesis.internal.conjecture.providers import HypothesisProvider
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import alignlib

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Pin:
    """One entry of the lock."""

    name: str
    version: str
    marker: Marker | None
    n_hashes: int

    def valid_for(self, python: str) -> bool:
        """Whether the entry is installed on Linux with that Python."""
        environment = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
        return self.marker is None or self.marker.evaluate(environment)


def read_lock(text: str) -> list[Pin]:
    """Parse ``name==version ; marker`` entries with their hashes; anything else is an error."""
    pins = []
    for entry in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", entry.strip())
        parsed = Requirement(requirement)
        (specifier,) = parsed.specifier
        assert specifier.operator == "==", entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), entry
        pins.append(Pin(canonicalize_name(parsed.name), specifier.version, parsed.marker, len(hashes)))
    return pins


LOCK_TEXT = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCK = read_lock(LOCK_TEXT)
DIRECT = [
    Requirement(line.split("#")[0])
    for line in (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    if line.split("#")[0].strip()
]


def conda_entries() -> tuple[list[rattler.MatchSpec], list[str]]:
    """Return the conda entries and the pip entries of ``environment.yml``."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    specs = [rattler.MatchSpec(entry, strict=True) for entry in entries if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    return specs, pip


def conda_allows(name: str, version: str) -> bool:
    """Whether ``environment.yml`` names the package and its range holds the version."""
    specs, pip = conda_entries()
    for spec in specs:
        if spec.name is not None and spec.name.normalized == name:
            return spec.version is None or rattler.VersionSpec(spec.version).matches(rattler.Version(version))
    named = [Requirement(entry) for entry in pip if not entry.startswith("-")]
    return any(canonicalize_name(r.name) == name and r.specifier.contains(version) for r in named)


def test_every_entry_of_the_lock_has_hashes() -> None:
    assert LOCK
    assert [pin.name for pin in LOCK if pin.n_hashes == 0] == []


def test_lock_says_nothing_of_where_packages_come_from() -> None:
    assert re.findall(r"https?:|file:|index|find-links|trusted-host|@ ", LOCK_TEXT) == []


@pytest.mark.parametrize("text", ["numpy>=2 --hash=sha256:" + "0" * 64, "-i somewhere", "numpy==2.0 --hash=md5:00"])
def test_reading_the_lock_refuses_other_lines(text: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        read_lock(text)


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_pins_every_direct_requirement_once(python: str) -> None:
    pins = [pin for pin in LOCK if pin.valid_for(python)]
    names = [pin.name for pin in pins]
    assert len(set(names)) == len(names)
    versions = {pin.name: pin.version for pin in pins}
    for requirement in DIRECT:
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_one_version_of_the_numerical_packages_for_every_python() -> None:
    for name in ("numpy", "scipy", "pandas", "pyarrow", "matplotlib"):
        assert [pin.marker for pin in LOCK if pin.name == name] == [None], name


def test_conda_environment_names_every_direct_requirement_and_holds_every_pin() -> None:
    outside = [
        f"{pin.name} {pin.version}"
        for requirement in DIRECT
        for pin in LOCK
        if pin.name == canonicalize_name(requirement.name) and not conda_allows(pin.name, pin.version)
    ]
    assert outside == []


def test_conda_environment_takes_a_supported_python_and_the_package_itself() -> None:
    specs, pip = conda_entries()
    assert any(conda_allows("python", f"{python}.5") for python in PYTHONS)
    assert not conda_allows("python", "3.10.5")
    assert not conda_allows("numpy", "1.26.4")
    assert {spec.name.normalized for spec in specs if spec.name} >= {"python", "pip"}
    assert "--editable ." in pip


def test_package_metadata_admits_the_lock() -> None:
    versions = {pin.name: pin.version for pin in LOCK}
    extras = PYPROJECT["project"]["optional-dependencies"]
    needed = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
    needed += [Requirement(text) for text in (*extras["report"], *extras["book"]) if "[report]" not in text]
    needed += [Requirement(text) for text in PYPROJECT["build-system"]["requires"]]
    for requirement in needed:
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement
        assert canonicalize_name(requirement.name) in {canonicalize_name(r.name) for r in DIRECT}, requirement
    supported = SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert all(supported.contains(Version(python)) for python in PYTHONS)


def test_the_base_install_is_small() -> None:
    found: set[str] = set()
    left = [Requirement(text).name for text in PYPROJECT["project"]["dependencies"]]
    while left:
        name = canonicalize_name(left.pop())
        if name not in found:
            found.add(name)
            needed = [Requirement(text) for text in metadata.requires(name) or []]
            left += [r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    assert {"numpy", "pillow"} <= found
    assert not {"pandas", "jupytext", "papermill", "ipykernel", "sphinx", "torch"} & found
    assert len(found) + 1 <= 25


def test_distribution_name_is_not_the_import_name() -> None:
    # The distribution called alignlib on the public index belongs to somebody else.
    assert PYPROJECT["project"]["name"] == "alignment-limits"
    pages = [*ROOT.glob("*.md"), *ROOT.glob("book/*.md"), *ROOT.glob("notebooks/*.py")]
    assert [page.name for page in pages if "pip install alignlib" in page.read_text(encoding="utf-8")] == []
    assert alignlib.__name__ == "alignlib"


def test_fixed_examples_do_without_constants_of_loaded_modules() -> None:
    """`conftest.py` replaces a private function: this fails where Hypothesis no longer calls it."""
    assert len(HypothesisProvider(None)._local_constants) == 0
