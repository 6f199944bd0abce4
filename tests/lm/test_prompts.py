"""Reading prompts; no torch needed."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alignlib._core.errors import InputError
from alignlib.models.prompts import Prompts, as_prompts, read_prompts

TEXTS = ['Say "hi", twice', "two\nlines", "plain"]


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_every_format_gives_the_same_prompts(tmp_path: Path) -> None:
    table = pa.table({"prompt": TEXTS, "name": ["a", "b", "c"], "other": [1, 2, 3]})
    pq.write_table(table, tmp_path / "p.parquet")
    quoted = "".join(
        f'"{text.replace(chr(34), chr(34) * 2)}",{name}\n' for text, name in zip(TEXTS, "abc", strict=True)
    )
    lines = "".join(json.dumps({"prompt": t, "name": n}) + "\n" for t, n in zip(TEXTS, "abc", strict=True))
    files = [
        tmp_path / "p.parquet",
        write(tmp_path, "p.csv", "prompt,name\n" + quoted),
        write(tmp_path, "p.jsonl", lines),
    ]
    found = [read_prompts(path, id_column="name") for path in files]
    for prompts in found:
        assert prompts.prompts == tuple(TEXTS)
        assert prompts.ids.to_pylist() == ["a", "b", "c"]
    assert len({prompts.fingerprint() for prompts in found}) == 1


def test_text_has_one_prompt_per_line(tmp_path: Path) -> None:
    assert read_prompts(write(tmp_path, "p.txt", "one\r\ntwo, too\u2028still\nthree")).prompts == (
        "one",
        "two, too\u2028still",
        "three",
    )


def test_prompt_id_is_kept_where_there_is_one(tmp_path: Path) -> None:
    found = read_prompts(write(tmp_path, "p.csv", "text,prompt_id\nx,7\ny,3\n"), "text")
    assert found.ids.to_pylist() == [7, 3]
    assert read_prompts(write(tmp_path, "q.csv", "prompt\nx\ny\n")).ids.to_pylist() == [0, 1]


def test_messages(tmp_path: Path) -> None:
    chats = [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi", "name": "Ann"}],
        [{"role": "user", "content": "Who?"}],
    ]
    lines = "".join(json.dumps({"prompt": chat}) + "\n" for chat in chats)
    found = read_prompts(write(tmp_path, "p.jsonl", lines))
    assert list(found.prompts) == chats
    pq.write_table(pa.table({"prompt": chats}), tmp_path / "p.parquet")
    assert read_prompts(tmp_path / "p.parquet").fingerprint() == found.fingerprint()


def test_the_fingerprint_knows_names_contents_and_order() -> None:
    found = [as_prompts(p) for p in (["a", "b"], ["b", "a"], ["a", "c"], ["a"])]
    found.append(Prompts(pa.array(["0", "1"]), ("a", "b")))
    assert len({prompts.fingerprint() for prompts in found}) == 5


@pytest.mark.parametrize(
    ("content", "expected", "row"),
    [
        ("prompt\nx\n \n", "Prompt 2 of .* is empty; remove it", 1),
        ("prompt,prompt_id\nx,1\ny,1\n", "Prompts 1 and 2 of .* have the same prompt_id 1", 0),
        ("prompt,prompt_id\nx,1\ny,\n", "Prompt 2 of .* has no name", 1),
    ],
)
def test_bad_prompts(tmp_path: Path, content: str, expected: str, row: int) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        read_prompts(write(tmp_path, "p.csv", content))
    assert caught.value.rows[0] == row


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"There is no file"):
        read_prompts(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"There is no file"):
        read_prompts(tmp_path / "none.txt")
    with pytest.raises(ValueError, match=r"holds no prompts"):
        read_prompts(write(tmp_path, "p.txt", ""))
    with pytest.raises(ValueError, match=r"has no column 'prompt' .column.; did you mean 'prompts'"):
        read_prompts(write(tmp_path, "p.csv", "prompts\nx\n"))
    with pytest.raises(ValueError, match=r"has no column 'key' .id_column."):
        read_prompts(write(tmp_path, "q.csv", "prompt\nx\n"), id_column="key")
    with pytest.raises(ValueError, match=r"id_column has no say: .*p\.txt is plain text"):
        read_prompts(write(tmp_path, "p.txt", "x\n"), id_column="key")
    with pytest.raises(ValueError, match=r"holds int64 values; give texts, or lists of messages"):
        read_prompts(write(tmp_path, "p.jsonl", '{"prompt": 3}\n'))
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(ValueError, match=r"is not UTF-8"):
        read_prompts(tmp_path / "latin.txt")


def test_bad_messages() -> None:
    with pytest.raises(InputError, match=r"each message needs a role and a content"):
        as_prompts([[{"role": "user"}]])
    with pytest.raises(InputError, match=r"mixes texts and lists of messages, the first change at prompt 2"):
        as_prompts(["a", [{"role": "user", "content": "b"}]])
