"""Every reader on files that nobody would write, and the page builder on texts that nobody would: ``make fuzz``.

In ``make test`` a few fixed examples are drawn; ``make fuzz`` draws new ones, and what it finds goes into
`tests.corpus`, smallest first.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import re
import shlex
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from alignbook.bundle import SUMS
from alignbook.manifest import FolderError, check_folder
from alignbook.page import write_page
from alignbook.parameters import ParameterError, parse_cell
from alignlib._core.errors import InputError
from alignlib._core.safe_text import for_html, for_markdown, visible
from alignlib.cli.main import main
from alignlib.models.prompts import read_prompts
from tests.corpus import CORPUS
from tests.fuzz_seeds import KINDS, held
from tests.hostile import FRAGMENTS, texts
from tests.small_project import ROOT
from tests.test_bundle import seal

OTHER_RUN = ROOT / "tests" / "data" / "short_run.csv"
COMMANDS = {
    "frontier": ["frontier", "FILE", "--reward", "reward"],
    "capacity": ["capacity", "FILE"],
    "passk": ["passk", "FILE", "--answer", "answer"],
    "kl": ["kl", "FILE"],
    "overlay": ["overlay", "FILE", "--kl-unit", "token", "--run-length", "3"],
    "pick": ["pick", "FILE", "--kl-unit", "sequence", "--run-gold", "gold"],
    "compare": ["compare", "a=FILE", f"b={OTHER_RUN}", "--kl-unit", "sequence", "--run-length", "1"],
}
RUNS = ("overlay", "pick", "compare")
ENDINGS = ["csv", "tsv", "jsonl", "json", "parquet", "feather", "npy", "csv.gz", "jsonl.gz"]
FEW = os.environ.get("HYPOTHESIS_PROFILE", "fixed") == "fixed"  # as conftest.py chooses the profile


def table(command: str) -> dict[str, list[object]]:
    """A small table that the command reads."""
    k = range(12)
    if command == "frontier":
        return {"prompt_id": [i // 4 for i in k], "reward": [(i * 7 % 5) / 4 for i in k], "other": [f"a{i}" for i in k]}
    if command == "capacity":
        return {"target": ["ab"[i % 2] for i in k], "label": ["ab"[i % 3 // 2] for i in k]}
    if command == "passk":
        return {"prompt_id": [i // 4 for i in k], "correct": [i % 2 for i in k], "answer": ["ab"[i % 2] for i in k]}
    if command == "kl":
        base = [-3.0 - i / 7 for i in k]
        return {
            "prompt_id": [i // 3 for i in k],
            "log_prob": [b + 0.25 * (i % 3) for i, b in zip(k, base, strict=True)],
            "base_log_prob": base,
            "token_kl": [[0.1 * i, 0.2] for i in k],
        }
    run = {"step": list(k), "kl": [0.1 * i for i in k], "reward": [0.3 * i**0.5 for i in k]}
    return run | ({"gold": [0.2 * i - 0.02 * i * i for i in k]} if command == "pick" else {})


@cache
def seed(command: str, ending: str) -> bytes:
    """That table as a file."""
    columns = table(command)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    kind = ending.removesuffix(".gz")
    out = io.BytesIO()
    if kind in ("csv", "tsv"):
        sign = {"csv": ",", "tsv": "\t"}[kind]
        lines = [sign.join(columns), *(sign.join(map(cell, row.values())) for row in rows)]
        out.write("".join(f"{line}\n" for line in lines).encode())
    elif kind == "jsonl":
        out.write("".join(json.dumps(row) + "\n" for row in rows).encode())
    elif kind == "json":
        out.write(json.dumps({"log_history": rows} if command in RUNS else rows).encode())
    elif kind == "parquet":
        pq.write_table(pa.table(columns), out, write_page_checksum=True)
    elif kind == "feather":
        feather.write_feather(pa.table(columns), out)
    else:
        np.save(out, np.arange(40.0).reshape(8, 5) % 7)
    return gzip.compress(out.getvalue(), mtime=0) if ending.endswith(".gz") else out.getvalue()


def cell(value: object) -> str:
    """A cell of a table of text."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f'"{text}"' if "," in text else text


PIECES = [
    *(piece.encode("utf-8", "surrogatepass") for piece in FRAGMENTS),
    *(
        b'"',
        b'""',
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\r",
        b"\r\n",
        b",",
        b",,",
        b"\t",
        b";",
        b"NaN",
        b"inf",
        b"-inf",
    ),
    *(
        b"1e308",
        b"-1e308",
        b"5e-324",
        b"1e999",
        b"9" * 40,
        b"9" * 400,
        b"0x10",
        b"1_0",
        b"1,5",
        b"None",
        b"null",
        b"true",
    ),
    *(b"[", b"[" * 300, b"{", b'{"a":' * 300, b"]", b"}", b"\\u0000", b"\\ud800", b"\\", b"PAR1"),
]


@st.composite
def broken(draw: st.DrawFn, content: bytes) -> bytes:
    """A file after some accidents: pieces cut, doubled, exchanged, put in, bytes changed."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        end = min(len(content), at + draw(st.sampled_from([0, 1, 2, 8, 64])))
        kind = draw(st.sampled_from(["insert", "replace", "cut", "double", "truncate", "byte"]))
        piece = draw(st.sampled_from(PIECES))
        if kind == "insert":
            content = content[:at] + piece + content[at:]
        elif kind == "replace":
            content = content[:at] + piece + content[end:]
        elif kind == "cut":
            content = content[:at] + content[end:]
        elif kind == "double":
            content = content[:end] + content[at:]
        elif kind == "truncate":
            content = content[:at]
        elif at < len(content):
            content = content[:at] + bytes([draw(st.integers(0, 255))]) + content[at + 1 :]
    return content


WORD = re.compile(rb'"[^"\n]{0,40}"|-?[0-9][0-9.]*(?:e[-+]?[0-9]+)?')
VALUES = [
    *(b"0", b"-1", b"1", b"0.5", b"1e308", b"-1e308", b"5e-324", b"1e999", b"NaN", b"inf", b"-inf", b"9" * 40, b""),
    *(b"null", b"true", b'"x"', b'""', b'"kl"', b'"reward"', b'"step"', b'"1e3"', b"[]", b"{}", b"[1]", b"[null]"),
]


@st.composite
def retold(draw: st.DrawFn, content: bytes) -> bytes:
    """A file in which other values stand for some of its numbers and texts; as long as they, where it is no text."""
    for _ in range(draw(st.integers(1, 3))):
        found = list(WORD.finditer(content))
        if found:
            old, new = draw(st.sampled_from(found)), draw(st.sampled_from(VALUES))
            if b"\0" in content:
                new = new[: len(old[0])].ljust(len(old[0]))
            content = content[: old.start()] + new + content[old.end() :]
    return content


def survives(path: Path, command: str) -> int:
    """The command answers, or refuses in one sentence; nothing appears beside the file. Return its exit code."""
    return answers([word.replace("FILE", str(path)) for word in COMMANDS[command]], path.parent)


def answers(words: list[str], folder: Path) -> int:
    """The command answers, or refuses in one sentence; nothing appears in the folder. Return its exit code."""
    before = sorted(folder.rglob("*"))
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code in ((0, 1, 2) if words[0] == "verify" else (0, 2)), done.output  # 1: not verified
    if done.exit_code == 2:
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("Error: ")
        assert len(done.stderr) < 2000, done.stderr
    assert "Traceback" not in done.output
    assert not re.search(r"\[[+-]?(nan|inf),|, [+-]?nan\]", done.stdout), done.stdout  # an interval that is none
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e]", done.output), done.output
    assert sorted(folder.rglob("*")) == before
    return done.exit_code


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_seeds_are_read(tmp_path: Path, command: str, ending: str) -> None:
    """Else the accidents would happen to files that are refused at once."""
    path = tmp_path / f"t.{ending}"
    path.write_bytes(seed(command, ending))
    assert survives(path, command) == (2 if ending == "npy" and command != "frontier" else 0)


@settings(max_examples=12 if FEW else 2000)
@given(st.data())
def test_any_accident_to_any_table(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    command, ending = data.draw(st.sampled_from(sorted(COMMANDS))), data.draw(st.sampled_from(ENDINGS))
    content = data.draw(broken(seed(command, ending)))
    path = tmp_path_factory.mktemp("f") / f"t.{ending}"
    path.write_bytes(content)
    survives(path, command)


def reads(kind: str, folder: Path) -> int:
    """What reads a kind of input answers, or refuses in one sentence; return 0 where it answers, or the exit code."""
    read = KINDS[kind].reads
    if isinstance(read, str):
        return answers([word.replace("FOLDER", str(folder)) for word in shlex.split(read)], folder)
    try:
        read(folder)
    except InputError as error:
        said = str(error)
    else:
        return 0
    assert 0 < len(said) < 2000
    assert "Traceback" not in said
    return 2


# Of the logs of trainers, that they are read is tested where they come from.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if not FEW or not kind.startswith(("log:", "page:"))])
def test_the_other_seeds_are_read(tmp_path: Path, kind: str) -> None:
    fill(tmp_path / "f", held(kind))
    assert reads(kind, tmp_path / "f") == (2 if kind == "page: orchestrator.log" else 0)


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@settings(max_examples=12 if FEW else 1000)
@given(st.data())
def test_any_accident_to_any_other_input(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """One file of a folder has accidents; of a bundle the sums may be made anew, so that the rest is read."""
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    whole = held(kind)
    name = data.draw(st.sampled_from(sorted(whole)))
    files = whole | {name: data.draw(broken(whole[name]) | retold(whole[name]))}
    folder = tmp_path_factory.mktemp("f") / "made"
    fill(folder, files)
    sealed = kind == "a crate" and data.draw(st.booleans())
    if sealed:
        seal(folder)
    code = reads(kind, folder)
    if kind == "a crate" and not sealed and name != SUMS and files != whole:
        assert code != 0


CELLS = st.one_of(
    texts(surrogates=False),
    st.floats().map(repr),
    st.integers(-(10**30), 10**30).map(str),
    st.sampled_from(["", "NA", "nan", "None", "null", "true", "1e308", "-1e-320", "1,5", "1 000", '"', "'"]),
)


@settings(max_examples=8 if FEW else 1000)
@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=8),
    st.sampled_from(sorted(COMMANDS)),
    st.sampled_from([",", "\t", ";", "|"]),
)
def test_any_cells(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], command: str, sign: str) -> None:
    names = list(table(command))
    lines = [sign.join(names), *(sign.join(row) for row in rows)]
    path = tmp_path_factory.mktemp("f") / "t.csv"
    path.write_bytes("\n".join(lines).encode())
    survives(path, command)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts() | st.sampled_from(["kl", "reward"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=8 if FEW else 1000)
@given(st.lists(JSON, min_size=1, max_size=4), st.sampled_from(sorted(COMMANDS)), st.sampled_from(["jsonl", "json"]))
def test_any_json(tmp_path_factory: pytest.TempPathFactory, values: list[object], command: str, ending: str) -> None:
    names = list(table(command))
    objects = [{names[0]: value, names[-1]: value, "x": value} for value in values] + values
    path = tmp_path_factory.mktemp("f") / f"t.{ending}"
    text = "\n".join(map(json.dumps, objects)) if ending == "jsonl" else json.dumps(objects)
    path.write_text(text)
    survives(path, command)


@settings(max_examples=8 if FEW else 500)
@given(st.data())
def test_any_prompts(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    ending = data.draw(st.sampled_from(["txt", "jsonl", "csv", "parquet"]))
    chats = [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]] * 3
    out = io.BytesIO()
    pq.write_table(pa.table({"prompt_id": [1, 2, 3], "prompt": chats}), out)
    whole = {
        "txt": b"one\ntwo\nthree\n",
        "csv": b"prompt_id,prompt\n1,one\n2,two\n",
        "jsonl": b"".join(json.dumps({"prompt": chat}).encode() + b"\n" for chat in chats),
        "parquet": out.getvalue(),
    }[ending]
    path = tmp_path_factory.mktemp("f") / f"p.{ending}"
    path.write_bytes(data.draw(broken(whole)))
    with contextlib.suppress(InputError):
        assert len(read_prompts(path)) > 0


@settings(max_examples=8 if FEW else 500)
@given(st.data())
def test_any_manifest(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("f")
    (folder / "thesis.txt").write_text("mine")
    whole = json.dumps(
        {"schema": 1, "files": {"report.html": "0" * 64}, "replacing": {"limit.png": ["1" * 64]}}
    ).encode()
    (folder / "manifest.json").write_bytes(data.draw(broken(whole)))
    with contextlib.suppress(FolderError):
        check_folder(folder, True)
    assert (folder / "thesis.txt").read_text() == "mine"


@settings(max_examples=8 if FEW else 500)
@given(st.data())
def test_any_cell_of_parameters(data: st.DataObject) -> None:
    whole = (
        'n: int = 3  # a number, >= 0\nname: str = "a"  # a text, one of a | b\nxs: list[float] = [1.0]  # some, any\n'
    )
    source = data.draw(broken(whole.encode())).decode("utf-8", "replace")
    with contextlib.suppress(ParameterError):
        assert set(parse_cell(source)) <= set(re.findall(r"\w+", source))


class _Shape(HTMLParser):
    """The tags of a page and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.skip = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.skip += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.skip -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        self.text += "" if self.skip else data


def page(quoted: list[str], place: Path) -> _Shape:
    """The page of a notebook that quotes these texts, wherever a notebook may."""
    new = nbformat.v4
    cells = [new.new_markdown_cell("# Title")]
    for text in quoted:
        safe = for_markdown(text)
        cells.append(new.new_markdown_cell(f"before {safe} after\n\n- {safe}\n\n| a |\n|---|\n| {safe} |"))
        shown = {"text/html": f"<p>{for_html(text)}</p>", "text/plain": visible(text)}
        outputs = [new.new_output("stream", text=visible(text)), new.new_output("display_data", data=shown)]
        cells.append(new.new_code_cell("1", outputs=outputs))
    write_page(nbformat.writes(new.new_notebook(cells=cells)), place, ROOT)
    found = _Shape()
    found.feed(place.read_text(encoding="utf-8").partition("<main")[2].partition("</main>")[0])
    return found


@pytest.fixture(scope="module", name="control")
def _control(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return page(["word"] * 10, tmp_path_factory.mktemp("page") / "page.html").tags


@settings(max_examples=1 if FEW else 30)
@given(st.lists(texts(surrogates=False), min_size=10, max_size=10))
def test_any_text_in_a_page(tmp_path_factory: pytest.TempPathFactory, control: list[str], quoted: list[str]) -> None:
    assume(all(visible(text).strip() for text in quoted))
    found = page(quoted, tmp_path_factory.mktemp("page") / "page.html")
    assert [tag for tag in found.tags if tag != "span"] == [tag for tag in control if tag != "span"]
    squeezed = re.sub(r"\s+", " ", found.text)
    for text in quoted:
        assert re.sub(r"\s+", " ", f"before {visible(text)} after") in squeezed, text


@pytest.mark.parametrize(("ending", "content", "command"), CORPUS, ids=lambda value: repr(value)[:40])
def test_what_was_found_once(tmp_path: Path, ending: str, content: bytes, command: str) -> None:
    path = tmp_path / f"t.{ending}"
    path.write_bytes(content)
    survives(path, command)
