"""Best-of-N and its relatives from samples, against their exact values and against the limit."""

from collections.abc import Callable

import numpy as np
import pytest

from alignlib.estimation import fit_frontier
from alignlib.laws import Bernoulli, FiniteLaw, Gaussian, Uniform
from alignlib.rules import BestOfN, BestOfPoisson, SoftBestOfN, prepare
from alignlib.tables import RewardTable

FAIR_LEVELS = np.array([0.0, 1.0, 2.0])


def table(rows: np.ndarray) -> RewardTable:
    return RewardTable.from_arrays(rows)


def test_gaussian_shares_of_the_limit() -> None:
    """The shares of theory: 0.9077 at N = 2, 0.9125 at 4, 0.9218 at 16 (beyond what 64 samples support here or not)."""
    rows = np.random.default_rng(0).standard_normal((200, 64))
    result = fit_frontier(table(rows)).share([BestOfN(1), BestOfN(2), BestOfN(4)])
    assert result.spent.tolist() == pytest.approx([0.0, np.log(2) - 0.5, np.log(4) - 0.75])
    assert result.win_rate.tolist() == pytest.approx([1 / 2, 2 / 3, 4 / 5])
    assert result.share is not None
    assert result.share_low is not None
    assert result.share_high is not None
    assert result.share[0] == 1.0
    for k, share in ((1, 0.9077), (2, 0.9125)):
        assert result.share_low[k] < share < result.share_high[k]
        truth = BestOfN(2.0**k).on(Gaussian()).gain
        assert result.gain_low[k] < truth < result.gain_high[k]


def test_unsupported_limit_gives_one_sided_shares() -> None:
    rows = np.random.default_rng(0).standard_normal((200, 64))
    result = fit_frontier(table(rows)).share(BestOfN(64))
    assert result.supported is not None
    assert not result.supported[0]
    assert result.share_high is not None
    assert result.share_high[0] == 1.0
    assert result.limit_gain is not None
    assert result.limit_gain[0] > result.gain[0]
    assert result.limit_gain[0] > 0.97 * np.sqrt(2 * result.spent[0])  # a bound, but estimated


def test_ties_cut_the_kl() -> None:
    rows = (np.random.default_rng(1).random((300, 64)) < 0.5).astype(float)
    result = fit_frontier(table(rows)).share([BestOfN(2), BestOfN(8)])
    assert result.spent_formula is not None
    for k, n in enumerate((2, 8)):
        assert result.spent[k] == pytest.approx(BestOfN(n).on(FiniteLaw([0.0, 1.0])).kl, rel=0.03)
        assert result.win_rate[k] == pytest.approx(BestOfN(n).on(FiniteLaw([0.0, 1.0])).win_rate, abs=0.01)
        assert result.spent[k] < result.spent_formula[k]


def test_gold_of_the_proxy_best_averages_ties() -> None:
    """Two equal proxies, gold 0 and 1: one half, in whatever order they come."""
    for gold in ([1.0, 0.0, 5.0], [0.0, 1.0, 5.0]):
        samples = prepare(np.array([[2.0, 2.0, 1.0]]), np.array([gold]))
        assert samples.values.tolist() == [[0.5, 0.5, 5.0]]
        assert BestOfN(3).evaluate(samples).mean[0] == 0.5


def test_gold_column_is_measured_against_the_gold_limit() -> None:
    rng = np.random.default_rng(2)
    gold = rng.standard_normal((200, 32))
    both = RewardTable(
        prompts=np.arange(200).astype(object),
        offsets=np.arange(0, 6401, 32),
        columns={"gold": gold.ravel(), "proxy": (gold + rng.standard_normal(gold.shape)).ravel()},
    )
    result = fit_frontier(both, "gold").share(BestOfN(4), "proxy")
    truth = BestOfN(4).on(Gaussian()).gain / np.sqrt(2)  # the proxy keeps 1/√2 of its deviation in gold
    assert result.gain_low[0] < truth < result.gain_high[0]
    own = fit_frontier(both, "gold").share(BestOfN(4))
    assert own.gain[0] > result.gain[0]


@pytest.mark.parametrize("n", [2.5, 7.3])
def test_real_n(n: float) -> None:
    rows = np.random.default_rng(3).random((4000, 32))
    result = fit_frontier(table(rows)).share(BestOfN(n))
    assert result.gain[0] == pytest.approx(BestOfN(n).on(Uniform()).gain, rel=0.02)


def test_best_of_poisson() -> None:
    rows = np.random.default_rng(4).random((400, 32))
    result = fit_frontier(table(rows)).share(BestOfPoisson.along([0.0, 1e-4, 1.0, 2.0]))
    levels = FiniteLaw((np.arange(4000) + 0.5) / 4000)
    for k, mu in enumerate((0.0, 1e-4, 1.0, 2.0)):
        assert result.spent[k] == pytest.approx(BestOfPoisson(mu).spent_formula(), rel=1e-9, abs=1e-15)
        assert result.win_rate[k] == pytest.approx(BestOfPoisson(mu).on(levels).win_rate, abs=1e-6)
        assert result.gain[k] == pytest.approx(BestOfPoisson(mu).on(levels).gain, abs=4e-3)


def test_soft_best_of_n() -> None:
    rows = np.random.default_rng(5).choice(FAIR_LEVELS, size=(400, 32))
    result = fit_frontier(table(rows)).share([SoftBestOfN(4, 1.5), SoftBestOfN(8, 1.5)])
    for k, n in enumerate((4, 8)):
        assert result.spent[k] == pytest.approx(SoftBestOfN(n, 1.5).on(FiniteLaw(FAIR_LEVELS)).kl, rel=0.03)
        assert result.gain_low[k] < SoftBestOfN(n, 1.5).on(FiniteLaw(FAIR_LEVELS)).gain < result.gain_high[k]
    assert result.spent_formula is None


def test_without_a_limit_best_of_n_is_still_known() -> None:
    rows = np.random.default_rng(6).standard_normal((20, 64)) * np.r_[1.0, np.full(19, 0.01)][:, None]  # one tells all
    result = fit_frontier(table(rows)).share([BestOfN(2), BestOfN(4)])
    assert result.share is None
    assert result.limit_gain is None
    assert result.gain_low[0] < result.gain[0] < result.gain_high[0]


@pytest.mark.parametrize("seed", range(4))
def test_no_share_exceeds_one_and_the_limit_is_never_below_best_of_n(seed: int) -> None:
    """Grades from 1 to 5, ties everywhere: best-of-N has nearly all of the limit."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(5, size=(60, 16), p=[0.1, 0.2, 0.3, 0.25, 0.15]).astype(float)
    result = fit_frontier(table(rows), n_boot=200).share([BestOfN(2), BestOfN(4), BestOfN(8), BestOfN(16)])
    assert result.share is not None
    assert result.limit_gain is not None
    assert result.share_low is not None
    assert result.share_high is not None
    assert (result.limit_gain >= result.gain).all()
    assert ((result.share_low <= result.share) & (result.share <= result.share_high)).all()
    assert (result.share_high <= 1.0).all()
    assert (result.share_low < 1.0).all()


def test_one_prompt() -> None:
    rows = np.random.default_rng(7).standard_normal((1, 4000))
    result = fit_frontier(table(rows)).share([BestOfN(2), BestOfN(4)])
    assert result.share_low is not None
    assert result.share_high is not None
    for k, share in enumerate((0.9077, 0.9125)):
        assert result.share_low[k] < share < result.share_high[k]
        assert result.gain_low[k] < BestOfN(2.0 ** (k + 1)).on(Gaussian()).gain < result.gain_high[k]


def test_plug_in_frontier_makes_best_of_n_beat_the_limit() -> None:
    """The artefact: an unbiased method above a limit that is biased down; the corrected limit is above both."""
    rows = np.random.default_rng(8).random((2000, 16))
    result = fit_frontier(table(rows)).share(BestOfN(8))
    plain = fit_frontier(table(rows), bias_correction=False).at(result.spent)
    assert result.gain[0] > plain.gain[0]
    assert result.limit_gain is not None
    assert result.gain[0] < result.limit_gain[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: fit_frontier(t).share(BestOfN(9)), r"n must not exceed 8.*got 9"),
        (lambda t: fit_frontier(t, "score"), "score"),
        (lambda t: fit_frontier(t).share(picked_by="score"), "score"),
        (
            lambda t: fit_frontier(t).share(BestOfPoisson(8.0)),
            "takes 9 samples of every prompt or more; the fewest are 8",
        ),
        (lambda t: fit_frontier(t, level=1.5), "level must lie between"),
        (lambda t: fit_frontier(t, n_boot=5), r"n_boot must lie in \[100, ∞\); got 5"),
    ],
)
def test_bad_arguments(call: Callable[[RewardTable], object], message: str) -> None:
    rows = np.random.default_rng(0).standard_normal((20, 8))
    with pytest.raises(ValueError, match=message):
        call(table(rows))


def test_share_covers() -> None:
    """95 % intervals of the share on 120 tables: 0/1 rewards with p = 0.3, whose best-of-4 share is known."""
    law = Bernoulli(0.3)
    best = BestOfN(4).on(law)
    truth = best.gain / law.gain_at_kl(best.kl)
    held = 0
    for seed in range(120):
        rng = np.random.default_rng([9, seed])
        success = rng.uniform(0.3, 0.3, size=(60, 1))
        rows = (rng.random((60, 64)) < success).astype(float)
        result = fit_frontier(table(rows), n_boot=300, rng=rng).share(BestOfN(4))
        assert result.share_low is not None
        assert result.share_high is not None
        held += bool(result.share_low[0] <= truth + 1e-9 and truth - 1e-9 <= result.share_high[0])
    assert held >= 106  # 95 % of 120 is 114, less three standard errors
