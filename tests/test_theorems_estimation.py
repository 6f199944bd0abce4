"""The boxes on estimation, searched for counterexamples; and that every box of the book has a test named after it."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
import scipy

from alignlib._core.checks import FloatArray
from alignlib.laws import FiniteLaw
from tests.searching import law, positive, worst_case
from tests.small_project import ROOT


def log_mean_exp(r: FloatArray, lam: float) -> float:
    return float(np.log(np.exp(lam * r).mean()))


def tilted_mean(r: FloatArray, lam: float) -> float:
    weight = np.exp(lam * (r - r.max()))
    return float(weight @ r / weight.sum())


def test_prop_plug_in() -> None:
    """Its expectation over all samples of three lies below the truth: by about half of (1/ESS - 1/n) for small λ."""
    draws = np.array(list(itertools.product(range(3), repeat=3)))

    def above(z: FloatArray) -> float:
        p, r, lam = law(z[:3]), np.tanh(z[3:6]), positive(z[6], 0.05, 10.0)
        truth = float(np.log(p @ np.exp(lam * (r - p @ r))))
        chance = p[draws].prod(axis=1)
        expected = sum(
            c * (log_mean_exp(r[row], lam) - lam * r[row].mean()) for c, row in zip(chance, draws, strict=True)
        )
        return float(expected) - truth

    assert worst_case(above, 7, starts=4, steps=40).excess <= 1e-12


def test_prop_plug_in_deficit() -> None:
    """About ½ (1/ESS - 1/n), by the exact law of the number of successes in n samples of a 0/1 reward."""
    n, p = 400, 0.2
    k = np.arange(n + 1)
    chance = scipy.stats.binom.pmf(k, n, p)
    for lam in (0.3, 1.0, 2.0):
        truth = np.log1p(p * np.expm1(lam)) - lam * p
        expected = chance @ (np.log1p(k / n * np.expm1(lam)) - lam * k / n)
        ess = n * (1 + p * np.expm1(lam)) ** 2 / (1 + p * np.expm1(2 * lam))
        assert 2 * (truth - expected) / (1 / ess - 1 / n) == pytest.approx(1.0, abs=0.02)


def test_prop_plug_in_frontier() -> None:
    """Its mean gain over all samples of three lies below the truth at every budget, and it ends at log n."""
    draws = list(itertools.combinations_with_replacement(range(3), 3))

    def above(z: FloatArray) -> float:
        p, r, budget = law(z[:3]), np.cumsum(np.exp(z[3:6])), positive(z[6], 0.01, 2.0)
        expected = 0.0
        for row in map(list, draws):
            chance = scipy.stats.multinomial.pmf(np.bincount(row, minlength=3), 3, p)
            if len(set(row)) > 1:
                sample = FiniteLaw(r[row])
                assert sample.max_kl <= np.log(3) + 1e-12
                expected += float(chance) * float(sample.gain_at_kl(budget))
        return expected / float(FiniteLaw(r, p).gain_at_kl(budget)) - 1.0

    assert worst_case(above, 7, starts=3, steps=40).excess <= 1e-12


def test_prop_jackknife() -> None:
    """Removing one sample at a time commutes with d/dλ: the corrected mean is the derivative of the corrected Λ."""

    def off(z: FloatArray) -> float:
        r, lam, h = np.tanh(z[:-1]), positive(z[-1], 0.05, 5.0), 1e-4

        def corrected(of: object, at: float) -> float:
            assert callable(of)
            n = r.size
            return float(n * of(r, at) - (n - 1) * np.mean([of(np.delete(r, i), at) for i in range(n)]))

        slope = (corrected(log_mean_exp, lam + h) - corrected(log_mean_exp, lam - h)) / (2 * h)
        return abs(slope - corrected(tilted_mean, lam))

    assert worst_case(off, 6, starts=2, steps=30).excess <= 1e-6


def test_every_theorem_and_proposition_has_a_test_named_after_it() -> None:
    named = "\n".join(
        re.findall(r"def (test_\w+)", "\n".join(p.read_text("utf-8") for p in ROOT.glob("tests/test_theorems_*.py")))
    )
    missing = [
        f"{label} ({path.stem})"
        for path in sorted((ROOT / "notebooks").glob("[0-9]*.py"))
        for kind, label in re.findall(r"\{prf:(\w+)\}[^\n]*\n# :label: *(\S+)", path.read_text("utf-8"))
        if kind in ("theorem", "proposition") and label.replace("-", "_") not in named
    ]
    assert missing == []


def test_prop_two_points() -> None:
    """No law on three points with the same mean and variance gets past either law on two."""

    def excess(parts: FloatArray) -> float:
        places, prob = np.sort(parts[:3]), np.abs(parts[3:6]) + 1e-3
        prob, lam = prob / prob.sum(), abs(parts[6])
        a, b = places[0] - abs(parts[7]), places[2] + abs(parts[8])
        m = float(prob @ places)
        v = float(prob @ np.square(places - m))
        given = float(prob @ np.exp(lam * (places - b)))
        ends = []
        for end in (a, b):
            far = abs(end - m) + 1e-12
            other, share = m + np.sign(m - end) * v / far, v / (far**2 + v)
            ends.append(share * np.exp(lam * (end - b)) + (1.0 - share) * np.exp(lam * (other - b)))
        return max(ends[0] - given, given - ends[1])

    assert worst_case(excess, 9, starts=4, steps=40).excess <= 1e-12
