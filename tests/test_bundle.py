"""Bundles: the crate of a run is valid and verifies; whatever was changed, cut or meant ill is said in one sentence."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from alignbook.bundle import SUMS, BundleError, digest_of, open_bundle, verify
from alignbook.bundle.again import Rerun, _job, compare, rerun
from alignbook.bundle.contents import pack, put
from alignbook.bundle.one_run import check_crate, write_run_crate
from alignbook.citation import read_citation
from alignbook.claim import Claim
from alignbook.parameters import parse_cell
from alignbook.project import Project
from alignbook.runner import Job, Run
from alignlib import InputError
from alignlib.answers.output.render import schema
from alignlib.cli.main import main
from supply.release import fill
from tests.small_project import GOOD, ROOT, make_project

pytestmark = pytest.mark.xdist_group("bundle")

MARK = "ro-crate-metadata.json"
CLAIMS = (
    Claim("square", "$(\\sqrt{x})^2=x$", "arithmetic", "equal", 4.0, 4.0, 4e-12, 5),
    Claim("cap", "no root exceeds 10", "we derive", "at most", 2.0, 10.0, 0.0, 5),
    Claim("far", "a half is one", "we derive", "equal", 0.5, 1.0, 0.1, 1, must_hold=False),
)


def run_of(project: Project, **values: Any) -> Run:
    """What executing the toy notebook leaves, made without a kernel."""
    notebook = project.find("01")
    parameters = {name: one.default for name, one in notebook.parameters.items()} | values
    node = notebook.node
    numbers = {"root": 2.0, "bound": float("inf"), "law": "uniform"}
    node.metadata["alignlib"] = nbformat.from_dict(
        {"parameters": parameters, "numbers": numbers, "claims": [claim.to_json() for claim in CLAIMS]}
    )
    return Run(notebook.name, notebook.title, nbformat.writes(node) + "\n", CLAIMS, numbers, seconds=2.0)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(tmp_path_factory.mktemp("project"), {"01_roots": GOOD})
    shutil.copy(ROOT / "CITATION.cff", made.root)
    return made


@pytest.fixture(scope="module")
def crate(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crate") / "made"
    write_run_crate(folder, project, project.find("01"), {"n": 7}, run_of(project, n=7), started=1.7e9)
    return folder


@pytest.fixture
def copied(crate: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(crate, tmp_path / "bundle"))


def problems(path: Path) -> tuple[str, ...]:
    with open_bundle(path) as bundle:
        return verify(bundle).problems


def seal(folder: Path) -> None:
    """Make the sums agree again, as whoever forges a bundle would."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = [f"{digest_of(folder / name)}  {name}\n" for name in names if name != SUMS]
    (folder / SUMS).write_text("".join(lines))


def test_the_crate_of_a_run_verifies_as_folder_and_as_archive(crate: Path, tmp_path: Path) -> None:
    pack(crate, tmp_path / "a.zip", "2026-01-02")
    pack(crate, tmp_path / "b.zip", "2026-01-02")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    found = []
    for path in (crate, tmp_path / "a.zip"):
        with open_bundle(path) as bundle:
            found.append(verify(bundle))
    assert found[0] == found[1]
    assert found[0].good
    assert (found[0].n_runs, found[0].n_claims, found[0].n_hold, found[0].n_excused) == (1, 3, 2, 1)
    assert found[0].digest == digest_of(crate / SUMS)


def test_a_crate_made_meanwhile_stays_and_is_named(
    crate: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, before = run_of(project, n=8), digest_of(crate / SUMS)
    with pytest.raises(InputError, match=rf"^{crate} exists; choose another folder for the crate"):
        write_run_crate(crate, project, project.find("01"), {"n": 8}, run, started=1.7e9)
    monkeypatch.setattr("alignbook.bundle.one_run.check_crate", lambda _: None)  # made at that very moment
    with pytest.raises(OSError, match="not empty") as refused:
        write_run_crate(crate, project, project.find("01"), {"n": 8}, run, started=1.7e9)
    assert refused.value.filename == str(crate)
    assert digest_of(crate / SUMS) == before


def test_the_crate_names_parameters_versions_hashes_and_times(crate: Path) -> None:
    graph = {one["@id"]: one for one in json.loads((crate / MARK).read_text())["@graph"]}
    action = graph["#run-01_roots"]
    assert action["instrument"] == {"@id": "01_roots.py"}
    assert {"@id": "notebooks/01_roots.ipynb"} in action["result"]
    assert (action["startTime"], action["endTime"]) == ("2023-11-14T22:13:20+00:00", "2023-11-14T22:13:22+00:00")
    given = graph["#run-01_roots-n"]
    assert (given["value"], graph[given["exampleOfWork"]["@id"]]["defaultValue"]) == ("7", "5")
    assert graph["#software-numpy"]["softwareVersion"]
    for path in crate.rglob("*"):
        name = path.relative_to(crate).as_posix()
        if path.is_file() and name not in (MARK, SUMS):
            assert graph[name]["sha256"] == digest_of(path)


@pytest.fixture(scope="module")
def release(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of the toy book without volumes, its wheel and its pages made up."""
    for name in ("Makefile", "requirements.lock", "codecheck.yml"):
        shutil.copy(ROOT / name, project.root)
    pages = {"index.html": "<p>", "notebooks/01_roots.html": "<p>", "_figures/fig-roots.pdf": "%PDF"}
    put(project.build / "_build" / "html", pages)
    put(project.folder, {"data/table.csv": "a\n1\n"})
    run = replace(run_of(project), read=(str(project.folder / "data" / "table.csv"), str(project.folder / "x.py")))
    folders = [tmp_path_factory.mktemp("release") / "one", tmp_path_factory.mktemp("release") / "two"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("supply.release._packages", lambda _, dist: put(dist, {"a.whl": "wheel"}) or "a.whl")
        for folder in folders:
            fill(folder, project, [run], read_citation(project.root, "0.1.0"), volumes=False)
    assert (folders[0] / SUMS).read_bytes() == (folders[1] / SUMS).read_bytes()
    return folders[0]


def test_a_release_verifies_and_names_what_each_run_read(release: Path) -> None:
    assert problems(release) == ()
    graph = {one["@id"]: one for one in json.loads((release / MARK).read_text())["@graph"]}
    assert graph["./"]["mainEntity"] == {"@id": "Makefile"}
    assert graph["Makefile"]["hasPart"] == [{"@id": "sources/notebooks/01_roots.py"}]
    action = graph["#run-01_roots"]
    assert {"@id": "sources/notebooks/data/table.csv"} in action["object"]
    assert "startTime" not in action  # a release is the same whenever it is made
    assert action["result"] == {"@id": "notebooks/01_roots.ipynb"}  # one is no list of one
    listed = (release / SUMS).read_text()
    for name in ("html/index.html", "dist/a.whl", "requirements.lock", "results/values.csv", "README.md"):
        assert f"  {name}\n" in listed


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what rdflib still uses within itself
def test_the_crates_are_workflow_run_crates(crate: Path, release: Path, tmp_path: Path) -> None:
    """As roc-validator sees it, without a network: RO-Crate 1.1's context comes from the wheel of rocrate."""
    import requests
    import requests_cache
    from pyparsing import ParserElement
    from requests.adapters import BaseAdapter, HTTPAdapter
    from rocrate_validator import models, services
    from urllib3 import HTTPResponse

    context = (files("rocrate") / "data" / "ro-crate.jsonld").read_bytes()

    class FromWheel(BaseAdapter):
        def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
            body = HTTPResponse(BytesIO(context), {"Content-Type": "application/ld+json"}, 200, preload_content=False)
            return HTTPAdapter().build_response(request, body)

        def close(self) -> None:
            pass

    cache = tmp_path / "cache"
    with requests_cache.CachedSession(str(cache), backend="sqlite", expire_after=-1) as session:
        session.mount("https://", FromWheel())
        session.get("https://w3id.org/ro/crate/1.1/context")

    def issues(folder: Path) -> list[str]:
        settings = models.ValidationSettings(
            rocrate_uri=str(folder),
            profile_identifier="workflow-run-crate-0.5",
            requirement_severity=models.Severity.REQUIRED,
            offline=True,
            abort_on_first=True,
            cache_path=str(cache),
        )
        ParserElement.disable_memoization()  # Matplotlib asks for it; without it SPARQL is parsed in half the time
        try:
            found = services.validate(settings).get_issues()
        finally:
            ParserElement.enable_packrat()
        return [f"{one.check.identifier}: {one.message}" for one in found]

    assert issues(crate) == []
    assert issues(release) == []
    broken = Path(shutil.copytree(crate, tmp_path / "broken"))
    text = (broken / MARK).read_text()
    (broken / MARK).write_text(text.replace('"instrument"', '"instead"'))
    assert issues(broken) != []


def change_number(folder: Path) -> None:
    path = folder / "notebooks" / "01_roots.ipynb"
    path.write_text(path.read_text().replace('"value": 2.0', '"value": 2.5'))


def change_claim(folder: Path) -> None:
    for path in (folder / "notebooks" / "01_roots.ipynb", folder / "results" / "claims.json"):
        path.write_text(path.read_text().replace('"value": 2.0', '"value": 12.0'))


def change_parameter(folder: Path) -> None:
    path = folder / MARK
    path.write_text(path.read_text().replace('"value": "7"', '"value": "8"'))


def change_verdict(folder: Path) -> None:
    path = folder / "results" / "claims.json"
    path.write_text(path.read_text().replace('"holds": false', '"holds": true'))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "results" / "values.csv").write_text("x"), "results/values.csv was changed"),
        (lambda f: (f / "results" / "values.csv").unlink(), "results/values.csv is listed in SHA256SUMS and missing"),
        (lambda f: (f / "more.txt").write_text("x"), "more.txt is not listed in SHA256SUMS"),
        (change_number, "notebooks/01_roots.ipynb was changed"),
    ],
)
def test_what_was_changed_is_named(copied: Path, change: Callable[[Path], object], said: str) -> None:
    change(copied)
    assert any(problem.startswith(said) for problem in problems(copied))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "more.txt").write_text("x"), "more.txt is not described in the crate"),
        (lambda f: (f / "results" / "values.csv").unlink(), "the crate describes 'results/values.csv', which is"),
        (change_number, "notebooks/01_roots.ipynb is not the file that the crate describes"),
        (change_number, "results/claims.json does not say what the notebooks record"),
        (change_claim, "the claim cap of 01_roots must hold and does not: 12 (worst of 5) ≤ 10"),
        (change_parameter, "the parameters of 01_roots in the crate are not those that its notebook records"),
        (change_verdict, "results/claims.json does not say what the notebooks record"),
    ],
)
def test_sums_made_anew_do_not_hide_a_change(copied: Path, change: Callable[[Path], object], said: str) -> None:
    change(copied)
    seal(copied)
    found = problems(copied)
    assert not any("SHA256SUMS" in problem for problem in found)
    assert any(problem.startswith(said) for problem in found), found


def _claim(**values: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "notebooks" / "01_roots.ipynb"
        book = json.loads(path.read_text())
        book["metadata"]["alignlib"]["claims"][0] |= values
        path.write_text(json.dumps(book))

    return change


def _recorded(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Change what the notebook records."""

    def changed(folder: Path) -> None:
        path = folder / "notebooks" / "01_roots.ipynb"
        book = json.loads(path.read_text())
        change(book["metadata"]["alignlib"])
        path.write_text(json.dumps(book))

    return changed


def _crate(**said: object) -> Callable[[Path], object]:
    """Change what the crate says of itself."""

    def change(folder: Path) -> None:
        crate = json.loads((folder / MARK).read_text())
        for one in crate["@graph"]:
            one |= said if one["@id"] == MARK else {}
        (folder / MARK).write_text(json.dumps(crate))

    return change


def _no_script(folder: Path) -> None:
    text = (folder / MARK).read_text()
    (folder / MARK).write_text(text.replace('"instrument"', '"instead"'))


NO_NOTEBOOK = "notebooks/01_roots.ipynb is no executed notebook of ours"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_claim(value=10**400), NO_NOTEBOOK),
        (_claim(points=None), NO_NOTEBOOK),
        (_claim(points=2**70), NO_NOTEBOOK),
        (_claim(kind=["equal"]), NO_NOTEBOOK),
        (_claim(kind="certain"), NO_NOTEBOOK),
        (_claim(must_hold="no"), NO_NOTEBOOK),
        (_claim(statement={}), NO_NOTEBOOK),
        (_claim(interval=[2.0, 1.0]), NO_NOTEBOOK),
        (
            _recorded(lambda kept: kept["claims"].insert(0, kept["claims"][0] | {"value": 5.0})),
            f"{NO_NOTEBOOK}: it records a claim twice",
        ),
        (_no_script, "the crate names no script of the run that made notebooks/01_roots.ipynb"),
        (_crate(about={"@id": "./results/"}), f"{MARK} does not say that it is an RO-Crate"),
        (_crate(conformsTo=[]), f"{MARK} does not say that it is an RO-Crate"),
        (lambda f: (f / SUMS).write_text(f"{'0' * 64}  {'n' * 200_000}\n"), "nnnnnnn"),
    ],
)
def test_values_that_we_do_not_write_are_named_in_short(
    copied: Path, change: Callable[[Path], object], said: str
) -> None:
    change(copied)
    found = problems(copied)
    assert any(problem.startswith(said) for problem in found), found
    assert max(map(len, found)) < 1300


@pytest.mark.parametrize("way", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_however_an_archive_is_packed_damage_names_the_file(tmp_path: Path, way: int) -> None:
    path = forge(tmp_path / "x.zip", ("a.txt", bytes(range(256)) * 8), (MARK, b"{}"), pack_them=way)
    data, said = path.read_bytes(), set()
    for at in range(30, 120, 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        with contextlib.suppress(BundleError), open_bundle(path) as bundle:
            try:
                bundle.read("a.txt")
            except BundleError as error:
                said.add(str(error))
    assert said
    assert all(f"'a.txt' of {path} is damaged" in one or "cut short" in one for one in said), said


@pytest.mark.parametrize("name", ["html/index.html", "html/more.html"])
def test_sums_made_anew_do_not_hide_a_changed_page(release: Path, tmp_path: Path, name: str) -> None:
    """Pages are many, and described in the crate together."""
    folder = tmp_path / "copy"
    shutil.copytree(release, folder)
    (folder / name).write_text("<script>")
    seal(folder)
    assert any(problem.startswith("the files of html/ are not those") for problem in problems(folder))


def test_a_long_list_of_faults_is_cut(copied: Path) -> None:
    for number in range(40):
        (copied / f"{number}.txt").touch()
    found = problems(copied)
    assert len(found) == 21
    assert found[-1] == "and 60 more."
    with open_bundle(copied) as bundle:
        assert verify(bundle).n_problems == 80


def forge(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], pack_them: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", pack_them) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


HOSTILE = {
    "up": ([("../../evil", b"")], "which may lead out of its folder"),
    "root": ([("/etc/passwd", b"")], "which may lead out of its folder"),
    "drive": ([("C:/evil", b"")], "which may lead out of its folder"),
    "backslash": ([("a\\..\\evil", b"")], "which may lead out of its folder"),
    "device": ([("a/nul.txt", b"")], "which may lead out of its folder"),
    "turned": ([("a\u202egpj.exe", b"")], "characters that cannot be shown"),
    "link": ([(link("a"), b"/etc/passwd")], "is a link; a bundle holds plain files only"),
    "bomb": ([("a", bytes(3_000_000))], "no file of a bundle grows like that"),
    "no crate": ([("a", b"1")], f"has no {MARK}, so it is no bundle"),
    "no sums": ([(MARK, b'{"@graph": []}')], f"has no {SUMS}"),
    "bad crate": ([(MARK, b"{"), (SUMS, b"")], "is no RO-Crate that can be read"),
    "deep crate": ([(MARK, b"[" * 100_000), (SUMS, b"")], "is no RO-Crate that can be read"),
    "described twice": ([(MARK, b'{"@graph": [{"@id": "a"}, {"@id": "a"}]}'), (SUMS, b"")], "describes 'a' twice"),
    "named twice": ([(MARK, b'{"@graph": [], "@graph": []}'), (SUMS, b"")], "is no RO-Crate that can be read"),
    "full folder": ([("a/", b"1")], "'a/' of .* is called like a folder and has content"),
    "bad sums": ([(MARK, b'{"@graph": []}'), (SUMS, b"x")], "line 1 of SHA256SUMS is not a SHA-256 sum"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_one_sentence(tmp_path: Path, name: str) -> None:
    entries, said = HOSTILE[name]
    path = forge(tmp_path / "x.zip", *entries)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BundleError, match=said) as error, open_bundle(path) as bundle:
        verify(bundle)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_address_is_called_so() -> None:
    said = r"^https://example.org/a.zip is an address; fetch the bundle, and name its file or folder\.$"
    with pytest.raises(InputError, match=said), open_bundle(Path("https://example.org/a.zip")):
        pass


def test_a_file_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = forge(tmp_path / "x.zip", (MARK, b"a"), (MARK, b"b"))
    with pytest.raises(BundleError, match="twice"), open_bundle(path):
        pass


def stored(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_a_cut_or_damaged_archive_is_one_sentence(crate: Path, tmp_path: Path) -> None:
    whole = tmp_path / "a.zip"
    pack(crate, whole, "2026-01-02")
    data = whole.read_bytes()
    held, sentences = stored(whole), set()
    for cut in range(0, len(data), 401):
        whole.write_bytes(data[:cut])
        with pytest.raises(BundleError, match="it may be cut short"), open_bundle(whole):
            pass
    for at in range(40, len(data) - 30, 997):
        whole.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            sentences.update(problems(whole) or ("same",) * (stored(whole) != held))
        except BundleError as error:
            sentences.add(str(error))
    assert "same" not in sentences  # whichever byte it was, unless it is of no file: a time, a mark of a system


def test_links_and_what_is_no_file_are_refused_in_a_folder(copied: Path) -> None:
    (copied / "link").symlink_to("/etc/passwd")
    with pytest.raises(BundleError, match=r"'link' of .* is a link"), open_bundle(copied):
        pass
    (copied / "link").unlink()
    os.mkfifo(copied / "pipe")
    with pytest.raises(BundleError, match=r"'pipe' of .* is no plain file"), open_bundle(copied):
        pass


def test_numbers_are_compared_one_by_one(project: Project) -> None:
    record = json.loads(run_of(project).notebook)["metadata"]["alignlib"]
    rows = list(compare(record, record, 0.0))
    assert all(row.same for row in rows)
    assert {row.name for row in rows} == {"square", "cap", "far", "root", "bound", "law"}
    other = json.loads(json.dumps(record))
    other["numbers"] |= {"root": 2.0 * (1 + 1e-9), "law": "normal"}
    other["claims"][0]["value"] = float("nan")
    del other["claims"][2]
    wrong = {(row.what, row.name) for row in compare(record, other, 1e-12) if not row.same}
    assert wrong == {
        ("number", "root"),
        ("number", "law"),
        ("claim, value", "square"),
        *((f"claim, {part}", "far") for part in ("value", "expected", "tolerance", "points", "holds")),
        *((f"claim, {part}", "far") for part in ("statement", "source", "kind", "must_hold")),
    }
    assert {row.name for row in compare(record, other, 1e-8) if not row.same} == {"law", "square", "far"}
    forged = json.loads(json.dumps(record))
    forged["claims"][0] |= {"statement": "$(\\sqrt{x})^3=x$", "source": "nobody", "interval": [1.0, 2.0]}
    forged["claims"][1] |= {"must_hold": False, "kind": "at least", "statement": "no root exceeds 10.0000000001"}
    wrong = {(row.what.removeprefix("claim, "), row.name) for row in compare(record, forged, 1e-8) if not row.same}
    square = {(part, "square") for part in ("statement", "source", "low", "high")}
    assert wrong == square | {("must_hold", "cap"), ("kind", "cap")}
    assert all(row.same for row in compare(record, forged, 1e-8, texts=False) if row.name == "cap")
    record["numbers"]["end"] = other["numbers"]["end"] = 10**400
    assert {row.name: row.same for row in compare(record, other, 1e-8)}["end"]
    other["numbers"]["end"] += 1
    assert not {row.name: row.same for row in compare(record, other, 1e-8)}["end"]


def test_a_rerun_runs_our_notebook_with_the_recorded_parameters(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def execute(jobs: list[Job], workers: int | None) -> Iterator[Run]:
        asked.extend((job.notebook.script, dict(job.parameters), workers) for job in jobs)
        yield run_of(project, n=7)

    monkeypatch.setattr("alignbook.bundle.again.execute_all", execute)
    record = json.loads(run_of(project, n=7).notebook)["metadata"]["alignlib"]
    scripts = {"01_roots": digest_of(project.folder / "01_roots.py")}
    (found,) = rerun({"01_roots": record}, ["01_roots"], project, tolerance=0.0, scripts=scripts, workers=2)
    assert asked == [(project.folder / "01_roots.py", {"n": 7}, 2)]
    assert found.good
    assert found.same_script
    assert (found.n_same, found.largest) == (18 + 4 * len(CLAIMS), 0.0)
    record["numbers"]["root"] = 2.5
    (found,) = rerun({"01_roots": record}, ["01_roots"], project, tolerance=0.1, scripts={"01_roots": "0" * 64})
    assert (found.good, found.n_same, found.largest) == (False, 17, 0.2)
    assert not found.same_script


def test_a_foreign_script_is_named_and_not_run(
    project: Project, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its crate may be sealed as a whole: the numbers of our script say nothing of it."""
    monkeypatch.setattr("alignbook.project.own_project", lambda: project)
    monkeypatch.setattr("alignbook.bundle.again.execute_all", lambda jobs, workers: iter([run_of(project, n=7)]))
    command = ["verify", str(copied), "--rerun"]
    said = "01_roots: the script in the bundle is not that of this installation"
    ours = CliRunner().invoke(main, command)
    assert (ours.exit_code, said in ours.stdout) == (0, False), ours.output
    graph = json.loads((copied / MARK).read_text())
    (copied / "01_roots.py").write_text("import os  # theirs\n")
    (entity,) = (one for one in graph["@graph"] if one["@id"] == "01_roots.py")
    size, digest = (copied / "01_roots.py").stat().st_size, digest_of(copied / "01_roots.py")
    entity |= {"contentSize": str(size) if isinstance(entity["contentSize"], str) else size, "sha256": digest}
    (copied / MARK).write_text(json.dumps(graph))
    seal(copied)
    theirs = CliRunner().invoke(main, command)
    assert said in theirs.stdout
    assert (
        "1 notebook, 1 of them by another script than the bundle's; 18 of 18 numbers and texts of claims the same"
        in theirs.stdout
    )
    document = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    Draft202012Validator(schema("verify")).validate(document)
    assert not document["rerun"]["notebooks"][0]["same_script"]


def test_what_cannot_be_run_again_is_said(project: Project) -> None:
    record = json.loads(run_of(project).notebook)["metadata"]["alignlib"]
    (found,) = rerun({"01_roots": {**record, "parameters": {"n": 0}}}, ["01_roots"], project, tolerance=0.0, scripts={})
    assert found.failed == "n must be >= 2; got 0."
    assert not found.good
    with_table = replace(project.find("01"))
    object.__setattr__(with_table, "parameters", parse_cell("table: str | None = None  # a table, existing file"))
    with pytest.raises(InputError, match=r"which the bundle does not hold; run it yourself with --table\.$"):
        _job(with_table, {"table": "own.csv"})
    (found,) = rerun({"01": record}, ["01"], project, tolerance=0.0, scripts={})
    assert str(found.failed).startswith("it is called '01' in the bundle, and 01_roots here; get the bundle again")
    assert Rerun("a").good


def test_what_a_reader_gave_is_named_and_stays_where_it_is(project: Project, tmp_path: Path) -> None:
    table = tmp_path / "private" / "rewards.csv"
    put(tmp_path, {"private/rewards.csv": "a\n1\n"})
    notebook = project.find("01")
    declared = parse_cell("table: str | None = None  # table of your own rewards, existing file")
    with_table = replace(notebook)
    object.__setattr__(with_table, "parameters", declared)
    values = {"table": str(table)}
    run = run_of(project)
    node = json.loads(run.notebook)
    node["metadata"]["alignlib"]["parameters"] = values
    node["metadata"]["alignlib"]["numbers"]["note"] = f"{table} has no gold"
    shown = {"text/plain": f"{table} is read", "text/html": f"<p>{table} is read</p>"}
    node["cells"][-1]["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": shown}]
    folder = tmp_path / "crate"
    write_run_crate(folder, project, with_table, values, replace(run, notebook=json.dumps(node)), started=1.7e9)
    assert problems(folder) == ()
    texts = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert not any(str(tmp_path) in text for text in texts)
    graph = {one["@id"]: one for one in json.loads((folder / MARK).read_text())["@graph"]}
    given = graph["#run-01_roots-table"]
    assert given["value"] == '"rewards.csv"'
    assert f"4 bytes, SHA-256 {digest_of(table)}" in given["description"]


def test_a_crate_replaces_nothing(tmp_path: Path) -> None:
    check_crate(tmp_path / "new")
    with pytest.raises(InputError, match="exists; choose another folder"):
        check_crate(tmp_path)
    with pytest.raises(InputError, match="is no folder that can be written"):
        check_crate(tmp_path / "a" / "b")


def test_the_command_says_it_as_lines_and_as_json(copied: Path) -> None:
    good = CliRunner().invoke(main, ["verify", str(copied)])
    assert good.exit_code == 0
    assert "2 of 3 claims hold by their numbers, 1 need not." in good.stdout
    assert "Sums, crate and claims agree." in good.stdout
    (copied / "results" / "values.csv").write_text("x\x1b[31m")
    bad = CliRunner().invoke(main, ["verify", str(copied), "--json"])
    assert bad.exit_code == 1
    document = json.loads(bad.stdout)
    Draft202012Validator(schema("verify")).validate(document)
    assert not document["good"]
    assert document["rerun"] is None
    for words, said in (
        (["verify", str(copied), "01"], "Give --rerun to run 01 again"),
        (["verify", str(copied), "--workers", "2"], "--workers goes with --rerun"),
        (["verify", str(copied / "none")], "does not exist"),
    ):
        refused = CliRunner().invoke(main, words)
        assert refused.exit_code == 2
        assert said in refused.stderr
        assert refused.stderr.count("\n") == 1
