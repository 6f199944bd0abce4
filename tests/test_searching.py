"""The search for counterexamples finds those of statements that are false."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from alignbook.project import Notebook, Project
from alignlib._core.checks import FloatArray
from alignlib.bottleneck import capacity
from alignlib.laws import FiniteLaw
from tests.searching import channel, law, positive, worst_case
from tests.small_project import ROOT


def forward_share(z: FloatArray) -> float:
    """Share of the Jeffreys divergence that KL(π_λ‖p) is: at most half for no law but the symmetric ones."""
    found = FiniteLaw([0.0, 1.0], law(z[:2]))
    lam = positive(float(z[2]), 0.1, 10.0)
    return float(found.kl(lam) / found.jeffreys(lam)) - 0.5


def lost_capacity(z: FloatArray) -> float:
    """How much less than the smaller of two stages a cascade carries."""
    first, second = channel(z[:9], 3), channel(z[9:], 3)
    return min(capacity(first).value, capacity(second).value) - capacity(first @ second).value


@pytest.mark.parametrize(("excess", "size", "least"), [(forward_share, 3, 0.2), (lost_capacity, 18, 0.2)])
def test_false_statements_are_found_out(excess: object, size: int, least: float) -> None:
    assert callable(excess)
    assert worst_case(excess, size, starts=3, steps=40).excess > least


def test_a_narrow_maximum_is_climbed() -> None:
    def excess(z: FloatArray) -> float:
        return -float(np.sum((z - np.arange(6.0)) ** 2))

    assert worst_case(excess, 6, steps=400, starts=3).excess > -1e-2


def test_what_is_not_a_number_is_no_proof() -> None:
    with pytest.raises(AssertionError, match="NaN"):
        worst_case(lambda z: float("nan"), 2, starts=1)


@pytest.mark.parametrize("notebook", Project(ROOT).notebooks(), ids=lambda notebook: notebook.name)
def test_every_box_has_a_test_named_after_it(notebook: Notebook) -> None:
    """A theorem or proposition ``thm-x`` of a chapter has a test ``test_thm_x…`` that searches for a counterexample."""
    text = notebook.script.read_text(encoding="utf-8")
    labels = re.findall(r"^# :label: ((?:thm|prop)-\S+)$", text, re.MULTILINE)
    tests = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_theorems_*.py"))
    missing = [label for label in labels if not re.search(rf"def test_\w*{label.replace('-', '_')}", tests)]
    assert missing == []
