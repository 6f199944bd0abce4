"""Tensors where names, labels and numbers belong: read as the lists they hold, or refused in a sentence."""

from __future__ import annotations

import pytest
import torch

from alignlib import InputError, RewardTable
from alignlib.rules import BestOfN

REWARDS = [[1, 2], [3, 4]]


def test_tensors_are_read_by_their_values() -> None:
    """A tensor of no dimension is equal to none but itself, so that names would all differ."""
    assert list(RewardTable.from_arrays(REWARDS, prompts=torch.tensor([7, 8])).prompts) == [7, 8]
    assert BestOfN(torch.tensor(2)).n == 2


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (torch.tensor([1, 1]), "got 2, 1 different"),
        ([torch.tensor(1)] * 2, "got 2, 1 different"),
        (torch.ones(2, device="meta"), "that is no list"),
    ],
)
def test_what_is_wrong_with_tensors_is_said(prompts: object, said: str) -> None:
    """Names given twice, and tensors without values."""
    with pytest.raises(InputError, match=said):
        RewardTable.from_arrays(REWARDS, prompts=prompts)
