"""An argument of another kind is one sentence at every door of the library, never an error of Python's own."""

from __future__ import annotations

import importlib
import math
import pickle
import types
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import alignlib
from alignbook.api_pages import API_PAGES
from alignlib import InputError, RaterTable, RewardTable, ask, read_training_log
from alignlib._core.doors import guarded
from alignlib.estimation import few_prompts
from alignlib.estimation.bootstrap import narrowed
from alignlib.hacking import GaussianPair
from alignlib.laws import Exponential
from alignlib.laws.bounds import hoeffding
from alignlib.plotting import curve, new, points
from alignlib.scale import Head, Summary, SummaryTable, is_summary, write_summary
from alignlib.sequences import cumulants, power_by_squaring
from alignlib.tables import example_table
from alignlib.training import TrainingLog
from tests.small_project import ROOT
from tests.wrong_kinds import VALUES, calls_in, outcomes

TABLE = RewardTable.from_arrays(np.random.default_rng(2).standard_normal((20, 8)))
FRAME = pa.table({"prompt_id": [0, 0, 1, 1], "reward": [0.0, 1.0, 3.0, 2.0]})
RATED = pa.table({"target": ["a", "b"], "label": ["a", "b"]})
LOG = ROOT / "tests" / "data" / "trl_grpo.json"
ANY: Any = None
_, AXES = new()
plt.close()
NOBODY = Summary.of(pa.array([], pa.string()), np.array([], dtype=np.int64), {"reward": np.array([])})
HELD = Summary.of(pa.array(np.arange(4)), np.full(4, 2), {"reward": np.arange(8.0)})

CASES: list[tuple[Callable[[Path], object], str]] = [
    (lambda _: RewardTable.from_frame(FRAME, ["prompt_id"]), "prompt must be text or None; got ['prompt_id']."),  # type: ignore[arg-type]
    (lambda _: RewardTable.from_frame(FRAME, reward=3), "reward must be text or a list of texts; got 3."),  # type: ignore[arg-type]
    (lambda _: RewardTable.from_frame(FRAME, reward=[3]), "reward must be text or a list of texts; got [3]."),  # type: ignore[list-item]
    (lambda _: RewardTable.from_frame(FRAME, min_samples="2"), "min_samples must be a whole number; got '2'."),  # type: ignore[arg-type]
    (lambda _: RewardTable.from_frame(FRAME, drop_below=None), "drop_below must be a whole number; got None."),  # type: ignore[arg-type]
    (lambda _: RewardTable.from_frame(FRAME, wide="no"), "wide must be True or False; got 'no'."),  # type: ignore[arg-type]
    (lambda folder: RewardTable.read(_csv(folder), ["a"]), "prompt must be text or None; got ['a']."),  # type: ignore[arg-type]
    (lambda folder: RewardTable.read(_csv(folder), reward=3), "reward must be text or a list of texts; got 3."),  # type: ignore[arg-type]
    (lambda folder: RewardTable.read([_csv(folder)]), "path"),  # type: ignore[arg-type]
    (lambda folder: RaterTable.read(_csv(folder), 3), "target must be text"),  # type: ignore[arg-type]
    (lambda _: RaterTable.from_frame(RATED, ["target"]), "target must be text"),  # type: ignore[arg-type]
    (lambda _: read_training_log(LOG, kl=["kl"]), "logs no ['kl'] (kl)"),  # type: ignore[arg-type]
    (lambda _: read_training_log(LOG, reward=b"reward"), "reward must be text or None; got b'reward'."),  # type: ignore[arg-type]
    (lambda _: ask(TABLE, "reward", "reward", ensemble="score_*"), "ensemble must be a list of texts; got 'score_*'."),
    (lambda _: ask(TABLE, ["reward"]), "no reward ['reward']"),  # type: ignore[arg-type]
    (lambda _: alignlib.overlay(read_training_log(LOG), TABLE), "fit must be"),  # type: ignore[arg-type]
    (lambda _: TABLE.with_at_least(ANY), "n must be a whole number; got None."),
    (lambda _: list(TABLE.blocks("reward", most="all")), "most must be a whole number or None; got 'all'."),  # type: ignore[arg-type]
    (lambda _: hoeffding({}, 0.0, 1.0), "kl must hold numbers; got {}."),  # type: ignore[arg-type]
]


@guarded
def _grown(beta: float) -> float:
    return math.exp(beta)


RNG = np.random.default_rng(3)
DEEP: Any = []
DEEP.append(DEEP)
# What a library of numbers, Arrow or Python itself would say of them is none of these.
STRANGE: list[tuple[Callable[[], object], str]] = [
    (lambda: example_table(np.array(3.0), 2, 0.5, rng=RNG), "n_prompts must be a whole number; got array(3.). Give"),  # type: ignore[arg-type]
    (lambda: example_table(Decimal("NaN"), 2, 0.5, rng=RNG), "n_prompts must be"),  # type: ignore[arg-type]
    (lambda: example_table(3, 2, Fraction(1, 3), rng=RNG), "noise must be a finite number; got Fraction(1, 3). Give"),  # type: ignore[arg-type]
    (lambda: GaussianPair(pa.array(["x", None]), 1.0), "sd must"),  # type: ignore[arg-type]
    (lambda: Exponential(1.0).nodes(DEEP), "breaks must be a list of numbers; got [[[...]]]."),
    (lambda: Exponential(1.0).nodes([[1], [1, 2]]), "breaks must be a list of numbers; got [[1], [1, 2]]."),  # type: ignore[list-item]
    (lambda: ask(TABLE, "reward", ensemble=np.array([])), "ensemble must not be empty"),  # type: ignore[arg-type]
    (lambda: write_summary(range(3), "s.parquet"), "summary must be"),  # type: ignore[arg-type]
    (lambda: write_summary([], "s.parquet"), "summary must not be empty"),  # type: ignore[arg-type]
    (lambda: RaterTable.read("\udc80"), "There is no file \\udc80; check"),
    (lambda: is_summary("x" * 100_000), "… is longer than the system takes; check the path."),
    (lambda: cumulants([0.0, 1.0], [0.5, 0.5], 10**400), "order must hold numbers; got 1000"),
    (lambda: power_by_squaring(np.log([0.5, 0.5]), 10**400), "length must lie in [1, 1e+09]; got 1000"),
    (lambda: power_by_squaring(np.array(0.0), 2), "log_mass must be a numpy array of numbers; got array(0.)."),
    (lambda: points(AXES, [0.0, 1.0], [0.0, 1.0], pd.Series(["a"])), "names must be as many as points, 2; got 1."),
    (lambda: points(AXES, [0.0], [0.0], marker="a|b"), "marker must be one of Matplotlib's; got 'a|b'."),
    (lambda: curve(AXES, [0.0], [0.0], "a", color="a|b"), "color must be a colour of Matplotlib's; got 'a|b'."),
    (lambda: curve(AXES, [0.0], [0.0], "a", ha="middle"), "ha must be 'left', 'center' or 'right'; got 'middle'."),
    (lambda: curve(AXES, [0.0], [0.0], "a", offset=np.array(1.5)), "offset must be two numbers, in points; got"),  # type: ignore[arg-type]
    (lambda: SummaryTable([], [Head.of(HELD)], HELD.columns), "pieces must be as many as heads, 1; got 0."),
    (lambda: SummaryTable([lambda: NOBODY], [Head.of(NOBODY)], NOBODY.columns), "pieces must hold a prompt; got none."),
    (lambda: few_prompts([1, 2]), "n_samples must be a numpy array of whole numbers"),  # type: ignore[arg-type]
    (lambda: narrowed([np.zeros(1)], [np.ones(1)], 2**70), "level must lie in (0, 1); got"),
    (lambda: example_table(3, 10**18, 0.5, rng=RNG), "n_samples is too large to compute with"),
    (lambda: _grown(2**70), "beta is too large to compute with; got 1180591620717411303424."),
]


def _csv(folder: Path) -> Path:
    path = folder / "t.csv"
    path.write_text("prompt_id,reward\n0,1\n0,2\n1,3\n1,5\n")
    return path


@pytest.mark.parametrize(("call", "said"), CASES, ids=range(len(CASES)))
def test_another_kind_is_named(call: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        call(tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize(("call", "said"), STRANGE, ids=range(len(STRANGE)))
def test_what_is_almost_of_the_kind_is_named_and_can_be_printed(call: Callable[[], object], said: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_ranks_of_breaks_come_as_a_list_too() -> None:
    assert np.array_equal(Exponential(1.0).nodes([0.5])[0], Exponential(1.0).nodes((0.5,))[0])  # type: ignore[arg-type]


def test_an_address_is_no_part_of_a_sentence() -> None:
    assert str(InputError(f"got {[object()]}, {test_every_door_is_guarded} at 0x3f")) == (
        "got [<object>], <function test_every_door_is_guarded> at 0x3f"
    )


def test_every_door_is_guarded() -> None:
    for _, _, room in API_PAGES:
        door = importlib.import_module(room)
        for name in getattr(door, "__all__", ()):
            offered = getattr(door, name)
            if isinstance(offered, types.FunctionType):
                assert hasattr(offered, "_guarded"), f"{room}.{name}: write guard(globals()) at the end of the door"
    for name in alignlib.__all__:
        offered = getattr(alignlib, name)
        assert not isinstance(offered, types.FunctionType) or hasattr(offered, "_guarded"), name
    assert hasattr(TrainingLog.__init__, "_guarded")


def test_every_kind_of_value_for_some_of_the_names() -> None:
    """For all of them: ``python -m tests.wrong_kinds``."""
    names = list(VALUES)
    tried = list(outcomes(calls_in(["divergences", "pass_at_k", "rules"]), lambda k: [names[k % len(names)]]))
    assert len(tried) > 60
    assert [outcome for outcome in tried if not outcome.survived] == []


def test_what_a_door_leaves_alone() -> None:
    """Python's own word for the number of arguments, faults of ours and of a reader's function, generators, pickle."""

    @guarded
    def once(call: Callable[[], float], times: int = 1) -> float:
        return call() * times

    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        once()  # type: ignore[call-arg]
    with pytest.raises(ZeroDivisionError):
        once(lambda: 1 / 0)
    with pytest.raises(InputError, match="times must be a whole number; got None"):
        once(lambda: 1.0, None)  # type: ignore[arg-type]

    @guarded
    def each(*parts: float, **named: int) -> float:
        return [1.0, *parts].index(named["place"])

    with pytest.raises(ValueError, match="is not in list"):  # a fault of ours, where each is what it should be
        each(2.0, 3.0, place=4)
    with pytest.raises(InputError, match="parts must be a finite number; got 'x'"):
        each(2.0, "x", place=4)  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(alignlib.fit_frontier)) is alignlib.fit_frontier
