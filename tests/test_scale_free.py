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


@pytest.mark.parametrize("command", ["compare", "pick", "overlay"])
@pytest.mark.parametrize(("unit", "nats"), [(1e100, 1e-100), (1e-100, 1e101), (1e-101, 1e-310)])
def test_no_interval_is_none_whatever_the_units_of_a_log(
    tmp_path: Path, command: str, unit: float, nats: float
) -> None:
    """A sentence, or an answer in which no end of an interval is NaN without one; and no warning of NumPy's."""
    rng = np.random.default_rng(7)
    kl = np.linspace(0.0, 0.6, 12)
    for name, share in (("a", 0.6), ("b", 0.9)):
        reward = unit * (share * np.sqrt(2.0 * kl) + 0.03 * rng.standard_normal(kl.size))
        rows = [f"{i},{float(k * nats)!r},{float(r)!r}\n" for i, (k, r) in enumerate(zip(kl, reward, strict=True))]
        (tmp_path / f"{name}.csv").write_text("step,kl,reward\n" + "".join(rows))
    score = rng.standard_normal(120)
    gold = score + rng.standard_normal(120)
    cells = zip(score, gold, strict=True)
    rows = [f"{i // 12},{float(s * unit)!r},{float(g * unit)!r}\n" for i, (s, g) in enumerate(cells)]
    (tmp_path / "t.csv").write_text("prompt_id,score,gold\n" + "".join(rows))
    logs = [f"a={tmp_path / 'a.csv'}", f"b={tmp_path / 'b.csv'}"] if command == "compare" else [str(tmp_path / "a.csv")]
    words = [command, *logs, "--kl-unit", "sequence", "--table", str(tmp_path / "t.csv"), "--reward", "score"]
    done = CliRunner().invoke(main, [*words, *(["--gold", "gold"] if command == "pick" else [])])
    assert done.exit_code in (0, 2), done.exception
    assert "nan" not in done.stdout
    assert "inf" not in done.stdout.replace("infinit", "")
    if done.exit_code == 2:
        assert done.stderr.count("\n") == 1
