"""Arguments of the wrong kind are refused in one sentence that names the argument and what was given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from alignlib import InputError
from alignlib._core.checks import as_float_array, as_number, as_rng, as_whole
from alignlib.answers.findings import ask
from alignlib.bottleneck.fano import fano_floor
from alignlib.estimation import Fit, fit_frontier
from alignlib.laws import Gaussian
from alignlib.rules import BestOfN, BestOfPoisson, SoftBestOfN, best_of_n_mean
from alignlib.tables import RewardTable, example_table

ROWS = np.random.default_rng(3).standard_normal((40, 16))
TABLE = RewardTable.from_arrays(proxy=ROWS, gold=ROWS**3)


@pytest.fixture(scope="module")
def fit() -> Fit:
    return fit_frontier(TABLE, "proxy", n_boot=100)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: BestOfN("4"), "n"),
        (lambda: BestOfN([2, 3]), "n"),
        (lambda: BestOfN(10**400), "n"),
        (lambda: BestOfN(None), "n"),
        (lambda: BestOfPoisson(np.array([1.0, 2.0])), "mu"),
        (lambda: SoftBestOfN(4, [1, 2]), "lam"),
        (lambda: SoftBestOfN.along([1, 2]), "n"),
        (lambda: BestOfN.along(["2", "4"]), "n"),
        (lambda: fano_floor(0.5, 2.5), "n_values"),
        (lambda: fano_floor(0.5, 4, "1"), "separation"),
        (lambda: best_of_n_mean([1, 2], []), "n"),
        (lambda: BestOfN(2).choose(np.array([np.nan, 1.0]), np.random.default_rng(0)), "rewards"),
        (lambda: SoftBestOfN(2, 1.0).choose(np.array([1.0, np.nan]), np.random.default_rng(0)), "rewards"),
        (lambda: RewardTable.read(5), "path"),
        (lambda: fit_frontier(ROWS, level="a"), "level"),
        (lambda: fit_frontier(ROWS, level=1.0), "level"),
        (lambda: fit_frontier(ROWS, n_boot="many"), "n_boot"),
        (lambda: fit_frontier(ROWS, n_boot=100.5), "n_boot"),
        (lambda: fit_frontier(ROWS, n_boot=99), "n_boot"),
        (lambda: fit_frontier(ROWS, bias_correction="no"), "bias_correction"),
        (lambda: fit_frontier(ROWS, bounded=1), "bounded"),
        (lambda: fit_frontier(ROWS, bounded="0,1"), "bounded"),
        (lambda: fit_frontier(TABLE, ["proxy"]), "reward"),
        (lambda: ask(TABLE, "proxy", rules=4), "rules"),
        (lambda: ask(TABLE, "proxy", n_boot="a"), "n_boot"),
    ],
)
def test_what_is_given_is_named(call: Callable[[], Any], argument: str) -> None:
    with pytest.raises(InputError, match=rf"\b{argument} must") as caught:
        call()
    assert caught.value.argument == argument
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda fit: fit.share([4]), r"rules must be rules, such as BestOfN\(4\).*got \[4\]"),
        (lambda fit: fit.share("BestOfN"), "got 'BestOfN'"),
        (lambda fit: fit.share(BestOfN), "rules must be rules"),
        (lambda fit: fit.share(picked_by=["gold"]), "must be the name of one column"),
        (lambda fit: fit.gold("gold", 5), "got 5"),
        (lambda fit: fit.gold(["gold"]), "no reward"),
        (lambda fit: fit.tilted_gold("gold", ["a"]), "lam must hold numbers"),
        (lambda fit: fit.at("0.5"), "kl must hold numbers"),
    ],
)
def test_what_a_fit_is_asked(call: Callable[[Fit], Any], said: str, fit: Fit) -> None:
    with pytest.raises(InputError, match=said):
        call(fit)


@pytest.mark.parametrize("rng", ["a", -1, 1.5, None, True, [1, 2]])
def test_no_source_of_randomness(rng: Any) -> None:
    said = "rng must be a numpy Generator or its seed"
    for draw in (
        lambda: as_rng(rng),
        lambda: fit_frontier(ROWS, rng=rng),
        lambda: Gaussian().sample(rng, 3),
        lambda: example_table(5, 4, 0.5, rng),
    ):
        with pytest.raises(InputError, match=said):
            draw()


def test_whole_floats_and_numpy_numbers_are_numbers() -> None:
    whole, floating = (fit_frontier(ROWS, n_boot=n, rng=np.int64(4)).at(0.05).gain_low for n in (200, 2e2))
    assert whole.tolist() == floating.tolist()
    assert as_whole("n", np.float64(3), 1) == 3
    assert as_number("n", np.array(2.5)) == 2.5
    assert BestOfN(np.int64(4)).on(Gaussian()).gain == BestOfN(4).on(Gaussian()).gain


@pytest.mark.parametrize("value", ["1", ["1", "2"], np.array(["1"]), np.array(["1", 2.0], dtype=object), [10**400], 1j])
def test_text_and_what_no_float_holds_are_no_numbers(value: Any) -> None:
    with pytest.raises(InputError, match="x must hold numbers"):
        as_float_array("x", value)
