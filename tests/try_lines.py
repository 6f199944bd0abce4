"""The lines "Try" of the book: what they tell the reader to type, and a chapter executed in this process with it.

``python -m tests.try_lines`` executes all of them (minutes); `tests/test_try_lines.py` checks each and executes the
quick ones.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from alignbook.claim import Claim
from alignbook.parameters import Value, resolve_texts
from alignbook.project import Notebook, Project
from alignlib.cli._notebooks import name_and_parameters
from tests.small_project import ROOT

__all__ = ["PROMISES", "TRIES", "Ran", "Try", "broken", "execute", "readers_files", "tries"]

PROJECT = Project(ROOT)
DATA = Path(__file__).parent / "data"
# The reader's own files, and what stands for them here.
FILES = {
    "TABLE": "table.csv",
    "trainer_state.json": "trainer_state.json",
    "base.parquet": "base.parquet",
    "ratings.csv": "ratings.csv",
    "my_book.txt": "my_book.txt",
}


@dataclass(frozen=True)
class Try:
    """What one page says to type, as one line of a terminal."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of the line."""
        return shlex.split(self.text)

    @property
    def is_run(self) -> bool:
        """Whether it runs a page of the book."""
        return self.words[:2] == ["alignlib", "run"]

    def with_files(self, folder: Path) -> list[str]:
        """Return the words with what stands for the reader's own files."""
        return [str(folder / FILES[word]) if word in FILES else word for word in self.words]

    def resolved(self, folder: Path) -> tuple[Notebook, dict[str, Value]]:
        """Return the page that is run and the values given to it, as `alignlib run` reads them.

        The reader's own files are those in ``folder``.
        """
        pairs, rest, words = [], [], iter(self.with_files(folder)[2:])
        for word in words:
            if word == "-p":
                pairs.append((next(words), next(words)))
            elif word == "-o":
                assert next(words).endswith(".ipynb")
            elif word != "--html":
                rest.append(word)
        name, more = name_and_parameters(tuple(rest))
        assert name is not None, f"{self.text} names no page"
        notebook = PROJECT.find(name)
        return notebook, resolve_texts(notebook.parameters, [*pairs, *more], folder)


def tries() -> Iterator[Try]:
    """Yield all that is quoted in paragraphs that begin with "Try", except names of files and of parameters."""
    for notebook in PROJECT.notebooks():
        texts = [cell.source for cell in notebook.node.cells if cell.cell_type == "markdown"]
        lines = [text for text in texts if text.startswith("**Try:**")]
        assert len(lines) == 1, f"{notebook.name} has {len(lines)} lines to try"
        for quoted in re.findall(r"`([^`]+)`", notebook.with_defaults(lines[0])):
            assert not quoted.startswith("-"), f"{notebook.name} gives {quoted} without the command"
            if re.match(r"alignlib |make ", quoted):
                yield Try(notebook.name, quoted)


TRIES = tuple(tries())


def readers_files(folder: Path) -> Path:
    """Put there what a reader would have: tables with the columns that the lines name, a log of training, a text."""
    rng = np.random.default_rng(0)
    gold = rng.standard_normal((120, 32))
    scores = {f"score{name}": (gold + rng.standard_normal(gold.shape)).ravel() for name in ("", "_a", "_b")}
    prompts = np.repeat(np.arange(120), 32)
    table = pa.table({"prompt_id": prompts, **scores, "correct": (gold > 0.5).astype(float).ravel()})
    pa.csv.write_csv(table, folder / FILES["TABLE"])
    truth = rng.integers(0, 3, 600)
    label = np.where(rng.random(600) < 0.8, truth, rng.integers(0, 3, 600))
    pa.csv.write_csv(pa.table({"truth": truth, "label": label}), folder / FILES["ratings.csv"])
    base = pa.csv.read_csv(DATA / "trl_base_table.csv")
    named = base.rename_columns(["score" if name == "count" else name for name in base.column_names])
    pa.parquet.write_table(named, folder / FILES["base.parquet"])
    shutil.copy(DATA / "trl_grpo.json", folder / FILES["trainer_state.json"])
    (folder / FILES["my_book.txt"]).write_text("the quick brown fox jumps over the lazy dog " * 400, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Ran:
    """A chapter executed: its variables, its claims, and the numbers that its text quotes."""

    names: dict[str, Any]
    claims: tuple[Claim, ...]
    quoted: dict[str, Any]


def execute(notebook: Notebook, values: dict[str, Value]) -> Ran:
    """Execute the code of a page in this process, with other parameters; nothing is shown."""
    import matplotlib.pyplot as plt

    recorded: list[Claim] = []
    quoted: dict[str, Any] = {}
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in notebook.node.cells if cell.cell_type == "code"]
    with (
        chdir(PROJECT.folder),
        redirect_stdout(open(os.devnull, "w", encoding="utf-8")) as shown,
        patch("alignbook.claims.record", lambda *claims: recorded.extend(claims)),
        patch("alignbook.claims.glue", lambda **numbers: quoted.update(numbers)),
    ):
        for cell in cells:
            exec(compile(cell.source, notebook.name, "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names.update(values)
        shown.close()
    plt.close("all")
    return Ran(names, tuple(recorded), quoted)


def _more_than_before(name: str, factor: float = 1.0) -> Callable[[Ran, Ran], bool]:
    return lambda now, before: bool(now.quoted[name] > factor * before.quoted[name])


# What a line says one will see, where it says so; of the page as it stands ("before") and as it is tried ("now").
PROMISES: dict[tuple[str, str], Callable[[Ran, Ran], bool]] = {
    ("00_primer", "alignlib run primer -p reward 0,1,2,10 -o out.ipynb --html"): lambda now, before: (
        now.quoted["share"] < before.quoted["share"]
    ),
    (
        "02_jeffreys_covariance",
        "alignlib run jeffreys_covariance -p offset 0 -o out.ipynb --html",
    ): lambda now, before: 1e-14 < now.quoted["naive_worst"] < 1e-3 * before.quoted["naive_worst"],
    ("03_older_bounds", "alignlib run older_bounds -p success 0.9 -o out.ipynb --html"): _more_than_before(
        "hoeffding_ratio"
    ),
    ("04_many_prompts", "alignlib run many_prompts -p sds 1,1,1 -o out.ipynb --html"): lambda now, before: (
        abs(now.quoted["gaussian_kept"] - 1.0) < 1e-9
    ),
    ("04_many_prompts", "alignlib run many_prompts -p sds 0.01,3 -o out.ipynb --html"): lambda now, before: (
        abs(now.quoted["gaussian_kept"] - 0.71) < 0.005
    ),
    ("20_memoryless_optimum", "alignlib run memoryless_optimum -p delta 1.5 -o out.ipynb --html"): lambda now, before: (
        0.9 < 1.5 / float(now.names["token"].max_kl) < 1.0
    ),
    ("25_one_token", "alignlib run one_token -p n 16 -o out.ipynb --html"): lambda now, before: (
        now.names["n"] * now.names["base"][-1] > 1 and now.quoted["longest"] < 0.1 * before.quoted["longest"]
    ),
    (
        "23_best_of_exponentially_many",
        "alignlib run best_of_exponentially_many -p share 0.6 -o out.ipynb --html",
    ): lambda now, before: now.quoted["gap_long"] < before.quoted["gap_long"],
    (
        "23_best_of_exponentially_many",
        "alignlib run best_of_exponentially_many -p practical_n 1000000 -o out.ipynb --html",
    ): lambda now, before: 0.01 < now.quoted["practical_share"] - before.quoted["practical_share"] < 0.03,
    ("60_feedback_channel", "alignlib run feedback_channel -p concentration 2.0 -o out.ipynb --html"): (
        lambda now, before: (
            now.quoted["total"] / min(now.quoted["cognitive"], now.quoted["articulation"])
            < before.quoted["total"] / min(before.quoted["cognitive"], before.quoted["articulation"])
        )
    ),
    ("70_win_rates", "alignlib run win_rates -p n_shown 8 -o out.ipynb --html"): lambda now, before: (
        now.quoted["missed"] < 0.001
    ),
    ("71_which_divergence", "alignlib run which_divergence -p n_shown 16 -o out.ipynb --html"): lambda now, before: (
        now.quoted["share_kl"] > 0.999 and now.quoted["share_reverse"] > before.quoted["share_reverse"] + 0.1
    ),
    ("72_pass_at_k", "alignlib run pass_at_k -p k_shown 32 -o out.ipynb --html"): lambda now, before: (
        now.quoted["many_at_k"] - now.quoted["one_at_k"] > before.quoted["many_at_k"] - before.quoted["one_at_k"]
    ),
    ("74_gold_from_a_correlation", "alignlib run gold_from_a_correlation -p correlation 0.9 -o out.ipynb --html"): (
        lambda now, before: (
            now.quoted["most_promised"] > before.quoted["most_promised"]
            and now.quoted["n_best"] > before.quoted["n_best"]
        )
    ),
    ("73_optimal_or_not", "alignlib run optimal_or_not -p freedom 5 -o out.ipynb --html"): lambda now, before: (
        now.quoted["last_heavy"] / now.quoted["best_heavy"] > before.quoted["last_heavy"] / before.quoted["best_heavy"]
    ),
    ("75_what_a_response_costs", "alignlib run what_a_response_costs -p spread 1.5 -o out.ipynb --html"): (
        lambda now, before: now.quoted["saved"] > before.quoted["saved"] + 0.05
    ),
    (
        "76_where_kl_is_charged",
        "alignlib run where_kl_is_charged -p kl_shown 0.3 -p group 2 -o out.ipynb --html",
    ): lambda now, before: (
        now.quoted["waste_k3"] < 0.8 * before.quoted["waste_k3"] and now.quoted["after_group"] == 0.5
    ),
    ("77_how_sure", "alignlib run how_sure -p n_random 60 -p seed 1 -o out.ipynb --html"): lambda now, before: (
        now.quoted["n_numbers"] > 2 * before.quoted["n_numbers"] and now.quoted["fewest"] == before.quoted["fewest"]
    ),
    ("62_floor_and_ceiling", "alignlib run floor_and_ceiling -p concentration 5 -o out.ipynb --html"): (
        lambda now, before: (
            0.75 < now.quoted["floor"] / now.quoted["blind"] < now.quoted["ceiling_kl"] / now.quoted["blind"] < 1.0
        )
    ),
}


def broken(one: Try, folder: Path) -> str:
    """Execute what a line says and return what is wrong, in words; nothing where all is well."""
    notebook, values = one.resolved(folder)
    try:
        now = execute(notebook, values)
        promise = PROMISES.get((one.page, one.text))
        kept = promise is None or promise(now, execute(notebook, {}))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    bad = [claim.key for claim in now.claims if claim.must_hold and not claim.holds]
    return ", ".join([*bad, *([] if kept else ["what the line promises is not seen"])])


def main(wanted: Sequence[str]) -> int:
    """Execute every line that runs a page; 1 where a claim that must hold does not, or what is promised is not seen."""
    import matplotlib as mpl

    mpl.use("Agg")
    failed, folder = 0, readers_files(Path(tempfile.mkdtemp()))
    for one in TRIES:
        if not one.is_run or (wanted and not any(one.page.startswith(name) for name in wanted)):
            continue
        start = time.process_time()
        said = broken(one, folder)
        failed += bool(said)
        print(f"{time.process_time() - start:6.1f} s  {one.page}: {one.text}  {said}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
