"""The citation file is valid, and says the same as the package and the bibliography."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pybtex.database import parse_file, parse_string

import alignlib
from alignbook.citation import book_reference, chapter_references
from alignbook.citation import read_citation as read_book_citation

ROOT = Path(__file__).resolve().parent.parent


def read_citation() -> dict[str, Any]:
    """Return ``CITATION.cff`` as the schema sees it: dates stay text."""
    data: dict[str, Any] = yaml.load((ROOT / "CITATION.cff").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    data["references"] = [{**entry, "year": int(entry["year"])} for entry in data["references"]]
    return data


def validator(name: str = "citation-file-format") -> jsonschema.protocols.Validator:
    """Return a validator for the citation file format, or another that the package ships."""
    folder = files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return jsonschema.validators.validator_for(schema)(schema)


def test_citation_file_follows_its_schema() -> None:
    assert [error.message for error in validator().iter_errors(read_citation())] == []


@pytest.mark.parametrize("broken", [{"authors": []}, {"version": None}, {"license": "BSD-17"}, {"surprise": 1}])
def test_schema_refuses_a_broken_citation_file(broken: dict[str, Any]) -> None:
    assert list(validator().iter_errors({**read_citation(), **broken}))


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" in project["dynamic"]
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "book/cite.md", "book/bundle.md")]
    quoted = [found for page in pages for found in re.findall(r"(?:[Vv]ersion |limits-)([0-9.]+[0-9])", page)]
    assert len(quoted) >= 3
    archive = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    assert {read_citation()["version"], archive["version"], *quoted} == {alignlib.__version__}
    assert read_citation()["date-released"] == archive["publication_date"]
    days = "|".join(["unreleased", archive["publication_date"]])  # a release has the date of both
    assert re.search(
        rf"^## {re.escape(alignlib.__version__)} \(({days})\)$",
        (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )


@pytest.mark.parametrize("address", ["", "https://example.org/a/limits/", "https://github.com/Someone/limits"])
def test_references_have_an_address_where_the_book_has_one(tmp_path: Path, address: str) -> None:
    (tmp_path / "CITATION.cff").write_text((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (tmp_path / "_config.yml").write_text(f"repository:\n  url: '{address}'\n")
    citation = read_book_citation(tmp_path, "9.8")
    page = chapter_references(citation, {"notebooks/10_a": "Best of $N$", "notebooks/11_b": "Why?"})
    for text in (book_reference(citation), page):
        assert text.count("https://") == (0 if not address else 4 if text == page else 2)
        assert "9.8" in text
        assert "2026" in text
        assert "The alignment-limits authors" in text
    assert ("no public address" in book_reference(citation)) == (not address)
    if address:
        assert "Why? In *" in page
        # Pages have an address of their own where the workflow publishes them; else the repository's stands for them.
        published = "https://someone.github.io/limits/notebooks/10_a.html"
        assert f"<{published if 'github' in address else address.rstrip('/')}>" in page
    entries = parse_string("\n".join(re.findall(r"^@[\s\S]*?^\}", page, re.MULTILINE)), "bibtex").entries
    assert entries["alignment_limits_10"].fields["title"] == "Best of {N}"
    assert set(entries) == {"alignment_limits_10", "alignment_limits_11"}


def test_licences_are_named_and_present() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert read_citation()["license"] == project["license"] == "BSD-3-Clause"
    assert "BSD 3-Clause License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    text = (ROOT / "LICENSE-CC-BY-4.0").read_text(encoding="utf-8")
    assert "https://creativecommons.org/licenses/by/4.0/" in text
    assert "Section 8 -- Interpretation." in text


def test_references_are_those_of_the_bibliography() -> None:
    entries = parse_file(str(ROOT / "book" / "references.bib")).entries
    cited = {
        (reference["title"], str(reference["year"]), identifier["value"])
        for reference in read_citation()["references"]
        for identifier in reference["identifiers"]
    }
    expected = {
        (entries[key].fields["title"], entries[key].fields["year"], f"arXiv:{entries[key].fields['eprint']}")
        for key in ("Y24", "P26", "C25")
    }
    assert cited == expected


def test_authors_of_references_are_those_of_the_bibliography() -> None:
    entries = parse_file(str(ROOT / "book" / "references.bib")).entries
    authors = {
        fields["eprint"]: [" ".join(person.last_names).strip("{}") for person in entry.persons["author"]]
        for entry in entries.values()
        if "eprint" in (fields := entry.fields)
    }
    for reference in read_citation()["references"]:
        number = reference["identifiers"][0]["value"].removeprefix("arXiv:")
        assert [author["family-names"] for author in reference["authors"]] == authors[number]


def test_archive_and_codecheck_say_what_the_citation_says() -> None:
    citation = read_citation()
    archive = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    assert archive["title"] == citation["title"]
    assert archive["description"] == citation["abstract"]
    assert archive["keywords"] == citation["keywords"]
    assert archive["license"].lower() == citation["license"].lower()
    assert [one["identifier"] for one in archive["related_identifiers"]] == [
        identifier["value"] for reference in citation["references"] for identifier in reference["identifiers"]
    ]
    check = yaml.safe_load((ROOT / "codecheck.yml").read_text(encoding="utf-8"))
    assert citation["title"] == check["paper"]["title"]
    assert check["paper"]["authors"] == archive["creators"] == citation["authors"]
    assert (ROOT / check["paper"]["reference"]).is_file()


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflows_follow_their_schema_and_our_pythons(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    workflow = yaml.load(text.replace("\non:", "\n'on':"), Loader=yaml.SafeLoader)
    assert [error.message for error in validator("github-workflows").iter_errors(workflow)] == []
    assert list(validator("github-workflows").iter_errors({**workflow, "jobs": {"a": {"steps": 1}}}))
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert workflow["jobs"]["reader"]["strategy"]["matrix"]["python"][0] == oldest.removeprefix(">=")
