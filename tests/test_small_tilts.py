"""Jackknives of many small λ at once, by moments, against samples left out in high precision."""

from __future__ import annotations

import itertools

import mpmath
import numpy as np
import pytest

from alignlib.estimation import jackknife, tilted_mean
from alignlib.estimation.jackknife import jackknife_log_partition
from alignlib.estimation.small_tilts import how_many_small, narrow_to_wide
from alignlib.estimation.tilted_mean import jackknife_tilted_means

N = 24
LAMS = np.geomspace(0.01, 0.2, 8)


def samples() -> np.ndarray:
    rng = np.random.default_rng(4)
    proxy = np.sort(rng.gamma(2.0, 0.5, (3, N)), axis=1)[:, ::-1]
    return np.stack([proxy + rng.standard_normal(proxy.shape), proxy])


def second_order(rewards: np.ndarray, lam: float, gold: np.ndarray | None = None) -> float:
    """Λ with samples left out one and two at a time, or its slope in the direction of gold, in 40 digits."""
    n = len(rewards)
    with mpmath.workdps(40):
        weight = [mpmath.exp(mpmath.mpf(float(lam)) * mpmath.mpf(float(r))) for r in rewards]
        counted = weight if gold is None else [w * mpmath.mpf(float(g)) for w, g in zip(weight, gold, strict=True)]
        total, of_gold = mpmath.fsum(weight), mpmath.fsum(counted)

        def left(*out: int) -> mpmath.mpf:
            rest = total - mpmath.fsum(weight[i] for i in out)
            if gold is None:
                return mpmath.log(rest / (n - len(out)))
            return (of_gold - mpmath.fsum(counted[i] for i in out)) / rest

        one = mpmath.fsum(left(i) for i in range(n)) / n
        pairs = list(itertools.combinations(range(n), 2))
        two = mpmath.fsum(left(i, j) for i, j in pairs) / len(pairs)
        return float((n**2 * left() - 2 * (n - 1) ** 2 * one + (n - 2) ** 2 * two) / 2)


def test_moments_are_as_exact_as_leaving_samples_out() -> None:
    """Both the log-partition function and means under the tilt; all λ here are small enough for moments."""
    both = samples()
    wide = float(np.abs(both[1] - both[1].mean(axis=1, keepdims=True)).max())
    assert how_many_small(LAMS, wide, N) == LAMS.size
    found, means = jackknife_log_partition(both[1], LAMS), jackknife_tilted_means(both[1], both, LAMS)
    for k in (0, 4, 7):
        for x in range(3):
            exact = second_order(both[1, x], LAMS[k])
            assert abs(found.second_order[k, x] - exact) < 1e-14
            assert abs(means.log_partition[k, x] - exact) < 1e-14
            assert abs(means.second_order[0, k, x] - second_order(both[1, x], LAMS[k], both[0, x])) < 1e-13


@pytest.mark.parametrize("n", [16, 64, 700])
def test_both_ways_agree(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What moments give is what passes over the samples give, in every field."""
    rng = np.random.default_rng(n)
    proxy = np.sort(rng.standard_normal((5, n)), axis=1)[:, ::-1]
    proxy[2] = 1.0  # all alike
    both, lams = np.stack([rng.standard_normal(proxy.shape), proxy]), np.geomspace(0.004, 2.0, 30)
    by_moments = jackknife_log_partition(proxy, lams), jackknife_tilted_means(proxy, both, lams)
    for module in (jackknife, tilted_mean):
        monkeypatch.setattr(module, "how_many_small", lambda *_: 0)
    by_samples = jackknife_log_partition(proxy, lams), jackknife_tilted_means(proxy, both, lams)
    for mine, other in zip(by_moments, by_samples, strict=True):
        for name in vars(mine):
            np.testing.assert_allclose(getattr(mine, name), getattr(other, name), rtol=1e-12, atol=4e-12, err_msg=name)


def test_every_prompt_is_in_one_block() -> None:
    """And blocks go from narrow prompts to wide ones."""
    rows = np.sort(np.random.default_rng(0).gamma(1.0, size=(50, 1)) * np.linspace(0.0, 1.0, 8), axis=1)[:, ::-1]
    blocks = list(narrow_to_wide(rows, 64))
    assert sorted(np.concatenate(blocks).tolist()) == list(range(50))
    widths = [rows[block, 0] - rows[block, -1] for block in blocks]
    assert all(below.max() <= above.min() for below, above in itertools.pairwise(widths))
