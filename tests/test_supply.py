"""What ships: builds that are the same twice, licences that are known, advisories read as pip-audit writes them."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from supply.advisories import ask, read_report
from supply.licences import IN_PAGES, Licence, licences, needed, objections
from supply.reproducible import compare
from tests.small_project import ROOT

pytestmark = [pytest.mark.xdist_group("supply"), pytest.mark.early]


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    """In another folder, at another time, under another umask."""
    one, two = compare(ROOT, tmp_path)
    assert one == two
    assert sorted(name.rpartition(".")[2] for name in one) == ["gz", "whl"]
    (wheel,), (archive,) = tmp_path.glob("dist_b/*.whl"), tmp_path.glob("dist_b/*.gz")
    with zipfile.ZipFile(wheel) as file:
        assert {entry.external_attr >> 16 & 0o777 for entry in file.infolist()} <= {
            0o644,
            0o664,
        }  # the list of files has the second, whoever packs
    with tarfile.open(archive) as packed:
        assert {(entry.uid, entry.uname, entry.mode) for entry in packed} == {(0, "", 0o755), (0, "", 0o644)}
        assert any(name.endswith("/SECURITY.md") for name in packed.getnames())


def test_every_licence_is_known() -> None:
    found = licences()
    assert {"numpy", "click", "sphinx", "tornado"} <= {one.name for one in found}
    assert {one.name for one in found if "pages" in one.where} == set(IN_PAGES)
    assert objections(found) == []
    assert needed(None) < needed("report")
    for licence in ("", "GPL-3.0-only", "Proprietary"):
        assert objections([Licence("x", "1", licence, ("base",))]) == [f"x 1: {licence or 'no licence named'}"]


def test_advisories() -> None:
    entries = [
        {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": []}]},
        {"name": "b", "version": "2", "vulns": []},
        {"name": "c", "skip_reason": "not found"},
    ]
    said = read_report(json.dumps({"dependencies": entries})).lines()
    assert said[0].startswith("Known vulnerabilities: 1 in 2 distributions of requirements.lock.")
    assert said[1:] == ["  a 1: PYSEC-1, fixed in no version yet", "Not checked: c."]
    assert "not checked" in read_report(json.dumps({"dependencies": entries[2:]})).lines()[0]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'ConnectionError: max retries exceeded' >&2; exit 1", "no connection"),
        ("exec sleep 5", "TimeoutExpired"),
    ],
)
def test_a_source_that_does_not_answer_is_said(tmp_path: Path, script: str, said: str) -> None:
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    report = ask(program, ROOT / "requirements.lock", timeout=1.0)
    assert report.n_checked == 0
    assert said in report.lines()[0]
    program.write_text("#!/bin/sh\necho 'usage: no such option' >&2; exit 2\n")
    with pytest.raises(RuntimeError, match="no such option"):
        ask(program, ROOT / "requirements.lock")
