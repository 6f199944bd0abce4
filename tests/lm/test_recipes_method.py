"""The recipe in CONTRIBUTING.md: a method that is one class is tuned, trained, tabulated, drawn and printed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from _pages import chapter
from alignlib.lm.methods import METHODS, Method, Settings, register
from tests.recipes import recipe

SEEDS, STEPS = (0, 1), 6


@pytest.fixture
def toy() -> Iterator[Method]:
    """The toy among the methods, for one test: executing its file registers it."""
    recipe.cache_clear()
    recipe("A method")
    yield METHODS["better_of_two"]
    METHODS.pop("better_of_two")


@pytest.mark.lm
def test_a_method_is_tuned_trained_tabulated_drawn_and_printed(toy: Method, tmp_path: Path) -> None:
    from alignlib.lm.experiment.grid import LENGTHS, LONG, TRIALS, Run, compared, grid, tuning_runs
    from alignlib.lm.experiment.runner import laboratory, run_all
    from alignlib.lm.experiment.standings import Standings
    from alignlib.lm.experiment.table import assemble, write_laws
    from tests.lm.test_grid import tiny_place

    # It stands in the grid of everything that is wanted, and in tuning, without a word there.
    assert compared()[-1] == toy.name
    wanted = [run for run in grid(lambda task, method: Settings(1)) if run.method == toy.name]
    assert {run.stage for run in wanted} == {"main", "lengths"}
    main = [run for run in wanted if run.stage == "main"]
    assert {run.knob for run in main} == set(toy.knobs)
    assert {run.settings.steps for run in main} == {LONG, LENGTHS[-1]}
    assert sum(run.method == toy.name for run in tuning_runs()) == 2 * TRIALS

    place = tiny_place(tmp_path)
    settings = Settings(STEPS, 1e-2)
    runs = [
        Run("main", "safety", toy.name, knob, replace(settings, steps=steps), seed)
        for knob in toy.knobs
        for seed in SEEDS
        for steps in (STEPS, 1)
    ]
    assert run_all(runs, place, processes=1, progress=False) == len(runs)
    write_laws(laboratory("safety", place), place.results, proxies=())
    (place.results / "tuning.csv").write_text("task,method,taken\n")
    found = assemble(runs, place)
    assert set(found.runs.method) == {toy.name}
    test, train = (Standings(found, "safety", split, 40) for split in ("test", "train"))
    assert test.methods() == [toy.name]
    assert test.lengths() == [1, STEPS]
    # More penalty, less movement: what was trained is what is in the table.
    spent = [test.compare(toy.name, knob, STEPS) for knob in sorted(toy.knobs, reverse=True)]
    kls = [one.kl.mean for one in spent if one is not None]
    assert len(kls) == 3
    assert 0.0 < kls[0] < kls[1] < kls[2]
    printed = chapter.numbers(test, STEPS)
    assert printed.index.tolist() == [toy.label]
    assert f"| {toy.label} |" in chapter.every_setting(test, train, STEPS)
    handles, labels = chapter.difference_figure(test).get_legend_handles_labels()
    assert handles[labels.index(toy.label)].get_marker() == "P"
    plt.close("all")
    assert np.isfinite(found.runs.kl).all()


def test_every_method_is_known_without_torch() -> None:
    code = """
import sys
from alignlib.lm.methods import METHODS
import alignlib.lm.experiment.standings, alignlib.lm.experiment.grid, alignlib.lm.experiment.costs
heavy = {"torch", "trl", "transformers", "jupytext", "alignbook", "matplotlib"}
print(sorted(METHODS), sorted(heavy & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == f"{sorted(METHODS)} []\n"


def test_a_name_or_label_that_is_taken_is_refused(toy: Method) -> None:
    with pytest.raises(ValueError, match="name and label must be new; 'better_of_two'"):
        register(type(toy))
