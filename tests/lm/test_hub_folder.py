"""The commands of "Sampling your own model" that name models of the hub, on a folder laid out as its cache, offline.

The models are of a few thousand weights, under the names that the page uses; prompts have the columns of its data sets.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from alignlib.cli.main import main

PAGE = (Path(__file__).parents[2] / "book" / "your_own_model.md").read_text(encoding="utf-8")
PAPER = PAGE.partition("## The two tasks of the paper")[2]
COMMANDS = [
    command.replace("\\\n", " ")
    for block in re.findall(r"^```console\n(.*?)^```$", PAPER, re.M | re.S)
    for command in re.findall(r"^\$ alignlib (.*?)(?=^\$|\Z)", block, re.M | re.S)
]
NAMES = {name: kind for kind, name in re.findall(r"--(model|reward-model) ([\w-]+/[\w.-]+)", PAPER)}
WORDS = [f"w{i} w{i + 1} w{i + 2}" for i in range(3)]
PROMPTS = {
    "tldr.parquet": {"prompt": WORDS, "completion": [" w9"] * 3},
    "safety.parquet": {"id": [0, 1, 2], "category": ["a"] * 3, "category_id": [0] * 3, "prompt": WORDS},
}


def as_on_the_hub(folder: Path, cache: Path, name: str) -> None:
    """Put a model into a cache as the hub's library does: contents by their digests, snapshots that link to them."""
    place = cache / f"models--{name.replace('/', '--')}"
    commit = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    snapshot = place / "snapshots" / commit
    for made in (place / "blobs", place / "refs", snapshot):
        made.mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    for file in folder.iterdir():
        blob = place / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copyfile(file, blob)
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", blob.name))


@pytest.fixture(name="hub")
def _hub(zoo: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    from huggingface_hub import constants

    for name, kind in NAMES.items():
        own = {"model": "llama" if "Instruct" in name else "gpt2", "reward-model": "reward"}[kind]
        as_on_the_hub(Path(zoo[own]), tmp_path / "hub", name)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    for name, columns in PROMPTS.items():
        pq.write_table(pa.table(columns), name)
    return tmp_path


@pytest.mark.lm
def test_every_command_of_the_page_runs_as_it_stands(hub: Path) -> None:
    """Only how many and how long the responses are is made less."""
    assert len(COMMANDS) == 4
    assert len(NAMES) == 4
    for command in COMMANDS:
        smaller = re.sub(r"--max-new-tokens \d+", "--max-new-tokens 5", re.sub(r"--n \d+", "--n 4", command))
        parts = shlex.split(smaller)
        typed = [part[1:].encode().decode("unicode_escape") if part.startswith("$\\") else part for part in parts]
        done = CliRunner().invoke(main, typed)
        assert done.exit_code == 0, (command, done.output)
    for task, column in (("tldr", "reward_tldr"), ("safety", "reward_harmless")):
        found = pd.read_parquet(hub / f"{task}_rewards.parquet")
        assert len(found) == 12
        assert found[column].notna().all()
        said = CliRunner().invoke(main, ["frontier", f"{task}_rewards.parquet", "--reward", column])
        assert said.exit_code == 0, said.output
    missing = CliRunner().invoke(
        main, ["sample", "--model", "nobody/nothing", "--prompts", "tldr.parquet", "-o", "x.parquet"]
    )
    assert missing.exit_code == 2
    assert "nobody/nothing" in missing.stderr
