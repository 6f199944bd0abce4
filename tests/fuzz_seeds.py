"""Small files of every other kind that is read, whole, for `tests.test_fuzz` to break: logs, summaries, parts, bundles.

A kind is what lies in a folder, and what reads it: a command, or a function where the command needs PyTorch.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import chdir, closing
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner

from alignbook.bundle.contents import pack
from alignbook.bundle.one_run import write_run_crate
from alignlib.cli.main import main
from alignlib.models.folder_checks import check_counts, check_files, check_folder, check_name, check_shards
from alignlib.models.resumable import Parts
from alignlib.models.score import _read
from alignlib.models.scoring import ScoreSettings
from alignlib.models.tokenising import check_tokenizer
from alignlib.sequences.text_chain import read_text
from tests import test_rollouts, test_trainer_logs
from tests.lm.test_resumable import SETTINGS, begun, plan, rows
from tests.small_project import GOOD, ROOT, make_project
from tests.test_bundle import run_of

__all__ = ["KINDS", "Kind", "held"]


# Its import takes seconds: `make fuzz` alone reads with it.
_FIXED = os.environ.get("HYPOTHESIS_PROFILE", "fixed") == "fixed"  # as conftest.py chooses the profile
WITH_TRANSFORMERS = not _FIXED and importlib.util.find_spec("transformers") is not None


class Kind(NamedTuple):
    """A kind of input: ``make`` fills an empty folder, and ``reads`` is given the folder."""

    make: Callable[[Path], object]
    reads: str | Callable[[Path], object]  # a command, in which FOLDER stands for the folder


@cache
def held(kind: str) -> dict[str, bytes]:
    """Return what the files of a kind hold, by their names in its folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "made")
        folder.mkdir()
        KINDS[kind].make(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _files(files: dict[str, str | bytes], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def _block(kind: str, name: str, text: str, folder: Path) -> None:
    """Write what the page on trainers' logs shows of one."""
    if kind == "python":
        with chdir(folder):
            exec(text, {})
    elif kind == "sql":
        with closing(sqlite3.connect(folder / name)) as base:
            base.executescript(text)
    else:
        _files({name: text}, folder)


def _mlflow_database(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "mlflow.db")) as base:
        base.execute("CREATE TABLE runs (run_uuid TEXT, name TEXT)")
        base.execute("CREATE TABLE metrics (key TEXT, value REAL, timestamp INT, run_uuid TEXT, step INT, is_nan INT)")
        base.execute("INSERT INTO runs VALUES ('aa', 'tuned')")
        for row in test_trainer_logs.TRL:
            for key in ("kl", "reward", "completions/mean_length"):
                base.execute("INSERT INTO metrics VALUES (?, ?, 1, 'aa', ?, 0)", (key, row[key], row["step"]))
        base.commit()


def _mlflow_folder(folder: Path) -> None:
    for key in ("kl", "reward", "completions/mean_length"):
        lines = "".join(f"17000 {row[key]} {row['step']}\n" for row in test_trainer_logs.TRL)
        _files({f"0/aa/metrics/{key}": lines}, folder)
    _files({"0/aa/tags/mlflow.runName": "tuned", "0/aa/meta.yaml": "end_time: 1\nlifecycle_stage: active\n"}, folder)


def _panels(folder: Path) -> None:
    for key in ("kl", "reward", "completions/mean_length"):
        _files({f"{key[:3]}.csv": test_trainer_logs.panels("tuned", key)}, folder)


def _checkpoints(folder: Path) -> None:
    for end in (2, 3):
        history = json.dumps({"global_step": 10 * end, "log_history": test_trainer_logs.TRL[:end]})
        _files({f"checkpoint-{10 * end}/trainer_state.json": history}, folder)


def _token_lists(folder: Path) -> None:
    table = [
        {
            "step": k // 4,
            "prompt_id": k // 2,
            "reward": k % 3,
            "token_log_prob": [-1.0 - k / 8, -0.5, -2.0][: 1 + k % 3],
            "base_token_log_prob": [-1.25, -0.75 - k / 9, -2.0][: 1 + k % 3],
        }
        for k in range(12)
    ]
    _files({"r.jsonl": "".join(json.dumps(row) + "\n" for row in table)}, folder)
    pq.write_table(pa.Table.from_pylist(table), folder / "r.parquet", write_page_checksum=True)


def _rewards(prompts: range) -> dict[str, list[float]]:
    return {
        "prompt_id": [p for p in prompts for _ in range(6)],
        "reward": [(p * 5 + k * 7) % 11 / 4 for p in prompts for k in range(6)],
    }


def _summary(folder: Path) -> None:
    path = folder / "t.parquet"
    pq.write_table(pa.table(_rewards(range(6))), path)
    summary = ["--summary", str(folder / "s.parquet"), "--exact-up-to", "2"]
    done = CliRunner().invoke(main, ["frontier", str(path), "--reward", "reward", *summary])
    assert done.exit_code == 0, done.output
    path.unlink()


def _parts(ending: str, folder: Path) -> None:
    for part, prompts in (("a", range(4)), ("b", range(4, 8))):
        columns = _rewards(prompts)
        pairs = list(zip(*columns.values(), strict=True))
        if ending == "parquet":
            pq.write_table(pa.table(columns), folder / f"{part}.parquet", write_page_checksum=True)
        elif ending == "csv":
            _files({f"{part}.csv": "prompt_id,reward\n" + "".join(f"{p},{r}\n" for p, r in pairs)}, folder)
        else:
            lines = (json.dumps({"prompt_id": p, "reward": r}) + "\n" for p, r in pairs)
            _files({f"{part}.jsonl": "".join(lines)}, folder)


def _crate(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        project = make_project(Path(place), {"01_roots": GOOD})
        shutil.copy(ROOT / "CITATION.cff", project.root)
        folder.rmdir()
        write_run_crate(folder, project, project.find("01"), {"n": 7}, run_of(project, n=7), started=1.7e9)


def _archive(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        _files(dict(held("a crate")), Path(place))
        pack(Path(place), folder / "b.zip", "2026-01-02")


def _go_on(folder: Path) -> None:
    """Go on with a job: a shard that is taken for done holds its own rows."""
    with Parts.begin(folder, SETTINGS, 12, plan()) as parts:
        for shard in range(parts.n_done):
            assert parts.read(shard).column("row").to_pylist() == list(parts.rows(shard))
        if parts.n_done == 0:
            parts.write(0, rows(parts, 0))


def _model(folder: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    words = {"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}, "version": "1.0"}
    texts: dict[str, object] = {
        "config.json": {"model_type": "gpt2", "n_layer": 1, "n_head": 2, "layer_norm_epsilon": 1e-5, "id2label": {}},
        "generation_config.json": {"eos_token_id": [1]},
        "model.safetensors.index.json": {"metadata": {}, "weight_map": {"w": "model.safetensors"}},
        "special_tokens_map.json": {"eos_token": "b"},
        "tokenizer.json": words,
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "b"},
        "vocab.json": {"a": 0, "b": 1},
    }
    _files({name: json.dumps(value) for name, value in texts.items()}, folder)
    _files({"model.safetensors": len(header).to_bytes(8, "little") + header + bytes(8)}, folder)


def _check_without_torch(folder: Path) -> None:
    for check in (check_name, check_files, check_counts, check_shards):
        check(str(folder), "model")


def _check_with_transformers(folder: Path) -> None:
    """Check the config too, and load the tokenizer, which may fail in its own words: those are for who loads it."""
    from transformers import AutoTokenizer

    check_folder(str(folder), "model")
    check_tokenizer(lambda: AutoTokenizer.from_pretrained(str(folder)), str(folder))


def _scorable(folder: Path) -> None:
    chat = [{"role": "user", "content": "a"}]
    _files({"t.csv": 'prompt,response\n"a, b",c\nd,"e\nf"\n'}, folder)
    _files({"t.jsonl": "".join(json.dumps({"prompt": chat, "response": word}) + "\n" for word in "ab")}, folder)
    out = io.BytesIO()
    pq.write_table(pa.table({"prompt": [chat] * 2, "response": ["a", "b"]}), out, write_page_checksum=True)
    _files({"t.parquet": out.getvalue()}, folder)


def _read_scorable(folder: Path, ending: str) -> None:
    prompts, responses = _read(folder / f"t.{ending}", ScoreSettings(), "reward_x")
    assert len(prompts) == len(responses) > 0


KINDS = {
    **{
        f"log: {kind}": Kind(partial(_files, {name: text}), f"overlay FOLDER/{name}")
        for kind, (name, text, _) in test_trainer_logs.LOGS.items()
    },
    **{
        f"page: {name}": Kind(partial(_block, kind, name, text), command.replace(name, f"FOLDER/{name}", 1))
        for kind, name, text, command in test_trainer_logs.BLOCKS
        if kind != "python" or importlib.util.find_spec("tensorboard") is not None
    },
    "trl's own log": Kind(
        lambda folder: shutil.copy(ROOT / "tests" / "data" / "trl_rloo.json", folder), "overlay FOLDER/trl_rloo.json"
    ),
    "checkpoints": Kind(_checkpoints, "overlay FOLDER"),
    "wandb's panels": Kind(_panels, "overlay FOLDER"),
    "MLflow's database": Kind(_mlflow_database, "overlay FOLDER/mlflow.db"),
    "MLflow's folder": Kind(_mlflow_folder, "overlay FOLDER"),
    "rollouts": Kind(lambda folder: test_rollouts.written(folder, [1, 2, 3]), "overlay FOLDER"),
    "rollouts for kl": Kind(lambda folder: test_rollouts.written(folder, [1, 2, 3]), "kl FOLDER"),
    "lists of tokens, a run": Kind(_token_lists, "overlay FOLDER/r.jsonl"),
    "lists of tokens": Kind(_token_lists, "kl FOLDER/r.jsonl"),
    "lists of tokens, Parquet": Kind(_token_lists, "kl FOLDER/r.parquet"),
    "a summary": Kind(_summary, "frontier FOLDER/s.parquet --reward reward"),
    **{
        f"parts, {ending}": Kind(partial(_parts, ending), "frontier FOLDER --reward reward")
        for ending in ("csv", "jsonl", "parquet")
    },
    "a crate": Kind(_crate, "verify FOLDER"),
    "an archive": Kind(_archive, "verify FOLDER/b.zip"),
    "a job": Kind(begun, _go_on),
    "a model": Kind(_model, _check_without_torch),
    **({"a model, loaded": Kind(_model, _check_with_transformers)} if WITH_TRANSFORMERS else {}),
    "a text": Kind(partial(_files, {"t.txt": "to be or not to be π\n"}), lambda folder: read_text(folder / "t.txt")),
    **{
        f"a table to score, {ending}": Kind(_scorable, partial(_read_scorable, ending=ending))
        for ending in ("csv", "jsonl", "parquet")
    },
}
