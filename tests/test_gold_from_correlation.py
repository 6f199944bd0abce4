"""Gold known by its correlation only: a tight range, a promise that holds with gold hidden, sentences for bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy
from click.testing import CliRunner

from alignlib._core.errors import InputError
from alignlib.answers.gold_promise import promise_answer
from alignlib.answers.output.gold_promise import lines, record
from alignlib.cli.main import main
from alignlib.divergences import CHI_SQUARED
from alignlib.estimation import fit_frontier
from alignlib.hacking import check_correlation, gold_range, gold_range_at_kl, measure_gold, promise_gold
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable


def correlation(p: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - p @ a, b - p @ b
    return float(np.clip(p @ (a * b) / math.sqrt((p @ a**2) * (p @ b**2)), -1.0, 1.0))


def test_no_policy_leaves_the_range() -> None:
    rng = np.random.default_rng(0)
    for _ in range(400):
        k = int(rng.integers(2, 7))
        p, phi = rng.dirichlet(np.ones(k)), rng.dirichlet(np.full(k, 0.5))
        gold, proxy = rng.normal(size=(2, k))
        sd = [math.sqrt(p @ (one - p @ one) ** 2) for one in (gold, proxy)]
        spent = float(p @ (phi / p - 1.0) ** 2)
        low, high = gold_range(correlation(p, gold, proxy), (phi - p) @ proxy / sd[1], spent)
        gain = float((phi - p) @ gold / sd[0])
        assert low - 1e-9 * (1 + spent) <= gain <= high + 1e-9 * (1 + spent)


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.7, 1.0])
def test_both_ends_are_reached_by_some_gold(rho: float) -> None:
    """Gold of that correlation: ρ times the proxy and, for the rest, what the policy's ratio has beside the proxy."""
    law = FiniteLaw([0.0, 1.0, 3.0, 4.0], [0.4, 0.3, 0.2, 0.1])
    best = BestOfN(4).on(law)
    proxy = (law.reward - law.base_reward) / math.sqrt(law.variance(0.0))
    ratio = best.policy / law.prob - 1.0
    rest = ratio - (law.prob @ (ratio * proxy)) * proxy
    rest /= math.sqrt(law.prob @ rest**2)
    low, high = gold_range(rho, best.gain / math.sqrt(law.variance(0.0)), best.spent(CHI_SQUARED))
    for sign, end in ((-1.0, low), (1.0, high)):
        gold = rho * proxy + sign * math.sqrt(1.0 - rho**2) * rest
        assert correlation(law.prob, gold, proxy) == pytest.approx(rho, abs=1e-12)
        assert float((best.policy - law.prob) @ gold) == pytest.approx(end, abs=1e-12)


def test_nothing_is_left_open_under_the_optimum_in_chi_squared() -> None:
    law = FiniteLaw([0.0, 1.0, 3.0], [0.3, 0.5, 0.2])
    point = law.frontier([0.05], CHI_SQUARED)
    low, high = gold_range(0.6, point.gain / math.sqrt(law.variance(0.0)), 0.05)
    np.testing.assert_allclose([low, high], 0.6 * math.sqrt(0.05), atol=1e-7)


def test_jointly_normal_gold_reaches_the_ends_in_kl() -> None:
    """A tilt along a (proxy) and b (rest) of independent normals moves them by a and b and spends (a² + b²)/2."""
    for a, b in ((0.7, -1.1), (1.3, 0.4), (0.0, 2.0)):
        low, high = gold_range_at_kl(0.6, a, 0.5 * (a * a + b * b), proxy_tail=1.0)
        assert (low if b < 0.0 else high) == pytest.approx(0.6 * a + 0.8 * b, rel=1e-12)
    with pytest.raises(InputError, match=r"proxy_gain must not exceed proxy_tail·√\(2 kl\), 1; got 1.1"):
        gold_range_at_kl(0.5, 1.1, 0.5, proxy_tail=1.0)
    with pytest.raises(InputError, match="rest_tail must lie in"):
        gold_range_at_kl(0.5, 1.1, 0.5, rest_tail=0.5)


def test_a_range_of_correlations_is_searched_inside_too() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        ends = np.sort(rng.uniform(-1.0, 1.0, 2))
        gain, rest = rng.normal(), abs(rng.normal())
        rho = np.linspace(*ends, 4001)
        low, high = gold_range([float(ends.mean()), *ends.tolist()], gain, gain**2 + rest**2)
        assert low == pytest.approx((rho * gain - np.sqrt(1 - rho**2) * rest).min(), abs=1e-5)
        assert high == pytest.approx((rho * gain + np.sqrt(1 - rho**2) * rest).max(), abs=1e-5)


def test_zeros_and_ones_on_one_prompt_leave_only_the_sampling_error() -> None:
    """Every function of a 0/1 proxy is linear in it, so best-of-N's gold gain is known, but for the samples."""
    rows = (np.random.default_rng(0).random((1, 400)) < 0.4).astype(float)
    found = promise_gold(fit_frontier(rows), 0.5, rules=[BestOfN(2), BestOfN(8)])
    np.testing.assert_allclose(found.gold_low[:2], found.gold_high[:2], atol=0.02)
    assert (found.promised < found.gold_low).all()


def hidden(kind: str, rng: np.random.Generator, prompts: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Proxy and gold of laws that the intervals were not made with."""
    if kind == "turning":
        proxy = rng.standard_normal((prompts, n))
        return proxy, proxy - 0.35 * proxy**2 + 0.5 * rng.standard_normal((prompts, n))
    if kind == "zeros and ones":
        proxy = rng.standard_normal((prompts, n))
        shift = rng.normal(0.0, 1.5, (prompts, 1))
        return proxy, (rng.random((prompts, n)) < 1.0 / (1.0 + np.exp(-1.2 * proxy - shift))).astype(float)
    proxy = rng.exponential(size=(prompts, n)) * rng.uniform(0.5, 2.0, (prompts, 1))
    return proxy, np.minimum(proxy, 1.2) + 0.3 * rng.standard_normal((prompts, n))


@pytest.mark.parametrize("kind", ["turning", "zeros and ones", "skewed"])
def test_the_promise_holds_with_gold_hidden(kind: str) -> None:
    rng = np.random.default_rng(3)
    proxy, gold = hidden(kind, rng, 40_000, 12)
    centred = [one - one.mean(axis=1, keepdims=True) for one in (proxy, gold)]
    cov, sd = (
        (centred[0] * centred[1]).sum(axis=1).mean() / 11.0,
        [math.sqrt((c**2).sum(axis=1).mean() / 11.0) for c in centred],
    )
    picked = np.take_along_axis(gold, proxy[:, :4].argmax(axis=1)[:, None], axis=1)[:, 0]
    truth = float((picked - gold.mean(axis=1)).mean()) / sd[1]
    rho, held, known = cov / (sd[0] * sd[1]), 0, 0
    for _ in range(25):
        fit = fit_frontier(hidden(kind, rng, 60, 12)[0], n_boot=100)
        few = RewardTable.from_arrays(dict(zip(("reward", "gold"), hidden(kind, rng, 60, 4), strict=True)))
        subset = measure_gold(few, "reward", "gold", level=0.975)
        found = promise_gold(fit, subset.range, rules=[BestOfN(4)], kl=[1e-9], level=0.975)
        held += found.promised[0] <= truth <= found.most[0]
        known += subset.low <= rho <= subset.high
    assert held == 25
    assert known >= 22


@pytest.mark.parametrize(("kind", "shape", "least"), [("exponential", (6, 16), 36), ("lognormal", (40, 12), 33)])
def test_the_promise_of_a_skewed_proxy(kind: str, shape: tuple[int, int], least: int) -> None:
    """With the correlation known: Student's interval held in 33 and 28 of 40 such tables."""
    u = (np.arange(200_000) + 0.5) / 200_000
    quantile = -np.log1p(-u) if kind == "exponential" else np.exp(scipy.special.ndtri(u))
    sd = 1.0 if kind == "exponential" else math.sqrt(math.e * (math.e - 1.0))
    gain = float((4.0 * u**3 - 1.0) @ quantile) / u.size / sd
    low, high = gold_range(0.7, gain, BestOfN(4).spent_formula(CHI_SQUARED))
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(40):
        rows = rng.exponential(size=shape) if kind == "exponential" else rng.lognormal(size=shape)
        found = promise_gold(fit_frontier(rows, n_boot=200), 0.7, rules=[BestOfN(4)], kl=[1e-9])
        held += found.promised[0] <= low and high <= found.most[0]
    assert held >= least


def test_numbers_in_are_floats_out() -> None:
    for one in (*gold_range(0.8, 1.0, 1.5625), *gold_range_at_kl(0.8, 1.0, 0.5)):
        assert type(one) is float
    assert np.shape(gold_range(0.8, [1.0], 1.5625)) == np.shape(gold_range_at_kl(0.8, 1.0, [0.5])) == (2, 1)


def test_a_heavy_tail_is_said() -> None:
    rows = np.random.default_rng(0).lognormal(size=(40, 12))
    assert "heavy tail" in promise_gold(fit_frontier(rows, n_boot=100), 0.7).notes[0]
    judged = RewardTable.from_arrays(reward=rows, gold=np.minimum(rows, 4.0 - rows))
    assert "the interval of the correlation may hold" in measure_gold(judged, "reward", "gold").notes[0]
    assert promise_gold(fit_frontier(np.log(rows), n_boot=100), 0.7).notes == ()


def test_prompts_whose_judged_rows_are_alike_are_said() -> None:
    """Rare successes: what gold does with them on most prompts no row shows."""
    rng = np.random.default_rng(4)
    proxy = (rng.random((24, 5)) < np.repeat([0.5, 0.0], 12)[:, None]).astype(float) + 0.1
    judged = RewardTable.from_arrays(reward=proxy, gold=proxy + rng.standard_normal(proxy.shape))
    (note,) = measure_gold(judged, "reward", "gold").notes
    still = int((np.ptp(proxy, axis=1) == 0.0).sum())
    assert note.startswith(f"On {still} of 24 prompts the rows with gold have one value of 'reward' each")
    shown = RewardTable.from_arrays(reward=rng.random((24, 5)), gold=rng.random((24, 5)))
    assert measure_gold(shown, "reward", "gold").notes == ()


def test_perfect_agreement_on_few_rows_is_not_certain() -> None:
    proxy = np.random.default_rng(0).standard_normal((10, 3))
    found = measure_gold(RewardTable.from_arrays(reward=proxy, gold=2.0 * proxy + 1.0), "reward", "gold")
    assert found.correlation == pytest.approx(1.0)
    assert found.low < 0.7
    assert found.slope == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (1.2, r"gold_correlation must lie in \[-1, 1\]; got 1.2"),
        ([0.5, 0.4], "one number, or three"),
        ([0.5, 0.6, 0.7], "between its least and largest value"),
        (math.nan, "must be finite"),
    ],
)
def test_correlations_that_are_none(given: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_correlation(given)


def test_a_gain_beyond_its_chi_squared_is_refused() -> None:
    with pytest.raises(InputError, match=r"proxy_gain must not exceed √chi_squared, 0\.5"):
        gold_range(0.5, 1.0, 0.25)


# ------------------------------------------------------------------ the command
@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("gold")
    text = CliRunner().invoke(main, ["example", "--prompts", "40", "--samples", "12"]).stdout
    head, *rows = [line.split(",") for line in text.splitlines()]
    keep = [head.index(name) for name in ("prompt_id", "sample_id", "score_a")]
    gold = head.index("gold")
    (place / "all.csv").write_text("".join(",".join(row[i] for i in keep) + "\n" for row in [head, *rows]))
    some = [row for i, row in enumerate(rows) if i % 12 < 5][::-1]
    (place / "few.csv").write_text("".join(f"{r[0]},{r[1]},{r[gold]}\n" for r in [head, *some]))
    (place / "own.csv").write_text("".join(f"{r[0]},{r[gold]},{r[keep[2]]}\n" for r in [head, *some]))
    (place / "one.csv").write_text("".join(f"{r[0]},{r[1]},{r[gold]}\n" for r in [head, *rows[::12]]))
    (place / "other.csv").write_text("prompt_id,sample_id,gold\nq1,0,1\nq1,1,2\n")
    (place / "flat.csv").write_text("".join(f"{r[0]},{r[1]},{'gold' if r is head else 1}\n" for r in [head, *some]))
    (place / "more.csv").write_text((place / "few.csv").read_text() + "q9,0,1\nq9,1,0.5\n")
    return place


def frontier(folder: Path, *options: str) -> tuple[int, str]:
    typed = [str(folder / word) if word.endswith(".csv") else word for word in options]
    done = CliRunner().invoke(main, ["frontier", str(folder / "all.csv"), "--reward", "score_a", *typed])
    return done.exit_code, done.output


def test_gold_on_few_rows_matched_or_with_the_reward_itself_is_the_same(folder: Path) -> None:
    matched = json.loads(frontier(folder, "--gold-table", "few.csv", "--json")[1])["gold_from_correlation"]
    own = json.loads(frontier(folder, "--gold-table", "own.csv", "--json")[1])["gold_from_correlation"]
    assert matched["correlation"] == pytest.approx(own["correlation"], rel=1e-9)
    assert matched["gold_table"]["rows"] == own["gold_table"]["rows"] == 200
    assert "are matched to those of" in matched["gold_table"]["notes"][0]
    assert "has 'score_a' itself" in own["gold_table"]["notes"][0]
    more = json.loads(frontier(folder, "--gold-table", "more.csv", "--json")[1])["gold_from_correlation"]
    assert more["policies"] == matched["policies"]
    assert any("2 rows of" in note and "left out" in note for note in more["gold_table"]["notes"])


def test_a_given_correlation_in_all_forms(folder: Path) -> None:
    code, text = frontier(folder, "--gold-correlation", "0.9,0.85,0.95", "--n", "2,4", "--kl", "0.1")
    assert code == 0
    assert "Gold of which a correlation of 0.9 (0.85 to 0.95) with 'score_a' within prompts is known" in text
    assert "promises the most: at least" in text
    assert "with 95 % confidence, unless the proxy's tail is heavier than exponential" in text
    found = json.loads(
        frontier(folder, "--gold-correlation", "0.9,0.85,0.95", "--n", "2,4", "--kl", "0.1", "--json")[1]
    )
    policies = found["gold_from_correlation"]["policies"]
    assert [one["policy"] for one in policies] == ["best-of-2", "best-of-4", "tilt at 0.1 nats"]
    assert all(one["promised"] <= one["gold_low"] <= one["gold_high"] <= one["most"] for one in policies)
    rows = frontier(folder, "--gold-correlation", "0.7", "--csv")[1].splitlines()
    assert any(row.startswith("promise,score_a,") for row in rows)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gold-correlation", "1.2"], "--gold-correlation must lie in [-1, 1]; got 1.2."),
        (["--gold-correlation", "0.5,0.6"], "--gold-correlation must be one number, or three"),
        (["--gold-correlation", "0.5,0.6,0.7"], "must lie between its least and largest value"),
        (["--gold-correlation", "0.5", "--gold", "score_a"], "are both 'score_a'"),
        (["--gold-correlation", "0.5", "--gold", "gold"], "--gold names one; leave out one of the two."),
        (["--gold-correlation", "0.5", "--gold-table", "few.csv"], "--gold-table names one"),
        (["--gold-table", "few.csv", "--gold", "quality"], "no column 'quality' (--gold)"),
        (["--gold-table", "few.csv", "--wide"], "--gold-table needs a table without --wide"),
        (["--gold-table", "few.csv", "--pool"], "with --pool rows cannot be matched"),
        (["--gold-table", "few.csv", "--sample", "score_a"], "two different columns"),
        (["--gold-table", "other.csv"], "is in"),
        (["--gold-table", "one.csv"], "gold is known on one row of each prompt only"),
        (["--gold-table", "flat.csv"], "nothing can be gained or lost"),
        (["--gold-table", "nowhere.csv"], "There is no file"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(folder: Path, options: list[str], said: str) -> None:
    code, output = frontier(folder, *options)
    assert (code, output.count("\n")) == (2, 1)
    assert said in output


@pytest.mark.filterwarnings("error")
def test_of_one_prompt_of_two_samples_nothing_is_promised() -> None:
    """Its error is told from what one sample less would show, and one alone has no variance."""
    found = promise_answer(fit_frontier(np.array([[0.5, -0.25]]), n_boot=100), (0.7, 0.6, 0.8))
    assert found.promise.policy == ()
    assert found.promise.spent.size == 0
    assert lines(found)[-1].endswith("so nothing is promised of gold.")
    assert record(found)["best"] is None
    assert promise_answer(fit_frontier(np.array([[0.5, -0.25, 1.0]]), n_boot=100), 0.7).promise.policy
