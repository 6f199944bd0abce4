"""The extra's own pins: exact, beside the lock, complete, and never in it."""

from __future__ import annotations

import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_environment import LOCK, PYPROJECT, ROOT

LINES = (ROOT / "requirements-lm.txt").read_text(encoding="utf-8").splitlines()
PINS = [Requirement(line) for line in LINES if line and not line.startswith("#")]
VERSIONS = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in PINS}
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
EXTRA = [Requirement(text) for text in [*EXTRAS["lm"], *EXTRAS["tensorboard"]]]


def test_every_line_is_an_exact_pin_and_says_nothing_of_where_from() -> None:
    assert [str(pin) for pin in PINS if not re.fullmatch(r"==[0-9][^,*+]*", str(pin.specifier))] == []
    assert [pin.name for pin in PINS if pin.url or pin.extras] == []
    assert [line for line in LINES if re.search(r"https?:|^-|@|--hash", line)] == []
    assert len(VERSIONS) == len(PINS)


def test_nothing_is_pinned_in_both_and_torch_not_in_the_lock() -> None:
    locked = {pin.name for pin in LOCK}
    assert {"torch", "transformers", "trl", "torchrl"} <= set(VERSIONS)
    assert sorted(locked & set(VERSIONS)) == []


def test_the_extra_admits_the_pins() -> None:
    locked = {canonicalize_name(pin.name): pin.version for pin in LOCK}
    for requirement in EXTRA:
        assert requirement.specifier.contains((locked | VERSIONS)[canonicalize_name(requirement.name)]), requirement


@pytest.mark.lm
def test_nothing_that_is_needed_is_left_to_chance() -> None:
    pinned = {pin.name for pin in LOCK} | set(VERSIONS)
    waiting, seen = [requirement.name for requirement in EXTRA], set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        if name in VERSIONS:
            assert metadata.version(name).partition("+")[0] == VERSIONS[name], name
        for text in metadata.requires(name) or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                waiting.append(needed.name)
    # A build of torch may bring its accelerator's libraries; what a processor needs is pinned.
    assert sorted(name for name in seen - pinned if not name.startswith(("nvidia-", "triton", "cuda-"))) == []
