"""A column, a cell, a run or a folder may be called like an option: commands say it back as it was written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from alignlib.cli.main import main
from tests.bad_input_cases import REWARD

# What sentences of the library would be translated in, as a name; and a name of that length that means nothing.
WORDS = ["n must (kl) pass wide=True, base=2; x", "by_rater", "it's 'kl_unit and kl must"]
Columns = Mapping[str, Sequence[object]]

P, R = [i // 8 for i in range(64)], [REWARD(i // 8, i % 8) for i in range(64)]
GOLD, LOST = [R[7 * i % 64] for i in range(64)], [None if i == 5 else r for i, r in enumerate(R)]
TARGET, LABEL = [i % 3 for i in range(60)], [(i + i // 7) % 3 for i in range(60)]
RUN = {"step": range(8), "kl": [0.05 * i for i in range(8)], "reward": [0.2 * i for i in range(8)]}
WASTED = {"reward": [0.0, 0.2, 0.1, 0.2, 0.8, 1.0, 1.2, 1.4]}  # by the first run
KL = {"log_prob": [-1.0 - i % 3 for i in range(12)], "base_log_prob": [-2.0] * 12}
FRONTIER = ("frontier", "FILE", "--n", "2", "--kl", "0.05")
OVERLAY = ("overlay", "FILE", "--kl-unit", "sequence")
# What is done with a name: the table, and what is typed.
DONE: dict[str, Callable[[str], tuple[Columns, Sequence[str]]]] = {
    "a reward": lambda x: ({"prompt_id": P, x: R}, (*FRONTIER, "--reward", x)),
    "a reward that is missing": lambda x: ({"prompt_id": P, x: LOST}, (*FRONTIER, "--reward", x)),
    "a reward that is dropped": lambda x: ({"prompt_id": P, x: LOST}, (*FRONTIER, "--reward", x, "--drop-missing")),
    "a reward of text": lambda x: ({"prompt_id": P, x: ["high"] * 64}, (*FRONTIER, "--reward", x)),
    "a reward in lists": lambda x: ({"prompt_id": P, x: [[r] for r in R]}, (*FRONTIER, "--reward", x)),
    "a key of objects": lambda x: ({"prompt_id": P, "r": [[{x: r}] for r in R]}, (*FRONTIER, "--reward", "r")),
    "a gold": lambda x: ({"prompt_id": P, "reward": R, x: GOLD}, (*FRONTIER, "--reward", "reward", "--gold", x)),
    "a member": lambda x: (
        {"prompt_id": P, "a": R, x: GOLD, "b": R[::-1]},
        (*FRONTIER, "--reward", "a", "--gold", "b", "--ensemble", x.replace(",", r"\,") + ",a"),
    ),
    "another column": lambda x: ({"prompt_id": P, x: R}, (*FRONTIER, "--reward", "absent")),
    "a cell": lambda x: ({"prompt_id": P, "reward": [x] * 64}, (*FRONTIER, "--reward", "reward")),
    "a prompt": lambda x: ({"prompt_id": [x, *P[1:]], "reward": LOST}, (*FRONTIER, "--reward", "reward")),
    "samples": lambda x: ({"prompt_id": P, "reward": R, x: P}, (*FRONTIER, "--reward", "reward", "--sample", x)),
    "a context": lambda x: (
        {"target": TARGET, "label": LABEL, "context": ["a", x] * 30},
        ("capacity", "FILE", "--context", "context"),
    ),
    "a label": lambda x: (
        {"target": TARGET, "label": [f"{x} y", f"{x}  y", "zzz"] * 20},
        ("capacity", "FILE"),
    ),
    "an answer": lambda x: (
        {"prompt_id": P, "answer": [x] * 64, "correct": [i % 2 for i in range(64)]},
        ("passk", "FILE", "--answer", "answer"),
    ),
    "a verdict": lambda x: ({"prompt_id": P, x: R}, ("passk", "FILE", "--correct", x)),
    "log-probabilities": lambda x: ({**KL, x: [0.5] * 12}, ("kl", "FILE", "--log-prob", x)),
    "a run": lambda x: ({**RUN, **WASTED, "run": [x] * 4 + ["b"] * 4}, (*OVERLAY, "--run", "run")),
    "the reward of a run": lambda x: ({**RUN, x: RUN["reward"]}, (*OVERLAY, "--run-reward", x)),
    "the KL of a run": lambda x: ({**RUN, x: [None] * 8}, (*OVERLAY, "--run-kl", x)),
    "a length that is not there": lambda x: (RUN, (*OVERLAY, "--run-length", x)),
}


def said(folder: Path, columns: Columns, command: Sequence[str]) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / "t.jsonl"
    rows = zip(*columns.values(), strict=True)
    path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    done = CliRunner().invoke(main, [str(path) if word == "FILE" else word for word in command])
    assert done.exit_code in (0, 2), done.exception
    return done.output.replace(str(folder.parent), "")


def says_as_written(folder: Path, kind: str, word: str) -> None:
    """What is said with a name that means something is what is said with one that means nothing."""
    plain = "q" * len(word)
    expected = said(folder / "x", *DONE[kind](plain))
    assert plain in expected
    found = said(folder / "x", *DONE[kind](word))
    assert found in (expected.replace(plain, word), expected.replace(repr(plain), repr(word)).replace(plain, word))


# A single word would be taken for an argument where nothing is quoted: in tables, and among other names.
PAIRS = [
    *((kind, WORDS[0]) for kind in DONE),
    *((kind, WORDS[1]) for kind in ("a member", "samples", "a context", "a run", "the reward of a run")),
]


@pytest.mark.parametrize(("kind", "word"), PAIRS)
def test_names_are_said_as_they_were_written(tmp_path: Path, kind: str, word: str) -> None:
    says_as_written(tmp_path, kind, word)


@pytest.mark.parametrize("word", WORDS, ids=["a sentence", "an argument", "a quotation mark"])
@pytest.mark.parametrize("kind", ["a reward of text", "a run"])
def test_files_are_named_as_they_were_typed(tmp_path: Path, kind: str, word: str) -> None:
    expected = said(tmp_path / ("q" * len(word)), *DONE[kind]("r"))
    assert "q" * len(word) in expected
    assert said(tmp_path / word, *DONE[kind]("r")) == expected.replace("q" * len(word), word)
