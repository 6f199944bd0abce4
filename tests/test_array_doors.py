"""What a caller passes where an array belongs: read as it is, or refused in a sentence that names the argument."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from numpy.testing import assert_array_equal

import alignlib
from alignlib import InputError, KLSamples, RaterTable, RewardTable
from alignlib.estimation import fit_frontier

MASKED = np.ma.masked_greater(np.array([[0.0, 1.0, 9999.0], [3.0, 4.0, 9999.0]]), 100.0)
RAGGED = [[1, 2], [3]]


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
