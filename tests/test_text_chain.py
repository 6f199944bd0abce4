"""Letter chains estimated from text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alignlib.sequences import MarkovModel
from alignlib.sequences.text_chain import (
    LETTERS,
    letter_chain,
    letter_states,
    python_reference_text,
    read_text,
    transition_reward,
)
from alignlib.sequences.transition_matrix import stationary


def test_python_carries_enough_english() -> None:
    states = letter_states(python_reference_text())
    assert states.size > 100_000
    transition, law, kept = letter_chain(states)
    assert transition.shape == (27, 27)
    assert LETTERS[kept[1:][np.argmax(law[1:])]] == "e"
    np.testing.assert_allclose(stationary(transition), law, rtol=1e-10)


def test_a_circle_of_text_is_irreducible_whatever_it_ends_with() -> None:
    transition, law, kept = letter_chain(letter_states("abz"))
    model = MarkovModel(transition, np.eye(3)[0], law, 5)
    assert len(model.classes) == 1
    assert model.period == 3
    assert kept.tolist() == [1, 2, 26]


def test_accents_case_and_punctuation() -> None:
    assert letter_states("Éa -- B!").tolist() == [5, 1, 0, 2, 0]
    assert letter_states("").size == 0


def test_rewards_on_transitions() -> None:
    kept = np.array([0, 1, 2])  # space, a, b
    assert transition_reward("alternation", kept).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert transition_reward("words", kept).tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert transition_reward("doubles", kept).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_bad_text_is_named(tmp_path: Path) -> None:
    for text, held in (("", "no letter"), ("...", "no letter"), ("aAa", "a"), ("文字", "no letter")):
        with pytest.raises(ValueError, match=f"text must hold two different letters of a to z.*it holds {held}\\."):
            letter_chain(letter_states(text))
    with pytest.raises(ValueError, match="reward must be one of alternation, words, doubles; got 'rhyme'"):
        transition_reward("rhyme", np.array([0, 1]))
    path = tmp_path / "latin1.txt"
    path.write_bytes("café".encode("latin-1"))
    with pytest.raises(ValueError, match=r"UTF-8; .*latin1.txt is not, at byte 3"):
        read_text(path)
    with pytest.raises(ValueError, match=r"text must be a file that can be read; .* cannot \(Is a directory\)"):
        read_text(tmp_path)
    good = tmp_path / "good.txt"
    good.write_text("café", encoding="utf-8")
    assert letter_states(read_text(good)).tolist() == [3, 1, 6, 5]
