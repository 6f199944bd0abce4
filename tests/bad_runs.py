"""Bad input of what reads more than one file: logs beside tables, tables in parts, bundles, notebooks, sweeps.

Cases as in `tests/bad_input_cases.py`, which lists them; what is made here lies in a folder, and the case names it.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

__all__ = ["FAMILIES", "of_runs"]

FILE = "FILE"
STEPS = (0.0, 10.0, 20.0, 30.0, 40.0, 50.0)
KLS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
GAINS = (0.0, 0.1, 0.2, 0.25, 0.35, 0.4)
UNIT = ("--kl-unit", "sequence")
BASE = ("--table", "FOLDER/base.csv", "--reward", "score")
COMPARED = ("compare", "a=FOLDER/t.jsonl", "b=FOLDER/other.csv", *UNIT)
PICKED = ("pick", FILE, *UNIT, *BASE, "--gold", "gold")
ROWS: Mapping[str, Sequence[object]] = {"step": STEPS, "kl": KLS, "reward": GAINS}
FAMILIES = ("comparing runs", "picking a checkpoint", "tables in parts", "bundles", "parameters of notebooks")

Make = Callable[[Path], Path]


def run(name: str = "t.jsonl", **changed: object) -> Make:
    """Return what writes a log, another beside it and samples of the base; of the fourth row some cells are changed."""

    def make(folder: Path) -> Path:
        records = [dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)]
        records[3] |= changed
        lines = ["prompt_id,score,gold"]
        for i in range(120):
            score = math.sin(7.0 * i)
            lines.append(f"{i // 10},{score:.4f},{score + math.cos(3.0 * i):.4f}")
        (folder / "base.csv").write_text("\n".join(lines) + "\n")
        other = [f"{s},{1.1 * k},{0.9 * r}" for s, k, r in zip(STEPS, KLS, GAINS, strict=True)]
        (folder / "other.csv").write_text("step,kl,reward\n" + "\n".join(other) + "\n")
        path = folder / name
        if path.suffix == ".json":
            path.write_text(json.dumps({"log_history": records}))
        elif path.suffix == ".csv":
            cells = [",".join(str(value) for value in record.values()) for record in records]
            path.write_text("\n".join([",".join(ROWS), *cells]) + "\n")
        else:
            path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    return make


def column(name: str, *values: object) -> Make:
    """Return what writes a log as CSV with other values in one column."""

    def make(folder: Path) -> Path:
        run()(folder)
        rows = zip(*(ROWS | {name: values}).values(), strict=True)
        path = folder / "t.csv"
        path.write_text("\n".join([",".join(ROWS), *(",".join(map(str, row)) for row in rows)]) + "\n")
        return path

    return make


def parts(**content: str) -> Make:
    """Return what writes a folder of parts, each with this content after its header."""

    def make(folder: Path) -> Path:
        path = folder / "parts"
        path.mkdir()
        for name, text in content.items():
            (path / f"{name}.csv").write_text(f"prompt_id,reward\n{text}")
        return path

    return make


PART = "".join(f"{i // 8},{(7 * i) % 11}\n" for i in range(32))
OTHER = "".join(f"{4 + i // 8},{(5 * i) % 11}\n" for i in range(32))


def archive(**content: bytes) -> Make:
    """Return what writes a ZIP archive of these files; ``__`` stands for a dot, ``_up_`` for the folder above."""

    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "t.zip", "w") as file:
            for name, held in content.items():
                file.writestr(name.replace("_up_", "../").replace("__", "."), held)
        return folder / "t.zip"

    return make


def null_prompts(folder: Path) -> Path:
    """Write Parquet with numbered samples of prompts that are null."""
    import pyarrow.parquet as pq

    columns = {
        "prompt_id": pa.nulls(32, pa.int64()),
        "sample_id": list(range(8)) * 4,
        "reward": [0.5 * i for i in range(32)],
    }
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return folder / "t.parquet"


def nothing(folder: Path) -> Path:
    """Write nothing."""
    return folder


# Family, name, what is written, what is typed, what is said, and whether it is answered.
Row = tuple[str, str, Make, tuple[str, ...], str, bool]


def of_runs() -> list[Row]:
    """Return the cases, without the class that holds them."""
    compared, picked, in_parts, bundles, notebooks = FAMILIES
    whole = ("run", "best_of_n", "-o", "FOLDER/t.ipynb")
    swept = ("sweep", *whole[1:3], "FOLDER/t.csv")
    beyond = "beyond 2^53, where floats no longer tell neighbours apart"
    found: list[Row] = [
        (compared, "a step of 1e308", run(step=1e308), COMPARED, "holds 1e+308 for 'step' in row 4", False),
        (compared, "a step of -1e300", run(step=-1e300), COMPARED, "holds -1e+300 for 'step' in row 4", False),
        (compared, "a KL of 2^63", run(kl=2**63), COMPARED, beyond, False),
        (compared, "a reward of 1e103", run(reward=1e103), COMPARED, "holds 1e+103 for 'reward' in row 4", False),
        (compared, "a reward of 1e-320", run(reward=1e-320), (*COMPARED, *BASE), "at equal KL", True),
        (compared, "a KL of 1e-320", run(kl=1e-320), (*COMPARED, *BASE), "1 logged KL below 1e-102 nats in size", True),
        (
            compared,
            "a step of 1e-320",
            run(step=1e-320),
            (*COMPARED, *BASE),
            "The steps begin anew at 9.99989e-321, after 20",
            True,
        ),
        (compared, "a reward that is true", run(reward=True), COMPARED, "reward", False),
        (compared, "one log", run(), COMPARED[:2] + COMPARED[3:], "RUN must hold two runs at least", False),
        (compared, "one KL twice", run(), (*COMPARED, "--at", "0.1,0.1"), "0.1 is given more than once", False),
        (compared, "a KL that no run reaches", run(), (*COMPARED, "--at", "7"), "--at must name KLs", False),
        (compared, "a name with a line break", run(), ("compare", "a\nb=FOLDER/t.jsonl", *COMPARED[2:]), r"a\nb", True),
        (picked, "a KL of 2^63 in trl's log", run("t.json", kl=2**63), PICKED, beyond, False),
        (picked, "a step of 1e103 in trl's log", run("t.json", step=1e103), PICKED, "'step' in entry 4", False),
        (picked, "a step that is a word", run("t.json", step="high"), PICKED, "'step' holds 'high' in entry 4", False),
        (picked, "a KL of 1e103", run("t.csv", kl="1e103"), PICKED, "holds 1e+103 for 'kl' in row 5", False),
        (
            picked,
            "rewards that are true or false",
            column("reward", *["True"] * 3, *["False"] * 3),
            PICKED,
            "holds true and false, which are no numbers of a log",
            False,
        ),
        (
            picked,
            "KLs below 0, but one",
            column("kl", 0.0, -0.02, -0.1, -0.2, -0.3, -0.5),
            PICKED,
            "No checkpoint's KL is above 0 and within what the base samples",
            False,
        ),
        (
            picked,
            "KLs below 0",
            column("kl", -0.01, -0.02, -0.1, -0.2, -0.3, -0.5),
            PICKED,
            "All 6 checkpoints have a negative KL, which no policy has",
            False,
        ),
        (picked, "a chance that is no number", run(), (*PICKED, "--error", "nan"), "give a number", False),
        (picked, "digits of another script", run(), (*PICKED, "--looks", "\u0663"), "give a whole number", False),
        (
            in_parts,
            "a part without rows of numbers",
            parts(a=PART, b="9,high\n" * 8),
            ("frontier", FILE, "--reward", "reward"),
            "column 'reward' of",
            False,
        ),
        (
            in_parts,
            "a part that is there twice",
            parts(a=PART, b=PART),
            ("frontier", FILE, "--reward", "reward"),
            "hold",
            False,
        ),
        (
            in_parts,
            "a NUL in a part",
            parts(a=PART, b=OTHER[:40] + "\0" + OTHER[40:]),
            ("frontier", FILE, "--reward", "reward"),
            "holds a NUL",
            False,
        ),
        (
            in_parts,
            "a width of bins that is no power of two",
            parts(a=PART, b=OTHER),
            ("frontier", FILE, "--reward", "reward", "--bin-width", "0.3"),
            "--bin-width must be a power of two",
            False,
        ),
        (
            in_parts,
            "a width of bins that is no number",
            parts(a=PART, b=OTHER),
            ("frontier", FILE, "--reward", "reward", "--bin-width", "nan"),
            "--bin-width",
            False,
        ),
        (
            in_parts,
            "a summary in place of a CSV",
            parts(a=PART, b=OTHER),
            ("frontier", FILE, "--reward", "reward", "--summary", "FOLDER/s.csv"),
            "must end in .parquet",
            False,
        ),
        (
            in_parts,
            "a scheme that there is not",
            nothing,
            ("frontier", "nosuch://x/y", "--reward", "reward"),
            "fsspec cannot open",
            False,
        ),
        (
            in_parts,
            "parts where one file is read",
            parts(a=PART, b=OTHER),
            ("capacity", FILE),
            "one file is read here",
            False,
        ),
        (
            compared,
            "an option of the samples without them",
            run(),
            ("overlay", FILE, *UNIT, "--reward", "x"),
            "--reward needs TABLE",
            False,
        ),
        (
            compared,
            "evaluations of a log that has none",
            run(),
            ("overlay", FILE, *UNIT, "--split"),
            "evaluations of",
            False,
        ),
        (
            in_parts,
            "an infinite budget",
            parts(a=PART, b=OTHER),
            ("frontier", FILE, "--reward", "reward", "--at", "1e400", "--summary", "FOLDER/s.parquet"),
            "--at must be finite",
            False,
        ),
        (
            in_parts,
            "k of no responses",
            parts(a=PART, b=OTHER),
            ("passk", FILE, "--correct", "reward", "--k", "0"),
            "--k must hold whole numbers from 1 on",
            False,
        ),
        (
            in_parts,
            "abstentions of parts",
            parts(a=PART, b=OTHER),
            ("passk", FILE, "--correct", "reward", "--blank-abstains"),
            "--blank-abstains goes with",
            False,
        ),
        (bundles, "a folder that is none", nothing, ("verify", "FOLDER"), "so it is no bundle", False),
        (
            bundles,
            "an archive that leads outside",
            archive(_up_evil=b""),
            ("verify", FILE),
            "may lead out of its folder",
            False,
        ),
        (bundles, "an archive without a crate", archive(a=b"1"), ("verify", FILE), "so it is no bundle", False),
        (
            bundles,
            "a tolerance that is no number",
            archive(a=b"1"),
            ("verify", FILE, "--rtol", "nan"),
            "give a number",
            False,
        ),
        (bundles, "no notebook of this name", archive(a=b"1"), ("verify", FILE, "no"), "Give --rerun", False),
    ]
    typed: list[tuple[str, tuple[str, ...], str]] = [
        (
            "a parameter that there is not",
            (*whole, "--n-mx", "3"),
            "Unknown parameter '--n-mx'; did you mean '--n-max'?",
        ),
        ("a number in digits of another script", (*whole, "--n-max", "\u0664"), "--n-max must be an integer"),
        ("marks between thousands as Python has them", (*whole, "--n-max", "1_0"), "--n-max must be an integer"),
        ("a number of 5,000 digits", (*whole, "--n-max", "9" * 5000), "--n-max must be a smaller number"),
        ("a text in place of a number", (*whole, "--n-max", "__import__('os')"), "--n-max must be an integer"),
        ("an infinite number", (*whole, "--delta", "inf"), "Unknown parameter '--delta'"),
        ("a list of nothing", ("run", "from_samples", "-o", "FOLDER/t.ipynb", "--kl", ""), "kl"),
        ("a sweep without values", (*swept, "--grid", "seed"), "NAME=V1,V2"),
        ("a value of a sweep twice", (*swept, "--grid", "seed=1,1"), "'1' more than once"),
        (
            "a sweep of 10^9 runs",
            (*swept, "--grid", "seed=0:1000000000"),
            "must rise by 1 to 10,000",
        ),
        ("a sweep that leaves a page", (*swept[:3], "FOLDER/t.ipynb", "--grid", "seed=0:2"), "must end in .csv"),
        ("a list of notebooks as a page", ("run", "--list", "--html"), "leave --html out"),
        ("no folder for the output", (*whole[:3], "FOLDER/none/t.ipynb"), "does not exist; make it first"),
        ("a notebook by a path", ("run", "../../etc/passwd", "-o", "FOLDER/t.ipynb"), "passwd"),
    ]
    return found + [(notebooks, name, nothing, words, said, False) for name, words, said in typed]
