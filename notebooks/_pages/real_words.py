"""Figure, numbers, sentences and claims of the chapter on a model that cannot be enumerated; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from _pages.chapter import near_from, upper_ends
from alignbook import claims
from alignbook.claim import Claim
from alignlib import plotting
from alignlib._core.checks import FloatArray
from alignlib._core.names import counted, listed
from alignlib.estimation import Fit, GoldEstimate, fit_frontier
from alignlib.lm.experiment.comparison import Interval
from alignlib.lm.experiment.grid import TRIALS
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.standings import Standings
from alignlib.lm.methods import Settings, find
from alignlib.lm.words.comparison import BestCurve, Comparison
from alignlib.lm.words.corpus import SPLITS
from alignlib.lm.words.results import WordsResults
from alignlib.lm.words.rewards import UNIT
from alignlib.rules import BestOfN

__all__ = [
    "BestForeseen",
    "Page",
    "Trial",
    "best_foreseen",
    "best_numbers",
    "claims_of",
    "figure",
    "glue",
    "numbers",
    "prediction",
    "trial_numbers",
]

_NS = (2, 4, 8)
_METHODS = ("ppo", "grpo", "rloo", "dpo")
_HEADLINE = ("ppo", "grpo")
_PROXY_NS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
_SHOWN = (2, 4, 8, 32, 128)
_NEAR = 0.95  # of the limit: "nearly on it"
_TRIAL_RESPONSES = 32  # to each prompt, in a trial


@dataclass(frozen=True)
class Page:
    """The committed table, with the limit of one reward and best-of-N on it."""

    results: WordsResults
    reward: str
    n_boot: int

    @cached_property
    def fit(self) -> Fit:
        """The limit, from the base's samples."""
        return self.results.fit(self.reward, self.n_boot)

    @cached_property
    def best(self) -> BestCurve:
        """Best-of-N from the same samples."""
        return BestCurve.of(self.fit)

    @cached_property
    def settings(self) -> dict[tuple[str, float, int], Comparison]:
        """Every setting trained on this reward, by method, knob and steps."""
        found: dict[tuple[str, float, int], Comparison] = {}
        for method, knob, steps in self.results.settings_of(self.reward):
            rows = self.results.select(reward=self.reward, method=method, knob=knob, steps=steps)
            found[method, knob, steps] = self.results.compare(self.fit, self.best, rows)
        return found

    def middle(self, steps: int) -> dict[str, Comparison]:
        """Each method at its middle penalty after so many steps."""
        return {
            name: self.settings[name, find(name).middle, steps]
            for name in _METHODS
            if (name, find(name).middle, steps) in self.settings
        }

    @property
    def tuning(self) -> pd.DataFrame:
        """The trials of this reward."""
        table = self.results.tuning
        return table[table.paid == self.reward]

    @property
    def core(self) -> int:
        """Steps of the runs that the verdict rests on: as many as the trials have."""
        return int(self.results.tuning.steps.iloc[0])

    @property
    def lengths(self) -> list[int]:
        """Numbers of steps that runs have."""
        return sorted({steps for _, _, steps in self.settings})


def interval(found: Interval, scale: float = 1.0, form: str = ".2f") -> str:
    """Write a value with its interval: ``1.20 (0.90 to 1.50)``."""
    return f"{scale * found.mean:{form}} ({scale * found.low:{form}} to {scale * found.high:{form}})"


def figure(page: Page, civil: Page) -> Axes:
    """Draw limit, best-of-N, policies (filled) and trials of tuning (hollow) of two rewards."""
    _, axes = plotting.new(rows=2, height=3.6)
    for ax, one in zip(axes, (page, civil), strict=True):
        _panel(ax, one, [trial for trial in trials(one) if trial.supported])
    first: Axes = axes[0]
    first.legend(frameon=False, fontsize=9.5, loc="lower center", bbox_to_anchor=(0.5, 1.1), ncols=3, handlelength=1.6)
    axes[0].set_xlabel("")
    return first


def _panel(ax: Axes, page: Page, tried: list[Trial]) -> None:
    """Draw the limit with its interval, best-of-N, settings with intervals (filled) and trials (hollow)."""
    end = page.fit.supported_end
    kl = np.linspace(0.0, np.sqrt(end), 60)[1:] ** 2
    found = page.fit.at(kl)
    plotting.curve(ax, np.append(0.0, kl), np.append(0.0, found.gain), "limit", at=0.55)
    style: dict[str, Any] = {"color": plotting.LIMIT, "alpha": 0.15, "linewidth": 0, "label": "_limit: interval"}
    ax.fill_between(kl, found.gain_low, found.gain_high, **style)
    whole = page.fit.weights[0]
    spent, gained = whole @ page.best.kl, whole @ page.best.gain
    spent[0] = gained[0] = 0.0
    smooth = np.linspace(0.0, np.sqrt(min(kl[-1], spent[-1])), 60)  # both start as straight lines in √KL
    style = {"color": plotting.BEST_OF_N, "linewidth": 1.2, "label": "best-of-N"}
    ax.plot(smooth**2, np.interp(smooth, np.sqrt(np.maximum(spent, 0.0)), gained), "--", **style)
    for name in _METHODS:
        style = {"linestyle": "none", **find(name).style}
        there = [one for (who, *_), one in page.settings.items() if who == name]
        low, mid, high = ([getattr(one.gain, end) for one in there] for end in ("low", "mean", "high"))
        plotting.points(ax, [one.kl.mean for one in there], mid, low=low, high=high, label=find(name).label, **style)
        mine = [one for one in tried if one.method == name]
        style |= {"markerfacecolor": "white", "label": f"_{find(name).label}: trials of tuning"}
        plotting.points(ax, [one.kl for one in mine], [one.gain for one in mine], **style)
    plotting.name_axes(ax, "KL to the base model (nats per response)", f"gain in {page.reward}", page.reward)


def numbers(pages: Sequence[Page], steps: int) -> pd.DataFrame:
    """One row a reward and method at its middle penalty: share of the limit, and best-of-N's at the same KL."""
    rows = []
    for page in pages:
        for name, found in page.middle(steps).items():
            bound = "" if found.supported else "≤ "
            rows.append(
                {
                    "reward: method": f"{page.reward}: {find(name).label}",
                    "KL": f"{found.kl.mean:.2f}",
                    "share": f"{bound}{100 * found.share.mean:.0f}",
                    "best-of-N": f"{bound}{100 * found.best_share.mean:.0f}",
                    "points": interval(found.over_share, 100.0, "+.0f"),
                }
            )
    return pd.DataFrame(rows).set_index("reward: method")


@dataclass(frozen=True)
class Trial:
    """A trial of tuning: a policy on the prompts of tuning, beside best-of-N and the limit at its KL there."""

    method: str
    rate: float
    kl: float
    gain: float
    best: float
    limit: float
    supported: bool

    @property
    def over(self) -> float:
        """Share of the limit less best-of-N's."""
        return (self.gain - self.best) / self.limit


def trials(page: Page) -> list[Trial]:
    """Return every trial; the limit is held at the end of its support."""
    fit = fit_frontier(page.results.validation, page.reward, n_boot=100, rng=0)
    best, whole = BestCurve.of(fit), fit.weights[:1]
    found = []
    table = page.tuning
    columns = (table[name].tolist() for name in ("method", "rate", "kl", "reward"))
    for method, rate, kl, reward in zip(*columns, strict=True):
        gain = reward - fit.base_reward
        at_best = float(best.at(whole, np.array([[kl]]))[0, 0])
        limit = float(fit.at(min(kl, fit.supported_end)).gain[0])
        found.append(Trial(method, rate, kl, gain, at_best, limit, kl <= fit.supported_end))
    return found


def taken(page: Page) -> dict[str, Trial]:
    """Each method's trial at the rate that was taken."""
    rates = page.results.rates
    return {one.method: one for one in trials(page) if rates[page.reward, one.method] == one.rate}


def trial_numbers(pages: Sequence[Page]) -> pd.DataFrame:
    """One row a reward and method: its trial at the rate taken."""
    rows = [
        {
            "reward: method": f"{page.reward}: {find(one.method).label}",
            "rate": f"{one.rate:g}",
            "KL": f"{one.kl:.2f}",
            "gain": f"{one.gain:.2f}",
            "share": f"{100 * one.gain / one.limit:.0f}",
            "best-of-N": f"{100 * one.best / one.limit:.0f}",
            "points": f"{100 * one.over:+.0f}",
        }
        for page in pages
        for one in taken(page).values()
    ]
    return pd.DataFrame(rows).set_index("reward: method")


def prediction(page: Page, world: Results, resamples: int) -> tuple[pd.DataFrame, str, dict[str, float]]:
    """Difference to best-of-N at equal KL here, and in the enumerable worlds after as many steps or fewer.

    Also a sentence, and by how much the upper end of each method's interval here is above the lowest mean of theirs.
    """
    here, steps = page.middle(page.core), page.core
    worlds = {task: Standings(world, task, "test", resamples) for task in ("summarisation", "safety")}
    lengths = {task: max(n for n in one.lengths() if n <= steps) for task, one in worlds.items()}
    rows, told, gaps = [], [], {}
    for name, one in here.items():
        row = {"method": find(name).label, f"real words, {steps} steps": _points(one.over_share)}
        sides, overs = [], []
        for task, standings in worlds.items():
            found = standings.compare(name, find(name).middle, lengths[task])
            row[f"{task}, {lengths[task]} steps"] = "not trained" if found is None else _points(found.over_share)
            sides += [] if found is None else [found.over_share.side]
            overs += [] if found is None else [found.over_share.mean]
        rows.append(row)
        gaps[name] = one.over_share.high - min(overs, default=float("nan"))
        if sides and all(side == one.over_share.side for side in sides):
            told.append(find(name).label)
    missed = [find(name).label for name in here if find(name).label not in told]
    but = f", but not for {listed(missed)}" if told and missed else ""
    same = (
        f"is that of both enumerable worlds for {listed(told)}"
        if told
        else "is that of both enumerable worlds for none"
    )
    return (
        pd.DataFrame(rows).set_index("method"),
        f"Whether a method lies above best-of-$N$, below it, or level {same}{but}.",
        gaps,
    )


@dataclass(frozen=True)
class BestForeseen:
    """Best-of-N's share of the limit here, with its interval's ends, and in each enumerable world at the same KL."""

    n: int
    kl: float
    share: float
    worlds: dict[str, float]


def best_foreseen(page: Page, world: Results) -> list[BestForeseen]:
    """Best-of-N's share here and in the worlds, on prompts nobody trained on, at the KL that best-of-N spends here."""
    rules = page.fit.share(BestOfN.along(_NS))
    assert rules.share is not None
    curves = {task: Standings(world, task, "test").curves.weighed() for task in ("summarisation", "safety")}
    found = []
    for n, kl, share in zip(_NS, rules.spent, rules.share, strict=True):
        at = np.array([kl])
        there = {task: float(one.best_of_n(at)[0] / one.limit(at)[0]) for task, one in curves.items()}
        found.append(BestForeseen(n, float(kl), float(share), there))
    return found


def best_numbers(foreseen: list[BestForeseen]) -> pd.DataFrame:
    """One row an N: best-of-N's share here, and in the worlds at the same KL."""
    rows = [
        {"N": f"{one.n:d}", "KL (nats)": f"{one.kl:.2f}", "real words (%)": f"{100 * one.share:.1f}"}
        | {f"{task} (%)": f"{100 * share:.1f}" for task, share in one.worlds.items()}
        for one in foreseen
    ]
    return pd.DataFrame(rows).set_index("N")


def _best_said(foreseen: list[BestForeseen]) -> str:
    """How far the worlds foresaw what best-of-4 lacks of the limit, in a clause."""
    one = next(one for one in foreseen if one.n == _NS[1])
    there = listed([f"{1 - share:.1%} ({task})" for task, share in one.worlds.items()])
    return (
        f"at {one.kl:.2f} nats best-of-$N$ lacks {1 - one.share:.1%} of the limit here, and {there} in the enumerable "
        "worlds"
    )


def _settings_said(page: Page, world: Results) -> str:
    """What was tuned here and there, with passes over each batch, in sentences."""
    rates = page.tuning.groupby("method").rate.nunique().max()
    ours, names = Settings(1), [name for name in _METHODS if name in set(page.tuning.method)]
    there = []
    for name in names:
        each = [world.tuning.taken(task, name) for task in ("summarisation", "safety")]
        passes = " and ".join(dict.fromkeys(str(one.epochs) for one in each))
        groups = " and ".join(dict.fromkeys(str(one.group) for one in each))
        searched = find(name).searched
        parts = [f"{passes} updates"] if "epochs" in searched else []
        parts += [f"groups of {groups}"] if "group" in searched else []
        there += [f"{find(name).label} {', '.join(parts)}"] if parts else []
    return (
        f"The settings are not the same: here only the rate was tried, at {counted(rates, 'value')}, with "
        f"{counted(ours.epochs, 'update')} on each batch and groups of {ours.group}; in the worlds each "
        f"method took the best of {TRIALS} settings of all that it has, with more updates in as many steps "
        f"({'; '.join(there)}). So the table compares barely tuned training with tuned training."
    )


def _edges(pages: Sequence[Page]) -> str:
    """Methods whose rate is the smallest or largest that was tried: a better one may lie beyond."""
    found: dict[str, list[str]] = {}
    for page in pages:
        ends = page.tuning.groupby("method").rate.agg(["min", "max"])
        for name, one in taken(page).items():
            low, high = ends.loc[name, "min"], ends.loc[name, "max"]
            if one.rate in (low, high):
                end = "smallest" if one.rate == low else "largest"
                found.setdefault(page.reward, []).append(f"{find(name).label} (the {end})")
    told = [f"on {reward} for {listed(labels)}" for reward, labels in found.items()]
    return (
        f"The best rate lies at an end of those tried {listed(told)}: a better one may lie beyond."
        if told
        else "No rate that was taken lies at an end of those tried."
    )


def _points(found: Any) -> str:
    return f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _by_proxy(page: Page) -> GoldEstimate:
    """Gold of best-of-N by the reward model, from the base's samples."""
    return page.results.fit("proxy", page.n_boot).gold("sentiment", BestOfN.along(_PROXY_NS))


def proxy_figure(page: Page) -> Axes:
    """Draw what the reward model says of best-of-N by it, and gold; policies trained on it, where the table has any."""
    ax: Axes
    _, ax = plotting.new(height=4.0)
    found = _by_proxy(page)
    ax.plot(found.spent, found.proxy_gain, color=plotting.BASE, label="what the reward model says")
    ax.plot(found.spent, found.gold_gain, color=plotting.LIMIT, label="gold")
    style: dict[str, Any] = {"color": plotting.LIMIT, "alpha": 0.15, "linewidth": 0, "label": "_gold: interval"}
    ax.fill_between(found.spent, found.gold_low, found.gold_high, **style)
    rows, base = page.results.select(reward="proxy"), page.results.base
    for column, color, name in (("proxy", plotting.BASE, "the reward model"), ("sentiment", plotting.LIMIT, "gold")):
        gain = rows[column] - base.prompt_means(column).mean()
        plotting.points(ax, rows.kl, gain, color=color, linestyle="none", label=f"_policies trained on it: {name}")
    plotting.name_axes(ax, "KL to the base model (nats per response)", "gain")
    return plotting.legend(ax, loc="lower right")


def proxy_numbers(page: Page) -> pd.DataFrame:
    """One row an N: KL, what the reward model says it gains, and what gold gains."""
    found = _by_proxy(page)
    rows = [
        {
            "N": f"{n:.0f}",
            "KL (nats)": f"{kl:.2f}",
            "reward model": f"{said:.2f}",
            "gold": f"{gold:.2f} ({low:.2f} to {high:.2f})",
            "gold per unit said": f"{gold / said:.2f}",
        }
        for n, kl, said, gold, low, high in zip(
            found.parameter,
            found.spent,
            found.proxy_gain,
            found.gold_gain,
            found.gold_low,
            found.gold_high,
            strict=True,
        )
        if n in _SHOWN
    ]
    return pd.DataFrame(rows).set_index("N")


def _headline(page: Page) -> str:
    """What PPO and GRPO reach, and best-of-N at the KL of each, in a clause."""
    there = {find(name).label: one for name, one in page.middle(page.core).items() if name in _HEADLINE}
    most = "at most " * any(not one.supported for one in there.values())
    shares, best = (
        listed([f"{getattr(one, name).mean:.0%}" for one in there.values()]) for name in ("share", "best_share")
    )
    verb = "reaches" if len(there) == 1 else "reach"
    return f"{listed(list(there))} {verb} {most}{shares} of the limit, best-of-$N$ {best} at the same KL"


def _verdict(pages: Sequence[Page]) -> str:
    """Say of P26's finding, that best-of-N is nearly on the limit and PPO and GRPO below, what holds here."""
    kinds: dict[str, dict[str, list[str]]] = {"holds": {}, "does not hold": {}, "cannot be told": {}}
    for page in pages:
        for name, one in page.middle(page.core).items():
            if name in _HEADLINE:
                side = one.over_share.side
                kind = "holds" if side < 0 else "does not hold" if side > 0 else "cannot be told"
                kinds[kind].setdefault(find(name).label, []).append(page.reward)
    told = []
    for kind, there in kinds.items():
        names = [f"{label} ({listed(rewards)})" for label, rewards in there.items()]
        told += [f"{kind} here for {listed(names)}"] if names else []
    return ", and ".join(told)


def _under_the_limit(page: Page) -> str:
    """Where best-of-N is nearly on the limit, and which methods are clearly under it."""
    rules = page.fit.share(BestOfN.along(_NS))
    assert rules.share is not None
    near = [str(n) for n, share in zip(_NS, rules.share, strict=True) if share >= _NEAR]
    where = f"at $N={', '.join(near)}$ of" if near else "at none of"
    there = page.middle(page.core)
    under = [find(name).label for name, one in there.items() if one.share.high < _NEAR]
    told = f"{listed(under)} {'lies' if len(under) == 1 else 'lie'}" if under else "no method lies"
    return (
        f"best-of-$N$ has at least that {where} $N={', '.join(map(str, _NS))}$, and {told} under it with the whole "
        "interval"
    )


def _seeds(page: Page) -> str:
    """How many seeds each method has, in words."""
    found: dict[int, list[str]] = {}
    for name, one in page.middle(page.core).items():
        found.setdefault(one.n_seeds, []).append(find(name).label)
    if len(found) == 1 and set(page.middle(page.core)) == set(_METHODS):
        return f"{counted(next(iter(found)), 'seed')} of each method"
    return " and ".join(
        f"{counted(n, 'seed')} of {listed(labels)}" for n, labels in sorted(found.items(), reverse=True)
    )


def _trial_beside(page: Page) -> str:
    """By how much trials at the rates taken flatter: their difference to best-of-N less that of the runs, in points."""
    runs, tried = page.middle(page.core), taken(page)
    return ", ".join(
        f"{find(name).label} {100 * (tried[name].over - one.over_share.mean):+.0f}"
        for name, one in runs.items()
        if name in tried
    )


def _machines(page: Page) -> str:
    """Where trials and runs were trained, in a sentence."""
    names = {"cpu": "a processor", "cuda": "a GPU"}
    there = [
        listed([names.get(one, one) for one in sorted(set(table.device))])
        for table in (page.results.tuning, page.results.runs)
    ]
    on = page.results.runs.device.value_counts()
    return (
        f"Trials ran on {there[0]}, the runs on {there[1]}"
        + (f" ({on['cuda']} of {on.sum()} on the GPU). " if len(on) > 1 else ". ")
        + "A run draws the same prompts and random numbers on either."
    )


def _seconds(page: Page) -> str:
    """Processor time that training takes, by method: the least of its runs, in seconds."""
    rows = page.results.select(reward=page.reward, steps=page.core, device="cpu")
    means = rows.groupby("method").train_seconds.min()
    return ", ".join(f"{find(name).label} {means[name]:.0f}" for name in _METHODS if name in means)


def glue(page: Page, civil: Page, predicted: str, foreseen: list[BestForeseen], world: Results) -> None:
    """Name every number that the text quotes."""
    made = page.results.settings
    rules = page.fit.share(BestOfN.along(_NS))
    assert rules.share is not None
    shares = ", ".join(
        f"{share:.1%} ($N={n}$, {kl:.2f} nats)" for n, share, kl in zip(_NS, rules.share, rules.spent, strict=True)
    )
    base = page.results.base
    rows = base.column("sentiment").reshape(base.n_prompts, -1)
    corr = np.corrcoef(base.column("sentiment"), base.column("proxy"))[0, 1]
    civil_rules = civil.fit.share(BestOfN.along(_NS))
    assert civil_rules.share is not None
    on_processor = page.results.select(device="cpu")
    claims.glue(
        headline=claims.Markdown(_headline(page)),
        civil_headline=claims.Markdown(_headline(civil)),
        verdict=claims.Markdown(_verdict((page, civil))),
        second=claims.Markdown(_second(page, civil)),
        under_the_limit=claims.Markdown(_under_the_limit(page)),
        near=_NEAR,
        seeds=f"{_seeds(page)} on sentiment, {_seeds(civil)} on civility",
        steps=page.core,
        flattered=f"on sentiment {_trial_beside(page)}; on civility {_trial_beside(civil)}",
        seconds=_seconds(page),
        training_minutes=float(on_processor.train_seconds.sum()) / 60.0,
        n_runs=len(on_processor),
        machines=_machines(page),
        kept=int(made["policy_samples"]),
        on_proxy=claims.Markdown(_on_proxy(page)),
        trial_steps=page.core,
        n_trial_prompts=page.results.validation.n_prompts,
        standing=_standing(page),
        trial_error=_trial_error(page),
        civil_error=_trial_error(civil),
        four=claims.Markdown(f"{rules.share[1]:.0%} of the limit at {rules.spent[1]:.2f} nats"),
        n_prompts=base.n_prompts,
        n_samples=rows.shape[1],
        end=page.fit.supported_end,
        best_shares=claims.Markdown(shares),
        zero=float((rows == 0).mean()),
        spread=float(rows.std()),
        repeats=float(np.corrcoef(base.column("sentiment"), base.column("repeated_sentiment"))[0, 1]),
        proxy_r=float(corr),
        predicted=claims.Markdown(predicted),
        spoken=_headline(page).replace("$", ""),
        best_foreseen=claims.Markdown(_best_said(foreseen)),
        settings_said=_settings_said(page, world),
        edges=_edges((page, civil)),
        n_shown=sum(one.supported for some in (page, civil) for one in trials(some)),
        n_trials=len(page.results.tuning),
        n_rates=int(page.results.tuning.rate.nunique()),
        civil=claims.Markdown(_civil(civil.fit.supported_end, civil_rules.share)),
        proxy_said=_proxy_said(page),
        **{name: made[name] for name in ("training_prompts", "labelled_pairs", "responses_a_step", "prompt_tokens")},
        **{name: made[name] for name in ("layers", "width", "weights")},
        **{f"{part}_chapters": share for part, share in SPLITS.items()},
        unit=UNIT,
        most_draws=_PROXY_NS[-1],
        response_tokens=made["response_tokens"],
        vocabulary=made["vocabulary"],
        verses=sum(made["verses"].values()),
    )


def _civil(end: float, shares: FloatArray) -> str:
    said = ", ".join(f"{share:.1%} ($N={n}$)" for n, share in zip(_NS, shares, strict=False))
    return f"its limit is supported up to {end:.2f} nats, and best-of-$N$ has {said} of it."


def _proxy_said(page: Page) -> str:
    """What best-of-N by the reward model does to gold, in a sentence."""
    found = _by_proxy(page)
    rate = np.divide(found.gold_gain, found.proxy_gain, where=found.proxy_gain > 0.0, out=np.ones_like(found.gold_gain))
    first, last = 1, -1
    turned = "falls again" if found.gold_gain[last] < found.gold_gain.max() - 1e-9 else "still rises"
    return (
        f"Best-of-{found.parameter[first]:.0f} by the reward model gains {found.proxy_gain[first]:.2f} by its own "
        f"account and {found.gold_gain[first]:.2f} in gold ({rate[first]:.2f} for each unit said); best-of-"
        f"{found.parameter[last]:.0f} gains {found.proxy_gain[last]:.2f} and {found.gold_gain[last]:.2f} "
        f"({rate[last]:.2f}), where gold {turned}."
    )


def _trial_error(page: Page) -> float:
    """Half the 95 % interval that sampling alone leaves on the gain of a trial."""
    spread = float(page.results.base.column(page.reward).std())
    return 1.96 * spread / float(np.sqrt(_TRIAL_RESPONSES * page.results.validation.n_prompts))


def _on_proxy(page: Page) -> str:
    """What policies trained on the reward model gained by its account and in gold, in a sentence."""
    rows = page.results.select(reward="proxy")
    if not len(rows):
        return "No policy has been trained on it yet; `make lm-words` does."
    base, told = page.results.base, []
    for (method, knob, steps), some in rows.groupby(["method", "knob", "steps"], sort=False):
        said, gold = (some[name].mean() - base.prompt_means(name).mean() for name in ("proxy", "sentiment"))
        told.append(
            f"{find(str(method)).label} ({counted(len(some), 'seed')}, β = {knob:g}, {steps} steps) gains {said:.2f} "
            f"by its account and {gold:.2f} in gold at {some.kl.mean():.2f} nats ({gold / said:.2f} for each unit said)"
        )
    return f"Policies trained on it lie beside (markers): {'; '.join(told)}."


def _standing(page: Page) -> str:
    """A sentence to begin with where planned runs are missing."""
    rows, planned = page.results.select(stage="core", reward=page.reward), page.results.settings["planned"]
    whole = int(planned[page.reward])
    return "" if len(rows) >= whole else f"Preliminary, from {len(rows)} of {whole} planned runs. "


def _second(page: Page, civil: Page) -> str:
    """How the second gold reward was trained on: by which methods, seeds and rates, and how it moves with the first."""
    rows = civil.results.select(reward=civil.reward, steps=civil.core)
    names = [name for name in _METHODS if name in set(rows.method)]
    seeds = [f"{find(name).label} ({counted(int((rows.method == name).sum()), 'seed')})" for name in names]
    others = [find(name).label for name in _METHODS if name not in names]
    base = page.results.base
    r = float(np.corrcoef(base.column(page.reward), base.column(civil.reward))[0, 1])
    moved = []
    for name in names:
        some = page.results.select(reward=page.reward, method=name, steps=page.core)
        if len(some):
            gain = float(some[civil.reward].mean() - base.prompt_means(civil.reward).mean())
            moved.append(f"{gain:+.2f} ({find(name).label})")
    return (
        f"On it, too, policies were trained by {listed(seeds)}, at the middle penalty and with the rate that trials on "
        f"it found. On the base's responses the two rewards correlate at {r:.2f}; training on "
        f"{page.reward} moves {civil.reward} by {listed(moved)}."
        + (
            f" Of {listed(others)} there are trials alone (`make lm-words STAGE=wide` trains the rest)."
            if others
            else ""
        )
    )


def claims_of(page: Page, civil: Page, gaps: dict[str, float], foreseen: list[BestForeseen]) -> list[Claim]:
    """Return what the tables show, and P26's finding; ``gaps`` as `prediction` has them."""
    known = [one for some in (page, civil) for one in some.settings.values() if one.supported]
    tried = page.results.tuning.groupby(["paid", "method"])
    found = [
        claims.at_most(
            "below-the-limit", "no policy, run or trial, gains more than the limit at its KL beyond its error",
            "Y24, P26",
            [one.share.low for one in known]
            + [
                (one.gain - _trial_error(some)) / one.limit
                for some in (page, civil) for one in trials(some) if one.supported
            ], 1.0,
        ),
        claims.true(
            "tuned-alike", "every method was tried with the same rates on validation prompts", "we derive",
            tried.rate.apply(lambda rates: tuple(sorted(rates))).nunique() == 1,
        ),
    ]  # fmt: skip
    far = [one.share - share for one in foreseen for share in one.worlds.values()]
    statement = (
        "best-of-N's share of the limit is within three points of that in both worlds at the same KL, N = 2, 4, 8"
    )
    found.append(claims.at_most("best-foreseen", statement, "observed here", np.abs(far), 0.03, must_hold=False))
    statement = (
        "with one update on a batch and only the rate tuned, PPO and GRPO lie ten points further below best-of-N after "
        f"{page.core} steps here (upper ends of the intervals) than tuned in either enumerable world after fewer"
    )
    lower = [gaps[name] for name in _HEADLINE if name in gaps]
    found.append(claims.at_most("not-foreseen", statement, "observed here", lower, -0.1, must_hold=False))
    rules = page.fit.share(BestOfN.along(_NS))
    assert rules.share is not None
    statement = f"best-of-N is nearly on the limit, at {_NEAR:.0%} of it or more, at N = {', '.join(map(str, _NS))}"
    assert rules.share_low is not None
    assert rules.share_high is not None
    ends = (rules.share_low, rules.share_high)
    found.append(
        claims.at_least("best-near-limit", statement, "P26", rules.share, _NEAR, must_hold=False, interval=ends)
    )
    found.append(near_from(rules.share, _NS, _NEAR))
    for steps in (n for n in page.lengths if n >= page.core):
        for name, one in page.middle(steps).items():
            if name not in _HEADLINE:
                continue
            label, when = find(name).label, f"on held-out prompts, after {steps} steps (upper end of the interval)"
            statement = f"{label} is clearly below the limit at its KL, under {_NEAR:.0%} of it, {when}"
            key = f"{name}-under-limit-{steps}"
            found.append(upper_ends(key, statement, "P26", [one.share], _NEAR))
            statement = f"{label} is below best-of-N at equal KL, {when}"
            found.append(upper_ends(f"{name}-below-{steps}", statement, "after P26", [one.over_share], 0.0))
    for name, one in civil.middle(civil.core).items():
        if name in _HEADLINE:
            label, when = find(name).label, f"paid by civility, on held-out prompts, after {civil.core} steps"
            statement = f"{label} is clearly below the limit at its KL, under {_NEAR:.0%} of it, {when} (upper end)"
            found.append(upper_ends(f"{name}-civility-under-limit", statement, "P26", [one.share], _NEAR))
            statement = f"{label} is below best-of-N at equal KL, {when} (upper end of the interval)"
            found.append(upper_ends(f"{name}-civility-below", statement, "after P26", [one.over_share], 0.0))
    return found
