"""Measure a policy as a reader would: through ``alignlib sample``, ``score`` and ``kl``."""

from __future__ import annotations

import json
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from alignlib._core.errors import InputError
from alignlib.lm.words.corpus import LENGTH
from alignlib.lm.words.grid import GOLD
from alignlib.lm.words.place import Place

__all__ = ["REWARDS", "base_table", "command", "measure", "sample_and_score", "sample_base"]

REWARDS = ("sentiment", "repeated_sentiment", "civility")
_BATCH = {"cpu": 64, "cuda": 768}
_EXAMPLES = 3


def command(*arguments: str | Path) -> str:
    """Run the program ``alignlib`` with these arguments and return what it writes on standard output.

    It runs in this process: three hundred programs that each load PyTorch would cost more than what they measure.

    Parameters
    ----------
    *arguments : str or Path
        As they are typed after the program's name.

    Raises
    ------
    InputError
        If it fails, with what it said.
    """
    out, err = StringIO(), StringIO()
    before = sys.argv
    sys.argv = ["alignlib", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            runpy.run_module("alignlib", run_name="__main__")
    except SystemExit as end:
        if end.code not in (None, 0):
            said = err.getvalue().strip().splitlines()[-1:]
            raise InputError(f"alignlib {arguments[0]} failed: {' '.join(said)}") from end
    finally:
        sys.argv = before
    return out.getvalue()


def sample_and_score(
    model: Path, place: Place, table: Path, *, n: int, seed: int, base: Path | None, part: str = "test"
) -> None:
    """Draw responses to held-out prompts and write every reward beside them; for tuning, those that tune.

    Parameters
    ----------
    model : Path
        Who responds.
    place : Place
        Where prompts and reward model lie.
    table : Path
        The file to write.
    n : int
        Responses to each prompt.
    seed : int
        Source of the draws.
    base : Path, optional
        To whom its KL is taken.
    part : str
        ``"test"`` or ``"validation"``.
    """
    machine = ("--device", place.device, "--dtype", "float32")
    against = () if base is None else ("--base", base)
    command(
        "sample", "--model", model, "--prompts", place.prompts_file(part), "-o", table, *against, "--n", str(n),
        "--max-new-tokens", str(LENGTH), "--seed", str(seed), "--batch-size", str(_BATCH[place.device]), *machine,
    )  # fmt: skip
    names = pq.read_schema(table).names
    for reward in REWARDS if part == "test" else GOLD:
        if f"reward_{reward}" not in names:
            command("score", table, "--scorer", f"alignlib.lm.words.rewards:{reward}")
    if "reward_proxy" not in names and part == "test":
        size = ("--batch-size", str(_BATCH[place.device]))
        command("score", table, "--reward-model", place.proxy_folder, "--name", "proxy", *size, *machine)


def measure(model: Path, place: Place, *, n: int, seed: int) -> dict[str, object]:
    """Return a policy's KL and rewards, as a whole and by prompt, and some of its responses.

    Parameters
    ----------
    model : path
        The policy.
    place : Place
        Where base, prompts and reward model lie.
    n : int
        Responses to each prompt.
    seed : int
        Source of the draws.
    """
    table = model / "samples.parquet"
    sample_and_score(model, place, table, n=n, seed=1000 + seed, base=place.base_folder)
    said = json.loads(command("kl", table, "--json"))
    found = pq.read_table(table)
    prompt = found["prompt_id"].to_numpy()
    columns = {f"reward_{name}": found[f"reward_{name}"].to_numpy() for name in (*REWARDS, "proxy")}
    columns |= {"kl": np.array([sum(each) for each in found["token_kl"].to_pylist()])}
    columns |= {name: found[name].to_numpy(zero_copy_only=False).astype(float) for name in ("n_tokens", "truncated")}
    order = np.argsort(prompt, kind="stable")
    by_prompt = {
        name: [float(f"{x:.6g}") for x in values[order].reshape(-1, n).mean(1)] for name, values in columns.items()
    }
    means = {name: float(values.mean()) for name, values in columns.items()}
    texts = [
        {"prompt": found["prompt"][i].as_py(), "response": found["response"][i].as_py()}
        for i in range(0, n * _EXAMPLES, n)
    ]
    return {
        "answer_kl": said,
        "means": means,
        "by_prompt": by_prompt,
        "texts": texts,
        "n": n,
        "said": f"sentiment {means['reward_sentiment']:.3f} at {means['kl']:.3f} nats",
    }


def base_table(place: Place, part: str = "test") -> Path:
    """Where the base's scored samples on the held-out prompts of a part lie.

    Parameters
    ----------
    place : Place
        Where all lies.
    part : str
        ``"test"`` or ``"validation"``.
    """
    return place.folder / ("base_samples.parquet" if part == "test" else f"base_{part}.parquet")


def sample_base(place: Place, n: int, seed: int = 7) -> None:
    """Sample the base on the held-out prompts and score its responses, half as many for tuning; nothing twice.

    Parameters
    ----------
    place : Place
        Where all lies.
    n : int
        Responses to each prompt.
    seed : int
        Source of the draws.
    """
    sample_and_score(place.base_folder, place, base_table(place), n=n, seed=seed, base=None)
    sample_and_score(
        place.base_folder, place, base_table(place, "validation"), n=n // 2, seed=seed + 1, base=None, part="validation"
    )
