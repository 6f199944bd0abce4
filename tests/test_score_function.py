"""`alignlib score --scorer`: a function named on the command line gives the rewards; what is wrong is one sentence."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from alignlib._core.errors import InputError
from alignlib.cli.main import main
from alignlib.models.function_scorer import load_function
from alignlib.models.score import score
from alignlib.models.scoring import ScoreSettings
from tests.small_project import ROOT

PROMPTS = ["Ask A", "Ask A", "Ask {response}", "Ask B", "Ask B"]
RESPONSES = ["one two", "", "three", "a b c d", "é\nnew line"]
CODE = """
import math

def words(texts):
    return [len(text.split()) for text in texts]

def seen(texts):
    print(*texts, sep="|")
    return [float(len(text)) for text in texts]

def fails(texts):
    raise KeyError("a word\\nthat it does not know")

def short(texts):
    return [1.0]

def square(texts):
    return [[1.0] * len(texts)] * len(texts)

def strings(texts):
    return ["good"] * len(texts)

def holes(texts):
    return [math.nan if not text else 1.0 for text in texts]

def masked(texts):
    import numpy as np
    return np.ma.array([999.0] * len(texts), mask=True)

def complexes(texts):
    return [1 + 2j] * len(texts)

def spelled(texts):
    return ["1.5"] * len(texts)

def instants(texts):
    import numpy as np
    return np.array(["2020-01-01"] * len(texts), dtype="datetime64[s]")

def counts(texts):
    return [1, 2, 2**53 + 1, 3, 4]

def large(texts):
    return [1e200] * len(texts)

def huge(texts):
    return [10**400] * len(texts)

def empties(texts):
    texts.clear()
    return []

def leaves(texts):
    raise SystemExit(0)

async def later(texts):
    return [1.0] * len(texts)

class Mute(Exception):
    def __str__(self):
        raise RuntimeError

def mute(texts):
    raise Mute

class Odd:
    def __float__(self):
        raise RuntimeError("no number")

def odd(texts):
    return [Odd()] * len(texts)

def mixed(texts):
    return [2**53 + 1, 0.5, 1, 2, 3]

def nothing(texts):
    return [1.0, None, 2.0, 3.0, 4.0]

class Leaves:
    def __array__(self, *arguments, **settings):
        raise SystemExit(0)

def leaving(texts):
    return Leaves()

def short_of(texts):
    raise MemoryError

def refused(texts):
    raise ConnectionError("refused (status=503), dtype=bf16; prompt must be short")

class Ends(Exception):
    def __str__(self):
        raise SystemExit(3)

def ends(texts):
    raise Ends

def of_ours(texts):
    from alignlib import InputError
    raise InputError("mine")

def one(texts):
    return 1.0

def made(texts):
    class Box:
        def __repr__(self):
            return "Box((1, 2), dtype=bf16)"
    return Box()

def copies(texts):
    import os
    for way in range(3):
        if os.fork() == 0:
            if way == 0:
                raise SystemExit(0)
            if way == 1:
                raise ValueError("of a copy")
            return None
        os.wait()
    import sys
    sys.stdout.buffer.close()
    return [1.0, 2.0, 3.0, 4.0, 5.0]

constant = 3
"""

# What these do to the process is put back, and the rewards are theirs all the same.
DISTURBS = """
import os, sys
os.mkdir("of_the_function")
os.chdir("of_the_function")
def lengths(texts):
    return [float(len(text)) for text in texts]
def moves(texts):
    assert os.path.basename(os.getcwd()) == "of_the_function"
    return lengths(texts)
def closes(texts):
    sys.stdout.close(), sys.stderr.close()
    return lengths(texts)
def closes_below(texts):
    os.close(1), os.close(2)
    return lengths(texts)
def replaces(texts):
    sys.stdout = sys.stderr = None
    return lengths(texts)
"""


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Path:
    pq.write_table(
        pa.table({"prompt_id": [0, 0, 1, 2, 2], "prompt": PROMPTS, "response": RESPONSES}), tmp_path / "t.parquet"
    )
    (tmp_path / "mine.py").write_text(CODE)
    return tmp_path


def run(place: Path, function: str, *options: str) -> Result:
    scorer = f"{place / 'mine.py'}:{function}"
    return CliRunner().invoke(main, ["score", str(place / "t.parquet"), "--scorer", scorer, *options])


def rewards(place: Path, name: str) -> list[float]:
    found: list[float] = pq.read_table(place / "t.parquet")[f"reward_{name}"].to_pylist()
    return found


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_rewards_are_those_of_the_function(place: Path, size: int) -> None:
    result = run(place, "words", "--batch-size", str(size))
    assert result.exit_code == 0, result.output
    assert rewards(place, "words") == [2, 0, 1, 4, 3]
    assert "5 rewards in reward_words, mean 2," in result.output
    again = run(place, "words")
    assert again.exit_code == 2
    assert "has a column 'reward_words' already" in again.output


@pytest.mark.skipif(not hasattr(os, "fork"), reason="copies of a process are made by os.fork")
def test_copies_of_the_process_end_where_the_function_does(place: Path) -> None:
    """And a standard stream stays open whatever is closed of it."""
    assert run(place, "copies").exit_code == 0
    assert rewards(place, "copies") == [1, 2, 3, 4, 5]


def test_a_column_that_was_taken_away_is_scored_again(place: Path) -> None:
    """Whoever takes a column away rarely takes away what the file says of it."""
    assert run(place, "words").exit_code == 0
    pq.write_table(pq.read_table(place / "t.parquet").drop_columns(["reward_words"]), place / "t.parquet")
    (place / "t.parquet.reward_words.parts").mkdir()
    assert run(place, "words").exit_code == 0
    assert rewards(place, "words") == [2, 0, 1, 4, 3]


def test_options_that_hold_for_functions_too(place: Path) -> None:
    assert run(place, "words", "--negate", "--name", "brevity").exit_code == 0
    assert rewards(place, "brevity") == [-2, 0, -1, -4, -3]
    laid = run(place, "seen", "--template", "{prompt}: {response}")
    assert laid.exit_code == 0
    assert "Ask A: one two|Ask A: |Ask {response}: three|Ask B: a b c d" in laid.output  # a prompt is no template


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("mixed", "gave an integer beyond 2.53 for row 1"),
        ("nothing", "gave None for row 2; rewards must be finite"),
        ("leaving", r"failed on rows 1 to 5: SystemExit: 0; correct the function"),
        ("short_of", r"failed on rows 1 to 5: MemoryError; correct the function"),
        ("fails", r"--scorer \S*mine.py:fails failed on rows 1 to 5: KeyError: .*a word"),
        ("short", r"must return one number for each text; for 5 texts it returned .* of the shape \(1,\)"),
        ("square", r"must return one number for each text; .* of the shape \(5, 5\)"),
        ("strings", r"must return numbers, one for each text; it returned a value of the type list"),
        ("holes", r"gave nan for row 2; rewards must be finite"),
        ("masked", r"is masked at position 0"),
        ("complexes", r"must hold numbers; got \[\(1\+2j\)"),
        ("spelled", r"must hold numbers; got \['1.5'"),
        ("instants", r"must hold numbers"),
        ("counts", r"gave an integer beyond 2\^53 for row 3"),
        ("large", r"holds 1e\+200 for row 1; rewards must not exceed 1e\+102"),
        ("huge", r"must hold numbers"),
        ("empties", r"for 5 texts it returned"),
        ("leaves", r"failed on rows 1 to 5: SystemExit: 0; correct the function"),
        ("later", r"it returned a value of the type coroutine"),
        ("mute", r"failed on rows 1 to 5: Mute; correct"),
        ("odd", r"must hold numbers"),
        ("refused", r"ConnectionError: refused \(status=503\), dtype=bf16; prompt must be short; correct"),
        ("ends", r"failed on rows 1 to 5: Ends; correct"),
        ("of_ours", r"failed on rows 1 to 5: InputError: mine; correct"),
        ("one", r"for 5 texts it returned a value of the type float\.$"),
        ("made", r"got Box\(\(1, 2\), dtype=bf16\)"),
        ("constant", r"--scorer must name a function; .* is of the type int"),
        ("word", r"Unknown function of .*'word'; did you mean 'words'"),
    ],
)
def test_what_a_function_does_wrong_is_one_sentence(place: Path, function: str, said: str) -> None:
    before = (place / "t.parquet").read_bytes()
    result = run(place, function)
    assert result.exit_code == 2, result.output
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert re.search(said, result.stderr.splitlines()[-1]), result.output
    assert (place / "t.parquet").read_bytes() == before


@pytest.mark.parametrize("function", ["moves", "closes", "closes_below", "replaces"])
def test_what_a_function_does_to_the_process_is_put_back(place: Path, function: str) -> None:
    """Each in two batches, with a relative table, in a process of its own."""
    (place / "mine.py").write_text(DISTURBS)
    scorer = ["--scorer", f"mine.py:{function}", "--name", "q", "--batch-size", "3"]
    command = [sys.executable, "-m", "alignlib", "score", "t.parquet", *scorer]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Wrote t.parquet: 5 rewards in reward_q")
    assert rewards(place, "q") == [float(len(text)) for text in RESPONSES]
    assert sorted(path.name for path in place.iterdir() if "parquet" in path.name) == ["t.parquet"]


def test_two_jobs_on_one_table_lose_no_column(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second job comes while the first, which has read the table, writes it; it has to wait."""
    table, write = place / "t.parquet", sys.modules[score.__module__].write_parquet  # type: ignore[attr-defined]
    second = threading.Thread(
        target=lambda: score(table, scorer=lambda texts: [2.0] * len(texts), settings=ScoreSettings(name="second"))
    )

    def late(*given: object, **named: bool) -> None:
        if second.ident is None:
            second.start()
            second.join(0.5)  # without a lock it ends within that time, and its column is lost
        write(*given, **named)

    monkeypatch.setattr(sys.modules[score.__module__], "write_parquet", late)
    score(table, scorer=lambda texts: [1.0] * len(texts), settings=ScoreSettings(name="first"))
    second.join()
    assert {"reward_first", "reward_second"} <= set(pq.read_schema(table).names)


@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_is_made_while_a_job_runs_is_replaced_by_force_only(place: Path, force: bool) -> None:
    output = place / "o.parquet"

    def slow(texts: list[str]) -> list[float]:
        output.write_bytes(b"of another")
        return [1.0] * len(texts)

    settings = ScoreSettings(name="x")
    with contextlib.nullcontext() if force else pytest.raises(InputError, match=r"o\.parquet has been made meanwhile;"):
        score(place / "t.parquet", scorer=slow, output=output, settings=settings, force=force)
    assert (output.read_bytes() == b"of another") != force
    assert (place / "o.parquet.reward_x.parts").is_dir() != force
    if not force:  # what was done is taken up
        output.unlink()
        score(place / "t.parquet", scorer=slow, output=output, settings=settings)
    assert "reward_x" in pq.read_schema(output).names


def test_a_file_may_define_what_is_looked_up_by_module(place: Path) -> None:
    (place / "mine.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nimport pickle\n"
        "@dataclass\nclass Weight:\n    value: float = 2.0\n"
        "def weighed(texts):\n    return [pickle.loads(pickle.dumps(Weight())).value] * len(texts)\n"
    )
    assert run(place, "weighed").exit_code == 0
    assert rewards(place, "weighed") == [2.0] * 5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("words", "must name a function as module:function"),
        ("no.such.module:f", "is no module that Python finds here"),
        ("nothing.py:f", "is no file"),
        ("{place}/broken.py:f", "cannot be imported: SyntaxError"),
        ("{place}/leaves.py:f", "cannot be imported: SystemExit"),
        ("{place}/needs.py:f", "cannot be imported: it needs a_package_of_nobody, not installed here"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(place: Path, name: str, said: str) -> None:
    (place / "broken.py").write_text("def f(:\n")
    (place / "leaves.py").write_text("raise SystemExit(0)\n")
    (place / "needs.py").write_text("import a_package_of_nobody\n")
    with pytest.raises(InputError) as error:
        load_function(name.replace("{place}", str(place)))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("option", ["--name", "--template"])
def test_bytes_that_are_no_text_are_refused_before_the_work(place: Path, option: str) -> None:
    found = run(place, "words", option, "a\udcff{prompt}{response}")
    assert found.exit_code == 2
    assert f"Error: {option} must be text in Unicode" in found.output
    assert sorted(path.name for path in place.iterdir()) == ["mine.py", "t.parquet"]


def test_one_scorer_and_no_setting_of_models(place: Path) -> None:
    both = run(place, "words", "--reward-model", "m")
    neither = CliRunner().invoke(main, ["score", str(place / "t.parquet")])
    assert both.exit_code == neither.exit_code == 2
    assert "give --reward-model, or give --scorer, not both" in both.output
    assert "give --reward-model, or give --scorer, not both" in neither.output
    label = run(place, "words", "--label", "good")
    assert label.exit_code == 2
    assert "--label good is for a reward model" in label.output


def test_a_function_in_python_and_one_of_a_package(place: Path) -> None:
    found = score(place / "t.parquet", scorer=lambda texts: np.arange(len(texts)), settings=ScoreSettings(name="row"))
    assert found.mean == 2.0
    assert rewards(place, "row") == [0, 1, 2, 3, 4]
    assert load_function("textwrap:dedent")("  a") == "a"  # type: ignore[arg-type, comparison-overlap]


class Unwilling:
    """An object that scores, and answers for its names by raising."""

    def __call__(self, texts: list[str]) -> list[float]:
        return [float(len(text)) for text in texts]

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


@pytest.mark.parametrize("way", ["unwilling", "looped"])
def test_a_function_that_hides_where_it_is_from_scores(place: Path, way: str) -> None:
    def looped(texts: list[str]) -> list[float]:
        return Unwilling()(texts)

    looped.__wrapped__ = looped  # type: ignore[attr-defined]  # as a decorator sets it
    score(place / "t.parquet", scorer=looped if way == "looped" else Unwilling(), settings=ScoreSettings(name="x"))
    assert rewards(place, "x") == [float(len(text)) for text in RESPONSES]


def test_a_killed_job_goes_on(place: Path) -> None:
    calls = 0

    def slow(texts: list[str]) -> list[float]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return [float(len(text)) for text in texts]

    settings = ScoreSettings(name="slow", batch_size=2)
    with pytest.raises(KeyboardInterrupt):
        score(place / "t.parquet", scorer=slow, settings=settings)
    score(place / "t.parquet", scorer=slow, settings=settings)
    assert calls == 4  # two of three batches were left
    assert rewards(place, "slow") == [float(len(text)) for text in RESPONSES]


def test_nothing_is_imported_but_what_is_named_and_no_torch(place: Path) -> None:
    code = (
        "import sys; from alignlib.models.score import score; "
        f"score({str(place / 't.parquet')!r}, scorer={str(place / 'mine.py') + ':words'!r}); "
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
