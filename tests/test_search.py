"""The search of the book: what it indexes, and that it answers what readers ask, from a folder as from a server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from docutils import nodes
from docutils.core import publish_doctree
from myst_parser.docutils_ import Parser
from playwright.sync_api import Browser, Page

from alignbook import search_entries
from alignbook.api_pages import API_PAGES
from tests.built_book import HTML, need_book, parse, toc_pages

pytestmark = pytest.mark.xdist_group("pages")

# What a reader types, and the pages one of which must be among the first three.
QUESTIONS = {
    "λ": "notation",
    "lambda": "notation glossary",
    "what is lambda?": "notation glossary",
    "what does lambda mean": "notation glossary",
    "python version": "rerun versions",
    "π_λ": "notation notebooks/01_closed_form",
    "D_max": "notation",
    "C_tot": "notation notebooks/60_feedback_channel",
    "chi2": "notebooks/71_which_divergence api/divergences",
    "χ²": "notebooks/71_which_divergence api/divergences",
    "best-of-N": "notebooks/10_best_of_n",
    "BestOfN": "api/rules api/index",
    "fit_frontier": "api/index api/fit",
    "effective number of prompts": "glossary",
    "gain_at_kl": "api/laws api/index",
    "--win-rate": "notebooks/70_win_rates api/laws",
    "Fano": "notebooks/62_floor_and_ceiling",
    "how many samples do I need": "notebooks/05_samples_needed",
    "what is a nat": "glossary",
    "how do I cite this book": "cite",
    "rerun a notebook with my own parameters": "rerun",
    "reward hacking": "notebooks/43_overoptimisation",
    "which checkpoint should I keep": "from_your_trainer",
    "beta for a target KL": "from_your_trainer",
    "hacking threshold": "notebooks/40_price_of_a_proxy notebooks/43_overoptimisation",
    "ensemble of reward models": "notebooks/42_ensembles",
    "is PPO better than best-of-N": "notebooks/51_safety_training notebooks/52_summarisation_training",
    "why does GRPO fall below best-of-N": "notebooks/53_why_below",
    "pass@k": "notebooks/72_pass_at_k",
    "win rate": "notebooks/70_win_rates",
    "winning rate": "notebooks/70_win_rates",
    "PPO worse than best-of-N?": "notebooks/51_safety_training notebooks/52_summarisation_training",
    "k3 estimator": "notebooks/56_measuring_kl",
    "heavy tails": "notebooks/41_tails_decide",
    "my own CSV of rewards": "rerun notebooks/31_your_own_rewards explorer",
    "wandb log": "from_your_trainer",
    "Markov chain": "notebooks/24_markov",
    "sycophancy": "glossary notebooks/65_past_saturation",
    "verify a bundle": "bundle json",
    "over-optimization": "notebooks/43_overoptimisation",
    "average over prompts": "notebooks/04_many_prompts",
    "square root of KL bound": "notebooks/03_older_bounds",
    "tilted model": "notebooks/01_closed_form glossary",
    "capacity of the feedback channel": "notebooks/60_feedback_channel",
    "a billion rows with dask": "notebooks/33_a_billion_rewards",
    "frontir": "glossary notebooks/01_closed_form",  # mistyped
    "which beta for my KL budget": "from_your_trainer notebooks/01_closed_form",
    "how do I choose beta": "from_your_trainer",
    "what KL coefficient should I set in GRPO": "from_your_trainer",
    "kl_coef": "from_your_trainer notebooks/76_where_kl_is_charged",
    "how far is my policy from optimal": "notebooks/73_optimal_or_not from_your_trainer",
    "is my run overoptimized": "notebooks/43_overoptimisation from_your_trainer",
    "how much reward can I gain": "notebooks/01_closed_form notebooks/30_from_samples explorer",
    "what is best-of-n KL": "notebooks/10_best_of_n",
    "KL of best-of-n log n - (n-1)/n": "notebooks/10_best_of_n",
    "how many samples per prompt": "notebooks/05_samples_needed",
    "confidence interval": "notebooks/30_from_samples notebooks/77_how_sure",
    "effective sample size": "glossary notebooks/30_from_samples",
    "where does the data go privacy": "threat_model explorer",
    "is it safe to open a bundle from somebody": "threat_model bundle",
    "reverse KL": "notebooks/71_which_divergence api/divergences",
    "Renyi divergence": "notebooks/71_which_divergence api/divergences notebooks/22_cumulants notebooks/70_win_rates",
    "total variation": "notebooks/71_which_divergence api/divergences",
    "majority vote": "notebooks/72_pass_at_k api/pass_at_k api/rules",
    "verl log": "from_your_trainer",
    "tensorboard": "from_your_trainer",
    "trl reward std normalisation": "from_your_trainer",
    "GRPO group normalisation beta": "from_your_trainer",
    "pessimistic ensembles": "notebooks/42_ensembles api/rules",
    "how long does it take to build the book": "versions performance rerun",
    "memory needed for a billion rows": "notebooks/33_a_billion_rewards performance",
    "cite BibTeX": "cite",
    "what is the verdict on the claim that PPO is below": "verdicts scorecard notebooks/51_safety_training",
    "use my own model hugging face": "your_own_model notebooks/55_your_own_model",
    "score responses with a reward model": "your_own_model notebooks/55_your_own_model",
    "Gao scaling laws reward model overoptimization": "notebooks/43_overoptimisation references",
    "json schema": "json",
    "change a parameter of a notebook": "rerun change_one_thing",
    "run with several values sweep": "rerun change_one_thing",
    "Docker": "rerun",
    "install on Windows": "rerun",
    "Blahut-Arimoto": "notebooks/60_feedback_channel notebooks/61_measuring_capacity api/bottleneck",
    "does averaging reward models help": "notebooks/42_ensembles",
    "soft best-of-n": "notebooks/12_relatives api/rules",
    "DPO": "notebooks/52_summarisation_training notebooks/51_safety_training notebooks/53_why_below",
    "length penalty per token KL": "notebooks/76_where_kl_is_charged from_your_trainer notebooks/56_measuring_kl",
    "large deviations": "notebooks/21_large_deviations",
    "what if rewards are heavy tailed": "notebooks/41_tails_decide",
    "Jeffreys divergence": "notebooks/02_jeffreys_covariance",
    "covariance form of the gain": "notebooks/02_jeffreys_covariance",
    "when does more optimization hurt": "notebooks/43_overoptimisation notebooks/40_price_of_a_proxy",
    "labels needed to learn values": "notebooks/63_more_labels notebooks/62_floor_and_ceiling",
    "annotators disagree": "notebooks/61_measuring_capacity notebooks/60_feedback_channel",
    "cost per response in tokens": "notebooks/75_what_a_response_costs",
    "math problems verifiable rewards": "notebooks/72_pass_at_k",
    "two runs which is better": "from_your_trainer",
    "compare two checkpoints": "from_your_trainer",
    "what is reward tilting": "glossary notebooks/01_closed_form",
    "how big should N be": "notebooks/10_best_of_n notebooks/05_samples_needed notebooks/11_distance_to_limit",
    "does RLHF reach the optimum": "notebooks/51_safety_training notebooks/52_summarisation_training",
    "optimal policy formula": "notebooks/01_closed_form",
    "gap between proxy and gold reward": "notebooks/40_price_of_a_proxy notebooks/43_overoptimisation",
    "LLM judge bias": "notebooks/74_gold_from_a_correlation notebooks/42_ensembles from_your_trainer",
    "correlation between proxy and gold": "notebooks/74_gold_from_a_correlation",
    "early stopping": "from_your_trainer notebooks/43_overoptimisation",
    "estimate KL from logprobs": "notebooks/56_measuring_kl",
    "negative KL": "notebooks/56_measuring_kl from_your_trainer",
    "what is mutual information here": "glossary notebooks/60_feedback_channel",
    "information bottleneck of human feedback": "notebooks/60_feedback_channel notebooks/62_floor_and_ceiling",
    "PAC-Bayes bound": "notebooks/62_floor_and_ceiling glossary",
    "exercises with solutions": "notebooks/90_exercises",
    "where do I start reading": "reading_path",
    "notation table": "notation",
    "list of symbols": "notation",
    "command line options": "rerun api/index your_own_model json",
    "python API": "api/index",
    "performance compared with cvxpy": "performance",
    "how accurate are the numbers": "notebooks/26_exact_laws performance cite notebooks/77_how_sure",
    "license": "cite index",
    "who wrote the papers": "references verdicts index",
    "Gaussian reward": "notebooks/01_closed_form notebooks/03_older_bounds glossary notebooks/73_optimal_or_not",
    "ties in rewards": "notebooks/10_best_of_n glossary notebooks/25_one_token notebooks/71_which_divergence",
    "zero one rewards": "notebooks/72_pass_at_k notebooks/03_older_bounds",
    "maximum gain at infinite KL": "notebooks/01_closed_form notation glossary",
    "is the difference significant": "notebooks/77_how_sure from_your_trainer notebooks/57_real_words",
    "parquet files in many parts": "notebooks/33_a_billion_rewards api/scale",
    "sequence length": "notebooks/20_memoryless_optimum notebooks/23_best_of_exponentially_many",
    "multi-objective several rewards": "notebooks/44_many_scorers",
    "what does the verify command check": "bundle json",
    "what is the largest reward for a given KL": "notebooks/01_closed_form explorer index",
    "is GRPO optimal": "notebooks/51_safety_training notebooks/52_summarisation_training notebooks/53_why_below",
    "PPO vs best of n": "notebooks/51_safety_training notebooks/52_summarisation_training notebooks/57_real_words",
    "reward model ensemble uncertainty": "notebooks/42_ensembles",
    "scaling law of overoptimization": "notebooks/43_overoptimisation",
    "square root law": "notebooks/03_older_bounds",
    "bootstrap interval": "notebooks/30_from_samples api/fit notebooks/77_how_sure",
    "bias correction jackknife": "notebooks/30_from_samples api/fit",
    "extrapolate beyond samples": "notebooks/30_from_samples notebooks/05_samples_needed api/fit glossary",
    "support of samples": "notebooks/05_samples_needed glossary notebooks/30_from_samples",
    "import rewards from pandas dataframe": "api/tables api/index notebooks/31_your_own_rewards",
    "polars": "api/tables rerun performance notebooks/33_a_billion_rewards",
    "jsonl rollouts": "from_your_trainer api/tables your_own_model",
    "openrlhf log": "from_your_trainer",
    "mlflow": "from_your_trainer",
    "kl per token or per sequence": "from_your_trainer notebooks/56_measuring_kl notebooks/76_where_kl_is_charged",
    "self-consistency voting": "notebooks/72_pass_at_k api/pass_at_k",
    "coding benchmarks pass at 1": "notebooks/72_pass_at_k api/pass_at_k",
    "channel capacity algorithm": "api/bottleneck notebooks/60_feedback_channel notebooks/61_measuring_capacity",
    "rater agreement": "notebooks/61_measuring_capacity notebooks/60_feedback_channel",
    "flattery": "notebooks/65_past_saturation glossary",
    "what does toy verdict mean": "verdicts",
    "download PDF": "index cite bundle",
    "random seed reproducibility": "rerun change_one_thing cite bundle",
    "what does best-of-n cost": "notebooks/75_what_a_response_costs notebooks/10_best_of_n",
    "temperature": "notation glossary notebooks/01_closed_form",
    "Donsker Varadhan": "notebooks/01_closed_form references notebooks/02_jeffreys_covariance glossary api/laws",
    "Markov": "notebooks/24_markov",
    "two reward functions trade-off": "notebooks/44_many_scorers notebooks/40_price_of_a_proxy",
    "winner's curse": "notebooks/41_tails_decide glossary",
    "optimism of the best of n": "notebooks/41_tails_decide",
    "regression to the mean": "notebooks/41_tails_decide",
    "is my reward model good enough": "notebooks/74_gold_from_a_correlation notebooks/44_many_scorers",
    "reward model disagrees with humans": "notebooks/74_gold_from_a_correlation",
    "gold labels are expensive": "notebooks/74_gold_from_a_correlation",
    "how much better can my model get": "notebooks/30_from_samples explorer",
    "too few prompts": "notebooks/30_from_samples notebooks/05_samples_needed",
    "test-time compute": "notebooks/75_what_a_response_costs notebooks/10_best_of_n",
    "inference-time alignment": "notebooks/10_best_of_n notebooks/12_relatives",
    "cost of sampling": "notebooks/75_what_a_response_costs",
    "binary rewards": "notebooks/72_pass_at_k notebooks/03_older_bounds",
    "best of 1000": "notebooks/10_best_of_n",
    "LoRA": "your_own_model",
    "Lagrangian": "notebooks/01_closed_form notebooks/04_many_prompts",
    "small budget approximation": "notebooks/03_older_bounds notebooks/02_jeffreys_covariance",
}
FIELD = ".bd-search-container input[name=q]"
FIRST = """queries => {
  const index = BookSearch.build(bookEntries);
  const page = hit => bookEntries.pages[hit.page][0].replace(/[.]html$/, "");
  return queries.map(query => BookSearch.byPage(index, query).slice(0, 3).map(page));
}"""


def entries(text: str) -> list[tuple[str, str, str, str]]:
    tree = publish_doctree("", settings_overrides={"myst_enable_extensions": ["dollarmath"]})
    Parser().parse(text, tree)
    return [(entry.anchor, entry.title, entry.kind, entry.text) for entry in search_entries.entries(tree)]


def test_sections_become_entries_with_formulas_as_plain_text() -> None:
    text = "# The bound\n\nAt $\\lambda$ it is\n\n$$\\sqrt{2\\Delta}$$\n\n## A part `kl`\n\nMore of *it*, `code`.\n"
    found = [(title, kind, said) for _, title, kind, said in entries(text)]
    assert found == [("The bound", "page", "At λ it is √(2Δ)"), ("A part kl", "section", "More of it, code.")]


def test_folded_code_and_raw_text_are_left_out() -> None:
    tree = nodes.document("", "")  # type: ignore[arg-type]
    section = nodes.section("", nodes.title("", "Title"), ids=["title"])
    section += nodes.container("", nodes.literal_block("", "secret = 1"), classes=["cell_input"])
    section += nodes.raw("", "<b>raw</b>", format="html")
    section += nodes.section("", nodes.paragraph("", "shown,"), classes=["theorem-content"])  # no section of its own
    section += nodes.paragraph("", "and this")
    tree += section
    assert [(entry.title, entry.text) for entry in search_entries.entries(tree)] == [("Title", "shown, and this")]


def test_a_page_is_found_by_the_question_it_opens_with_and_by_words_of_ours() -> None:
    tree = publish_doctree("", settings_overrides={})
    Parser().parse("# The bound\n\nHow much is it?\n\nMore text.\n", tree)
    (entry,) = search_entries.entries(tree)
    assert entry.asked == "How much is it?"
    pages = {
        "p": search_entries.PageEntries("p.html", "P", [entry]),
        "q": search_entries.PageEntries("q.html", "Q", []),
    }
    data = json.loads(search_entries.script(pages, {"p": "price, cost"}).removeprefix("window.bookEntries = ")[:-2])
    assert [page[3] for page in data["pages"]] == ["How much is it? price, cost", ""]


def test_classes_name_those_that_they_inherit_from_and_each_term_of_a_definition_is_an_entry() -> None:
    names = [
        search_entries.Entry(name, name, "name")
        for name in ("alignlib.laws.Bernoulli", "alignlib.Law", "alignlib.Law.frontier", "alignlib.no_name")
    ]
    page = search_entries.PageEntries("p.html", "P", names)
    data = json.loads(search_entries.script({"p": page}).removeprefix("window.bookEntries = ")[:-2])
    assert data["bases"] == {"alignlib.laws.Bernoulli": ["alignlib.Law"], "alignlib.Law": []}
    terms = [nodes.term("", name, ids=[f"term-{name}"]) for name in ("proxy", "proxies")]
    tree = nodes.document("", "")  # type: ignore[arg-type]
    said = nodes.definition("", nodes.paragraph("", "It stands in."))
    section = nodes.section("", nodes.title("", "Terms"), nodes.definition_list_item("", *terms, said), ids=["terms"])
    tree += section
    found = [(one.anchor, one.title, one.text) for one in search_entries.entries(tree)][1:]
    assert found == [("term-proxy", "proxy", "It stands in."), ("term-proxies", "proxies", "It stands in.")]


def test_the_script_closes_no_tag() -> None:
    entry = search_entries.Entry("a", "</script><b>", "page", ["x"])
    page = search_entries.PageEntries("p.html", "</script>", [entry])
    assert "</" not in search_entries.script({"p": page})


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """The page of the search on a phone, from a folder, opened once."""
    need_book()
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 390, "height": 844})
    context.set_default_timeout(120_000)  # a machine with much else to do is no fault of the page
    opened = context.new_page()
    ask(opened, HTML.as_uri(), "frontier")
    yield opened
    context.close()


def ask(page: Page, base: str, query: str) -> None:
    page.goto(f"{base}/search.html?q={quote(query)}")
    page.wait_for_selector("#search-results li")


def test_questions_of_readers_are_answered_from_a_file(page: Page) -> None:
    assert len(QUESTIONS) >= 25
    found = dict(zip(QUESTIONS, page.evaluate(FIRST, list(QUESTIONS)), strict=True))
    assert {query: pages for query, pages in found.items() if not set(QUESTIONS[query].split()) & set(pages)} == {}


def test_what_has_a_name_is_found_first_by_it(page: Page) -> None:
    """Of the library whole or from its class on, as a call too (every tenth); of the glossary every term."""
    tried, wrong = page.evaluate(
        """inherited => {
          const index = BookSearch.build(bookEntries), of = kind => bookEntries.entries.filter(one => one[3] === kind);
          const first = query => bookEntries.entries[BookSearch.find(index, query)[0].entry];
          const some = of("name").map(one => one[2]).filter((_, i) => i % 10 === 0);
          const names = ["alignlib.RewardTable.from_frame", ...some];
          const asked = names.flatMap(name => [name, name.split(".").slice(-2).join(".")]);
          const wrong = [...asked, ...asked.map(name => `${name}()`)].filter(query =>
            !`.${first(query)[2]}`.endsWith(`.${query.replace("()", "")}`));
          const terms = of("term").map(one => one[2]);
          const loud = terms.filter(term => first(term.toUpperCase())[2].toLowerCase() !== term.toLowerCase());
          const led = Object.entries(inherited).filter(([query, name]) => first(query)[2] !== name).map(String);
          const hidden = terms.filter(term => first(term)[2] !== term);
          return [[asked.length, terms.length], [...wrong, ...hidden, ...loud, ...led]];
        }""",
        {
            "BestOfN.on": "alignlib.rules.Rule.on",
            "Bernoulli.frontier()": "alignlib.Law.frontier",
            "FiniteLaw.gain_at_kl": "alignlib.Law.gain_at_kl",
            "EstimatedFrontier.gain_low": "alignlib.estimation.EstimatedFrontier",
        },
    )
    assert min(tried) > 50
    assert wrong == []


def test_every_page_section_and_name_is_in_the_index(page: Page) -> None:
    listed, places = page.evaluate(
        "() => [bookEntries.pages.map(p => p[0]), bookEntries.entries.map(e => [bookEntries.pages[e[0]][0], e[1]])]"
    )
    assert {f"{name}.html" for name in toc_pages()} <= set(listed)
    known = {address: parse(HTML / address).ids for address in listed}
    assert [place for place in places if place[1] and place[1] not in known[place[0]]] == []
    found = {anchor for _, anchor in places}
    for name, *_ in API_PAGES:
        names = set(re.findall(r'<dt class="sig[^>]*id="([^"]+)"', (HTML / f"api/{name}.html").read_text("utf-8")))
        assert names <= found, name
    index = (HTML / "genindex.html").read_text(encoding="utf-8")
    assert set(re.findall(r'href="[^"#]+#(alignlib[^"]+)"', index)) <= found  # modules are pages


def test_results_are_accessible_and_fit_a_phone(page: Page) -> None:
    page.fill(FIELD, "D_max")
    page.wait_for_selector("#search-results > li:first-child a[href*='symbol-']")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.fill(FIELD, "tilt")
    page.wait_for_selector("#search-results .search-rest button")  # of many pages the first are shown
    page.evaluate(Axe().axe_script)
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        found = page.evaluate("async () => await axe.run('.bd-search-container', {resultTypes: ['violations']})")
        assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []


def test_results_have_excerpts_follow_what_is_typed_and_are_reached_by_keys(page: Page) -> None:
    page.fill(FIELD, "Fano floor")
    page.wait_for_selector("#search-results > li:first-child a[href*='Fano']")
    assert page.url.endswith("?q=Fano+floor")  # what was asked, for a link or for Back
    assert re.fullmatch(r"\d+ pages found, the best first\.", page.inner_text("#search-status"))
    assert page.get_attribute("#search-status", "role") == "status"
    first = page.locator("#search-results > li").first
    assert page.locator("#search-results .search-excerpt mark").count() > 3
    page.focus(FIELD)
    page.keyboard.press("ArrowDown")
    assert first.locator(".search-title a").evaluate("a => a === document.activeElement")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Control+A")
    page.keyboard.type("xqzvwkjh")
    page.wait_for_selector("#search-status:has-text('Nothing found')")
    assert page.locator("#search-results > li").count() == 0


def test_a_server_gives_the_same_and_a_result_leads_to_its_section(page: Page, site: str) -> None:
    """Last: it leaves the page."""
    titles = "() => [...document.querySelectorAll('.search-title a')].map(a => a.textContent)"
    page.fill(FIELD, "Fano floor")
    page.wait_for_selector("#search-results > li:first-child a[href*='Fano']")
    from_a_folder = page.evaluate(titles)
    ask(page, site, "Fano floor")
    assert page.evaluate(titles) == from_a_folder != []
    page.locator(".search-title a").first.click()
    page.wait_for_url("**/glossary.html#term-Fano-floor")
    assert page.evaluate("!!document.getElementById('term-Fano-floor')")
