"""A table multiplied by a constant has the same KL and shares, and its gains multiplied: through the whole command."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from alignlib.cli.main import main
from alignlib.tables.reward_range import LARGEST_REWARD, SMALLEST_REWARD


def answer(folder: Path, scale: float, *options: str) -> dict[str, Any]:
    """Return the leaves of the JSON that `frontier` prints for a table times ``scale``."""
    rng = np.random.default_rng(5)
    reward = rng.normal(size=(20, 24))
    gold = reward + rng.normal(size=reward.shape)
    cells = zip(np.repeat(np.arange(20), 24), reward.ravel() * scale, gold.ravel() * scale, strict=True)
    path = folder / "t.csv"
    path.write_text("prompt_id,reward,gold\n" + "".join(f"{i},{float(r)!r},{float(g)!r}\n" for i, r, g in cells))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = CliRunner().invoke(main, ["frontier", str(path), "--reward", "reward", *options, "--json"])
    assert done.exit_code == 0, done.stderr
    return dict(leaves(json.loads(done.stdout)))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every number of a document with its path."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, float(value)


@pytest.mark.parametrize("options", [(), ("--gold", "gold", "--n", "2,4"), ("--budget", "per-prompt")], ids=str)
@pytest.mark.parametrize("scale", [1e100, 1e-100, 3.7])
def test_the_answer_does_not_depend_on_the_unit_of_the_reward(tmp_path: Path, scale: float, options: tuple) -> None:
    plain, scaled = answer(tmp_path, 1.0, *options), answer(tmp_path, scale, *options)
    assert plain.keys() == scaled.keys()
    in_units = [
        path for path, value in plain.items() if value != 0.0 and not np.isclose(scaled[path], value, rtol=1e-6)
    ]
    for path in in_units:  # what differs is a reward, or λ, its inverse
        assert any(np.isclose(scaled[path], plain[path] * unit, rtol=1e-6, atol=0.0) for unit in (scale, 1 / scale)), (
            path
        )
    names = {path.rsplit(".", 1)[-1] for path in in_units}
    assert {"gain", "base_reward"} <= names
    assert not {name for name in names if "kl" in name or "share" in name or "spent" in name}


def test_rewards_within_the_bounds_are_read_and_those_beyond_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for value, part in (
        (LARGEST_REWARD, ""),
        (1.01 * LARGEST_REWARD, "in row 3 (the header is row 1); rewards must not exceed 1e+102"),
        (SMALLEST_REWARD, ""),
        (0.99 * SMALLEST_REWARD, "the largest must not be below 1e-102: rescale the column"),
    ):
        rows = "".join(f"{i % 3},{value / 2 if i % 4 else 0}\n" for i in range(30))
        path.write_text(f"prompt_id,reward\n0,0\n1,{value!r}\n" + rows)
        done = CliRunner().invoke(main, ["frontier", str(path), "--reward", "reward"])
        assert done.exit_code == (2 if part else 0), done.stderr
        assert part in done.stderr
