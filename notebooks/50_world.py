# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A world small enough to enumerate
#
# On real models limit and method are both estimated, and an estimate can flatter either. What do the limit and best-of-N look like where nothing has to be estimated?
#
# :::{admonition} Answer
# :class: answer
# On {{n_prompts:d}} prompts with {{n_responses:,d}} responses each, every curve here is a finite sum. At {{kl_mid:g}} nat a summariser can gain at most {{limit_summarisation:.2f+}}
# of gold and a safe assistant {{limit_safety:.2f+}}; best-of-{{n_mid:d}} gets {{share_summarisation:.1%}} and {{share_safety:.1%}} of what its own KL could buy. It is almost on the frontier
# ({{own_summarisation:.1%}}, {{own_safety:.1%}}) only of a budget that holds on *every* prompt, and such a budget costs up to {{lost_most:.1%+}} of the gain, the most of all budgets at {{lost_at:.2g}} nats.
# :::

# %% tags=["parameters"]
kl_mid: float = 1.0  # budget that the text quotes, in nats, in [0.1, 2]
n_mid: int = 8  # best-of-N that the text quotes, >= 2
n_list: list[int] = [2, 4, 8, 16, 64]  # best-of-N shown, >= 2
soft_n: int = 16  # draws of soft best-of-n, in [2, 256]
shift: float = 1000.0  # size of the constants added to a reward model prompt by prompt, in [0, 1e6]
seed: int = 0  # seed of those constants, >= 0

# %% tags=["hide-input"]
import numpy as np

from alignbook import claims
from alignbook.largest import largest
from alignlib import plotting
from alignlib.laws import dual_gain
from alignlib.lm.level_law import LevelLaw
from alignlib.lm.tasks import TASKS
from alignlib.rules import BestOfN, SoftBestOfN

# %% [markdown]
# ## The world
#
# Two tasks. A *document* is up to three facts, marked by importance; a good summary states the important ones, invents none and is brief. A *request* has a purpose,
# stakes and a manner; a good reply gives what is asked for where the purpose is harmless and refuses where it is not. Gold is a short rule, so it is known for every response:
#
# - document *{{document}}*: best is *{{summary}}*, gold {{summary_gold:g}};
# - request *{{request}}*: best is *{{reply}}*, gold {{reply_gold:g}};
# - request *{{harmful}}*: best is *{{refusal}}*, gold {{refusal_gold:g}}.
#
# A response is at most {{length:d}} of {{n_content:d}} words, so there are $\sum_{k\le {{length:d}}}{{n_content:d}}^k={{n_responses:,d}}$ of them. All else is as in practice: the base model is a
# Transformer (GPT-2 with two layers of width 64) pretrained on noisy demonstrations of other prompts. There are {{n_documents:,d}} documents and {{n_requests:,d}} requests; the {{n_prompts:d}} of each task on this page are kept for tests. Its law over all responses is computed exactly by walking the tree of
# prefixes once, common prefixes sharing keys and values (`make bench` times it against a plain forward pass). What KL and reward can say of that law is its *mass on each reward level of each prompt*; these
# small tables are kept with the book, so that this page needs no torch.

# %%
tasks = {name: grammar.task() for name, grammar in TASKS.items()}
laws = {
    "summarisation": LevelLaw.read("lm_results/law_summarisation_gold_test.csv"),
    "safety": LevelLaw.read("lm_results/law_safety_gold_test.csv"),
}

# %% [markdown]
# ## One budget for all prompts, or one for each
#
# A training run has one penalty β for all prompts. That spends KL where it buys most:
#
# ```{prf:theorem} Average budget (we derive, from Y24 and P26 prompt by prompt)
# :label: thm-average-budget
#
# Let prompts $x$ have weights $\mu$. Among policies with $\E_\mu\KL{\varphi_x}{p_x}\le\Delta$ the mean reward is largest for $\varphi_x=\pi_{\lambda,x}$ with the same λ on every prompt and
# $\E_\mu D_x(\lambda)=\Delta$. With $\KL{\varphi_x}{p_x}\le\Delta$ on every prompt the largest mean reward is $\E_\mu R_x(\Delta)$, which is never more.
# ```
#
# ```{prf:proof}
# For every φ, $\E_\mu[\E_{\varphi_x}r-\beta\KL{\varphi_x}{p_x}]$ is a mean of terms each at most $\beta\Lambda_x(1/\beta)$, with equality for $\pi_{\lambda,x}$ at $\lambda=1/\beta$; so none
# with the same mean KL has more reward. Policies that keep the budget on every prompt also keep it on average.
# ```

# %%
frontiers = {name: law.average.frontier(np.linspace(0, 3.5, 71)) for name, law in laws.items()}
every = {name: law.average.gain_on_every_prompt(frontiers[name].spent) for name, law in laws.items()}
best = {name: law.along(BestOfN.along(n_list)) for name, law in laws.items()}
soft = {name: law.along(SoftBestOfN.along(np.geomspace(0.02, 30, 24), n=soft_n)) for name, law in laws.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean gold gained over the base model against mean KL, exactly, for the budget on the average KL (solid) and on every prompt (dashed); best-of-N for N = {{n_shown}} (points) and soft best-of-{{soft_n}} for all λ (dotted). Top: summarisation, bottom: safety; {{n_prompts:d}} prompts each.", "name": "fig-world"}, "image": {"alt": "Two panels. In each a concave solid curve, a dashed one up to {{lost_most:.0%+}} below it, and best-of-N points close to the dashed one."}}
fig, axes = plotting.new(rows=2, height=3.3)
for ax, (name, limit) in zip(axes, frontiers.items(), strict=True):
    plotting.frontier(ax, limit, "average budget", at=2.2)
    plotting.curve(
        ax,
        limit.spent,
        every[name],
        "budget on every prompt",
        color=plotting.BOUND,
        at=1.9,
        offset=(8, -14),
        ha="left",
        linestyle="--",
    )
    ax.plot(soft[name].kl, soft[name].gain, ":", color=plotting.THIRD, label=f"soft best-of-{soft_n}")
    plotting.points(ax, best[name].kl, best[name].gain, n_list, label="_best-of-N")
    plotting.legend(ax, loc="lower right")
    plotting.name_axes(ax, plotting.KL_LABEL, "gold gained", name)
# %% [markdown]
# At {{kl_mid:g}} nat a budget on every prompt loses {{lost_summarisation:.1%}} (summarisation) and {{lost_safety:.1%}} (safety) against the same budget on average. Best-of-N spends nearly the same
# KL on every prompt, whether much or little is at stake there ({numref}`fig-world-spent`). With N = {{n_mid:d}} it misses {{missed_summarisation:.1%}} and {{missed_safety:.1%}} of the limit in
# {numref}`fig-world`; {{dividing_summarisation:.0%}} and {{dividing_safety:.0%}} of that is the price of dividing the KL so, the rest that of preferring by rank. P26 find best-of-N nearly on the
# frontier: here that is so against what each prompt could have got for its own KL, less so on average. The difference is there to be had by a policy that is trained under one β.

# %%
lam = {name: law.average.lam_at_kl(kl_mid) for name, law in laws.items()}
scale = {name: np.sqrt([family.variance(0.0) for family in law.laws]) for name, law in laws.items()}
spent = {name: np.array([family.kl(lam[name]) for family in law.laws]) for name, law in laws.items()}
drawn = {name: np.array([BestOfN(n_mid).on(f).kl for f in law.laws]) for name, law in laws.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "KL on each prompt against the prompt's reward scale (standard deviation of gold under the base): the optimum for {{kl_mid:g}} nat on average (circles) and best-of-{{n_mid}} (crosses).", "name": "fig-world-spent"}, "image": {"alt": "Two panels of points: the optimum's KL grows with the reward scale, from {{spent_least:.2f}} to {{spent_most:.2f}} nats; that of best-of-{{n_mid}} is nearly flat."}}
fig, axes = plotting.new(rows=2, height=2.7)
for ax, name in zip(axes, laws, strict=True):
    plotting.points(ax, scale[name], spent[name], color=plotting.LIMIT, label=f"optimum at {kl_mid:g} nat on average")
    plotting.points(ax, scale[name], drawn[name], color=plotting.BEST_OF_N, marker="x", label=f"best-of-{n_mid}")
    plotting.legend(ax, loc="upper left")
    plotting.name_axes(ax, "standard deviation of gold under the base", "KL on the prompt (nats)", name)
# %% [markdown]
# ## Ties
#
# Gold has few levels, as graded rewards do, so the formula $\log N-(N-1)/N$ overstates what best-of-N spends: for $N={{n_last:d}}$ it says {{formula:.2f}} nats where {{exact_summarisation:.2f}} and
# {{exact_safety:.2f}} are spent (see {doc}`10_best_of_n`).
#
# ## Reward models know differences only
#
# Later pages train on reward models as in practice: networks fitted to pairs of base responses that noisy raters compared. They follow Bradley and Terry, who say nothing of a constant on each prompt.
#
# ```{prf:proposition} The limit does not see the constant (we derive)
# :label: prop-prompt-constant
#
# The likelihood $\prod\sigma(\hat r(x,y)-\hat r(x,y'))$ is the same for $\hat r(x,y)+c(x)$, for every $c$; and so are $\pi_{\lambda,x}$, $D_x(\lambda)$, the gain $R_x(\lambda)-R_x(0)$, best-of-N and soft
# best-of-n, hence both frontiers.
# ```
#
# ```{prf:proof}
# In the likelihood $c(x)$ cancels. $\Lambda_x$ becomes $\Lambda_x+\lambda c(x)$, so $e^{\lambda(\hat r+c)-\Lambda}$ is unchanged; orders and differences of rewards at one prompt are too.
# ```
#
# Here the reward model trained on 5,000 pairs is moved by constants of size {{shift:g}} on each prompt: its frontier moves by {{moved:.0e}} of the gain. In the tables each network is moved to a base mean of
# zero on each prompt and rounded to multiples of 1/16, which is part of its definition. A minimum over an ensemble, unlike its mean, *does* depend on the constants: fix them first.

# %%
proxy = LevelLaw.read("lm_results/law_summarisation_5000x1_test.csv")
constant = np.random.default_rng(seed).uniform(-shift, shift, len(proxy.rows))
moved_proxy = LevelLaw(proxy.prompt, proxy.reward + constant[proxy.prompt], proxy.mass, proxy.gold)
proxy_kl = np.array([0.25, 0.5, 1.0, 2.0, 3.0])
proxy_lam = proxy.average.lam_at_kl(proxy_kl)
as_trained, as_moved = proxy.optimum(proxy_lam), moved_proxy.optimum(proxy_lam)
gold_limit = laws["summarisation"].average.gain_at_kl(proxy_kl)

# %% [markdown]
# Aligned to that proxy with {{proxy_at:g}} nats, the summariser gains {{proxy_gold:.2f}} of gold, {{proxy_share:.0%}} of the limit for gold itself: that price is the subject of {doc}`40_price_of_a_proxy`.

# %% tags=["hide-input"]


def lost_at(law: LevelLaw, log_kl: float) -> float:
    """Share of the gain that a budget on every prompt costs."""
    budget = float(np.exp(log_kl))
    return 1.0 - float(law.average.gain_on_every_prompt(budget)) / float(law.average.gain_at_kl(budget))


grid = np.array([0.25, 0.5, 1.0, 2.0])
lost = {name: 1 - law.average.gain_on_every_prompt(grid) / law.average.gain_at_kl(grid) for name, law in laws.items()}
share = {name: best[name].gain / law.average.gain_at_kl(best[name].kl) for name, law in laws.items()}
own = {
    name: [family.gain(family.lam_at_kl(kl)) for family, kl in zip(law.laws, drawn[name], strict=True)]
    for name, law in laws.items()
}
worst = {
    name: largest(lambda v, law=law: lost_at(law, v), np.log(np.geomspace(1e-4, 6, 12))) for name, law in laws.items()
}
quoted = {name: law.along([BestOfN(n_mid)]) for name, law in laws.items()}
example, plea = 8, np.flatnonzero(tasks["safety"].grammar.read(tasks["safety"].test)[0])[1]
words = {}
for key, task, row in (
    ("document summary", "summarisation", example),
    ("request reply", "safety", example),
    ("harmful refusal", "safety", plea),
):
    one = tasks[task]
    prompt_key, best_key = key.split()
    gold = one.gold(one.test[[row]])[0]
    words |= {
        prompt_key: one.decode(one.test[row]),
        best_key: one.decode(one.space.tokens[gold.argmax()]),
        f"{best_key}_gold": gold.max(),
    }
    rows_agree = (
        np.isin(laws[task].reward[laws[task].rows[row]], gold).all() and gold.max() == laws[task].laws[row].max_reward
    )
    words[f"{best_key}_agrees"] = float(rows_agree)
claims.glue(**words)
for name, law in laws.items():
    claims.glue(
        **{
            f"limit_{name}": law.average.gain_at_kl(kl_mid),
            f"share_{name}": quoted[name].gain[0] / law.average.gain_at_kl(quoted[name].kl[0]),
            f"lost_{name}": 1 - law.average.gain_on_every_prompt(kl_mid) / law.average.gain_at_kl(kl_mid),
            f"own_{name}": quoted[name].gain[0] / np.mean(own[name]),
            f"missed_{name}": 1 - quoted[name].gain[0] / law.average.gain_at_kl(quoted[name].kl[0]),
            f"dividing_{name}": (law.average.gain_at_kl(quoted[name].kl[0]) - np.mean(own[name]))
            / (law.average.gain_at_kl(quoted[name].kl[0]) - quoted[name].gain[0]),
            f"exact_{name}": best[name].kl[-1],
        }
    )
claims.glue(
    n_prompts=len(tasks["safety"].test),
    n_documents=tasks["summarisation"].grammar.n_distinct,
    n_requests=tasks["safety"].grammar.n_distinct,
    n_responses=tasks["safety"].space.size,
    length=tasks["safety"].space.length,
    n_content=tasks["safety"].space.n_content,
    n_shown=", ".join(map(str, n_list)),
    n_last=n_list[-1],
    formula=BestOfN(n_list[-1]).spent_formula(),
    lost_most=max(most for _, most in worst.values()),
    lost_at=np.exp(max(worst.values(), key=lambda one: one[1])[0]),
    spent_least=min(values.min() for values in spent.values()),
    spent_most=max(values.max() for values in spent.values()),
    moved=np.abs(as_moved.gain / as_trained.gain - 1).max(),
    proxy_at=proxy_kl[3],
    proxy_gold=as_trained.gold_gain[3],
    proxy_share=as_trained.gold_gain[3] / gold_limit[3],
)

# %%
everything = [(law, frontiers[name], best[name]) for name, law in laws.items()]
claims.record(
    claims.equal(
        "mass",
        "the base's masses on reward levels sum to one on each prompt",
        "we derive",
        [law.mass[at].sum() for law in laws.values() for at in law.rows],
        1.0,
        atol=1e-9,
    ),
    claims.true(
        "same-prompts",
        "the tables' reward levels are those of the gold rule",
        "we derive",
        np.array([words[f"{key}_agrees"] for key in ("summary", "reply", "refusal")]) == 1.0,
    ),
    claims.equal(
        "dual",
        "the frontier of an average budget equals its dual",
        "P26",
        [f.gain[10] for _, f, _ in everything],
        [dual_gain(law.average, f.spent[10]) for law, f, _ in everything],
        rtol=1e-7,
    ),
    claims.equal(
        "jeffreys",
        r"the mean gain is $\beta$ times the mean Jeffreys divergence",
        "P26",
        [law.average.gain(2.0) for law in laws.values()],
        [(law.average.kl(2.0) + law.average.reverse_kl(2.0)) / 2.0 for law in laws.values()],
        rtol=1e-9,
    ),
    claims.at_most(
        "every-prompt",
        "a budget on every prompt never buys more than the same on average: share of its gain, every budget drawn",
        "we derive",
        np.concatenate([values[1:] / frontiers[name].gain[1:] for name, values in every.items()]),
        1.0,
        atol=1e-12,
    ),
    claims.at_least(
        "budgets-part",
        "the two budgets part by at least 3 % of the gain somewhere on each task",
        "we derive",
        [values.max() for values in lost.values()],
        0.03,
    ),
    claims.at_most(
        "best-of-n",
        "best-of-N stays below the limit for its average KL",
        "P26",
        np.concatenate([b.gain for _, _, b in everything]),
        np.concatenate([law.average.gain_at_kl(b.kl) for law, _, b in everything]),
        atol=1e-12,
    ),
    claims.at_least(
        "near-limit",
        "best-of-N gets at least 95 % of the limit for its average KL",
        "P26",
        np.concatenate(list(share.values())),
        0.95,
        must_hold=False,
    ),
    claims.at_least(
        "near-own-limit",
        f"best-of-{n_mid} gets at least 95 % of what its KL on each prompt could buy there",
        "we derive",
        [quoted[name].gain[0] / np.mean(own[name]) for name in laws],
        0.95,
        must_hold=False,
    ),
    claims.at_most(
        "ties",
        r"best-of-N spends less than $\log N-(N-1)/N$ where rewards tie",
        "B24",
        np.concatenate([b.kl for _, _, b in everything]),
        np.tile(BestOfN.along(n_list).spent_formula(), 2),
    ),
    claims.equal(
        "prompt-constant",
        "constants on each prompt change neither KL nor gain nor gold of the optimum",
        "we derive",
        [as_moved.kl, as_moved.gain, as_moved.gold_gain],
        [as_trained.kl, as_trained.gain, as_trained.gold_gain],
        rtol=1e-9,
    ),
)

# %% [markdown]
# **Try:** `alignlib run world -p kl_mid 0.5 -p n_mid 64 -o out.ipynb --html`. In code, sizes are parameters: `ResponseSpace(n_content=9, length=6)` has 597,871 responses.
