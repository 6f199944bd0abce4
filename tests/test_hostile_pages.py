"""Hostile text on its way from a table, a log, an option or a file name to every output, and then in a browser.

Nothing it holds may run, ask for anything outside, or change what stands around it; it is read as typed.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import nbformat
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from alignbook.page import write_page
from alignbook.parameters import resolve
from alignbook.project import Project
from alignbook.runner import Job, execute, execute_all
from alignlib._core.safe_text import for_csv, visible
from alignlib.cli.main import main
from tests.hostile import OUTSIDE, strings
from tests.small_project import make_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.xdist_group("hostile_pages")  # one browser for all

# Every string in every place a notebook can quote it; ⟦k⟧ ends it, so that a browser finds it again.
NOTEBOOK = """\
# %% [markdown]
# # Places

# %% tags=["parameters"]
names: list[str] = ["a"]  # what a reader gives, any

# %%
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import display

from alignbook import claims
from alignlib._core.safe_text import for_picture

# %% mystnb={"figure": {"caption": "Names: {{names}}.", "name": "fig-names"}, "image": {"alt": "Names: {{names}}."}}
fig, ax = plt.subplots(figsize=(4, 0.2 * len(names)))
ax.barh([for_picture(name) for name in names], 1.0)
ax.set_xlabel(for_picture(names[0]))

# %%
for name in names:
    print(name)
display(pd.DataFrame({"name": names[9:50]}))
claims.glue(**{f"s{k}": name for k, name in enumerate(names)})
claims.record(claims.true("done", "the strings are quoted", "we derive", True))

# %% [markdown]
"""

ELEMENTS = (
    """() => [...document.querySelectorAll("main p, main li, main td, main h2, main .math")].map(e => e.textContent)"""
)
MORE_THAN_TEXT = """() => {
  const main = document.querySelector("main"), wrong = [];
  const apart = "script, style, iframe, object, embed, form, input, meta, link, base, [srcdoc], [src]:not(img)";
  for (const node of main.querySelectorAll(apart))
    if (!node.closest("mjx-container") && !node.matches("style[scoped]")) wrong.push(node.outerHTML);
  for (const node of main.querySelectorAll("*")) {
    for (const a of node.attributes) if (a.name.startsWith("on")) wrong.push(node.outerHTML);
    const link = node.getAttribute("href") || "";
    if (link && !/^(#|https:\\/\\/(doi|arxiv)\\.org)/.test(link)) wrong.push(link);
    if (node.matches("mjx-merror, [data-mjx-error]")) wrong.push(node.outerHTML);
    node.dispatchEvent(new Event("mouseover"));
    node.dispatchEvent(new Event("error"));
  }
  for (const node of main.querySelectorAll("img")) if (!node.src.startsWith("data:image/")) wrong.push(node.src);
  return wrong;
}"""


class Watched:
    """A page in a browser, and all it did that text never does."""

    def __init__(self, browser: Browser, path: Path) -> None:
        self.context = browser.new_context()
        self.page = self.context.new_page()
        self.did: list[str] = []
        self.page.on("request", lambda r: r.url.startswith(("file:", "data:", "blob:")) or self.did.append(r.url))
        self.page.on("dialog", lambda d: (self.did.append(f"dialog {d.message}"), d.dismiss()))
        self.page.on("console", lambda m: self.did.append(f"console {m.text}"))
        self.page.on("pageerror", lambda e: self.did.append(f"error {e}"))
        self.page.on("popup", lambda p: self.did.append("popup"))
        self.page.goto(path.as_uri())
        self.page.evaluate("async () => { await window.MathJax?.startup?.promise }")

    def close(self) -> list[str]:
        """Look for what is more than text, wait for what comes late, and return all that happened."""
        if self.page.query_selector("main"):
            self.did += self.page.evaluate(MORE_THAN_TEXT)
        self.page.wait_for_timeout(200)
        self.context.close()
        return self.did


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that only injected code would write."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def script(n: int) -> str:
    """The notebook with text cells that quote ``s0`` … in every place."""
    lines = []
    for k in range(n):
        lines += [f"{{{{s{k}}}}}⟦{k}⟧", "", f"inside {{{{s{k}}}}}⟦{k}⟧", "", f"- {{{{s{k}}}}}⟦{k}⟧", ""]
        lines += ["| place |", "|---|", f"| {{{{s{k}}}}}⟦{k}⟧ |", "", f"## {{{{s{k}}}}}⟦{k}⟧", ""]
        lines += [":::{admonition} Answer", f"{{{{s{k}}}}}⟦{k}⟧", ":::", "", f"${{{{s{k}}}}}=x_{{{k}}}$", ""]
    return NOTEBOOK + "\n".join(f"# {line}".rstrip() for line in lines) + "\n"


def test_every_place_of_a_page(tmp_path: Path, canary: Path, chromium: Browser) -> None:
    names = strings(str(canary))
    project = make_project(tmp_path / "project", {"01_places": script(len(names))})
    (notebook,) = project.notebooks()
    (run,) = execute_all([Job(notebook, resolve(notebook.parameters, {"names": names}))], 1)
    assert [str(failure) for failure in run.failures] == []
    page = tmp_path / "page.html"
    write_page(run.notebook, page, Path(__file__).resolve().parent.parent)
    seen = Watched(chromium, page)
    texts = seen.page.evaluate(ELEMENTS)
    wrong = []
    for k, name in enumerate(names):
        found = {text.rpartition(f"⟦{k}⟧")[0] for text in texts if f"⟦{k}⟧" in text}
        if found != {visible(name), f"inside {visible(name)}"}:
            wrong.append((name, found))
    assert wrong == []
    shown = seen.page.text_content("main") or ""
    printed, listed = seen.page.locator(".cell_output pre, .cell_output table").all_text_contents()[:2]
    assert printed.rstrip("\n").split("\n") == [visible(line) for name in names for line in name.split("\n")]
    assert all(name in listed for name in names[9:50] if visible(name) == name and len(name) < 50)
    together = ", ".join(map(visible, names))
    assert f"Names: {together}." in shown
    assert seen.page.get_attribute("main img", "alt") == f"Names: {together}."
    assert seen.page.locator("mjx-container").count() >= len(names)
    assert seen.close() == []
    the_watch_sees_what_it_watches_for(page, chromium)


def the_watch_sees_what_it_watches_for(page: Path, chromium: Browser) -> None:
    """The control: the head of the same page and nothing but attempts let through, with and without its policy."""
    attempts = f"<script>alert(1)</script><img src='{OUTSIDE}/x' onerror='alert(2)'><iframe src='{OUTSIDE}/y'></iframe>"
    head, main, _ = page.read_text(encoding="utf-8").partition('<main class="mathjax_ignore">')
    text = f"{head}{main}{attempts}</main></body></html>"
    page.write_text(text, encoding="utf-8")
    guarded = Watched(chromium, page).close()
    assert not [item for item in guarded if item.startswith("dialog")]
    assert len([item for item in guarded if "Content Security Policy" in item]) >= 3
    page.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text), encoding="utf-8")
    open_page = Watched(chromium, page).close()
    assert "dialog 1" in open_page
    assert [item for item in open_page if item.startswith(OUTSIDE)]


def rewards(path: Path, names: list[str], prompts: list[str] | None = None) -> Path:
    """A table with a column of rewards for each name."""
    rng = np.random.default_rng(1)
    prompts = [*(prompts or []), *(f"q{k}" for k in range(40))][:40]
    gold = rng.normal(size=40 * 12)
    frame = pd.DataFrame({name: gold + 0.6 * rng.normal(size=gold.size) for name in names})
    frame.insert(0, "prompt_id", np.repeat(prompts, 12))
    frame.to_parquet(path)
    return path


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    for text in (result.stdout, result.stderr):
        bad = [line for line in text.splitlines() if not all(c.isprintable() or c in "\u200c\u200d" for c in line)]
        assert bad == []
    return result


def clean_svg(path: Path) -> None:
    """An SVG with nothing in it but shapes."""
    kinds = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
    assert not kinds & {"script", "foreignObject", "image", "iframe", "a", "set", "animate"}
    assert OUTSIDE not in re.sub(r"<!--.*?-->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_a_report(tmp_path: Path, canary: Path, chromium: Browser) -> None:
    attempts = strings(str(canary))
    proxy = "=1+1\n" + "".join(attempts[:12])
    gold = re.sub(r"[\n*?]", " ", " ".join(attempts[9:60])) + "\x1b[31m\u202e"
    folder = tmp_path / "{{n}} <b>$x$" / '\'; "report"`\\'
    folder.parent.mkdir()
    table = rewards(tmp_path / "a <script>alert(1)<!script> {{n}} \"'`\\$x$.parquet", [proxy, gold], attempts)
    result = invoke("report", table, "--reward", proxy, "--gold", gold, "--n", "2,4", "-o", folder)
    assert result.exit_code == 0, result.stderr
    numbers = json.loads((folder / "numbers.json").read_text(encoding="utf-8"))
    assert (numbers["gold"]["picked_by"], numbers["gold"]["measured_in"]) == (proxy, gold)
    assert numbers["path"] == table.name
    with (folder / "numbers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["picked_by"] for row in rows} - {""} == {for_csv(proxy)} == {f"'{visible(proxy)}"}
    assert {row["measured_in"] for row in rows} == {for_csv(proxy), for_csv(gold)}
    for picture in folder.glob("*.svg"):
        clean_svg(picture)
        assert Watched(chromium, picture).close() == []
    text = (folder / "report.html").read_text(encoding="utf-8")
    for place in (f"{tmp_path}/a ", f"{tmp_path}/{{{{n}}}}", "/made"):
        assert place not in text
    seen = Watched(chromium, folder / "report.html")
    answer = seen.page.text_content(".answer") or ""
    assert f"picked by {proxy!r}" in answer
    assert f"{visible(gold)} as {visible(proxy)} is optimised" in (seen.page.text_content("main") or "")
    assert seen.close() == []


def test_a_run_on_the_frontier(tmp_path: Path, canary: Path, chromium: Browser) -> None:
    attempts = strings(str(canary))
    reward = "".join(attempts[:20])
    base = rewards(tmp_path / "base.parquet", [reward])
    values = pd.read_parquet(base)[reward]
    kl = np.linspace(0.0, 0.3, 6)
    runs = [attempts[0], attempts[9], "_hidden", "\x1b[31m\n$x$ -->"]
    log = pd.DataFrame({"kl": np.tile(kl, 4), "name": np.repeat(runs, 6), "step": np.tile(np.arange(6), 4)})
    log[reward] = values.mean() + 0.8 * values.std() * np.sqrt(2 * log["kl"])
    path = tmp_path / "run\x1b[31m$x$<b>.parquet"
    log.to_parquet(path)
    options = ["--reward", reward, "--run-reward", reward, "--kl-unit", "sequence", "--run", "name", "--pool", "1"]
    picture = tmp_path / "run.svg"
    result = invoke("overlay", path, base, *options, "-o", picture)
    assert result.exit_code == 0, result.stderr
    clean_svg(picture)
    assert Watched(chromium, picture).close() == []
    points = json.loads(invoke("overlay", path, base, *options, "--json").stdout)["points"]
    assert {point["run"] for point in points} == set(runs)
    rows = csv.DictReader(invoke("overlay", path, base, *options, "--csv").stdout.splitlines())
    assert {row["run"] for row in rows} - {""} == {visible(run) for run in runs}
    out = tmp_path / "out.ipynb"
    given = ["-p", "run", path, "-p", "table", base, "-p", "reward", reward, "-p", "run_reward", reward]
    given += ["-p", "kl_unit", "sequence", "-p", "run_column", "name", "-p", "n_boot", "100"]
    result = invoke("run", "your_own_model", *given, "-o", out, "--html")
    assert out.is_file(), result.stderr
    seen = Watched(chromium, out.with_suffix(".html"))
    assert f"gain in {visible(reward)} over the base model" in (seen.page.text_content("figcaption") or "")
    assert seen.close() == []


def test_a_working_folder_with_braces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Papermill fills names into paths; ours are no templates."""
    folder = tmp_path / "w{0}{names.__class__}"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    project = make_project(tmp_path / "project", {"01_places": script(0)})
    assert execute(Job(project.notebooks()[0])).failures == ()


def test_many_scorers(tmp_path: Path, canary: Path, chromium: Browser) -> None:
    attempts = strings(str(canary))
    members = [f"m{k}{attempts[k]}" for k in range(0, 40, 5)]
    gold = "gold" + attempts[9]
    table = rewards(tmp_path / "scores.parquet", [*members, gold])
    out = tmp_path / "out.ipynb"
    given = ["-p", "table", table, "-p", "members", json.dumps(["m?*"]), "-p", "gold", gold, "-p", "n_boot", "100"]
    result = invoke("run", "many_scorers", *given, "-p", "n_choices", "2", "-o", out, "--html")
    assert out.is_file(), result.stderr
    assert Watched(chromium, out.with_suffix(".html")).close() == []
    nbformat.validate(nbformat.read(out, as_version=4))


def test_labels_and_contexts(tmp_path: Path, canary: Path) -> None:
    attempts = strings(str(canary))
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"target": rng.choice(attempts[:2], 400), "context": rng.choice(attempts[30:34], 400)})
    frame["label"] = np.where(rng.random(400) < 0.1, attempts[60], frame["target"])
    frame.to_parquet(tmp_path / "labels.parquet")
    result = invoke("capacity", tmp_path / "labels.parquet", "--context", "context")
    assert result.exit_code == 0, result.stderr
    for context in set(frame["context"]):
        assert visible(context.strip()) in result.stdout
    assert invoke("capacity", tmp_path / "labels.parquet", "--context", "context", "--json").exit_code == 0


@pytest.mark.parametrize("option", ["--prompt", "--reward", "--gold", "--sample", "--ensemble"])
def test_names_that_are_not_there(tmp_path: Path, canary: Path, option: str) -> None:
    table = rewards(tmp_path / "t\x1b[2J.parquet", ["\x1b[31mred\u202e", "gold"])
    for attempt in strings(str(canary))[::3]:
        options = {"--reward": "\x1b[31mred\u202e", "--gold": "gold"} | {option: attempt}
        invoke("frontier", table, "--n", "2", *[word for pair in options.items() for word in pair])


def test_a_parameter_that_is_no_text(tmp_path: Path) -> None:
    result = invoke("run", "markov", "-p", "text", "\udcff.txt", "-o", tmp_path / "out.ipynb")
    assert result.exit_code == 2
    assert "must be text in Unicode" in result.stderr


def test_the_book_allows_nothing_from_outside() -> None:
    from importlib import import_module

    import yaml

    root = Project(Path(__file__).resolve().parent.parent).root
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    assert "substitution" not in settings["parse"]["myst_enable_extensions"]
    policy = import_module("book.sphinx_extensions.offline_pages").POLICY
    assert "default-src 'none'" in policy
    assert not re.search(r"https?:|\*", policy)
