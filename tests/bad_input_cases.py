"""Bad input, one case a line: what is wrong, a file that has it, a command that reads it, and what is said.

``CASES`` is what `tests/test_bad_input.py` runs and what the page "What it does with bad input" counts. A case that is
``read`` is not refused: the file is unusual but clear, and the command answers with exit code 0.
"""

from __future__ import annotations

import bz2
import contextlib
import datetime
import gzip
import json
import lzma
import os
import re
import sqlite3
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tests.bad_runs import null_prompts, of_runs

__all__ = ["CASES", "FILE", "Case"]

FILE = "FILE"  # stands for the path that `make` returns, wherever it is in `command`


class Case(NamedTuple):
    """One bad input.

    ``make(folder)`` writes the input into an empty folder and returns its path; ``command`` is what is typed after
    ``alignlib``; ``expected`` is part of the sentence on standard error (or of the answer, where ``read``).
    """

    family: str
    name: str
    make: Callable[[Path], Path]
    command: tuple[str, ...]
    expected: str
    read: bool = False


FRONTIER = ("frontier", FILE, "--reward", "reward", "--n", "2", "--kl", "0.05")
CAPACITY = ("capacity", FILE)
KL = ("kl", FILE)
OVERLAY = ("overlay", FILE, "--kl-unit", "sequence")

Make = Callable[[Path], Path]


def text(content: str | bytes, name: str = "t.csv") -> Make:
    """Return what writes this content."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return path

    return make


def table(**columns: Sequence[object] | pa.Array) -> Make:
    """Return what writes a Parquet file: eight prompts with eight samples each, and these columns."""

    def make(folder: Path) -> Path:
        import pyarrow.parquet as pq

        plain = {"prompt_id": [i // 8 for i in range(64)], "reward": [REWARD(i // 8, i % 8) for i in range(64)]}
        pq.write_table(pa.table({**plain, **columns}), folder / "t.parquet")
        return folder / "t.parquet"

    return make


def REWARD(prompt: int, sample: int) -> float:
    """Return the reward of a sample: no two of a prompt alike."""
    return round(((prompt + 1) * (7 * sample + 3) % 31) / 4 - 0.01 * sample, 2)


def rows(reward: Callable[[int, int], object] = REWARD, header: str = "prompt_id,reward", separator: str = ",") -> str:
    """Return a table of eight prompts with eight samples each."""
    cells = [f"{prompt}{separator}{reward(prompt, sample)}" for prompt in range(8) for sample in range(8)]
    return "\n".join([header, *cells]) + "\n"


def lines(change: Callable[[dict[str, object]], object] = lambda record: record) -> str:
    """Return the same table as JSON lines, each object changed."""
    records = ({"prompt_id": i // 8, "reward": REWARD(i // 8, i % 8)} for i in range(64))
    return "".join(json.dumps(change(record)) + "\n" for record in records)


def system_file(folder: Path) -> Path:
    """Link to a file that says it is empty and is not."""
    path = folder / "t.csv"
    path.symlink_to("/proc/self/status")
    return path


def nested_header(folder: Path) -> Path:
    """Write a NumPy array whose header announces pairs as its values."""
    header = b"{'descr': '(2,)<f8', 'fortran_order': False, 'shape': (2, 2), }".ljust(117) + b"\n"
    path = folder / "t.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    return path


def first_line(value: str, of: str = "note") -> str:
    """Return JSON lines whose first object has this JSON under one more key, or instead of the reward."""
    first, _, rest = lines().partition("\n")
    if of == "reward":
        return first.rpartition(":")[0] + f": {value}}}\n" + rest
    return first.replace("{", f'{{"{of}": {value}, ', 1) + "\n" + rest


def texts(stray: Callable[[int], str]) -> str:
    """Return a table with a column of texts, which ``stray`` gives for each row."""
    cells = [f"{i // 8},{REWARD(i // 8, i % 8)},{stray(i)}" for i in range(64)]
    return "\n".join(["prompt_id,reward,text", *cells]) + "\n"


def ratings(
    label: Callable[[int], object] = lambda i: (i + i // 7) % 3, target: Callable[[int], object] = lambda i: i % 3
) -> str:
    """Return ratings of three targets by four raters."""
    return "target,label,rater\n" + "".join(f"{target(i)},{label(i)},{i % 4}\n" for i in range(240))


def crowd(folder: Path) -> Path:
    """Write labels of items, and their truth beside them."""
    (folder / "truth.csv").write_text("item,target\n" + "".join(f"{i},{i % 3}\n" for i in range(39)))
    path = folder / "labels.csv"
    path.write_text("item,label\n" + "".join(f"{i % 40},{(i % 40 + i // 50) % 3}\n" for i in range(240)))
    return path


def empty_truth(folder: Path) -> Path:
    """Write labels of items, and no truth beside them."""
    path = crowd(folder)
    (folder / "truth.csv").write_text("item,target\n")
    return path


def linked_picture(folder: Path) -> Path:
    """Write a log, and a link to it that is called like a picture."""
    path = text(log(), "t.jsonl")(folder)
    (folder / "t.png").symlink_to(path)
    return path


def padded_crowd(folder: Path) -> Path:
    """Write labels of items, and their truth beside them under other names."""
    path = crowd(folder)
    (folder / "truth.csv").write_text("item,target\n" + "".join(f"{i:03d},{i % 3}\n" for i in range(40)))
    return path


def tokens(**change: object) -> str:
    """Return responses with log-probabilities by token, the first of them changed."""
    plain = {"token_log_prob": [-1.0, -0.5], "base_token_log_prob": [-1.2, -0.4]}
    records = [plain | change, *[plain | {"token_log_prob": [-1.0, -0.1 * i]} for i in range(1, 12)]]
    return "".join(json.dumps(record) + "\n" for record in records)


def views(folder: Path) -> Path:
    """Write Feather whose prompts are views of lists."""
    import pyarrow.feather as pf

    prompt = pa.array([[i // 8] for i in range(64)], pa.list_view(pa.int64()))
    pf.write_feather(
        pa.table({"prompt_id": prompt, "reward": [REWARD(i // 8, i % 8) for i in range(64)]}), folder / "t.feather"
    )
    return folder / "t.feather"


def twice(name: str) -> Make:
    """Return what writes log-probabilities as Parquet, one of the columns two times."""

    def make(folder: Path) -> Path:
        import pyarrow.parquet as pq

        columns = {"prompt_id": [i // 4 for i in range(16)], "log_prob": [-1.0] * 16, "base_log_prob": [-2.0] * 16}
        pairs = [*columns.items(), (name, columns[name])]
        names, values = zip(*pairs, strict=True)
        pq.write_table(pa.Table.from_arrays([pa.array(one) for one in values], list(names)), folder / "t.parquet")
        return folder / "t.parquet"

    return make


def footer(folder: Path) -> Path:
    """Write a Parquet file whose footer says that it is longer than the file."""
    path = table()(folder)
    held = bytearray(path.read_bytes())
    held[-8:-4] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(bytes(held))
    return path


def named(name: str) -> Make:
    """Return what writes the table into a folder of this name."""

    def make(folder: Path) -> Path:
        (folder / name).mkdir()
        (folder / name / "t.csv").write_text(rows())
        return folder / name / "t.csv"

    return make


def log(**change: object) -> str:
    """Return a log of checkpoints as JSON lines, the fourth of them changed."""
    records = [{"step": i, "kl": 0.05 * i, "reward": 0.2 * i} for i in range(8)]
    records[3] |= change
    return "".join(json.dumps(record) + "\n" for record in records)


def state(**change: object) -> str:
    """Return trl's log, its fourth entry changed."""
    history = [{"step": i, "kl": 0.01 * i, "reward": 0.1 * i, "completions/mean_length": 9.0} for i in range(8)]
    history[3] |= change
    return json.dumps({"log_history": history})


def flipped(folder: Path) -> Path:
    """Write a Parquet file with checksums, one bit of which is wrong."""
    import pyarrow.parquet as pq

    path = folder / "t.parquet"
    columns = {"prompt_id": [i // 8 for i in range(64)], "reward": [REWARD(i // 8, i % 8) for i in range(64)]}
    pq.write_table(pa.table(columns), path, write_page_checksum=True, use_dictionary=False, compression="none")
    held = bytearray(path.read_bytes())
    held[held.index(pa.array([columns["reward"][1]]).buffers()[1].to_pybytes()) + 6] ^= 1
    path.write_bytes(bytes(held))
    return path


def dangling(folder: Path) -> Path:
    """Make a link to a file that is not there."""
    path = folder / "t.csv"
    path.symlink_to("nowhere.csv")
    return path


def panel(cell: str = "0.1", encoding: str = "utf-8") -> Make:
    """Return what writes wandb's CSV of a panel, with a cell of its own."""
    names = [f"ré - train/{metric}{end}" for metric in ("kl", "reward") for end in ("", "__MIN", "__MAX")]
    content = "\n".join([",".join(["Step", *names]), *(f"{i},{cell},0,1,0.5,0,1" for i in range(9))])
    return text(content.encode(encoding))


def endless_view(folder: Path) -> Path:
    """Write a database whose table of metrics is a program that never ends."""
    rows = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT 'kl' key, x value, x timestamp, "
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as base:
        base.execute(f"CREATE VIEW metrics AS {rows} 'a' run_uuid, x step, 0 is_nan FROM c")
        base.execute("CREATE TABLE runs(run_uuid TEXT, name TEXT)")
        base.commit()
    return folder / "mlflow.db"


def loop(folder: Path) -> Path:
    """Make a link that leads back to itself."""
    path = folder / "t.csv"
    path.symlink_to(path)
    return path


def pipe(name: str) -> Make:
    """Return what makes a pipe that nothing is written into; the log is the first part of its name."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        os.mkfifo(path)
        return folder / Path(name).parts[0]

    return make


def no_columns(folder: Path) -> Path:
    """Write a Parquet file of no columns."""
    import pyarrow.parquet as pq

    pq.write_table(pa.table({}), folder / "t.parquet")
    return folder / "t.parquet"


def of_version(version: int) -> Make:
    """Return what writes an array whose header names a version of the format."""

    def make(folder: Path) -> Path:
        path = array(np.arange(20.0).reshape(4, 5))(folder)
        content = path.read_bytes()
        path.write_bytes(content[:6] + bytes([version, 0]) + content[8:])
        return path

    return make


def array(values: np.ndarray, name: str = "t.npy") -> Make:
    """Return what writes an array of NumPy."""

    def make(folder: Path) -> Path:
        np.save(folder / name, values, allow_pickle=True)
        return folder / name

    return make


def feather(folder: Path) -> Path:
    """Write a table as a data frame does."""
    import pyarrow.feather as pf

    columns = {"prompt_id": [i // 8 for i in range(64)], "reward": [REWARD(i // 8, i % 8) for i in range(64)]}
    pf.write_feather(pa.table(columns), folder / "t.feather")
    return folder / "t.feather"


def checkpoint(folder: Path) -> Path:
    """Write trl's log into a folder whose name ends in no number."""
    (folder / "checkpoint-abc").mkdir()
    (folder / "checkpoint-abc" / "trainer_state.json").write_text(state())
    return folder


def bomb(folder: Path) -> Path:
    """Write a small file that unpacks to a large one."""
    path = folder / "t.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(20):
            file.write(bytes(1 << 23))
    return path


def long_dictionary(folder: Path) -> Path:
    """Write a small Parquet file whose prompts are one long text, 2^20 times."""
    import pyarrow.parquet as pq

    prompt = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1 << 20, np.int32)), pa.array(["x" * (1 << 22)]))
    pq.write_table(pa.table({"prompt_id": prompt, "reward": np.zeros(1 << 20)}), folder / "t.parquet")
    return folder / "t.parquet"


_MANY = "9" * 5000
_LONG = "x" * 10_000
_NESTED = [{"role": "user", "content": "Why?"}]
_ANSWER = "any method can gain at most"
_PLACED = "Nats per label"


def _file() -> list[Case]:
    gz = gzip.compress(rows().encode())
    return [
        Case("the file", "no such file", lambda folder: folder / "t.csv", FRONTIER, "There is no file"),
        Case("the file", "a folder", lambda folder: folder, FRONTIER, "holds no table; name a folder, a pattern"),
        Case("the file", "an empty file", text(""), FRONTIER, "is empty"),
        Case("the file", "only blank lines", text("\n\n"), FRONTIER, "is empty"),
        Case("the file", "a header without rows", text("prompt_id,reward\n"), FRONTIER, "has a header but no rows"),
        Case("the file", "an unknown extension", text(rows(), "t.xlsx"), FRONTIER, "unknown extension '.xlsx'"),
        Case("the file", "nothing but NULs", text(bytes(5000)), FRONTIER, "holds a NUL"),
        Case("the file", "a NUL in a cell", text(rows().replace("3,1", "3,\0", 1)), FRONTIER, "holds a NUL"),
        Case("the file", "a NUL in an identifier", text(rows() + "8\0,1\n"), FRONTIER, "in line 66"),
        Case("the file", "bzip2", text(bz2.compress(rows().encode())), FRONTIER, "is packed with bzip2"),
        Case("the file", "xz", text(lzma.compress(rows().encode())), FRONTIER, "is packed with xz"),
        Case("the file", "zstd", text(b"\x28\xb5\x2f\xfd" + bytes(40)), FRONTIER, "is packed with zstd"),
        Case("the file", "ZIP", text(b"PK\x03\x04" + bytes(40)), FRONTIER, "is packed with ZIP"),
        Case("the file", "JSON lines in xz", text(lzma.compress(lines().encode()), "t.jsonl"), FRONTIER, "with xz"),
        Case("the file", "gzip of gzip", text(gzip.compress(gz), "t.csv.gz"), FRONTIER, "is compressed twice"),
        Case("the file", "another encoding", text(rows().encode("utf-16")), FRONTIER, _ANSWER, read=True),
        Case("the file", "half of UTF-16", text(rows().encode("utf-16")[:-1]), FRONTIER, "is not UTF-8 text"),
        Case(
            "the file",
            "a name in Latin-1",
            text(rows().replace("\n2", "\nJosé", 1).encode("latin-1")),
            FRONTIER,
            "column 'prompt_id' (byte 0xe9); save it as UTF-8",
        ),
        Case("the file", "UTF-16 without a mark", text(rows().encode("utf-16-le")), FRONTIER, "is not UTF-8 text"),
        Case("the file", "a link to nothing", dangling, FRONTIER, "is a link to 'nowhere.csv', which does not exist"),
        Case("the file", "blank lines in front of the header", text("\n\r\n" + rows()), FRONTIER, _ANSWER, read=True),
        Case(
            "the file",
            "blank lines in front of the header of ratings",
            text("\n\n" + ratings()),
            CAPACITY,
            "all          240",
            read=True,
        ),
        Case("the file", "a link to itself", loop, FRONTIER, "a link that leads back to itself"),
        Case(
            "the file",
            "a link to itself, for a report",
            loop,
            ("report", FILE, "--reward", "reward", "-o", "FOLDER/new"),
            "a link that leads back to itself",
        ),
        Case("the file", "a name of 10,000 characters", lambda folder: folder / _LONG, FRONTIER, "cannot be read"),
        Case("the file", "a truncated gzip file", text(gz[:-9], "t.csv.gz"), FRONTIER, "not a whole gzip file"),
        Case("the file", "text that is called gzip", text(rows(), "t.csv.gz"), FRONTIER, "not a whole gzip file"),
        Case(
            "the file", "text that is called Parquet", text(rows(), "t.parquet"), FRONTIER, "not a whole Parquet file"
        ),
        Case(
            "the file", "text that is called Feather", text(rows(), "t.feather"), FRONTIER, "not a whole Feather file"
        ),
        Case(
            "the file",
            "a NumPy header of arrays within an array",
            nested_header,
            FRONTIER,
            "is not an array of numbers",
        ),
        Case("the file", "a link to a file of the system", system_file, FRONTIER, "t.csv"),
        Case("the file", "an array of a version to come", of_version(9), FRONTIER, "versions to 3.0 are known"),
        Case("the file", "text that is called NumPy", text(rows(), "t.npy"), FRONTIER, "not an array of NumPy"),
        Case("the file", "Parquet that is called CSV", text(b"PAR1\x15\xff\xfe", "t.csv"), FRONTIER, "is not UTF-8"),
        Case("the file", "one wrong bit in Parquet with checksums", flipped, FRONTIER, "not a whole Parquet file"),
        Case("the file", "gzip under a plain name", text(gz), FRONTIER, _ANSWER, read=True),
        Case("the file", "a mark of byte order", text(b"\xef\xbb\xbf" + rows().encode()), FRONTIER, _ANSWER, read=True),
        Case("the file", "line ends of Windows", text(rows().replace("\n", "\r\n")), FRONTIER, _ANSWER, read=True),
        Case("the file", "Parquet with a footer longer than itself", footer, FRONTIER, "not a whole Parquet file"),
        Case("the file", "a folder called like options", named("(kl) n must base=2"), FRONTIER, _ANSWER, read=True),
        Case(
            "the file",
            "a folder called like options, and nothing in it",
            lambda folder: named("(kl) n must base=2")(folder).with_name("u.csv"),
            FRONTIER,
            "(kl) n must base=2/u.csv; did you mean 't.csv'?",
        ),
    ]


def _size() -> list[Case]:
    wide = "target,label\n" + "".join(f"t{i},l{i}\n" for i in range(40_000)) * 2
    return [
        Case("size", "20 kB of gzip that hold 160 MB", bomb, FRONTIER, "unpacks to more than 200 times its size"),
        Case("size", "a Parquet file of 4 TB of text", long_dictionary, FRONTIER, "of memory, and"),
        Case("size", "40,000 targets by 40,000 labels", text(wide), CAPACITY, "a table of their counts needs about"),
    ]


def _quotes() -> list[Case]:
    def word(i: int) -> str:
        return '"c' if i == 9 else 'd"' if i == 15 else "cd"[i % 3 % 2]

    def at(*marks: int) -> Callable[[int], str]:
        return lambda i: '"ok' if i in marks[:1] else 'ok"' if i in marks[1:] else "ok"

    return [
        Case(
            "quotation marks",
            "two stray ones, text after the second",
            text(texts(lambda i: '"ok' if i in (20, 41) else "ok")),
            FRONTIER,
            "text after a closing quotation mark in the record that begins on line 22",
        ),
        Case(
            "quotation marks",
            "two stray ones that pair up",
            text(texts(at(20, 41))),
            FRONTIER,
            "on line 22 that swallows the lines after it up to line 43",
        ),
        Case(
            "quotation marks",
            "two stray ones, in words that come again",
            text("target,label\n" + "".join(f"{'ab'[i % 2]},{word(i)}\n" for i in range(90))),
            CAPACITY,
            "on line 11 that swallows",
        ),
        Case(
            "quotation marks",
            "two stray ones, around prompts that stand nowhere else",
            text(re.sub(r"^(\d+),", r"p\1,", texts(at(20, 60)), flags=re.MULTILINE)),
            FRONTIER,
            "on line 22 that swallows the lines after it up to line 62",
        ),
        Case(
            "quotation marks",
            "one that is never closed",
            text(texts(at(60))),
            FRONTIER,
            "without its pair in the record that begins on line 62",
        ),
        Case(
            "quotation marks",
            "one after an inch in a long cell",
            text(texts(lambda i: "x" * 200_000 + ' 5" wide' if i == 9 else "ok")),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case(
            "quotation marks",
            "honest texts of several lines",
            text(texts(lambda i: f'"Dear ""you"",\nyes, it is\n{i}"')),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
    ]


def _shape() -> list[Case]:
    return [
        Case(
            "rows and columns",
            "no such column",
            text(rows(header="prompt_id,rewrad")),
            FRONTIER,
            "did you mean 'rewrad'?",
        ),
        Case("rows and columns", "a table of no columns", no_columns, FRONTIER, "has no columns; write it again"),
        Case("rows and columns", "columns without a name", text(",\n0,1\n"), FRONTIER, "has no column with a name"),
        Case(
            "rows and columns",
            "two columns of one name",
            text("prompt_id,reward,reward\n0,1,2\n"),
            FRONTIER,
            "2 columns named 'reward'",
        ),
        Case("rows and columns", "a name of 10,000 characters", text(rows(header=f"prompt_id,{_LONG}")), FRONTIER, "…"),
        Case(
            "rows and columns",
            "a row with a cell too many",
            text(rows() + "7,1,2\n"),
            FRONTIER,
            "3 cells in row 66 (line 66)",
        ),
        Case(
            "rows and columns",
            "a row with a cell too few",
            text(rows() + "7\n"),
            FRONTIER,
            "1 cell in row 66 (line 66)",
        ),
        Case(
            "rows and columns",
            "semicolons",
            text(rows(header="prompt_id;reward", separator=";")),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case(
            "rows and columns",
            "vertical bars",
            text(rows(header="prompt_id|reward", separator="|")),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case(
            "rows and columns",
            "tabs in a .csv",
            text(rows(header="prompt_id\treward", separator="\t")),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case(
            "rows and columns",
            "spaces",
            text(rows(header="prompt_id reward", separator=" ")),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case(
            "rows and columns",
            "no separator that fits",
            text(rows(header="prompt_id;reward") + "1;2;3\n"),
            FRONTIER,
            "promises commas by its extension",
        ),
        Case(
            "rows and columns",
            "a star in a name",
            text(rows(header="prompt_id,r*")),
            ("frontier", FILE, "--reward", "r*", "--n", "2"),
            "'r*'",
            read=True,
        ),
        Case(
            "rows and columns",
            "a comma in the name of a member",
            text('prompt_id,"a,b",c\n' + "".join(f"{i // 8},{REWARD(i // 8, i % 8)},{i % 8}\n" for i in range(64))),
            ("frontier", FILE, "--reward", "mean:a\\,b,c", "--n", "2"),
            "mean:",
            read=True,
        ),
        Case(
            "rows and columns",
            "each row twice",
            text(rows() + rows().partition("\n")[2]),
            FRONTIER,
            "comes 2 times",
            read=True,
        ),
        Case(
            "rows and columns",
            "one sample twice",
            text("prompt_id,sample_id,reward\n0,0,1\n0,0,2\n"),
            FRONTIER,
            "repeat an earlier ('prompt_id', 'sample_id')",
        ),
        Case(
            "rows and columns",
            "a column of log-probabilities twice",
            twice("log_prob"),
            KL,
            "2 columns named 'log_prob'",
        ),
        Case("rows and columns", "a column of prompts twice", twice("prompt_id"), KL, "2 columns named 'prompt_id'"),
        Case(
            "rows and columns",
            "a column of prompts twice in CSV",
            text("prompt_id,log_prob,base_log_prob,prompt_id\na,-1,-2,x\na,-1,-2,y\n"),
            KL,
            "2 columns named 'prompt_id'",
        ),
        Case(
            "rows and columns",
            "a column of steps twice",
            text("step,kl,reward,step\n0,0,0,1\n1,0.1,1,2\n"),
            OVERLAY,
            "2 columns named 'step'",
        ),
        Case(
            "rows and columns",
            "a name that is an argument",
            text(rows(lambda p, s: "high", header="prompt_id,by_rater")),
            ("frontier", FILE, "--reward", "by_rater"),
            "column 'by_rater' of",
        ),
        Case(
            "rows and columns",
            "a name that is a sentence",
            text(rows(lambda p, s: "high", header="prompt_id,pass kl; n must")),
            ("frontier", FILE, "--reward", "pass kl; n must"),
            "column 'pass kl; n must' of",
        ),
    ]


def _values() -> list[Case]:
    def one(value: object) -> Make:
        return text(rows(lambda p, s: value if (p, s) == (2, 3) else REWARD(p, s)))

    return [
        Case("values", "text among the rewards", one("high"), FRONTIER, "'high' in row 21"),
        Case("values", "prompts that are all null", null_prompts, FRONTIER, "prompt"),
        Case("values", "a missing reward", one(""), FRONTIER, "'reward' in 1; row 21"),
        Case("values", "the word None", one("None"), FRONTIER, "'reward' in 1; row 21"),
        Case("values", "an infinite reward", one("inf"), FRONTIER, "(1 infinite); row 21"),
        Case("values", "a reward of 1e150", one("1e150"), FRONTIER, "1e+150 in row 21"),
        Case("values", "all rewards near 1e-150", text(rows(lambda p, s: f"{REWARD(p, s)}e-150")), FRONTIER, "rescale"),
        Case(
            "values", "an integer of 30 digits", one("9" * 30), FRONTIER, "in row 21 (the header is row 1), beyond 2^53"
        ),
        Case(
            "values", "an integer of 5,000 digits", one(_MANY), FRONTIER, "in row 21 (the header is row 1), beyond 2^53"
        ),
        Case("values", "a text of 10,000 characters", one(_LONG), FRONTIER, "…"),
        Case("values", "a decimal comma in CSV", one('"0,5"'), FRONTIER, "a comma within its numbers"),
        Case(
            "values",
            "decimal commas between tabs",
            text(rows(lambda p, s: str(REWARD(p, s)).replace(".", ","), "prompt_id\treward", "\t"), "t.tsv"),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case(
            "values",
            "commas between thousands",
            text("prompt_id;reward\n" + "0;1,000\n0;2,000\n0;3,000\n"),
            FRONTIER,
            "no marks between thousands",
        ),
        Case("values", "a list without --wide", one("[1]"), FRONTIER, "'[1]' in row 21"),
        Case(
            "values",
            "lists in the cells of CSV",
            text("prompt_id,reward\n" + "".join(f'{p},"{[REWARD(p, s) for s in range(8)]}"\n' for p in range(8))),
            (*FRONTIER, "--wide"),
            _ANSWER,
            read=True,
        ),
        Case("values", "a formula", one("=1+1"), FRONTIER, "'=1+1' in row 21"),
        Case("values", "a control character", one("\x1b[31m1"), FRONTIER, "\\x1b[31m1"),
        Case("values", "marks between thousands as Python has them", one("1_000"), FRONTIER, "'1_000' in row 21"),
        Case("values", "digits of another script", one("١"), FRONTIER, "'١' in row 21"),
    ]


def _json() -> list[Case]:
    deep = "[" * 20_000 + "]" * 20_000
    return [
        Case(
            "JSON",
            "20,000 brackets in a column nobody asked for",
            text(first_line(deep), "t.jsonl"),
            FRONTIER,
            "more than 64 brackets",
        ),
        Case(
            "JSON",
            "10,000 objects within each other",
            text(first_line('{"a":' * 10_000 + "1" + "}" * 10_000), "t.jsonl"),
            FRONTIER,
            "more than 64 brackets",
        ),
        Case(
            "JSON",
            "brackets without end in a document",
            text("[" * 100_000, "t.json"),
            FRONTIER,
            "more than 64 brackets",
        ),
        Case(
            "JSON",
            "null for an object",
            text("null\n" + lines(), "t.jsonl"),
            FRONTIER,
            "line 1 holds null, not an object",
        ),
        Case("JSON", "an array in a line", text("[1]\n", "t.jsonl"), FRONTIER, "holds an array, not an object"),
        Case("JSON", "a line cut short", text(lines()[:-9], "t.jsonl"), FRONTIER, "line 64 does not parse"),
        Case(
            "JSON",
            "a key twice",
            text(first_line("1", "prompt_id"), "t.jsonl"),
            FRONTIER,
            "the key 'prompt_id' comes twice",
        ),
        Case(
            "JSON", "text for a number", text(first_line('"1"', "reward"), "t.jsonl"), FRONTIER, "mixes kinds of values"
        ),
        Case(
            "JSON",
            "an integer of 5,000 digits",
            text(first_line(_MANY, "reward"), "t.jsonl"),
            FRONTIER,
            "an integer of 5,000 digits",
        ),
        Case(
            "JSON",
            "half of a surrogate pair",
            text('{"target": "a", "label": "b"}\n{"target": "a", "label": "\\ud800"}\n', "t.jsonl"),
            CAPACITY,
            "half of a surrogate pair",
        ),
        Case("JSON", "no table", text('{"a": 1}', "t.json"), FRONTIER, "holds an object that is no table"),
        Case(
            "JSON",
            "an array of objects",
            text(json.dumps([json.loads(line) for line in lines().splitlines()]), "t.json"),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case(
            "JSON",
            "a list for each column",
            text(
                json.dumps(
                    {"prompt_id": [i // 8 for i in range(64)], "reward": [REWARD(i // 8, i % 8) for i in range(64)]}
                ),
                "t.json",
            ),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case("JSON", "JSON lines that are called .json", text(lines(), "t.json"), FRONTIER, _ANSWER, read=True),
        Case(
            "JSON",
            "keys that differ from line to line",
            text(
                "".join(
                    json.dumps({"prompt_id": i // 8, "reward": REWARD(i // 8, i % 8), f"k{i}": {f"k{i}": i}}) + "\n"
                    for i in range(64)
                ),
                "t.jsonl",
            ),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case(
            "JSON",
            "a reward within an object",
            text(lines(lambda r: {"prompt_id": r["prompt_id"], "scores": {"good": r["reward"]}}), "t.jsonl"),
            ("frontier", FILE, "--reward", "scores.good", "--n", "2"),
            "'scores.good'",
            read=True,
        ),
        Case(
            "JSON",
            "a list of objects whose keys are names of options",
            text(lines(lambda r: r | {"reward": [{"text": "a", "reward": 1.0, "gold": 1.0}]}), "t.jsonl"),
            FRONTIER,
            "holds list of struct of 'text', 'reward', 'gold' values",
        ),
        Case(
            "JSON",
            "an object for a reward",
            text(lines(lambda r: r | {"reward": {"good": 1}}), "t.jsonl"),
            FRONTIER,
            "name a key within it, such as 'reward.good'",
        ),
        Case(
            "JSON",
            "chats for prompts",
            text(lines(lambda r: r | {"prompt_id": [{"role": "user", "content": str(r["prompt_id"])}]}), "t.jsonl"),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case(
            "JSON",
            "two objects on one line",
            text(lines().replace("\n", " ", 1), "t.jsonl"),
            FRONTIER,
            "line 1 does not parse",
        ),
        Case(
            "JSON",
            "integers beyond 2^53 in lists with fractions",
            text(lines(lambda r: r | {"prompt_id": [2**53 + int(str(r["prompt_id"])), 0.5]}), "t.jsonl"),
            FRONTIER,
            "column 'prompt_id' of",
        ),
        Case(
            "JSON",
            "integers beyond 64 bits for prompts",
            text(lines(lambda r: r | {"prompt_id": 10**30 + int(str(r["prompt_id"]))}), "t.jsonl"),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case(
            "JSON",
            "chats whose texts are dates",
            text(
                lines(lambda r: r | {"prompt_id": [{"role": "user", "content": f"2024-01-0{r['prompt_id']}"}]}),
                "t.jsonl",
            ),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case(
            "JSON",
            "true among the numbers of a list",
            text(lines(lambda r: r | {"reward": [True, 1.0]}), "t.jsonl"),
            (*FRONTIER, "--wide"),
            "a list that mixes kinds of values in line 1: True and 1.0",
        ),
    ]


def _types() -> list[Case]:
    days = [datetime.date(2024, 1, 1 + i % 28) for i in range(64)]
    found = {
        "lists": ([[float(i)] for i in range(64)], "pass --wide if it lists the samples"),
        "objects": ([{"a": i} for i in range(64)], "name a key within it, such as 'reward.a'"),
        "dates": (days, "holds date32[day] values, not numbers"),
        "durations in a dictionary": (
            pa.array([datetime.timedelta(i % 8) for i in range(64)]).dictionary_encode(),
            "holds duration[us] values",
        ),
        "bytes": ([bytes([255, i]) for i in range(64)], "holds binary values that cannot be read"),
        "text": ([str(i) for i in range(64)], "holds text, the first '0'"),
        "decimals near 1e30": ([Decimal(10) ** 30 + i for i in range(64)], "beyond 2^53"),
        "maps": (pa.array([[("a", i)] for i in range(64)], pa.map_(pa.string(), pa.int64())), "not numbers"),
        "nothing but null": (pa.nulls(64), "Nothing would be left"),
    }
    refused = [
        Case("types", f"{kind} for rewards", table(reward=column), FRONTIER, said)
        for kind, (column, said) in found.items()
    ]
    readable = {
        "dictionaries": pa.array([str(i % 8) for i in range(64)]).dictionary_encode(),
        "lists": [[i % 8] for i in range(64)],
        "dates": [datetime.date(2024, 1, 1 + i % 8) for i in range(64)],
        "bytes that are text": [b"%d" % (i % 8) for i in range(64)],
        "decimals": [Decimal(i % 8) for i in range(64)],
        "chats": [_NESTED if i % 2 else [{"role": "user", "content": "Who?"}] for i in range(64)],
    }
    return [
        *refused,
        *[
            Case("types", f"{kind} for prompts", table(prompt_id=column), FRONTIER, _ANSWER, read=True)
            for kind, column in readable.items()
        ],
        Case("types", "lists for samples", table(sample_id=[[i % 8] for i in range(64)]), FRONTIER, _ANSWER, read=True),
        Case(
            "types", "dictionaries for samples", table(sample_id=readable["dictionaries"]), FRONTIER, _ANSWER, read=True
        ),
        Case(
            "types", "fractions for prompts", table(prompt_id=[i + 0.5 for i in range(64)]), FRONTIER, "holds fractions"
        ),
        Case(
            "types",
            "floats beyond 2^53 for prompts",
            table(prompt_id=[2.0**60 + i for i in range(64)]),
            FRONTIER,
            "beyond 2^53",
        ),
        Case(
            "types",
            "an array of NumPy",
            array(np.random.default_rng(0).normal(size=(8, 8))),
            FRONTIER,
            _ANSWER,
            read=True,
        ),
        Case("types", "Python objects in NumPy", array(np.array([{}], object)), FRONTIER, "holds Python objects"),
        Case(
            "types",
            "an array of three dimensions",
            array(np.zeros((2, 2, 2))),
            FRONTIER,
            "holds an array of shape (2, 2, 2)",
        ),
        Case("types", "views of lists for prompts", views, FRONTIER, _ANSWER, read=True),
        Case("types", "Feather", feather, FRONTIER, _ANSWER, read=True),
    ]


def _identifiers() -> list[Case]:
    big = 2**53
    return [
        Case(
            "identifiers",
            "targets beyond 2^53",
            text(ratings(target=lambda i: big + i % 3)),
            CAPACITY,
            "3 targets",
            read=True,
        ),
        Case(
            "identifiers",
            "contexts of seven digits",
            text(ratings(target=lambda i: i % 3).replace("rater", "context").replace(",3\n", ",10000003\n")),
            (*CAPACITY, "--context", "context"),
            "10000003",
            read=True,
        ),
        Case(
            "identifiers",
            "a blank label",
            text(ratings(lambda i: "" if i == 4 else i % 3)),
            CAPACITY,
            "'label' in 1; row 6",
        ),
        Case(
            "identifiers",
            "a label None in CSV",
            text(ratings(lambda i: "None" if i == 4 else i % 3)),
            CAPACITY,
            "'None' in column 'label' is a text of its own; leave the cell blank",
            read=True,
        ),
        Case(
            "identifiers",
            "a label null in JSON",
            text(
                "".join(json.dumps({"target": i % 2, "label": None if i == 4 else i % 3}) + "\n" for i in range(60)),
                "t.jsonl",
            ),
            CAPACITY,
            "'label' in 1; row 5",
        ),
        Case(
            "identifiers",
            "a label None in JSON",
            text(
                "".join(json.dumps({"target": i % 2, "label": ("None", "a", "b")[i % 3]}) + "\n" for i in range(60)),
                "t.jsonl",
            ),
            CAPACITY,
            _PLACED,
            read=True,
        ),
        Case(
            "identifiers",
            "labels YES and yes",
            text(ratings(lambda i: ("YES", "yes", "no")[i % 3])),
            CAPACITY,
            "'YES' and 'yes' in column 'label' differ in capitals",
            read=True,
        ),
        Case(
            "identifiers",
            "one column for two things",
            text(ratings()),
            (*CAPACITY, "--label", "target"),
            "--target and --label must be different columns",
        ),
        Case(
            "identifiers",
            "labels and truth in files of their own",
            crowd,
            (*CAPACITY, "--truth", "FOLDER/truth.csv", "--drop-missing"),
            "are of items without a 'target'",
            read=True,
        ),
        Case(
            "identifiers",
            "items whose truth is not known",
            crowd,
            (*CAPACITY, "--truth", "FOLDER/truth.csv"),
            "lack a target",
        ),
        Case(
            "identifiers",
            "items that are written differently in the truth",
            padded_crowd,
            (*CAPACITY, "--truth", "FOLDER/truth.csv"),
            "has a 'target' for no item of the labels: the first item is '000' there and '0' in",
        ),
        Case(
            "identifiers",
            "standard input for labels and truth",
            crowd,
            ("capacity", "-", "--truth", "-"),
            "cannot be both TABLE and --truth",
        ),
        Case(
            "identifiers",
            "a truth that shares no column",
            crowd,
            (*CAPACITY, "--truth", "FOLDER/truth.csv", "--item", "task"),
            "no column 'task' (--item)",
        ),
        Case(
            "identifiers",
            "labels in digits of other scripts",
            text(ratings(lambda i: "1１١"[i % 3], lambda i: "1１١"[i % 3])),
            CAPACITY,
            "3 targets, 3 labels",
            read=True,
        ),
        Case(
            "identifiers",
            "space around labels",
            text(ratings(lambda i: "ab"[i % 2], lambda i: " x" if i % 2 else "y")),
            CAPACITY,
            "are read without the space around them, such as ' x'",
            read=True,
        ),
        Case(
            "identifiers",
            "a truth without rows",
            empty_truth,
            (*CAPACITY, "--truth", "FOLDER/truth.csv"),
            "has a header but no rows",
        ),
    ]


def _kl() -> list[Case]:
    csv = "token_log_prob,base_token_log_prob\n" + "".join(f'"[-1.0, -{i}.5]","[-1.2 -0.4]"\n' for i in range(12))
    return [
        Case(
            "log-probabilities",
            "null in a list of tokens",
            text(tokens(token_log_prob=[None, -0.5]), "t.jsonl"),
            KL,
            "lacks a number for 1 of 24 tokens, the first in row 1",
        ),
        Case(
            "log-probabilities",
            "a response without tokens",
            text(tokens(token_log_prob=[], base_token_log_prob=[]), "t.jsonl"),
            KL,
            "has no tokens in row 1",
        ),
        Case(
            "log-probabilities",
            "a positive one",
            text(tokens(token_log_prob=[0.5, -0.5]), "t.jsonl"),
            KL,
            "must not be positive; got 0.5 in row 1",
        ),
        Case(
            "log-probabilities",
            "lists of two lengths",
            text(tokens(token_log_prob=[-0.5]), "t.jsonl"),
            KL,
            "have 1 and 2 tokens in row 1",
        ),
        Case("log-probabilities", "text in a list", text(tokens(token_log_prob=["a", "b"]), "t.jsonl"), KL, "Error"),
        Case(
            "log-probabilities",
            "a count of 0 tokens",
            text("log_prob,base_log_prob,n_tokens\n-1,-2,2\n-1,-2,0\n"),
            KL,
            "got 0 in row 3",
        ),
        Case(
            "log-probabilities",
            "an exact KL below what its tokens round",
            text("log_prob,base_log_prob,n_tokens,exact_kl\n" + "-4,-4,30,0.1\n-4,-4,30,-0.01\n" * 9),
            KL,
            "a token, here 0.003 (half precision leaves more); got -0.01 in rows 3, 5, 7, 9, 11, …",
        ),
        Case(
            "log-probabilities",
            "an exact KL within what its tokens round",
            text("log_prob,base_log_prob,n_tokens,exact_kl\n" + "-4,-4.1,300,0.1\n-4,-4,300,-0.01\n" * 9),
            KL,
            "in 9 of 18 responses it adds up to less than 0, at the least to -0.01 nats",
            read=True,
        ),
        Case("log-probabilities", "lists in CSV", text(csv), KL, "12 responses sampled from the policy", read=True),
        Case(
            "log-probabilities",
            "a word among them",
            text("log_prob,base_log_prob\n" + "-2,-3\n-1,x\n" * 9),
            KL,
            "'x' in row 3 (the header is row 1); write a number there.",
        ),
        Case("log-probabilities", "a cell that is no list", text(csv + "-1,-2\n"), KL, "'-1' in row 14"),
        Case(
            "log-probabilities",
            "half a token",
            text("log_prob,base_log_prob,n_tokens\n-1,-2,2\n-1,-2,1.5\n"),
            KL,
            "1.5",
        ),
        Case(
            "log-probabilities",
            "true among them",
            text(tokens(token_log_prob=[True, -0.5]), "t.jsonl"),
            KL,
            "a list that mixes kinds of values",
        ),
    ]


def _logs() -> list[Case]:
    name = "trainer_state.json"
    return [
        Case(
            "training logs", "text for a reward", text(log(reward="high"), "t.jsonl"), OVERLAY, "mixes kinds of values"
        ),
        Case(
            "training logs", "no such run", text(log(), "t.jsonl"), (*OVERLAY, "--only", "x*"), "matches 'x*' (--only)"
        ),
        Case(
            "training logs",
            "one log as two seeds",
            text(log(), "t.jsonl"),
            (*OVERLAY, "--also", FILE),
            "RUN and --also name one log twice",
        ),
        Case(
            "training logs",
            "one log alone to compare",
            text(log(), "t.jsonl"),
            ("compare", FILE, "--kl-unit", "sequence"),
            "RUN must hold two runs at least",
        ),
        Case("training logs", "a missing KL", text(log(kl=None), "t.jsonl"), OVERLAY, "lack a finite 'kl'"),
        Case(
            "training logs",
            "an integer of 5,000 digits",
            text(state().replace("0.1,", f"{_MANY},", 1), name),
            OVERLAY,
            "an integer of 5,000 digits",
        ),
        Case("training logs", "a pipe for a log", pipe("log"), OVERLAY, "is neither a file nor a folder"),
        Case("training logs", "a pipe in a run's folder", pipe("run/a.csv"), OVERLAY, "a.csv is neither a file nor"),
        Case("training logs", "brackets without end", text("[" * 100_000, name), OVERLAY, "more than 64 brackets"),
        Case("training logs", "a log cut short", text(state()[:-9], name), OVERLAY, "is not whole JSON"),
        Case(
            "training logs", "half of UTF-16", text(state().encode("utf-16")[:-1], name), OVERLAY, "is not UTF-8 text"
        ),
        Case(
            "training logs",
            "true for a KL",
            text("".join(json.dumps({"step": i, "kl": True, "reward": 0.1}) + "\n" for i in range(9)), "t.jsonl"),
            OVERLAY,
            "column 'kl' of",
        ),
        Case(
            "training logs",
            "a base beyond all rewards",
            text(log(), "t.jsonl"),
            (*OVERLAY, "--run-base", "1e308"),
            "--run-base must lie in [-1e+102, 1e+102]; got 1e+308",
        ),
        Case(
            "training logs",
            "a cell of 200,000 characters",
            panel("1" * 200_000),
            OVERLAY,
            "line 2 is no CSV",
        ),
        Case("training logs", "wandb's panel in Latin-1", panel(encoding="latin-1"), OVERLAY, "is no text in UTF-8"),
        Case("training logs", "a database whose table is a program", endless_view, OVERLAY, "mlflow.db"),
        Case("training logs", "a folder checkpoint-abc", checkpoint, ("overlay", FILE), "", read=True),
        Case(
            "training logs",
            "an entry that is no object",
            text(json.dumps({"log_history": [{"step": 1, "kl": 0.1, "reward": 1.0}, None]}), name),
            OVERLAY,
            "holds None as entry 2 of its 'log_history'",
        ),
        Case(
            "training logs",
            "a length that is none",
            text(log(), "t.jsonl"),
            ("overlay", FILE, "--kl-unit", "token", "--run-length", "0"),
            "--run-length must lie in (0",
        ),
        Case(
            "training logs",
            "--only without --run",
            text(log(), "t.jsonl"),
            (*OVERLAY, "--only", "dpo_*"),
            "name the column that tells runs apart (--run)",
        ),
        Case(
            "training logs",
            "a run's column without a name",
            text(log(), "t.jsonl"),
            (*OVERLAY, "--run", ""),
            "has no column '' (--run)",
        ),
        Case(
            "training logs",
            "a base that is no number",
            text(log(), "t.jsonl"),
            (*OVERLAY, "--run-base", "nan"),
            "--run-base must be finite",
        ),
    ]


def _advice() -> list[Case]:
    """Logs that `pick` and `compare` are given, with a second file beside them where one is asked for."""

    def run(kl: Callable[[int], float] = lambda i: 0.1 * i, size: int = 9, **more: Callable[[int], object]) -> str:
        rows = [{"step": i, "kl": kl(i), "reward": 0.3 * i} | {k: f(i) for k, f in more.items()} for i in range(size)]
        return "".join(json.dumps(row) + "\n" for row in rows)

    def beside(one: str, other: str, name: str) -> Make:
        def make(folder: Path) -> Path:
            text(other, name)(folder)
            return text(one, "t.jsonl")(folder)

        return make

    def scores(step: Callable[[int], object], gold: Callable[[int], object] = lambda i: i) -> Make:
        judged = "step,prompt_id,gold\n" + "".join(f"{step(i)},p{i % 3},{gold(i)}\n" for i in range(12))
        return beside(run(), judged, "judged.csv")

    plain = {"gold": lambda i: 1.0 - 0.1 * i}
    pick = ("pick", FILE, "--kl-unit", "sequence")
    in_run, scored = (*pick, "--run-gold", "gold"), (*pick, "--scores", "FOLDER/judged.csv")
    compare = ("compare", "a=FILE", "b=FOLDER/b.jsonl", "--kl-unit", "sequence")
    other = run(lambda i: 0.12 * i)

    def case(name: str, make: Make, command: tuple[str, ...], said: str, read: bool = False) -> Case:
        return Case("runs compared and picked from", name, make, command, said, read)

    return [
        case("gold that is text", text(run(gold=lambda i: "high"), "t.jsonl"), in_run, "'gold'"),
        case("gold at one checkpoint only", text(run(gold=lambda i: 1.0 if i == 3 else None), "t.jsonl"), in_run,
             "Gold is known at 1 checkpoint only"),
        case("gold at none", text(run(gold=lambda i: None), "t.jsonl"), in_run, "lack a finite"),
        case("a gold that there is not", text(run(**plain), "t.jsonl"), (*pick, "--run-gold", "silver"), "'silver'"),
        case("gold at some", text(run(gold=lambda i: 0.1 * i if i % 2 else None), "t.jsonl"), in_run, "Keep", True),
        case("no gold and no KL", text(run(**plain), "t.jsonl"), pick, "Nothing to pick by"),
        case("two golds", scores(lambda i: i // 3), (*scored, "--run-gold", "gold"), "two golds"),
        case("an error of 1", text(run(**plain), "t.jsonl"), (*in_run, "--error", "1"), "--error"),
        case("fewer looks than were made", text(run(**plain), "t.jsonl"), (*in_run, "--looks", "2"), "--looks"),
        case("scores of steps that the run never had", scores(lambda i: 50 * i), scored, "reaches"),
        case("scores of another prompt at each step", scores(lambda i: i % 3), scored, "0 prompts of 3"),
        case("a score that is a word", scores(lambda i: i // 3, lambda i: "good"), scored, "'gold'"),
        case("scores without a step", beside(run(), "prompt_id,gold\np1,1\n", "judged.csv"), scored, "'step'"),
        case("scores that are empty", beside(run(), "step,prompt_id,gold\n", "judged.csv"), scored, "no rows"),
        case("one run compared", text(run(), "t.jsonl"), ("compare", "a=FILE", "--kl-unit", "sequence"),
             "two runs at least"),
        case("a run as its own seed", text(run(), "t.jsonl"),
             ("compare", "a=FILE", "a=FILE", "b=FILE", "--kl-unit", "sequence"), "the same log"),
        case("runs without a KL in common", beside(run(), run(lambda i: 5.0 + i), "b.jsonl"), compare,
             "no KL in common"),
        case("KLs that no run reaches", beside(run(), other, "b.jsonl"), (*compare, "--at", "7"), "--at must name"),
        case("a run at one KL", beside(run(), run(lambda i: 0.1), "b.jsonl"), compare, "three at least"),
        case("runs of unlike lengths", beside(run(), run(size=5), "b.jsonl"), compare, "at equal KL", True),
        case("a run that is not there", text(run(), "t.jsonl"), compare, "b.jsonl"),
        case("shares of a limit that no table shows", beside(run(), other, "b.jsonl"),
             (*compare, "--bounded", "0,1"), "need --table"),
    ]  # fmt: skip


def _options() -> list[Case]:
    def asked(name: str, said: str, *typed: str) -> Case:
        return Case("options", name, text(rows()), ("frontier", FILE, "--reward", "reward", *typed), said)

    return [
        asked("a negative budget", "--kl must not be negative; got -1", "--kl", "0.1,-1"),
        asked(
            "more total variation than there is",
            "--at must not exceed 1, the largest 'total_variation' ('tv')",
            "--divergence",
            "tv",
            "--at",
            "1.5",
            "--bounded",
            "-9,9",
        ),
        asked("a budget that is no number", "must be finite", "--kl", "nan"),
        asked("an address of a machine", "begins with the name of a machine", "--opponent", "file://far/t.csv"),
        asked("an address that names nothing", "is the beginning of an address", "--opponent", "tar://"),
        asked("a table in an archive", "is an address within a file", "--opponent", "TAR://t.csv::t.tar"),
        asked("a budget of 5,000 digits", "must be finite", "--kl", _MANY),
        asked("bounds of 1e200", "--bounded must not exceed 1e+102", "--bounded", "-1e200,1e200"),
        asked("best of 0", "--n must lie in [1", "--n", "0"),
        asked("a rule that there is not", "--rule must be one of best-of-n:N", "--rule", "best"),
        asked("a rule without its numbers", "takes numbers as in soft-best-of-n:N:LAM", "--rule", "soft-best-of-n:8"),
        asked("a rule out of its range", "its n must lie in [1", "--rule", "threshold-stopping:0.5"),
        asked("a rule that draws too much", "takes 80 samples of every prompt", "--rule", "threshold-stopping:40"),
        asked("a level of 5,000 digits", "--level", "--level", _MANY),
        asked("an ensemble without --gold", "needs --gold", "--ensemble", "reward"),
        asked("an ensemble of nothing", "no column '' (--ensemble)", "--gold", "prompt_id", "--ensemble", ","),
        asked("a name of 10,000 characters", "no column 'xxx", "--gold", _LONG),
        asked("spaces within a name", "no column 'a  b' (--gold)", "--gold", "a  b"),
        asked("several columns for one reward", "may mean several rewards", "--gold", "*"),
        asked("an average of nothing", "matches 'x*' (--gold)", "--gold", "mean:x*"),
        asked("a pattern without a match", "matches 'x*' (--ensemble)", "--gold", "prompt_id", "--ensemble", "x*"),
        asked("more draws than there are", "--n must not exceed 8", "--n", "2,64"),
        asked("marks between thousands as Python has them", "give numbers separated by commas", "--n", "1_0"),
        asked("a level that is no number", "a level must be finite; got nan", "--level", "nan"),
        asked("a level that is all but certain", "between 1e-06 and 1 - 1e-09", "--level", "0.9999999999999999"),
        asked("a level that is all but nothing", "between 1e-06 and 1 - 1e-09", "--level", "5e-324"),
        asked("an order beyond all moments", "from 0.01 to 100 and not 1", "--divergence", "renyi:1e300"),
        asked("digits of another script", "give a number", "--level", "\u0660.\u0669"),
        asked("a seed in digits of another script", "give a whole number", "--seed", "\u0663"),
        asked("one budget twice", "1 is given more than once; give it once", "--kl", "1,1"),
        asked("KL budgets of another divergence", "asked of renyi:2 as --at", "--divergence", "Renyi: 2", "--kl", "1"),
        asked(
            "KL budgets of another divergence, by its short name", "of js as --at", "--divergence", "JS", "--kl", "1"
        ),
        asked("a divergence that there is not", "Known by name", "--divergence", "chi2:3", "--kl", "1"),
        asked("a seed given twice", "--seed is given more than once; give it once", "--seed", "0", "--seed=1"),
        asked("bounds given twice", "--bounded is given more than once", "--bounded", "0,1", "--bounded", "0,2"),
        asked("one prompt, and its column", "--pool contradicts --prompt", "--pool", "--prompt", "prompt_id"),
        asked("bounds in the other order", "--bounded must be the least and the largest", "--bounded", "1,0"),
        asked("bounds that do not hold the rewards", "--bounded must hold every sample", "--bounded", "0,0.1"),
        asked("gold that is the reward", "are both 'reward'", "--gold", "reward"),
        Case(
            "options",
            "a column of prompts in plain text",
            text("x\n", "p.txt"),
            ("sample", "--model", "m", "--prompts", FILE, "--column", "x", "-o", "FOLDER/o.parquet"),
            "--column has no say: --prompts is plain text",
        ),
        Case(
            "options",
            "a picture in place of the log that it shows",
            linked_picture,
            (*OVERLAY, "-o", "FOLDER/t.png", "--force"),
            "which is read; choose another output",
        ),
    ]


ANSWERS = "prompt_id,answer,correct,score\n" + "".join(
    f"{i // 4},{a},{int(a == 'A')},{i / 10}\n" for i, a in enumerate("AABCABBBCCCC")
)


def _answers() -> list[Case]:
    def asked(name: str, said: str, content: str, *typed: str, read: bool = False) -> Case:
        return Case("checked answers", name, text(content), ("passk", FILE, *typed), said, read)

    return [
        asked("k above the responses to a prompt", "--k must not exceed the responses", ANSWERS, "--k", "1,5"),
        asked("k of no responses", "--k must hold whole numbers from 1 on", ANSWERS, "--k", "0"),
        asked("no column of verdicts", "no column 'right' (--correct)", ANSWERS, "--correct", "right"),
        asked("verdicts that are scores", "must be 1 or 0 for each response", ANSWERS, "--correct", "score"),
        asked("verdicts of text", "'yes'", ANSWERS.replace("A,1", "A,yes")),
        asked(
            "verdicts that are true or false", "", ANSWERS.replace(",1,", ",true,").replace(",0,", ",False,"), read=True
        ),
        asked("answers missing", "have no 'answer'", ANSWERS.replace("0,B", "0,"), "--answer", "answer"),
        asked(
            "one number written twice",
            "are one number count as one, such as '1' and '1.0'",
            ANSWERS.replace(",A,", ",1,", 1).replace(",A,", ",1.0,"),
            "--answer",
            "answer",
            read=True,
        ),
        asked(
            "an answer both right and wrong",
            "are right in some responses and wrong in others",
            ANSWERS.replace("A,1", "A,0", 1),
            "--answer",
            "answer",
        ),
        asked("an abstention that nobody gave", "answers 'none'", ANSWERS, "--answer", "answer", "--abstains", "none"),
        asked("abstentions without answers", "pass --answer", ANSWERS, "--blank-abstains"),
        asked("no column of scores", "no column 'judge' (--score)", ANSWERS, "--score", "judge"),
        asked("one column asked for twice", "is asked for twice", ANSWERS, "--answer", "correct"),
        asked("a verifier's score missing", "lack a finite value", ANSWERS.replace("0.3", ""), "--score", "score"),
        asked("a prompt with one response", "", ANSWERS + "9,A,1,0.5\n", "--k", "1,4", read=True),
    ]


CASES: list[Case] = [
    *_file(),
    *_size(),
    *_quotes(),
    *_shape(),
    *_values(),
    *_json(),
    *_types(),
    *_identifiers(),
    *_kl(),
    *_logs(),
    *_advice(),
    *_options(),
    *_answers(),
    *(Case(*row) for row in of_runs()),
]
