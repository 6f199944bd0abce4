"""Claims: the verdict follows from the numbers, and survives the way to the scorecard."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignbook import claims
from alignbook.claim import Claim, from_json, to_html
from alignbook.scorecard import read_claims, to_lines, to_markdown
from alignlib import InputError

numbers = st.floats(allow_nan=True, allow_infinity=True)
arrays = st.lists(numbers, min_size=1, max_size=8)


def verdict(kind: str, value: Any, other: Any, tolerance: float = 0.0) -> bool:
    if kind == "equal":
        return claims.equal("k", "s", "p", value, other, atol=tolerance).holds
    maker = claims.at_most if kind == "at most" else claims.at_least
    return maker("k", "s", "p", value, other, atol=tolerance).holds


@given(arrays, st.data())
def test_equal_holds_exactly_where_every_point_is_close(values: list[float], data: st.DataObject) -> None:
    others = data.draw(st.lists(numbers, min_size=len(values), max_size=len(values)))
    tolerance = data.draw(st.floats(1e-300, 1e300))
    close = [a == b or abs(a - b) <= tolerance for a, b in zip(values, others, strict=True)]
    assert verdict("equal", values, others, tolerance) == all(close)


@given(arrays, st.data())
def test_bounds_hold_exactly_where_every_point_respects_them(values: list[float], data: st.DataObject) -> None:
    others = data.draw(st.lists(numbers, min_size=len(values), max_size=len(values)))
    assert verdict("at most", values, others) == all(a <= b for a, b in zip(values, others, strict=True))
    assert verdict("at least", values, others) == all(a >= b for a, b in zip(values, others, strict=True))


def test_the_worst_point_is_shown() -> None:
    claim = claims.equal("k", "s", "p", [1.0, 2.1, 3.01], [1.0, 2.0, 3.0], atol=0.05)
    assert (claim.value, claim.expected, claim.points, claim.holds) == (2.1, 2.0, 3, False)
    claim = claims.at_most("k", "s", "p", [5.0, 1.0], [9.0, 2.0])
    assert (claim.value, claim.expected) == (1.0, 2.0)
    claim = claims.at_least("k", "s", "p", [5.0, 1.0], 0.5)
    assert (claim.value, claim.expected) == (1.0, 0.5)


def test_relative_tolerance_is_relative_to_what_was_expected() -> None:
    assert claims.equal("k", "s", "p", 1e300 * (1 + 1e-13), 1e300, rtol=1e-12).holds
    assert not claims.equal("k", "s", "p", 1e-300, 0.0, rtol=1e-12).holds
    assert claims.equal("k", "s", "p", 1e-300, 0.0, rtol=1e-12, atol=1e-15).holds


def test_nan_never_holds() -> None:
    for claim in (
        claims.equal("k", "s", "p", [1.0, math.nan], [1.0, math.nan], atol=1),
        claims.at_most("k", "s", "p", [0.0, math.nan], 1.0),
        claims.at_least("k", "s", "p", [2.0, math.nan], 1.0),
    ):
        assert not claim.holds
        assert math.isnan(claim.value)


def test_true_counts_points() -> None:
    claim = claims.true("k", "s", "p", np.array([True, False, True]))
    assert (claim.value, claim.expected, claim.holds) == (2.0, 3.0, False)
    assert claims.true("k", "s", "p", 1 < 2).holds


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: claims.equal("k", "s", "p", 1, 1), "needs a positive rtol or atol"),
        (lambda: claims.equal("k", "s", "p", 1, 1, rtol=-1, atol=2), "needs a positive rtol or atol"),
        (lambda: claims.equal("k", "s", "p", [], [], atol=1), "compares nothing"),
        (lambda: claims.equal("k", "s", "p", [1, 2], [1, 2, 3], atol=1), "shapes that do not match"),
        (lambda: claims.equal("k", "s", "p", "one", 1, atol=1), "or no numbers"),
        (lambda: claims.at_most("k", "s", "p", 1, 1, atol=-1), "must be >= 0"),
        (lambda: claims.at_most("A Key", "s", "p", 1, 1), "the key of a claim"),
        (lambda: claims.at_most("k", " ", "p", 1, 1), "needs a statement"),
        (lambda: claims.at_most("k", "s", "", 1, 1), "needs a source"),
        (lambda: claims.true("k", "s", "p", 1.0), "a computed truth value"),
        (lambda: claims.true("k", "s", "p", np.array([], dtype=bool)), "a computed truth value"),
        (lambda: claims.record(), "at least one claim"),
        (lambda: claims.record(*[claims.true("k", "s", "p", True)] * 2), "must be unique"),
        (lambda: claims.at_most("k", "s", "p", [1, 2], 3, interval=([0], [1])), "an interval for each of its 2 values"),
        (lambda: claims.at_least("k", "s", "p", 1, 3, interval=(1, 0)), "lower end is above the upper"),
        (lambda: claims.glue(curve=np.arange(3)), "curve is a ndarray"),
    ],
)
def test_bad_claims_are_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


@given(numbers, numbers, st.floats(0, allow_nan=False), st.sampled_from(["equal", "at most", "at least", "true"]))
def test_claims_survive_json(value: float, expected: float, tolerance: float, kind: str) -> None:
    claim = Claim("k", "s", "p", kind, value, expected, tolerance)
    text = json.dumps(claim.to_json(), allow_nan=False)
    again = from_json(json.loads(text))
    assert repr(again) == repr(claim)
    assert again.holds == claim.holds == json.loads(text)["holds"]


def test_both_ends_of_the_worst_points_interval_are_shown_and_survive_json() -> None:
    claim = claims.at_most("k", "s", "p", [0.4, 0.9, 0.6], 0.5, interval=([0.1, 0.25, 0.3], [0.4, 0.9, 0.6]))
    assert claim.comparison == "upper end of the 95 % interval [0.25, 0.9] (worst of 3) ≤ 0.5"
    low = claims.at_least("k", "s", "p", 0.123456, 0.5, interval=(0.123456, 0.4))
    assert low.comparison == "lower end of the 95 % interval [0.123456, 0.4] ≥ 0.5"
    within = claims.at_least("k", "s", "p", 0.3, 0.5, interval=(0.2, 0.4))
    assert within.comparison == "0.3 (95 % interval [0.2, 0.4]) ≥ 0.5"
    assert from_json(json.loads(json.dumps(claim.to_json()))) == claim
    endless = claims.at_least("k", "s", "p", 2, 3, interval=(-np.inf, 4))
    assert from_json(json.loads(json.dumps(endless.to_json(), allow_nan=False))) == endless
    assert claims.at_most("k", "s", "p", 1, 2).to_json()["interval"] is None


def test_a_typed_verdict_counts_for_nothing() -> None:
    data = claims.at_most("k", "s", "p", 2, 1).to_json() | {"holds": True}
    assert not from_json(data).holds


def test_the_table_escapes_and_marks_mathematics() -> None:
    table = to_html((claims.at_most("k", "a < $x<1$ & <b>", "P26", 1, 2),))
    assert r'a &lt; <span class="math notranslate nohighlight">\(x&lt;1\)</span> &amp; &lt;b&gt;' in table
    assert "<caption>Claims verified here: 1 of 1 hold.</caption>" in table
    assert table.count('scope="col"') == 5
    assert table.count('scope="row"') == 1


def test_the_scorecard_counts_and_escapes() -> None:
    good = claims.at_most("good", "$P(a|b)$ is at most one", "we derive", 0.5, 1)
    bad = claims.at_least("bad", "it exceeds two", "M24", 1, 2, must_hold=False)
    book = {"01_a": ("Title A", [good]), "02_b": ("Title B", [bad])}
    page = to_markdown(book)
    assert "2 claims, recorded by 2 notebooks, counted apart:" in page
    assert "| Statements derived or asked here, and checks of our computation | 1 | 1 |" in page
    assert r"$P(a\|b)$" in page
    assert "{doc}`notebooks/02_b`" in page
    assert "**does not hold**" in page
    assert "| M24 |" in page
    assert "| {cite:t}`M24` |" in to_markdown(book, papers={"M24", "derive2"})
    theirs = claims.at_most("theirs", "it is small", "P26 (read literally)", 2, 1, must_hold=False)
    apart = to_markdown(
        {"01_a": ("Title A", [good]), "02_b": ("Title B", [bad, theirs])}, {"M24", "P26"}, {"01_a:good": "sentence 3"}
    )
    for kind in ("Statements of the three papers | 0 | 1", "Limits of the three papers' sentences, shown here | 1 | 0"):
        assert f"| {kind} |" in apart
    assert "| Statements of other works | 0 | 1 |" in apart
    assert "| holds; a limit of sentence 3 |" in apart
    lines = list(to_lines(book))
    assert lines[-1] == "1 of 2 claims hold; 1 does not, as its page says."
    assert lines[1].startswith("  ok   $P(a|b)$")
    assert lines[3].startswith("  no   it exceeds two")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "null",
        '{"10_best_of_n": 1}',
        '{"10_best_of_n": {"title": 1, "claims": []}}',
        '{"a": {"claims": [{}]}}',
    ],
)
def test_a_record_that_we_did_not_write_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "claims.json").write_text(content)
    with pytest.raises(InputError, match="is not as `make book` writes it; run `make book` again"):
        read_claims(tmp_path / "claims.json")
