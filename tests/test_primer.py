"""The worked example of the primer, carried by hand in fractions: the page's numbers follow from its parameters."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import pytest

from alignbook.project import Project
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN
from tests.small_project import ROOT

PAGE = Project(ROOT).find("primer")
PROB = [Fraction(4, 10), Fraction(3, 10), Fraction(2, 10), Fraction(1, 10)]


def test_by_hand() -> None:
    assert [float(v) for v in PROB] == PAGE.parameters["prob"].default
    assert PAGE.parameters["reward"].default == [0.0, 1.0, 2.0, 3.0]
    assert PAGE.parameters["factor"].default == 2.0
    weight = [p * 2**r for r, p in enumerate(PROB)]
    tilt = [w / sum(weight) for w in weight]
    assert tilt == [Fraction(2, 13), Fraction(3, 13), Fraction(4, 13), Fraction(4, 13)]
    gain = sum(r * q for r, q in enumerate(tilt)) - 1
    assert gain == Fraction(10, 13)
    family, lam = FiniteLaw([0.0, 1.0, 2.0, 3.0], [0.4, 0.3, 0.2, 0.1]), math.log(2)
    assert float(family.gain(lam)) == pytest.approx(float(gain), rel=1e-12)
    assert float(family.kl(lam)) == pytest.approx(lam * 23 / 13 - math.log(2.6), rel=1e-12)
    assert float(family.reverse_kl(lam)) == pytest.approx(math.log(2.6) - lam, rel=1e-12)
    head = [sum(PROB[: i + 1]) ** 2 for i in range(4)]
    best = [b - a for a, b in zip([0, *head], head, strict=False)]
    assert best == [Fraction(16, 100), Fraction(33, 100), Fraction(32, 100), Fraction(19, 100)]
    assert BestOfN(2).on(family).policy.tolist() == pytest.approx([float(b) for b in best])
    assert BestOfN(2).on(family).gain == pytest.approx(float(sum(r * b for r, b in enumerate(best)) - 1))


def test_no_number_of_the_example_is_typed() -> None:
    """Decimals in its text are generated; what is left are parameters of formulas, such as best-of-2."""
    for cell in PAGE.node.cells:
        if cell.cell_type == "markdown":
            assert re.findall(r"\d\.\d", re.sub(r"\{\{[^}]*\}\}|`[^`]*`", "", cell.source)) == []
