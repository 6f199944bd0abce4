"""From finished runs to the committed table."""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from safetensors.torch import load_file

from alignlib._core.checks import FloatArray, require
from alignlib._core.files import whole_file, write_whole
from alignlib.lm.methods import RESPONSES
from alignlib.lm.words.corpus import LENGTH, PROMPT_LENGTH
from alignlib.lm.words.grid import GOLD, grid, tuning
from alignlib.lm.words.measuring import base_table, command
from alignlib.lm.words.place import Place
from alignlib.lm.words.results import COLUMNS, REWARDS, WordsResults, WordsSettings
from alignlib.lm.words.training import result_file

__all__ = ["Estimate", "KLAnswer", "assemble", "rao_blackwell", "size_of"]

_TRIAL = ("paid", "method", "rate", "knob", "steps", "seed", "device", "reward", "kl")
_LIBRARIES = ("torch", "transformers", "tokenizers", "vaderSentiment", "alt-profanity-check", "numpy")


def assemble(place: Place, results: Path) -> WordsResults:
    """Write the tables of all finished runs into ``results`` and read them back.

    Parameters
    ----------
    place : Place
        Where runs and base samples lie.
    results : path
        Where the tables go.

    Raises
    ------
    InputError
        If no run is finished.
    """
    planned = grid("wide", place.steps)
    done = [run for run in planned if result_file(place, run).is_file()]
    require(bool(done), f"output must hold finished runs; {str(place.folder)!r} holds none of {len(planned)}.")
    found: list[_Measured] = [json.loads(result_file(place, run).read_text(encoding="utf-8")) for run in done]
    rows = []
    for run, data in zip(done, found, strict=True):
        kl = rao_blackwell(data["answer_kl"])
        means = {name: data["means"][f"reward_{name}"] for name in REWARDS}
        rows.append(
            {"run": run.key, "device": data["device"], "train_seconds": data["train_seconds"]}
            | {"kl": kl["kl"], "kl_low": kl["low"], "kl_high": kl["high"], **means}
            | {name: data["means"][name] for name in ("n_tokens", "truncated")}
            | dict(data["run"])
        )
    results.mkdir(parents=True, exist_ok=True)
    _csv(results / "runs.csv", _placed(pd.DataFrame(rows), place)[list(COLUMNS)])
    policies: dict[str, npt.NDArray[np.generic]] = {"run": np.array([run.key for run in done], dtype=np.str_)}
    for name in ("kl", *REWARDS):
        key = name if name == "kl" else f"reward_{name}"
        policies[name] = np.array([data["by_prompt"][key] for data in found], dtype=np.float32)
    _npz(results / "policies.npz", policies)
    _npz(results / "base.npz", _base(place) | _of_validation(place))
    trials = [
        {
            "paid": run.reward,
            "method": run.method,
            "rate": run.rate,
            "knob": run.knob,
            "steps": run.steps,
            "seed": run.seed,
        }
        | {name: data[name] for name in ("device", "reward", "kl")}
        for reward in GOLD
        for run in tuning(place.steps[1], reward)
        if result_file(place, run).is_file()
        for data in [json.loads(result_file(place, run).read_text(encoding="utf-8"))]
    ]
    _csv(results / "tuning.csv", pd.DataFrame(trials, columns=list(_TRIAL)))
    write_whole(results / "settings.json", json.dumps(_settings(place, found), indent=1) + "\n")
    return WordsResults.read(results)


def _placed(runs: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Add each run's share of the limit on the reward it was trained on, by ``alignlib overlay``."""
    found = []
    for reward, rows in runs.groupby("reward", sort=False):
        table = place.folder / f"runs_{reward}.csv"
        _csv(table, rows[["run", "kl", str(reward)]])
        answer = command(
            "overlay", table, base_table(place), "--reward", f"reward_{reward}", "--run-kl", "kl", "--run-reward",
            str(reward), "--run", "run", "--kl-unit", "sequence", "--pool", "1", "--no-check", "--json",
        )  # fmt: skip
        by_run = {one["run"]: one for one in json.loads(answer)["points"]}
        for name in ("share", "share_low", "share_high", "supported"):
            rows = rows.assign(**{name: [by_run[run][name] for run in rows.run]})
        found.append(rows)
    return pd.concat(found).sort_index()


class Estimate(TypedDict):
    """One estimate of a KL in nats, with the ends of its interval, as ``alignlib kl --json`` writes it."""

    name: str
    kl: float
    low: float
    high: float


class KLAnswer(TypedDict):
    """What ``alignlib kl --json`` writes, as far as it is read here."""

    estimates: list[Estimate]


class _Measured(TypedDict):
    """The file of a finished run: how it was made, and what its responses to held-out prompts are worth."""

    run: dict[str, str | int | float]
    device: str
    train_seconds: float
    reward: float
    kl: float
    n: int
    answer_kl: KLAnswer
    means: dict[str, float]
    by_prompt: dict[str, list[float]]
    texts: list[dict[str, str]]


class _Size(TypedDict):
    layers: int
    width: int
    weights: int


def rao_blackwell(answer: KLAnswer) -> Estimate:
    """The Rao–Blackwell estimate of what ``alignlib kl --json`` wrote.

    Parameters
    ----------
    answer : KLAnswer
        The JSON.
    """
    return next(one for one in answer["estimates"] if one["name"] == "rao_blackwell")


def _base(place: Place) -> dict[str, npt.NDArray[np.generic]]:
    """Every reward of the base's samples, (prompts, samples)."""
    table = pq.read_table(base_table(place), columns=["prompt_id", *(f"reward_{name}" for name in REWARDS)])
    order = np.argsort(table["prompt_id"].to_numpy(), kind="stable")
    n = len(np.unique(table["prompt_id"].to_numpy()))
    return {name: _rows(table[f"reward_{name}"].to_numpy()[order], n) for name in REWARDS}


def _of_validation(place: Place) -> dict[str, npt.NDArray[np.generic]]:
    """What the base's samples on the prompts of tuning are worth, (prompts, samples) for each reward that tunes."""
    columns = [f"reward_{name}" for name in GOLD]
    table = pq.read_table(base_table(place, "validation"), columns=["prompt_id", *columns])
    prompt = table["prompt_id"].to_numpy()
    order, n = np.argsort(prompt, kind="stable"), len(np.unique(prompt))
    return {f"validation_{name}": _rows(table[f"reward_{name}"].to_numpy()[order], n) for name in GOLD}


def _rows(values: FloatArray, n_prompts: int) -> npt.NDArray[np.float32]:
    return values.reshape(n_prompts, -1).astype(np.float32)


def _settings(place: Place, found: list[_Measured]) -> WordsSettings:
    weights = (place.base_folder / "model.safetensors").read_bytes()
    texts = {f"{data['run']['reward']}-{data['run']['method']}": data["texts"] for data in found}
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        "planned": dict(Counter(run.reward for run in grid("core", place.steps))),
        "base_sha256": hashlib.sha256(weights).hexdigest(),
        **size_of(place.base_folder),
        "prompt_tokens": PROMPT_LENGTH,
        "response_tokens": LENGTH,
        "vocabulary": len(place.world.tokenizer),
        "training_prompts": len(place.world.pool_of_training),
        "verses": {part: len(verses) for part, verses in place.corpus.parts.items()},
        "responses_a_step": RESPONSES,
        "policy_samples": min(data["n"] for data in found),
        "labelled_pairs": place.pairs,
        "devices": sorted({data["device"] for data in found}),
        "train_seconds": round(sum(data["train_seconds"] for data in found)),
        # Responses alone: nothing of the corpus is kept here.
        "examples": {name: [one["response"] for one in some] for name, some in texts.items()},
    }


def size_of(base: Path) -> _Size:
    """Layers, width and number of weights of the model in a folder.

    Parameters
    ----------
    base : Path
        The folder.
    """
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    weights = sum(part.numel() for part in load_file(base / "model.safetensors").values())
    return {"layers": int(config["n_layer"]), "width": int(config["n_embd"]), "weights": int(weights)}


def _csv(path: Path, table: pd.DataFrame) -> None:
    write_whole(path, table.to_csv(index=False, float_format="%.7g", lineterminator="\n"))


def _npz(path: Path, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
    with whole_file(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
