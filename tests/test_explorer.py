"""The explorer in a browser, from ``file://``: its numbers are the library's, and a reader's table is read strictly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError
from alignlib.divergences import as_divergence
from alignlib.estimation import few_prompts, fit_frontier
from alignlib.estimation.curve import AveragedCurve
from alignlib.estimation.support import known_kl, strain
from alignlib.estimation.tails import tail_shape
from alignlib.laws import Bernoulli, Exponential, FiniteLaw, Gaussian, Law, PromptAverage, Uniform, bounds
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable
from alignlib.tables.as_identifiers import MISSING
from book.sphinx_extensions.explorer import SCRIPTS
from tests.built_book import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ASSETS = ROOT / "book" / "_assets"
LAWS: dict[str, tuple[float, Law]] = {
    "gaussian": (1.7, Gaussian(sd=1.7)),
    "exponential": (2.0, Exponential(rate=0.5)),
    "uniform": (3.0, Uniform(0.0, 3.0)),
    "bernoulli": (0.03, Bernoulli(0.03)),
    "bernoulli, of which most succeed": (0.9, Bernoulli(0.9)),  # best-of-64 leaves 1e-64 for the rest
}
BUDGETS = [1e-8, 1e-4, 0.01, 0.1, 0.5, 1.0, 2.5, 6.0, 20.0]
SIZES = [1, 2, 3, 7, 16, 64]
CLOSE = {"rel": 1e-9, "abs": 1e-9}
LAMS = [0.1, 0.5, 1.0, 3.0]
NEAR = [0.0, 1e-300, 1e-40, 1e-12]  # nothing, and next to it: gains as they are, not the rounding of larger numbers
FAR = [500.0, 1000.0]  # more than can be spent, or than numbers hold the λ of
# What the library's own integrals leave of a gain near the base.
RELATIVE = {"rel": 1e-5, "abs": 0.0}


@pytest.fixture(scope="module")
def page(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page with the explorer and nothing else; any error of its scripts, and any request, fails the test."""
    scripts = "".join(f'<script src="{(ASSETS / "explorer" / f"{name}.js").as_uri()}"></script>' for name in SCRIPTS)
    file = tmp_path_factory.mktemp("explorer") / "page.html"
    style = f'<link rel="stylesheet" href="{(ASSETS / "explorer" / "explorer.css").as_uri()}">'
    box = '<div class="explorer"><div class="explorer-instead">It needs scripts.</div></div>'
    file.write_text(f'<!doctype html><meta charset="utf-8">{style}{box}{scripts}')
    shown, wrong = chromium.new_page(viewport={"width": 1000, "height": 800}), []
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.on("request", lambda request: wrong.append(request.url) if not request.url.startswith("file:") else None)
    shown.goto(file.as_uri())
    yield shown
    assert not wrong
    shown.close()


@pytest.mark.parametrize("name", LAWS)
def test_laws_have_the_numbers_of_the_library(page: Page, name: str) -> None:
    """Limit, best-of-N and bounds of the textbook laws."""
    value, law = LAWS[name]
    gains, best = page.evaluate(
        """([name, value, budgets, sizes]) => {
          const source = Explorer.lawSource(name, value);
          return [budgets.map(kl => Explorer.frontierAt(source, kl).gain), sizes.map(n => source.bestOf(n))];
        }""",
        [name.partition(",")[0], value, [*BUDGETS, *FAR, *NEAR], SIZES],
    )
    right_gains = np.asarray(law.gain_at_kl([*BUDGETS, *FAR, *NEAR])).tolist()
    assert gains == pytest.approx(right_gains, **CLOSE)
    assert gains[-len(NEAR) :] == pytest.approx(right_gains[-len(NEAR) :], **RELATIVE)
    for n, found in zip(SIZES, best, strict=True):
        right = BestOfN(n).on(law)
        assert (found["kl"], found["gain"]) == pytest.approx((right.kl, right.gain), **CLOSE)


OTHERS = ["chi2", "reverse_kl", "hellinger"]


@pytest.mark.parametrize("name", LAWS)
def test_laws_have_the_numbers_of_the_library_in_other_divergences(page: Page, name: str) -> None:
    """Limit and best-of-N; where the library knows no finite limit, none can be chosen."""
    value, law = LAWS[name]
    budgets = [1e-8, 1e-4, 0.05, 0.3, 0.6, 2.5, 20.0, *FAR, *NEAR]
    found = page.evaluate(
        """([name, value, budgets, sizes]) => {
          const source = Explorer.lawSource(name, value);
          return Object.fromEntries(Explorer.offered(source).map(divergence => [divergence,
            [budgets.map(d => Explorer.frontierAt(source, d, divergence)),
             sizes.map(n => Explorer.bestOf(source, n, divergence))]]));
        }""",
        [name.partition(",")[0], value, budgets, SIZES],
    )
    assert set(found) == {"kl", "chi2"} | (set() if law.max_gain == np.inf else set(OTHERS))
    for divergence in set(OTHERS) - set(found):
        with pytest.raises(InputError, match="no finite optimum"):
            law.frontier(budgets, divergence)
    for divergence in set(found) - {"kl"}:
        points, best = found[divergence]
        right = law.frontier(budgets, divergence)
        gains = [point["gain"] for point in points]
        assert gains == pytest.approx(right.gain.tolist(), **CLOSE)
        assert gains[-len(NEAR) :] == pytest.approx(right.gain[-len(NEAR) :].tolist(), **RELATIVE)
        assert [point["lam"] for point in points] == pytest.approx(right.lam.tolist(), rel=1e-6)
        spent = [BestOfN(n).on(law).spent(as_divergence(divergence)) for n in SIZES]
        assert [one["kl"] for one in best] == pytest.approx(spent, **CLOSE)


def test_nothing_buys_nothing_and_the_picture_is_the_limit_at_every_budget(page: Page) -> None:
    """In every law and divergence, and for tables with ties, near ties, constant prompts or one prompt."""
    wrong, said = page.evaluate(
        """([laws, budgets]) => {
          const table = (sizes, ...values) => Explorer.tableSource(Explorer.arrange(...values, Int32Array.from(sizes)));
          const sources = [...laws.map(([name, value]) => Explorer.lawSource(name, value)),
            table([5, 3, 4], [3, 3, 1, 0, 0, 1, 1, 1, 5, 4.1, 4, .1], [.1, .5, .3, .2, .7, .3, .2, .1, 1, 2, 3, 4]),
            table([5], [1 + 2e-12, 1 + 1e-12, 1, .1, -.7], [.1, .2, .3, .1, .2]),
            table([8], [.9999999987, .9999998629, .9999988318, .9999653204, .9999444604, .9485769542, .9084225025,
              .05175126602], [0, 6, -4, 5, -7, 2, -4, 7]),  // whose gold rises and falls again between chance meetings
            table([5, 3], ...[[9, 8.5, 3, 1, 0, 7, 6.9, -1], [3, 1, -2, 4, 0, 5, 9, 2]].map(
              values => values.map(v => 1e99 * v))),
            table([5], [8, 7.9, 7, 3, 0], [0, 9, -9, 4, -4])];  // whose gold turns often, and ends where it begins
          const wrong = [], said = new Set();
          const check = (source, budget, divergence) => {
            const state = {budget, n: 1, divergence}, found = Explorer.compute(state, source);
            const {point, best, curve} = found, text = Explorer.sentence(state, source, found);
            const bought = [point, best].flatMap(one => [one.kl, one.gain, one.gold ?? 0]);
            const drawn = [found.top, ...bought, ...curve.flat(), ...found.marks.flatMap(one => [one.kl, one.gain])];
            // Between two points of the curve a straight line is drawn: how far from the limit, and from its gold.
            const height = curve.at(-1)[1], golds = curve.map(one => one[2]);
            const range = Math.max(...golds) - Math.min(...golds);
            const middles = curve.slice(1).map(([kl, gain, gold], i) => {
              const from = curve[i], there = Explorer.frontierAt(source, (kl + from[0]) / 2, divergence);
              return [there.gain - (gain + from[1]) / 2, (there.gold ?? 0) - (gold + from[2]) / 2];
            }), off = middles.map(one => one[0]);
            if (!middles.every(one => Math.abs(one[1]) <= .02 * range)) wrong.push([divergence, budget, "gold"]);
            if (curve.length > 1200) wrong.push([divergence, budget, curve.length]);
            if (!drawn.every(Number.isFinite) || /NaN|none|undefined/.test(text)) wrong.push([divergence, text]);
            if (!off.every(one => one > -1e-9 * height && one < .01 * height)) wrong.push([divergence, budget, off]);
            if (!budget && (bought.some(Boolean) || point.lam !== 0)) wrong.push([divergence, bought, point.lam]);
            if (!budget) said.add(text.slice(text.indexOf("no method")).split(" How far")[0]);
            const told = text.includes("How far these samples support it is marked in KL alone.");
            const samples = source.table && !source.table.mass;  // a law has none
            if (told !== Boolean(samples && divergence !== "kl")) wrong.push([divergence, told]);
            if (point.lam === Infinity) said.add(text.match(/all reward( is)?/)[0]);
          };
          for (const source of sources)
            for (const divergence of Explorer.offered(source))
              for (const budget of budgets) check(source, budget, divergence);
          for (const divergence of ["kl", "chi2"]) {
            const state = {budget: 0, n: 64, divergence}, table = sources.at(-1);
            const text = Explorer.sentence(state, table, Explorer.compute(state, table));
            if (text.includes("KL, which these samples do not support.") !== (divergence === "kl")) wrong.push(text);
          }
          return [wrong, [...said].sort()];
        }""",
        [[[name.partition(",")[0], value] for name, (value, _) in LAWS.items()], [*NEAR, 1e-4, 0.7, 20.0, 200.0, *FAR]],
    )
    assert wrong == []
    nothing = "no method gains more than 0 (λ = 0, β = ∞)."
    gold = f"{nothing} Along the limit the gold reward then changes by 0."
    assert said == ["all reward", "all reward is", nothing, gold]


def test_older_bounds_are_those_of_the_library(page: Page) -> None:
    """Each by its title."""
    kl, success = [0.01, 0.3, 2.0], LAWS["bernoulli"][0]
    right = {
        ("exponential", "sub-gamma bound"): bounds.sub_gamma(kl, 2.0, 2.0),
        ("uniform", "Hoeffding's bound"): bounds.hoeffding(kl, 0.0, 3.0),
        ("uniform", "Bennett's bound"): bounds.bennett(kl, 3.0 / 12**0.5, 1.5),
        ("bernoulli", "Hoeffding's bound"): bounds.hoeffding(kl, 0.0, 1.0),
        ("bernoulli", "Bennett's bound"): bounds.bennett(kl, (success * (1 - success)) ** 0.5, 1 - success),
    }
    for name in dict.fromkeys(name for name, _ in right):
        value = LAWS[name][0]
        found = page.evaluate(
            """([name, value, kl]) => Explorer.lawSource(name, value).bounds.map(one => [one.title, kl.map(one.at)])""",
            [name, value, kl],
        )
        assert {(name, title): values for title, values in found} == {
            key: pytest.approx(np.asarray(values).tolist(), **CLOSE) for key, values in right.items() if key[0] == name
        }


def tables() -> dict[str, list[FloatArray]]:
    """Prompts of unlike scale, ties, heavy tails far from zero, one prompt, some constant rewards."""
    rng = np.random.default_rng(3)
    return {
        "scales": [rng.normal(size=16) * rng.lognormal(0, 0.7) for _ in range(40)],
        "ties": [rng.integers(0, 4, size=int(n)).astype(float) for n in rng.integers(5, 20, size=25)],
        "far": [rng.exponential(size=32) * 100 - 1e4 for _ in range(60)],
        "one": [rng.normal(size=500)],
        "constant": [np.full(8, 2.0) if i % 3 == 0 else rng.normal(size=8) for i in range(12)],
        "far for its spread": [1e9 + 0.01 * rng.normal(size=12) for _ in range(4)],
        "these very prompts": [rng.exponential(size=24) * (1 + 5 * (i == 0)) for i in range(6)],
    }


@pytest.mark.parametrize("name", tables())
def test_tables_have_the_numbers_of_the_library(page: Page, name: str) -> None:
    """Limit and best-of-N with gold, what the samples support, and other divergences on one prompt."""
    rows = tables()[name]
    rng = np.random.default_rng(4)
    gold = [0.5 * (row - row[0]) + rng.normal(size=len(row)) for row in rows]
    order = [np.argsort(-row, kind="stable") for row in rows]
    lams = [lam / float(np.mean([row.std() for row in rows])) for lam in LAMS]
    one = max(rows, key=lambda row: float(np.ptp(row)))
    found = page.evaluate(
        """([reward, gold, sizes, budgets, lams, one, near]) => {
          const table = Explorer.arrange(reward, gold, Int32Array.from(sizes)), source = Explorer.tableSource(table);
          const scale = Explorer.tailScale(table);
          const single = Explorer.tableSource(Explorer.arrange(one, null, Int32Array.of(one.length)));
          const other = ["chi2", "reverse_kl", "hellinger"].map(name =>
            [name, [1e-4, .05, .3, 1].map(d => Explorer.frontierAt(single, d, name).gain),
             [3, 64].map(n => Explorer.bestOf(single, n, name).kl)]);
          return {gains: budgets.map(kl => Explorer.frontierAt(source, kl).gain),
            near: near.map(kl => Explorer.frontierAt(source, kl).gain), last: Explorer.frontierAt(source, 1000).gold,
            best: [2, 3, 40].map(n => source.bestOf(n)),
            bound: budgets.map(source.bounds[0].at), scale,
            strain: lams.map(lam => Explorer.strain(table, lam, scale)), other, end: source.supportedLam};
        }""",
        [
            np.concatenate([row[o] for row, o in zip(rows, order, strict=True)]).tolist(),
            np.concatenate([row[o] for row, o in zip(gold, order, strict=True)]).tolist(),
            [len(row) for row in rows],
            BUDGETS[:-1],
            lams,
            np.sort(one)[::-1].tolist(),
            [*NEAR, *FAR],
        ],
    )
    average = PromptAverage([FiniteLaw(row) for row in rows])
    size = float(np.max([np.ptp(row) for row in rows]))
    right_gains = np.asarray(average.gain_at_kl(BUDGETS[:-1])).tolist()
    assert found["gains"] == pytest.approx(right_gains, rel=1e-9, abs=1e-9 * min(size, 1.0))
    last = [values[row == row.max()].mean() - values.mean() for row, values in zip(rows, gold, strict=True)]
    assert found["last"] == pytest.approx(float(np.mean(last)), **CLOSE)
    assert found["near"] == pytest.approx(np.asarray(average.gain_at_kl([*NEAR, *FAR])).tolist(), rel=1e-9, abs=0.0)
    wide = float(np.sqrt(np.mean([np.ptp(row) ** 2 for row in rows])))
    assert found["bound"] == pytest.approx(np.asarray(bounds.hoeffding(BUDGETS[:-1], 0.0, wide)).tolist(), **CLOSE)
    assert all(gain <= bound * (1 + 1e-9) for gain, bound in zip(found["gains"], found["bound"], strict=True))
    for n, best in zip((2, 3, 40), found["best"], strict=True):
        right = [BestOfN(n).on(FiniteLaw(row)) for row in rows]
        followed = [one.policy @ values - values.mean() for one, values in zip(right, gold, strict=True)]
        expected = {"kl": [one.kl for one in right], "gain": [one.gain for one in right], "gold": followed}
        assert best == pytest.approx({name: float(np.mean(values)) for name, values in expected.items()}, **CLOSE)
        assert best["gain"] <= average.gain_at_kl(best["kl"]) * (1 + 1e-9)
    few = few_prompts(np.array([len(row) for row in rows]))
    tail = tail_shape(RewardTable.from_arrays(rows), "reward", 2.5 if few and len(rows) > 1 else 1.0).bearing
    assert found["scale"] == pytest.approx(tail, **CLOSE)
    kl = np.array([[FiniteLaw(row).kl(lam) if np.ptp(row) > 0 else 0.0 for row in rows] for lam in lams])
    known = np.array([known_kl(len(row)) for row in rows])
    right_strain = strain(
        np.array(lams), kl.sum(1), (kl**2).sum(1), (kl**2 / known).sum(1), tail, 1 if few else len(rows)
    )
    assert found["strain"] == pytest.approx(right_strain.tolist(), **CLOSE)
    if name in ("far", "these very prompts"):  # as for the command, which looks between points of a grid
        curve = fit_frontier(RewardTable.from_arrays(rows), "reward", n_boot=100).curve
        assert isinstance(curve, AveragedCurve)
        assert found["end"] == pytest.approx(curve.supported_lam, rel=0.01)
    for divergence, gains, spent in found["other"]:
        right_spent = [BestOfN(n).on(FiniteLaw(one)).spent(as_divergence(divergence)) for n in (3, 64)]
        assert spent == pytest.approx(right_spent, **CLOSE)
        exact = FiniteLaw(one).frontier([1e-4, 0.05, 0.3, 1.0], as_divergence(divergence)).gain
        assert gains == pytest.approx(exact.tolist(), rel=1e-9, abs=1e-9 * float(np.ptp(one)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "single sample"),
        ("a,b\n1,2\n1\n", "Line 3 has 1 fields"),
        ('p,r\n"x"y,2\n', "Line 2: text follows a closing quotation mark"),
        ('p,r\n"x,2\n', "Line 2 opens a quotation mark that never closes"),
        ("prompt,r\n1,2\n1,\n" + "1,3\n" * 60, "Line 3: column"),
        ("r\n" + "1\n" * 60 + "x\n", 'holds "x", which is not a number'),
        ("r\n" + "1\n" * 60 + "<b>\n", "<b>"),
        ("r,r\n1,2\n", "Two columns"),
        ("r\n1e300\n2\n", "too large"),
        ("r\n", "no rows"),
        ("", "no rows"),
        ("r\n1\n1\n", "does not vary"),
        ("prompt,r\n ,2\n ,3\n", "is empty"),
        ("prompt,r\nNA,2\nNA,3\n", 'is missing ("NA")'),
        ("r\n1e-300\n2e-300\n", "differ by less than 1e-100"),
        ("r\n" + "1\n" * 99 + "1" * 200_000 + "x\n", "is not a number"),
        ("instruction,reward\nhi,1\nhi,2\nbye,11\nbye,12\n", 'names the prompt ("instruction" repeats itself)'),
        ("qid,reward\n1,1\n1,2\n2,11\n2,12\n", '("qid" repeats'),
        ("a;r\n1,5;2,5\n", 'Line 2: column "a" holds "1,5": write it with a decimal point'),
        ('p,r\na,"1,000"\na,"2,000"\n', '"1,000": write it without a comma'),
        ("p r\na 1\na 2\n", "No column holds numbers, such as 0.5 or 1e-3, in fields between commas"),
        ("p,r\na,10%\na,20%\n", 'Line 2 holds "10%"'),
        ("p,r\na,9007199254740993\na,9007199254740992\n", 'Line 2: "9007199254740993" in "r" is an integer beyond'),
        ("prompt_id,sample_id,r\na,0,1\na,1,2\na,0,3\n", 'Line 4: sample_id "0" comes twice in the prompt "a"'),
        ("prompt,reward\na,inf\na,2\n", 'Line 2: column "reward" holds "inf", which is not finite'),
    ],
)
def test_bad_tables_are_a_sentence(page: Page, tmp_path: Path, text: str, said: str) -> None:
    """Shown as text, naming the line."""
    assert said in choose(page, tmp_path, text)


def test_missing_prompts_are_those_of_the_commands(page: Page) -> None:
    """Each word for "no value", in capitals too; the page of what tables may hold names them."""
    found = page.evaluate(
        """words => words.filter(word => {
          const cells = Explorer.read(`prompt,r\n"${word}",1\n"${word}",2\n`);
          try { return Explorer.table(cells, "r", "prompt", ""); }
          catch (error) { return !/is (missing|empty)/.test(error.message); }
        })""",
        [*MISSING, *map(str.upper, MISSING)],
    )
    assert found == []
    said = (ROOT / "book" / "rerun.md").read_text("utf-8").lower()
    assert [word for word in MISSING if word and f"`{word}`" not in said] == []


def test_a_name_in_quotation_marks_may_hold_separators(page: Page, tmp_path: Path) -> None:
    rows = "".join(f"x;p{i % 2};{i * i % 7}\n" for i in range(80))
    assert choose(page, tmp_path, f'"a, b, c, d";prompt;reward\n{rows}') == ""


def test_a_file_that_was_edited_is_read_again(page: Page, tmp_path: Path) -> None:
    """Chosen once more under the same name, as one chooses it: through the browser's own dialog."""
    said = []
    page.locator(".explorer select").first.select_option("table")
    for times in (1, 100):
        rows = "".join(f"{i // 8},{times * (i * i % 7)}\n" for i in range(80))
        (tmp_path / "table.csv").write_text(f"prompt,reward\n{rows}")
        page.evaluate("() => { document.querySelector('.said').textContent = '…'; }")
        with page.expect_file_chooser() as chosen:
            page.locator("input[type=file]").click()
        chosen.value.set_files(tmp_path / "table.csv")
        page.wait_for_function("() => document.querySelector('.said').textContent !== '…'")
        said.append(page.inner_text(".said"))
    assert said[0] != said[1]


def test_text_of_a_table_stays_text(page: Page, tmp_path: Path) -> None:
    """Names of columns are never markup."""
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    name = "<img src=x onerror=alert(1)>"
    assert choose(page, tmp_path, f'prompt,"{name}"\n' + "".join(f"{i // 8},{i * i % 7}\n" for i in range(80))) == ""
    assert page.locator(".columns select").first.input_value() == name
    assert page.locator(".explorer img").count() == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_table_is_answered_as_it_lies(page: Page, tmp_path: Path, encoding: str) -> None:
    """Separator, quotation marks, a mark of byte order, line ends of either kind, and columns are found."""
    rng = np.random.default_rng(5)
    lines = [f'"p{i};{i}";{value:.6f};{value / 2:.6f}' for i in range(9) for value in rng.normal(size=12)]
    assert choose(page, tmp_path, "\ufeffprompt_id;score;gold\r\n" + "\r\n".join(lines), encoding) == ""
    assert [one.input_value() for one in page.locator(".columns select").all()] == ["score", "prompt_id", "gold"]
    assert page.inner_text(".columns .note").startswith("108 responses to 9 prompts. The curve is the law of the table")
    assert page.inner_text(".columns .note").endswith("gives both.")
    assert "Best-of-4 spends" in page.inner_text(".said")
    assert "gold reward" in page.inner_text(".said")


def test_the_column_of_prompts_is_asked_for_and_the_address_keeps_the_rest(page: Page, tmp_path: Path) -> None:
    """Nothing is answered before; a reload asks for the file and keeps budget and N; names of marks do not overlap."""
    rng = np.random.default_rng(6)
    text = "qid,reward,model\n" + "".join(
        f"{i},{3 * i + value:.6f},m\n" for i in range(9) for value in rng.normal(size=40)
    )
    assert "Choose the column" in choose(page, tmp_path, text)
    assert page.inner_text(".said") == page.inner_text(".picture") == ""
    page.get_by_label("Prompt").select_option("qid")
    assert page.inner_text(".message") == ""
    assert page.inner_text(".columns .note").startswith("360 responses to 9 prompts.")
    page.get_by_label("N of best-of-N, exactly").fill("13")
    page.get_by_label("Budget Δ, exactly").fill("0.8")
    names = page.evaluate(
        """() => [...document.querySelectorAll('.picture text.best')].map(one => {
          const box = one.getBBox();
          return [one.textContent, box.x, box.x + box.width, box.y, box.y + box.height];
        })"""
    )
    assert "best of 13" in {name for name, *_ in names}
    for i, (_, left, right, above, below) in enumerate(names):
        assert all(left >= r or x >= right or above >= b or y >= below for _, x, r, y, b in names[:i])
    page.get_by_label("Prompt").select_option(label="one prompt")
    assert "360 responses to 1 prompt." in page.inner_text(".columns .note")
    assert page.url.endswith("#law=table&budget=0.8&n=13&divergence=kl&bounds=1")
    page.reload()
    assert page.inner_text(".said").startswith("Choose the file again")
    assert page.get_by_label("Budget Δ, exactly").input_value() == "0.8"
    assert choose(page, tmp_path, text.replace("qid", "prompt_id")) == ""
    assert page.inner_text(".said").startswith("Within 0.8 nats")
    assert "Best-of-13" in page.inner_text(".said")


@pytest.mark.parametrize(
    ("slope", "start", "end"),
    [
        (-1e-3, 0.0, 1 / 1.08),
        (-3.3e-7, 0.0, 1 / 1.08),
        (-1.25e-101, 0.0, 1 / 1.08),
        (1e-3, 1.0, 1 - 1 / 1.08),
        (0.0, 1.0, 1.0),
    ],
)
def test_gold_fills_its_panel_whichever_way_it_goes(
    page: Page, tmp_path: Path, slope: float, start: float, end: float
) -> None:
    """However small the change is: it falls from the upper end, rises from the lower one, or stays there."""
    rows = "".join(f"p{i // 10},{i * i % 11},{slope * (i * i % 11)}\n" for i in range(90))
    assert choose(page, tmp_path, f"prompt,reward,gold\n{rows}") == ""
    above, below, lines, texts = page.evaluate(
        """() => {
          const one = [...document.querySelectorAll(".picture .grid")].filter((line) => line.x1.baseVal.value === line.x2.baseVal.value).pop();
          const height = (path, at) => path.getPointAtLength(at).y;
          return [one.y1.baseVal.value, one.y2.baseVal.value,
            [...document.querySelectorAll(".picture path.gold")].map((path) => [height(path, 0), height(path, path.getTotalLength())]),
            [...document.querySelectorAll(".picture text")].filter((one) => one.textContent).map((one) => one.getBBox().x)];
        }"""  # noqa: E501
    )
    places = [(y - above) / (below - above) for y in (lines[0][0], lines[-1][1])]
    assert places == pytest.approx([start, end], abs=0.01)  # of a picture in pixels
    assert min(texts) >= 0


def test_a_hundred_thousand_rows_take_less_than_a_second(page: Page, tmp_path: Path) -> None:
    """With gold, from the choice of the file to the answer: processor time, which other programs hardly change."""
    rewards = np.random.default_rng(7).normal(size=(100_000, 2))
    rows = "".join(f"q{i // 20},{reward:.6f},{gold:.6f}\n" for i, (reward, gold) in enumerate(rewards.tolist()))
    clock = page.context.new_cdp_session(page)
    clock.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        return next(m["value"] for m in clock.send("Performance.getMetrics")["metrics"] if m["name"] == "TaskDuration")

    before = busy()
    assert choose(page, tmp_path, f"prompt,reward,gold\n{rows}") == ""
    after = busy()
    assert page.inner_text(".columns .note").startswith("100000 responses to 5000 prompts.")
    assert "the gold reward then changes by" in page.inner_text(".said")
    told = page.text_content(".numbers") or ""
    assert "best-of-64, which these samples do not support" in told
    assert "best-of-2," not in told
    assert 0.0 < after - before < 1.0
    # In the slowest divergence, where the best λ is farthest to find.
    page.evaluate(
        """() => {
          const size = 100_000, places = Float64Array.from({length: size}, (_, i) => i % 20);
          const reward = places.map((j, i) => -Math.log((j + 0.5) / 20) * (1 + i / size));
          window.many = Explorer.tableSource(
            Explorer.arrange(reward, places.map((_, i) => Math.sin(i)), new Int32Array(size / 20).fill(20)));
        }"""
    )
    for budget in (1000, 40):
        before = busy()
        gain = page.evaluate(
            "budget => Explorer.compute({budget, n: 16, divergence: 'reverse_kl'}, window.many).point.gain", budget
        )
        assert gain > 0
        assert 0.0 < busy() - before < 1.0


def choose(page: Page, folder: Path, text: str, encoding: str = "utf-8") -> str:
    """Give the explorer a file and return what it objects to."""
    page.evaluate("() => { location.hash = ''; }")
    page.locator(".explorer select").first.select_option("table")
    (folder / "table.csv").write_text(text, encoding, newline="")
    page.evaluate("() => { window.before = document.querySelector('.said').textContent = '…'; }")
    page.set_input_files("input[type=file]", folder / "table.csv")
    page.wait_for_function("() => document.querySelector('.said').textContent !== '…'")
    return page.inner_text(".message")


def test_state_is_in_the_address(page: Page) -> None:
    """What is shown can be passed on, and is moved by the keyboard."""
    page.evaluate("() => { location.hash = ''; }")
    page.locator(".explorer select").first.select_option("uniform")
    slider = page.locator("input[type=range]").first
    slider.focus()
    before = page.inner_text(".said")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".said") != before
    address = page.url
    assert "law=uniform" in address
    said = page.inner_text(".said")
    page.goto(address)
    page.reload()
    assert page.inner_text(".said") == said


@pytest.mark.parametrize(
    ("label", "good", "bad", "why"),
    [
        ("Budget Δ, exactly", "0.8", ["1e9", "-5", ""], "a number from 0 to 1000. Shown is 0.8."),
        ("N of best-of-N, exactly", "7", ["2.5", "65", "0", "-3", ""], "a whole number from 1 to 64. Shown is 7."),
        ("Penalty β = 1/λ", "2", ["0", "-1", "1e400", ""], "a number above 0. Shown is the budget 0.125."),
        ("Penalty β = 1/λ", "2", ["1e-300", "0.001"], "the limit there spends more than 1000. Shown is the budget 0.125."),  # noqa: E501
        ("Standard deviation σ", "2", ["0", "1e9", ""], "a number from 0.001 to 1000. Shown is 2."),
    ],
)  # fmt: skip
def test_a_value_that_is_not_taken_is_marked_with_a_word(
    page: Page, label: str, good: str, bad: list[str], why: str
) -> None:
    """And what is said stays that of the value which the word names; the next that is taken clears both."""
    page.evaluate("() => { location.hash = ''; }")
    page.locator(".explorer select").first.select_option("uniform")  # a law chosen has its own start
    page.locator(".explorer select").first.select_option("gaussian")
    field = page.get_by_label(label, exact=True)
    field.fill(good)
    said = page.inner_text(".said")
    for value in bad:
        field.fill(value)
        found = field.evaluate(
            """one => [one.getAttribute("aria-invalid"),
                  document.getElementById(one.getAttribute("aria-describedby")).textContent]"""
        )
        assert found == ["true", f"Not taken: {why}"]
        assert page.inner_text(".said") == said
    field.fill(good)
    assert field.get_attribute("aria-invalid") == "false"
    marked = page.locator(".explorer [aria-invalid=true], .explorer .why:not(:empty)")
    assert marked.count() == 0
    field.fill(bad[0])
    assert marked.count() == 2
    for key in ("End", "Home"):  # the picture's own numbers take its place
        page.locator("input[type=range]").first.press(key)
    assert marked.count() == 0


@pytest.mark.parametrize("law", ["uniform", "bernoulli"])
def test_names_of_bounds_lie_on_no_name_and_within_the_picture(page: Page, law: str) -> None:
    """Both leave above, near one another: they are named above it."""
    page.locator(".explorer select").first.select_option(law)
    page.get_by_label("Budget Δ, exactly").fill("0.5")
    width, above, boxes = page.evaluate(
        """() => [document.querySelector(".picture svg").clientWidth,
          +document.querySelector(".picture .grid").getAttribute("y1"),
          [...document.querySelectorAll(".picture text.bound, .picture text.label")].map(one => {
            const box = one.getBBox();
            return [one.textContent, box.x, box.x + box.width, box.y, box.y + box.height];
          })]"""
    )
    assert {"Hoeffding's bound", "Bennett's bound"} < {name for name, *_ in boxes}
    for i, (name, left, right, high, low) in enumerate(boxes):
        assert 0 <= left < right <= width
        assert low < above or "bound" not in name
        assert all(left >= r or x >= right or high >= b or y >= low for _, x, r, y, b in boxes[:i])


def test_what_is_shown_is_printed(page: Page) -> None:
    """With its sentence and its choices, and not what stands in for it where there are no scripts."""
    page.emulate_media(media="print")
    shown = [
        page.locator(f".explorer {part}").first.is_visible() for part in ("svg", ".said", "select", "[class$=instead]")
    ]
    page.emulate_media(media="screen")
    assert shown == [True, True, True, False]


def test_nonsense_in_the_address_is_left_aside(page: Page) -> None:
    """A law that there is not, numbers out of range, a prototype's names."""
    for hash in (
        "law=constructor&n=1e9",
        "n=2.5&budget=1e9",
        "law=gaussian&value=-3&budget=NaN&divergence=toString",
        "law=%00&x=<script>",
    ):
        page.goto(page.url.split("#")[0] + "#" + hash)
        page.reload()
        state: dict[str, Any] = page.evaluate("() => Explorer.fromAddress()")
        assert json.dumps(state) == json.dumps(
            {"law": "gaussian", "budget": 0.5, "n": 4, "divergence": "kl", "bounds": True, "value": 1}
        )
