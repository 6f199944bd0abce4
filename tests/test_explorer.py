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
from alignlib.estimation.support import known_kl, strain
from alignlib.estimation.tails import tail_shape
from alignlib.laws import Bernoulli, Exponential, FiniteLaw, Gaussian, Law, PromptAverage, Uniform, bounds
from alignlib.rules import BestOfN
from alignlib.tables import RewardTable
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


@pytest.fixture(scope="module")
def page(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page with the explorer and nothing else; any error of its scripts, and any request, fails the test."""
    scripts = "".join(f'<script src="{(ASSETS / "explorer" / f"{name}.js").as_uri()}"></script>' for name in SCRIPTS)
    file = tmp_path_factory.mktemp("explorer") / "page.html"
    file.write_text(f'<!doctype html><meta charset="utf-8"><div class="explorer"></div>{scripts}')
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
        [name.partition(",")[0], value, BUDGETS, SIZES],
    )
    assert gains == pytest.approx(np.asarray(law.gain_at_kl(BUDGETS)).tolist(), **CLOSE)
    for n, found in zip(SIZES, best, strict=True):
        right = BestOfN(n).on(law)
        assert (found["kl"], found["gain"]) == pytest.approx((right.kl, right.gain), **CLOSE)


OTHERS = ["chi2", "reverse_kl", "hellinger"]


@pytest.mark.parametrize("name", LAWS)
def test_laws_have_the_numbers_of_the_library_in_other_divergences(page: Page, name: str) -> None:
    """Limit and best-of-N; where the library knows no finite limit, none can be chosen."""
    value, law = LAWS[name]
    budgets = [1e-8, 1e-4, 0.05, 0.3, 0.6, 2.5, 20.0]
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
        assert [point["gain"] for point in points] == pytest.approx(right.gain.tolist(), **CLOSE)
        lams = [point["lam"] for point in points if point["lam"] is not None]
        assert lams == pytest.approx(right.lam[: len(lams)].tolist(), rel=1e-6)
        spent = [BestOfN(n).on(law).spent(as_divergence(divergence)) for n in SIZES]
        assert [one["kl"] for one in best] == pytest.approx(spent, **CLOSE)


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
    }


@pytest.mark.parametrize("name", tables())
def test_tables_have_the_numbers_of_the_library(page: Page, name: str) -> None:
    """Limit and best-of-N with gold, what the samples support, and other divergences on one prompt."""
    rows = tables()[name]
    rng = np.random.default_rng(4)
    gold = [0.5 * row + rng.normal(size=len(row)) for row in rows]
    order = [np.argsort(-row, kind="stable") for row in rows]
    lams = [lam / float(np.mean([row.std() for row in rows])) for lam in LAMS]
    one = max(rows, key=lambda row: float(np.ptp(row)))
    found = page.evaluate(
        """([reward, gold, sizes, budgets, lams, one]) => {
          const table = Explorer.arrange(reward, gold, Int32Array.from(sizes)), source = Explorer.tableSource(table);
          const scale = Explorer.tailScale(table);
          const single = Explorer.tableSource(Explorer.arrange(one, null, Int32Array.of(one.length)));
          const other = ["chi2", "reverse_kl", "hellinger"].map(name =>
            [name, [1e-4, .05, .3, 1].map(d => Explorer.frontierAt(single, d, name).gain),
             [3, 64].map(n => Explorer.bestOf(single, n, name).kl)]);
          return {gains: budgets.map(kl => Explorer.frontierAt(source, kl).gain),
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
        ],
    )
    average = PromptAverage([FiniteLaw(row) for row in rows])
    assert found["gains"] == pytest.approx(np.asarray(average.gain_at_kl(BUDGETS[:-1])).tolist(), **CLOSE)
    wide = float(np.sqrt(np.mean([np.ptp(row) ** 2 for row in rows])))
    assert found["bound"] == pytest.approx(np.asarray(bounds.hoeffding(BUDGETS[:-1], 0.0, wide)).tolist(), **CLOSE)
    assert all(gain <= bound * (1 + 1e-9) for gain, bound in zip(found["gains"], found["bound"], strict=True))
    for n, best in zip((2, 3, 40), found["best"], strict=True):
        right = [BestOfN(n).on(FiniteLaw(row)) for row in rows]
        followed = [one.policy @ values - values.mean() for one, values in zip(right, gold, strict=True)]
        expected = {"kl": [one.kl for one in right], "gain": [one.gain for one in right], "gold": followed}
        assert best == pytest.approx({name: float(np.mean(values)) for name, values in expected.items()}, **CLOSE)
        assert best["gain"] <= average.gain_at_kl(best["kl"]) * (1 + 1e-9)
    tail = tail_shape(RewardTable.from_arrays(rows), "reward").bearing
    assert found["scale"] == pytest.approx(tail, **CLOSE)
    kl = np.array([[FiniteLaw(row).kl(lam) if np.ptp(row) > 0 else 0.0 for row in rows] for lam in lams])
    known = np.array([known_kl(len(row)) for row in rows])
    right_strain = strain(np.array(lams), kl.sum(1), (kl**2).sum(1), (kl**2 / known).sum(1), tail, len(rows))
    assert found["strain"] == pytest.approx(right_strain.tolist(), **CLOSE)
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
    assert 0.0 < after - before < 1.0


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


def test_nonsense_in_the_address_is_left_aside(page: Page) -> None:
    """A law that there is not, numbers out of range, a prototype's names."""
    for hash in ("law=constructor&n=1e9", "law=gaussian&value=-3&budget=NaN&divergence=toString", "law=%00&x=<script>"):
        page.goto(page.url.split("#")[0] + "#" + hash)
        page.reload()
        state: dict[str, Any] = page.evaluate("() => Explorer.fromAddress()")
        assert json.dumps(state) == json.dumps(
            {"law": "gaussian", "budget": 0.5, "n": 4, "divergence": "kl", "bounds": True, "value": 1}
        )
