"""The recipe in CONTRIBUTING.md: a method that is one record is trained, tabulated, drawn and printed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from _pages import chapter
from alignlib.lm.methods import METHODS, Budget, Method, Settings, register
from tests.recipes import recipe

SEEDS, STEPS = (0, 1), 3


@pytest.fixture
def toy() -> Iterator[Method[Settings]]:
    """The toy among the methods, for one test: executing its file registers it."""
    recipe.cache_clear()
    recipe("A method")
    yield METHODS["better_of_two"]
    METHODS.pop("better_of_two")


@pytest.mark.lm
@pytest.mark.lm
def test_a_method_is_trained_tabulated_drawn_and_printed(toy: Method[Settings], tmp_path: Path) -> None:
    from alignlib.lm.base_model import PretrainingSettings, new_model, save_model
    from alignlib.lm.experiment.comparison import TaskComparison
    from alignlib.lm.experiment.grid import Run, compared, grid
    from alignlib.lm.experiment.runner import run_all
    from alignlib.lm.experiment.table import assemble
    from alignlib.lm.space import ResponseSpace
    from alignlib.lm.tasks import Safety
    from alignlib.lm.torch_runtime import one_thread

    space = ResponseSpace(length=3)
    with one_thread(0):
        small = PretrainingSettings(n_layer=1, n_embd=16, n_head=2)
        save_model(new_model(Safety.task(space), small), tmp_path / "base_safety")
    # It stands in the grid of everything that is wanted, without a word there.
    assert compared()[-1] == toy.name
    wanted = [run for run in grid() if run.method == toy.name]
    assert {run.stage for run in wanted} == {"main", "short", "tuning"}
    assert {run.knob for run in wanted if run.stage == "main"} == set(toy.penalties)

    runs = [
        Run(stage, "safety", toy.name, *toy.at(knob, Budget(steps)), seed)
        for stage, steps in (("main", STEPS), ("short", 1))
        for knob in toy.penalties
        for seed in SEEDS
    ]
    assert run_all(runs, tmp_path / "runs", tmp_path, processes=1, space=space, progress=False) == len(runs)
    found = assemble(runs, tmp_path / "runs", tmp_path, space=space, proxies=())
    assert set(found.curves.method) == {toy.name}
    task = TaskComparison(found, "safety")
    assert task.methods() == [toy.name]
    # More penalty, less movement: what was trained is what is in the table.
    assert task.points(toy.name).knob.tolist() == sorted(toy.penalties, reverse=True)
    assert (task.last.kl > 0.0).all()

    printed = chapter.numbers(task.verdicts("main"), task.verdicts("short"))
    assert printed.index.tolist() == [(toy.label, "short"), (toy.label, "long")]
    shown = chapter.gain_figure(task, "main", 16)
    handles, labels = shown.get_legend_handles_labels()
    assert handles[labels.index(toy.label)].get_marker() == "P"
    plt.close("all")


def test_every_method_stands_in_one_file_and_needs_no_torch_to_be_known() -> None:
    code = """
import sys
from alignlib.lm.methods import METHODS
import alignlib.lm.experiment.comparison, alignlib.lm.experiment.grid, alignlib.lm.experiment.results
heavy = {"torch", "trl", "transformers", "jupytext", "alignbook", "matplotlib"}
print(sorted(METHODS), sorted(heavy & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == f"{sorted(METHODS)} []\n"
    assert len({method.train.__module__ for method in METHODS.values()}) == len(METHODS)


def test_a_name_or_label_that_is_taken_is_refused(toy: Method[Settings]) -> None:
    with pytest.raises(ValueError, match="name and label must be new; 'better_of_two'"):
        register(toy)
    with pytest.raises(ValueError, match="configure must be given just where knob is not 'beta'; got 'k'"):
        Method(name="other", label="other", train=toy.train, settings=Settings, knob="k")
