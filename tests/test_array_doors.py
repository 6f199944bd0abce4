"""What a caller passes where an array belongs: read as it is, or refused in a sentence that names the argument."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from numpy.testing import assert_array_equal

import alignlib
from alignlib import InputError, KLSamples, RaterTable, RewardTable
from alignlib.estimation import fit_frontier
from alignlib.laws import Exponential, Laplace, Uniform
from alignlib.tables import AnswerTable

MASKED = np.ma.masked_greater(np.array([[0.0, 1.0, 9999.0], [3.0, 4.0, 9999.0]]), 100.0)
RAGGED = [[1, 2], [3]]


HOLDS_ITSELF: list[Any] = [1.0]
HOLDS_ITSELF += [HOLDS_ITSELF, HOLDS_ITSELF]


def nested(depth: int) -> list[Any]:
    return reduce(lambda inner, _: [inner], range(depth), [1.0])


class Stubborn:
    """An array whose own library makes no array of it, as a tensor on a device."""

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        raise RuntimeError("not on\nthis device")


def frame(prompt: object = ("a", "a", "b", "b"), reward: object = (0.0, 1.0, 2.0, 5.0)) -> RewardTable:
    data = {"prompt_id": prompt, "reward": reward}
    return RewardTable.from_frame(pd.DataFrame({k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}))


REFUSED: list[tuple[Callable[[], object], str]] = [
    # what a mask hides is no value
    (lambda: RewardTable.from_arrays(MASKED), "rewards is masked at position 2"),
    (lambda: RewardTable.from_arrays([MASKED[0], MASKED[1]]), "rewards[0] is masked at position 2"),
    (lambda: RewardTable.from_arrays([[1.0, np.ma.masked]]), "rewards[0] is masked at position 0"),
    (lambda: RewardTable.from_arrays([[1, 2], [3, 4]], prompts=np.ma.masked_equal([1, 2], 2)), "prompts is masked"),
    (lambda: RaterTable.from_arrays(np.ma.masked_equal([1, 2, 1], 2), [1, 2, 1]), "target is masked at position 1"),
    (lambda: alignlib.FiniteLaw(MASKED[0]), "reward is masked at position 2"),
    (lambda: alignlib.FiniteLaw([1.0, 2.0, 3.0], MASKED[0]), "prob is masked"),
    (lambda: alignlib.Gaussian().gain_at_kl(MASKED[0]), "kl is masked"),
    (lambda: KLSamples(MASKED[0]), "log_ratio is masked"),
    (lambda: KLSamples.from_sequences(-MASKED[0], [-1.0] * 3), "policy log-probabilities is masked"),
    (lambda: KLSamples.from_tokens([-MASKED[0]], [[-1.0] * 3]), "policy[0] is masked"),
    (lambda: alignlib.capacity(np.ma.masked_less(np.eye(2), 1.0)), "channel is masked"),
    # rows of different lengths, several where one belongs
    (lambda: alignlib.FiniteLaw([0.0, 1.0], RAGGED), "prob must hold numbers; got [[1, 2], [3]]"),
    (lambda: alignlib.ProxyPair([1, 2], [1, 2], RAGGED), "prob must hold numbers"),
    (lambda: alignlib.Gaussian(RAGGED), "mean must hold numbers"),  # type: ignore[arg-type]
    (lambda: alignlib.BestOfN(RAGGED), "its rows have different lengths"),  # type: ignore[arg-type]
    (lambda: alignlib.BestOfN(memoryview(b"ab")), "n must be one number"),  # type: ignore[arg-type]
    (lambda: alignlib.BestOfN(range(4)), "n must be one number"),  # type: ignore[arg-type]
    (lambda: alignlib.BestOfN(pd.Series([1, 2])), "n must be one number"),  # type: ignore[arg-type]
    (lambda: fit_frontier(np.arange(32.0).reshape(2, 16) ** 0.5).at(RAGGED), "kl must hold numbers"),
    (lambda: RaterTable.from_arrays(RAGGED, [1, 2]), "target must hold texts or numbers; got [1, 2] at position 0"),
    (lambda: KLSamples.from_sequences([-1.0], [-1.0], prompt=[[1, 2]]), "prompt must hold texts or numbers"),
    (lambda: KLSamples(np.eye(2)), "log_ratio must be a non-empty one-dimensional array"),
    # what is no array of numbers at all
    (lambda: RewardTable.from_arrays(Stubborn()), "which is no array (not on this device)"),  # type: ignore[arg-type]
    (lambda: RewardTable.from_arrays([Stubborn()]), "rewards[0] must hold numbers"),  # type: ignore[list-item]
    (lambda: RewardTable.from_arrays(scipy.sparse.csr_matrix(np.eye(2))), "rewards must hold"),
    (lambda: KLSamples(None), "log_ratio must hold numbers; got None"),  # type: ignore[arg-type]
    (lambda: KLSamples.from_tokens(None, None), "policy must hold an array"),  # type: ignore[arg-type]
    (lambda: KLSamples.from_tokens([["a"]], [[-1.0]]), "policy[0] must hold numbers"),
    (lambda: RewardTable(None, np.array([0, 1]), {"r": np.ones(1)}), "prompts must hold"),  # type: ignore[arg-type]
    (lambda: RewardTable(["a"], np.array([0, 1]), np.ones(1)), "columns a mapping"),  # type: ignore[arg-type]
    (lambda: RewardTable(["a"], RAGGED, {"r": np.ones(1)}), "offsets must hold"),  # type: ignore[arg-type]
    (lambda: RaterTable.from_arrays([10**30, 1, 1], [1, 2, 1]), "target holds values that make no column"),
    (lambda: alignlib.overlay([[1, 2]], 1), "log must be what read_training_log returns"),  # type: ignore[arg-type]
    (lambda: alignlib.estimate_capacity(np.eye(2)), "table must be a RaterTable"),  # type: ignore[arg-type]
    (lambda: alignlib.ask_capacity(np.eye(2)), "table must be a RaterTable"),  # type: ignore[arg-type]
    (lambda: alignlib.read_training_log(5), "path must be the path of a log; got 5"),  # type: ignore[arg-type]
    (lambda: alignlib.hacking_threshold([[0.0, 1.0]]), "pair must be a ProxyPair"),  # type: ignore[arg-type]
    # names
    (lambda: RewardTable.from_arrays([[1, 2], [3, 4]], prompts=[np.nan, 1]), "prompts is missing at position 0"),
    (lambda: RewardTable.from_arrays([[1, 2], [3, 4]], prompts=[{}, {}]), "got {} at position 0"),
    (lambda: RewardTable.from_arrays([[1, 2], [3, 4]], prompts={"a", "b"}), "prompts must list names in order"),
    (lambda: RewardTable.from_arrays([[1, 2], [3, 4]], prompts=["a", "a"]), "got 2, 1 different"),
    (lambda: RewardTable.from_arrays([[1, 2], [3, 4]], prompts=pa.array(["a", None])), "prompts is missing at pos"),
    (lambda: RewardTable.from_arrays([[1, 2], [3, 4]], prompts=pa.chunked_array([["a", None]])), "is missing at pos"),
    (lambda: RewardTable.from_arrays([[1, 2], [3, 4]], prompts=["a", pd.NA]), "prompts is missing at position 1"),
    (lambda: AnswerTable.from_arrays([[1, 0]], answer=5), "answer must hold a list of answers"),  # type: ignore[arg-type]
    (lambda: AnswerTable.from_arrays([[1, 0]], answer=np.array(1.0)), "answer must hold a list of answers"),
    (lambda: AnswerTable.from_arrays([[1, 0]], answer=pl.LazyFrame({"a": [1]})), "answer must hold"),  # type: ignore[arg-type]
    # lists without end, and how a sentence shows them
    (lambda: alignlib.FiniteLaw(nested(5000)), "reward nests more than 32 lists"),
    (lambda: alignlib.FiniteLaw(HOLDS_ITSELF), "reward holds a list that holds itself"),
    (lambda: fit_frontier(nested(5000), "reward"), "rewards[0] nests more"),  # type: ignore[arg-type]
    (lambda: alignlib.FiniteLaw(np.zeros((1,) * 41)), "it has 41 dimensions"),
    (lambda: alignlib.FiniteLaw(pa.array([[1.0], [2.0]])), "got <pyarrow.lib.ListArray> [ [ 1"),
    (lambda: alignlib.fano_floor(np.empty(0), 4), "capacity must hold at least one number"),
    # fields of samples
    (lambda: KLSamples([0.1, 0.2], prompt=["a"]), "prompt must have 2 entries"),  # type: ignore[arg-type]
    (lambda: KLSamples([0.1, 0.2], n_tokens=[0.5, 1]), "n_tokens must be at least 1"),  # type: ignore[arg-type]
    (lambda: KLSamples([0.1], token_log_ratio=[0.1]), "token_log_ratio needs offsets"),  # type: ignore[arg-type]
    (lambda: KLSamples([0.1], offsets=[0, 2], token_kl=[0.1]), "token_kl must hold a number for each of 2 tokens"),  # type: ignore[arg-type]
    (lambda: KLSamples([0.1], offsets=[0, 1], token_kl=[-1.0]), "which are not negative"),  # type: ignore[arg-type]
    (lambda: KLSamples([0.1], offsets=[1, 2]), "offsets must rise from 0"),  # type: ignore[arg-type]
    (lambda: KLSamples([0.1], notes="n"), "notes must be a tuple"),  # type: ignore[arg-type]
    (lambda: KLSamples([0.1, 1e155]), "log_ratio must not exceed 1e+30 nats in size; got 1e+155 at position 1"),
    # data frames
    (lambda: frame(prompt=(10**30, 10**30, 1, 1)), "column 'prompt_id' of the data frame cannot be read"),
    (lambda: frame(reward=(0, 1, 2, 10**40)), "column 'reward' of the data frame cannot be read"),
    (lambda: frame(prompt=pd.Series(["\ud800"] * 2 + ["b"] * 2, dtype=object)), "column 'prompt_id' of the data frame"),
    (lambda: frame(reward=pd.arrays.SparseArray([0.0, 1.0, 2.0, 5.0])), "column 'reward' of the data frame"),
    (lambda: frame(reward=pd.period_range("2020", periods=4, freq="D")), "column 'reward' of the data frame holds per"),
]


@pytest.mark.parametrize(("call", "expected"), REFUSED, ids=[said for _, said in REFUSED])
def test_refused_in_a_sentence_on_one_line(call: Callable[[], object], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)


def test_a_mask_that_hides_nothing_is_passed_over() -> None:
    whole = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], mask=np.zeros((2, 2), bool))
    assert_array_equal(RewardTable.from_arrays(whole).column("reward"), [1.0, 2.0, 3.0, 4.0])


def test_views_of_memory_are_arrays() -> None:
    assert_array_equal(RewardTable.from_arrays(memoryview(np.eye(2))).column("reward"), [1.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    "names", [[2**53 + 1, 0.5], [2**64 - 1, -1], ["a\0", "a"], [1, "1"], [2**53, 2**53 + 1], [("a", 1), ("a", 2)]]
)
def test_prompts_keep_their_names(names: list[object]) -> None:
    found = RewardTable.from_arrays([[1, 2], [3, 4]], prompts=names).prompts.tolist()  # type: ignore[arg-type]
    assert found == names
    assert [type(name) for name in found] == [type(name) for name in names]


@pytest.mark.parametrize(
    "row",
    [
        ["A", float("nan"), pd.NA, "B"],
        ["A", pd.NaT, np.float64("nan"), "B"],
        pd.Series(["A", None, None, "B"], dtype="string"),
        pd.Categorical(["A", None, None, "B"]),
        pd.Series([1, None, None, 2], dtype="Int64"),
        pd.Series(pd.to_datetime(["2020", None, None, "2021"])),
        pa.array(["A", None, None, "B"]).dictionary_encode(),
        pa.chunked_array([["A", None], [None, "B"]]),
        pl.Series(["A", None, None, "B"]),
    ],
    ids=lambda row: type(row).__name__,
)
def test_an_answer_that_is_missing_abstains(row: Any) -> None:
    (found,) = AnswerTable.from_arrays([[1, 0, 0, 0]], answer=[row]).answers()
    assert (found.counts.tolist(), found.right.tolist(), found.abstaining) == ([1, 1], [True, False], 2)


def test_rules_hold_plain_numbers() -> None:
    for given in (np.array(2.0), pa.scalar(2.0), np.int64(2)):
        assert type(alignlib.BestOfN(given).n) in (int, float)  # type: ignore[arg-type]
        assert type(alignlib.rules.SoftBestOfN(given, given).lam) in (int, float)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [5e-324, 1e-301, 1e306])
@pytest.mark.parametrize("law", [lambda x: alignlib.Gaussian(0.0, x), Laplace, Exponential, lambda x: Uniform(0.0, x)])
def test_a_unit_that_floats_do_not_hold_is_refused(law: Any, value: float) -> None:
    with pytest.raises(InputError, match="Choose another unit"):
        law(value)
