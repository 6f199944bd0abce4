# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] tags=["only-31_your_own_rewards"]
# # Your own rewards
#
# How much reward can any alignment method still buy from this model, at which KL, and how close does best-of-$N$ already come?
#
# :::{admonition} Answer
# :class: answer
# {{headline}}
# :::

# %% [markdown] tags=["only-32_public_table"]
# # A public table: sentences of reviews
#
# Somebody writes sentences about a product, and of $N$ of them a program keeps the one that it scores highest. How much can any way of choosing gain, and how much of it do people see?
#
# :::{admonition} Answer
# :class: answer
# By the program's own score best-of-$N$ is close to the limit: {{headline_reward}}
#
# By what people say of the sentences it is not: {{headline}}
# :::

# %% tags=["parameters"]
table: str | None = None  # table of sampled rewards; without one, a made-up table, existing file or folder
prompt: str = "prompt_id"  # column that names the prompt, any
pool: bool = False  # there is no such column: all rows are samples of one prompt
reward: str = "reward"  # column that best-of-N picks by; mean:score_* averages several, any
gold: str | None = "gold"  # column in which gains are counted; without one, the reward itself, any
gold_correlation: list[
    float
] = []  # with gold None: its correlation with reward, or that, its least and its largest value, in [-1, 1]
gold_table: str | None = None  # file in which a few rows have the column gold, which the table lacks, existing file
ensemble: list[str] = []  # columns of proxies to combine, against gold; none for no ensemble, any
sample: str | None = None  # column that numbers the samples of a prompt, any
wide: bool = False  # one row per prompt, with its samples in the columns that reward matches
drop_missing: bool = False  # go on without the samples that lack a finite value
bounded: list[float] = []  # least and largest reward there can be, where known; none for unknown, any
budget: str = "average"  # whether a KL budget holds on average over prompts or on each, one of average | per_prompt
kl: list[float] = []  # KL budgets to print, in nats; none for some that the samples support, >= 0
n: list[float] = []  # numbers of draws; none for powers of two that the table allows, >= 1
rule: list[str] = []  # other rules, such as threshold-stopping:4 or soft-best-of-n:8:2; none for best-of-N only, any
level: float = 0.95  # coverage of the intervals, in [1e-6, 0.999999999]
n_boot: int = 2000  # bootstrap replicates, in [100, 100000]
seed: int = 2  # seed of the made-up table and of the intervals, >= 0
folder: str | None = None  # folder in which to leave pictures and numbers, new folder

# %% tags=["conditions", "hide-input"]
from alignbook.given import given
from alignlib.answers.findings import ask
from alignlib.rules import named_rules
from alignlib.tables import RewardTable, example_table

if given() is None:
    counts = None if gold_table is not None else gold
    asked = [reward] if counts is None else [reward, counts, *ensemble]
    where = {"prompt": None if pool else prompt, "sample": sample, "wide": wide, "drop_missing": drop_missing}
    made_up = example_table(n_prompts=8, n_samples=64, noise=0.7, rng=0)
    data = made_up if table is None else RewardTable.read(table, reward=asked, **where)
    options = {"rules": named_rules(n, rule), "kl": kl or None, "budget": budget, "bounded": bounded or None}
    ask(data, reward, counts, ensemble, **options, n_boot=100, gold_correlation=gold_correlation or None)

# %% tags=["hide-input"]
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from alignbook import claims
from alignbook.given import given
from alignlib import plotting
from alignlib._core.safe_text import for_picture
from alignlib.answers.findings import ask
from alignlib.answers.gold_promise import gold_on_few_rows
from alignlib.answers.output import draws_per_prompt as shares
from alignlib.answers.output import frontier, gold_promise
from alignlib.answers.output import hacking as proxy
from alignlib.answers.output.frontier_sentences import headline
from alignlib.answers.output.render import to_csv, to_json, wrapped
from alignlib.answers.pictures import gold_caption, gold_picture
from alignlib.estimation import draws_per_prompt, fit_frontier
from alignlib.laws import FiniteLaw, Gaussian, PromptAverage
from alignlib.rules import BestOfN, named_rules
from alignlib.tables import RewardTable, example_table, open_table_file

# %% [markdown] tags=["only-31_your_own_rewards"]
# ## The table
#
# One row per sampled response: a column names the prompt, a column holds the reward, and another may hold a *gold* reward that is what one really wants.
# {{which_table}} [](32_public_table.ipynb) is this page on a public one.

# %% [markdown] tags=["only-32_public_table"]
# ## The table
#
# The sentences are real and so are the ratings, but no language model is involved. The *prompt* is a reviewer with a product, a *response* is a sentence, and the *base model* is this
# reviewer at writing: the sentences of the review are taken as independent samples of what he or she would write, although they follow one another. The reward `vader` is the score of the program VADER, from −1 to 1: it counts words of praise and blame by a lexicon and a few rules. The *gold* reward `people` is the mean rating by sixteen
# people, from −4 (extremely negative) to 4 (extremely positive); the ratings of four more stand in `rater_1` to `rater_4`, not always the same four people. The mean of sixteen is gold up to chance: its standard error
# is {{error_of_gold:.2f}} on average.
#
# Sentences, ratings and program are those of {cite:t}`Hutto2014`, published under the MIT licence. The table has every review of at least eight sentences, {{n_prompts}} in all, and none of the text.
# It lies in `notebooks/public_tables` with its licence; `benchmarks/public_table.py` makes it from the source distribution of vaderSentiment 3.3.2.
#
# Rewards of answers by language models are public too, in larger tables: RewardMATH (ten solutions to each of 483 problems, scored by reward models and judges; MIT licence), or 64 answers of Llama 3.3 70B to each
# of 64 GPQA questions with 32 scores of a verifier (`sc-genrm-scaling`, Apache 2.0). With one row for each answer they are read as this one is: `alignlib report TABLE --prompt … --reward … --gold …`.

# %% tags=["hide-input"]
found = given()  # what `alignlib report` has found already
if found is None:
    if table is None:
        data = example_table(n_prompts=150, n_samples=64, noise=0.7, rng=np.random.default_rng(seed))
    else:
        counts = None if gold_table is not None else gold
        asked = [reward] if counts is None else [reward, counts, *ensemble]
        data = RewardTable.read(
            table, prompt=None if pool else prompt, reward=asked, sample=sample, wide=wide, drop_missing=drop_missing
        )
    rules = named_rules(n, rule)
    options = {"rules": rules, "kl": kl or None, "budget": budget, "level": level, "n_boot": n_boot, "rng": seed}
    counts, known_gold = gold, gold_correlation or None
    if gold_table is not None:
        where = {"prompt": None if pool else prompt, "sample": sample, "drop_missing": drop_missing, "level": level}
        known_gold = gold_on_few_rows(gold_table, open_table_file(table), reward, gold or "gold", **where)
        counts = None
    options |= {"bounded": bounded or None, "gold_correlation": known_gold}
    found = ask(data, reward, counts, ensemble, **options, curves=True)
data, shown, curve, each = found.table, found.counted, found.curve, found.curve_on_every_prompt
beside = found.curve_beside  # the curve at the budgets of `each`
counted, best = shown.measured_in, shown.rules
known = best.supported if best.supported is not None else np.zeros(best.n.size, dtype=bool)
# Of the made-up table all is known: gold = s z with log s normal of standard deviation 0.4, and reward = gold + 0.7 s z'.
truth = None
if table is None and (reward, counted) == ("reward", "gold"):
    truth = lambda kl: np.exp(0.4**2) * np.sqrt(2.0 * np.asarray(kl))  # noqa: E731

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The limit for {{counted}} estimated from {{n_prompts:d}} prompts with {{each}} samples each, with its {{level:.0%}} interval, {{reach}}; and {{rules}} picked by {{reward}}, with intervals (hollow where the limit is not known at its KL).", "name": "fig-your-limit"}, "image": {"alt": "Gain in {{counted}} against KL: a rising concave curve with a band, {{reach}}, and points of {{rules}} with error bars."}}
fig, ax = plotting.new()
if curve is not None:
    plotting.frontier(ax, curve, "", note=False)
if each is not None:
    ax.plot(each.spent, each.gain, "--", color=plotting.THIRD, label="the limit, same KL on every prompt")
if truth is not None:
    grid = np.linspace(0.0, 1.0, 60) ** 2 * float(best.spent.max())
    ax.plot(grid, truth(grid), ":", color=plotting.BASE, label="the true limit of this made-up table")
names = plotting.apart(ax, best.spent, best.gain, [one.label for one in best.rules])
named = f"_{best.rules.name}"
style = {"markerfacecolor": "white", "label": named}
plotting.points(ax, best.spent, best.gain, names, low=best.gain_low, high=best.gain_high, **style)
plotting.points(ax, best.spent[known], best.gain[known], label=f"{named}, where the limit is known")
if curve is not None:
    ax.plot([], [], color=plotting.LIMIT, label="the limit")
ax.plot([], [], "o", color=plotting.BEST_OF_N, label=best.rules.name)
plotting.legend(ax, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
ax.set_xlim(left=-0.02 * ax.get_xlim()[1])
plotting.name_axes(ax, plotting.KL_LABEL, f"gain in {for_picture(counted)} over the base model")
plotting.save(fig, folder, "limit")

# %% [markdown]
# The dashed curve spends the same KL on every prompt, as best-of-$N$ nearly does; the solid one puts it where it buys most. The dashed one is
# left out where single prompts have too few samples for it.
#
# ## How close is best-of-N?
#
# The share compares best-of-$N$ with the limit at *its own* KL, with ties among the rewards taken into account (where there are ties, the formula
# $\log N-\frac{N-1}N$ overstates the KL). Hollow points lie beyond what the samples support: there the share is only a rough guide.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of the limit's gain in {{counted}} that {{rules}} picked by {{reward}} gets at equal KL, with {{level:.0%}} intervals ({{resampled}} resampled, jointly with the limit).", "name": "fig-your-share"}, "image": {"alt": "Share of the limit against the mean number of draws on a logarithmic axis with error bars; {{n_known:d}} of {{n_all:d}} points are filled."}}
fig, ax = plotting.new(height=3.1)
if best.share is not None:
    low, high = np.minimum(best.share_low, best.share), np.maximum(best.share_high, best.share)
    plotting.points(ax, best.n, best.share, low=low, high=high, **style)
    plotting.points(ax, best.n[known], best.share[known], label=f"{named}, where the limit is known")
ax.axhline(1.0, color=plotting.BASE, linewidth=1, linestyle=":", label="_the limit")
ax.set_xscale("log", base=2)
ax.set_xticks(best.n, [f"{v:g}" for v in best.n])
plotting.name_axes(
    ax, "N" if best.rules.name == "best-of-N" else "mean number of draws", "share of the limit at equal KL"
)
plotting.save(fig, folder, "share")

# %% [markdown]
# ## The numbers

# %%
if folder is not None:
    record = {"path": table or "made-up table", "seed": seed, **frontier.record(found)}
    Path(folder, "numbers.json").write_text(to_json("frontier", record), encoding="utf-8")
    Path(folder, "numbers.csv").write_text(to_csv(frontier.points(found), frontier.COLUMNS), encoding="utf-8")
print("\n".join(wrapped(frontier.lines(replace(found, hacking=None, promise=None)))))

# %% [markdown]
# ## Which N, per prompt
#
# Where prompts differ in how much there is to gain, some deserve more draws than others. The numbers are chosen prompt by prompt, the next draw always going where it adds most, and judged on
# samples that did not choose them ([](75_what_a_response_costs.ipynb)).

# %% tags=["hide-input"]
picks, shared = shown.picked_by, None
if data.n_prompts > 1 and data.n_samples.min() >= 4 and data.all_held:
    shared = draws_per_prompt(data, picks, counted, level=level, rng=seed)
    if folder is not None:
        rows = to_csv(shares.points(shared), shares.COLUMNS)
        Path(folder, "draws_per_prompt.csv").write_text(rows, encoding="utf-8")
few = ["It takes two prompts or more, of four samples or more each."]
print("\n".join(few if shared is None else wrapped(shares.lines(shared, picks, counted))))

# %% [markdown]
# ## Where the proxy starts to cost gold
#
# Where a gold reward is named, these lines say where optimising the proxy turns gold down, which $N$ or $\lambda$ to stop at, how sure that is, and how much gold best-of-$N$ by the proxy
# leaves unclaimed there, whether for the proxy's sake or for best-of-$N$'s ({doc}`43_overoptimisation`). Where gold is known on few rows only (`--gold-table`), or its correlation with the reward
# is all that is known (`--gold-correlation`), they say what that promises of gold ([](74_gold_from_a_correlation.ipynb)).

# %% tags=["hide-input"] mystnb={"figure": {"caption": "{{gold_caption}}.", "name": "fig-your-gold"}, "image": {"alt": "Gain against KL. {{gold_caption}}."}}
fig, ax = plotting.new()
gold_picture(ax, found.reward, found.hacking, found.promise)
if found.hacking is not None or found.promise is not None:
    plotting.save(fig, folder, "gold")

# %% tags=["hide-input"]
said = ["No gold reward is named."] if found.hacking is None else proxy.lines(found.hacking)
print("\n".join(wrapped(said if found.promise is None else gold_promise.lines(found.promise))))

# %% [markdown] tags=["only-32_public_table"]
# ## A program, a person, four people
#
# Who chooses the better of two sentences, and what sixteen other people think of the choice. (The last row chooses by the very ratings that count, so that their chance errors count as taste.)

# %% tags=["hide-input", "only-32_public_table"]
choosers = {"the program": "vader", "one person": "rater_1", "four people": "mean:rater_*", "the sixteen": "people"}
people = RewardTable.read(table, prompt=prompt, reward=[*choosers.values(), "rater_2", "rater_3", "rater_4"])
fit = fit_frontier(people, "people", level=level, n_boot=n_boot, rng=seed)
twice = {who: fit.share(BestOfN(2), picked_by=column) for who, column in choosers.items()}
share = {who: [100 * float(end[0]) for end in (one.share, one.share_low, one.share_high)] for who, one in twice.items()}
pd.DataFrame(
    {
        "rating gained": {who: f"{one.gain[0]:.2f}" for who, one in twice.items()},
        "% of the limit at equal KL": {who: "{:.0f} [{:.0f}, {:.0f}]".format(*ends) for who, ends in share.items()},
    }
)

# %% tags=["hide-input", "only-32_public_table"]
four = np.array([people.column(f"rater_{k}") for k in range(1, 5)])
claims.glue(error_of_gold=np.sqrt(four.var(axis=0, ddof=1).mean() / 16))
claims.record(
    claims.at_most(
        "program-person",
        "of two sentences the program's choice gains less of people's ratings than one person's (share of the limit, in %)",
        "measured",
        share["the program"][2],
        share["one person"][1],
    ),
    claims.at_most(
        "person-four",
        "and one person's less than that of four",
        "measured",
        twice["one person"].gain,
        twice["four people"].gain,
    ),
)

# %% [markdown] tags=["only-32_public_table"]
# ## If only the sentences that were written may be quoted
#
# Then every review is a law with as many outcomes as it has sentences, each equally likely, and nothing has to be estimated: with the same mean KL, {{exact_at:g}} nats, the limit for `vader` is exactly
# {{exact_limit:.4f}}. The estimate above is {{estimated_limit:.4f}}, for it also counts the sentences that the reviewer might have written and did not. The same holds of best-of-$N$: draws from the
# written sentences may repeat one, draws from the reviewer do not.

# %% tags=["hide-input", "only-32_public_table"]
written = [people.column("vader")[start:stop] for start, stop in itertools.pairwise(people.offsets)]
exact = PromptAverage([FiniteLaw(one) for one in written])
exact_at = 0.5
claims.glue(
    exact_at=exact_at,
    exact_limit=float(exact.gain_at_kl(exact_at)),
    estimated_limit=float(fit_frontier(people, "vader", level=level, n_boot=n_boot, rng=seed).at(exact_at).gain[0]),
)

# %% [markdown]
# ## What it means
#
# Where best-of-$N$ has nearly all of the limit, training can save its cost at run time but can hardly buy more reward for the same KL. Where it has
# much of the limit of the reward it picks by and little of the limit *of the gold reward*, the proxy is the bottleneck, not the method; on prompts of unequal scale it also loses
# by spending the same KL on each. And where the curve stops, only more samples per prompt
# tell more.
#
# ## Claims

# %% tags=["hide-input"]
claims.glue(
    resampled="samples of each prompt" if best.fixed_prompts else "prompts",
    headline=headline(shown),
    headline_reward=headline(found.reward),
    gold_caption=gold_caption(found.reward, found.hacking, found.promise),
    which_table="Without a table of yours this page uses a made-up one: prompts of unequal scale, a gold reward, and a "
    "proxy that sees it through noise."
    if table is None
    else f"The numbers below are those of your table: {data.n_prompts:,} prompt{'s' * (data.n_prompts != 1)}.",
    counted=counted,
    n_prompts=data.n_prompts,
    each=" to ".join(str(v) for v in sorted({int(data.n_samples.min()), int(data.n_samples.max())})),
    reach="which known bounds of the reward give at any KL"
    if curve is not None and np.isinf(curve.supported_end)
    else f"as far as the samples support it (bar: {0.0 if curve is None else curve.supported_end:.2f} nats)",
    n_known=int(known.sum()),
    n_all=best.n.size,
    rules=best.rules.name,
)
inside = known & (best.n > 1)
is_best = np.array([isinstance(one, BestOfN) for one in best.rules])
ours = table is None  # on a table of yours, this is what its samples show: nothing on the page relies on it
if curve is None:  # too few samples for a limit: best-of-N is still known
    ordered = np.argsort(np.where(is_best, best.n, np.inf))[: is_best.sum()]
    more = np.diff(np.append(0.0, best.gain[ordered])) >= 0
    checked = [claims.true("more", "best-of-N gains no less from more draws", "classical", more, must_hold=False)]
else:
    rises = np.diff(curve.gain) >= 0
    checked = [claims.true("rising", "the estimated limit rises with the budget", "Y24, P26", rises, must_hold=ours)]
ranked = inside & is_best
if truth is not None and ranked.any():  # for some seeds it does not, for that is what a 95 % interval means
    true = truth(best.spent[ranked])
    part = np.exp(0.4**2 / 2) * np.array([BestOfN(v).on(Gaussian()).gain for v in best.n[ranked]])
    part /= np.sqrt(1.0 + 0.7**2) * true
    holds = {
        "limit": (shown.limit_at_rules.gain_low[ranked], true, shown.limit_at_rules.gain_high[ranked]),
        "share": (best.share_low[ranked], part, best.share_high[ranked]),
    }
    checked += [
        claims.true(
            f"truth-of-{name}",
            f"the interval of the {name} holds the truth of the made-up table",
            "we derive",
            (low <= value) & (value <= high),
            must_hold=False,
        )
        for name, (low, value, high) in holds.items()
    ]
if inside.any():
    checked.append(
        claims.at_most(
            "below-limit",
            f"{best.rules.name} below the limit's upper end wherever the samples support it",
            "Y24, P26",
            best.gain[inside],
            shown.limit_at_rules.gain_high[inside],
            must_hold=ours,
        )
    )
both = each is not None and curve is not None
shared = (each.spent > 0) & (each.spent <= curve.supported_end) if both else np.zeros(0, dtype=bool)
if both and beside is not None and shared.any():
    checked.append(
        claims.at_most(
            "average-above",
            "a budget on the average buys at least as much as the same budget on every prompt (within the intervals)",
            "we derive",
            each.gain_low[shared],
            beside.gain_high[shared],
            must_hold=ours,
        )
    )
claims.record(*checked)

# %% [markdown] tags=["only-32_public_table"]
# **Try:** `alignlib run public_table -p reward rater_1 -o out.ipynb --html`: one person chooses instead of the program. Or `alignlib run public_table -p reward people -p gold none -o out.ipynb --html`: how near is best-of-$N$ to the limit if the people choose themselves?

# %% [markdown] tags=["only-31_your_own_rewards"]
# **Try:** `alignlib report TABLE --prompt prompt_id --reward score -o report` on a table of yours.
