"""The smallest and the largest values that an option takes, and addresses and names that can be typed: one sentence,
before the work where no table is needed, or an answer."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from alignlib.cli.main import main
from alignlib.divergences import CHI_SQUARED, HELLINGER, JENSEN_SHANNON, KL, REVERSE_KL, Divergence, Renyi
from alignlib.estimation import fit_frontier
from alignlib.hacking.gold_subset import skew_stretch
from alignlib.laws.optima import optima
from alignlib.training import choose_beta

_PICK = "pick log.csv --kl-unit sequence --table t.csv --reward r"
_LARGE = "is not in the range 2<=x<=65536"
VALUES = [
    ("frontier t.csv --reward r --exact-up-to 0 --bin-width 5e-324", "5e-324 is too small for 4"),
    ("frontier t.csv --reward r --exact-up-to 0 --bin-width 1.1125369292536007e-308", "is too small for 4"),
    ("frontier t.csv --reward r --exact-up-to 0 --bin-width 8.98846567431158e+307", None),
    *((f"{_PICK} --kl {kl}", "--kl must lie in [1e-12, ∞)") for kl in ("1e-320", "1e-100", "0", "-1")),
    *((f"{_PICK} --kl {kl}", "--kl must be finite") for kl in ("nan", "inf")),
    (f"{_PICK} --kl 1e308", "--kl must not exceed"),
    (f"{_PICK} --kl 1e-12", None),
    *((f"{_PICK} --kl 0.01 --group {group}", _LARGE) for group in (2**62, 10**20, 65537)),
    (f"{_PICK} --kl 0.01 --group 65536", None),
    *(
        (f"frontier t.csv --reward r --win-rate --divergence {one} --at 1e-320", None)
        for one in ("js", "hellinger", "chi2", "reverse-kl", "renyi:0.01")
    ),
]
ADDRESSES = ("tls://127.0.0.1:1", "ucx://127.0.0.1:1", "http://127.0.0.1:1", "x:y:z", "", "inproc://1/2/3")


def held(folder: Path, words: str, said: str | None) -> None:
    """Run a command beside a table and a log; it answers, or says that in one sentence."""
    with contextlib.chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("error")
        cells = "".join(f"p{k % 4},{4.0 * np.sin(k + 1.0):.4f}\n" for k in range(32))
        Path("t.csv").write_text("prompt_id,r\n" + cells)
        Path("log.csv").write_text("step,kl,reward\n0,0,0\n1,0.1,0.5\n2,0.2,0.6\n")
        done = CliRunner().invoke(main, words.split())
    if said is None:
        assert (done.exit_code, "nan" in done.stdout) == (0, False), done.stderr
    else:
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.exception
        assert said in done.stderr.replace("4.94066e-324", "5e-324")


def refuses(folder: Path, address: str) -> None:
    """Give an address that no scheduler has, of every protocol."""
    (folder / "t.csv").write_text("prompt_id,r\n0,1\n0,2\n")
    words = ["frontier", str(folder / "t.csv"), "--reward", "r", "--scheduler", address]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.exception
    assert "--scheduler must be the address of a scheduler that runs" in done.stderr


def keeps_under(folder: Path, name: bytes) -> None:
    """Keep finished parts in a folder whose name is no UTF-8."""
    (folder / "parts").mkdir()
    for k in range(2):
        (folder / "parts" / f"{k}.csv").write_text("prompt_id,r\n" + f"{k},1\n{k},2\n{k},4\n" * 2)
    with contextlib.chdir(folder):
        words = ["frontier", "parts", "--reward", "r", "--checkpoint", os.fsdecode(name)]
        done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize(("words", "said"), VALUES)
def test_the_ends_of_what_an_option_takes(tmp_path: Path, words: str, said: str | None) -> None:
    held(tmp_path, words, said)


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_of_any_protocol_is_one_sentence(tmp_path: Path, address: str) -> None:
    pytest.importorskip("distributed")
    refuses(tmp_path, address)


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-8 there")
def test_a_folder_whose_name_is_no_utf_8_keeps_parts(tmp_path: Path) -> None:
    keeps_under(tmp_path, b"\x80")


@pytest.mark.parametrize("divergence", [KL, REVERSE_KL, CHI_SQUARED, HELLINGER, JENSEN_SHANNON, Renyi(0.01)])
def test_tiny_budgets_buy_the_root_of_them(divergence: Divergence) -> None:
    """Derived in the limit, where each divergence is ``f''(1)/2`` times the variance of the ratio."""
    reward, prob = np.array([0.0, 0.3, 1.0]), np.array([0.5, 0.3, 0.2])
    deviation = np.sqrt(prob @ (reward - prob @ reward) ** 2)
    curvature = {CHI_SQUARED: 2.0, HELLINGER: 0.25, JENSEN_SHANNON: 0.25, Renyi(0.01): 0.01}.get(divergence, 1.0)
    budgets = np.array([1e-14, 1e-17, 1e-24, 1e-100, 1e-310, 1e-320])
    gain, lam = optima(reward, prob, budgets, divergence)
    assert gain == pytest.approx(deviation * np.sqrt(2.0 * budgets / curvature), rel=1e-5)
    assert lam * gain == pytest.approx(2.0 * budgets, rel=1e-4)  # the slope of the gain is 1/λ


def test_a_group_without_end_is_what_large_groups_tend_to() -> None:
    fit = fit_frontier(np.random.default_rng(1).standard_normal((6, 16)), n_boot=100)
    one, many = (choose_beta(fit, 0.1, group=group).group_scaled for group in (1024, 4096))
    assert one == pytest.approx(many, rel=3e-3)  # the rest is of the order 1/group


def test_gold_from_a_correlation_does_not_depend_on_the_unit() -> None:
    values = np.random.default_rng(3).lognormal(size=30)
    assert skew_stretch(1e200 * values) == pytest.approx(skew_stretch(values), rel=1e-12)
