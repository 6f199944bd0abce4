"""Figure, numbers, sentences and claims of the chapter on a model that cannot be enumerated; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from alignbook import claims
from alignbook.claims import Claim
from alignlib import plotting
from alignlib._core.checks import FloatArray
from alignlib.estimation import Fit
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.standings import Standings
from alignlib.lm.methods import find
from alignlib.lm.words.comparison import BestCurve, Comparison, Interval
from alignlib.lm.words.results import WordsResults
from alignlib.rules import BestOfN

__all__ = ["Page", "Prediction", "claims_of", "figure", "glue", "numbers", "predict", "proxy_figure", "proxy_numbers"]

_NS = (2, 4, 8, 32)
_METHODS = ("ppo", "grpo", "rloo", "dpo")
_HEADLINE = ("ppo", "grpo")


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
    def lengths(self) -> list[int]:
        """Numbers of steps that runs have."""
        return sorted({steps for _, _, steps in self.settings})


def interval(found: Interval, scale: float = 1.0, form: str = ".2f") -> str:
    """Write a value with its interval: ``1.20 (0.90 to 1.50)``."""
    return f"{scale * found.value:{form}} ({scale * found.low:{form}} to {scale * found.high:{form}})"


def figure(page: Page) -> Axes:
    """Draw the limit with its interval, best-of-N, and every setting as a point with intervals; filled: long runs."""
    ax: Axes
    _, ax = plotting.new(height=4.4)
    end = page.fit.supported_end
    most = max([one.kl.value for one in page.settings.values()], default=end)
    kl = np.linspace(0.0, np.sqrt(min(end, 1.15 * most)), 60)[1:] ** 2
    found = page.fit.at(kl)
    plotting.curve(ax, np.append(0.0, kl), np.append(0.0, found.gain), "limit", at=0.55)
    ax.fill_between(kl, found.gain_low, found.gain_high, color=plotting.LIMIT, alpha=0.15, linewidth=0)
    whole = page.fit.weights[0]
    spent, gained = whole @ page.best.kl, whole @ page.best.gain
    spent[0] = gained[0] = 0.0
    smooth = np.linspace(0.0, np.sqrt(min(kl[-1], spent[-1])), 60)  # both start as straight lines in √KL
    style: dict[str, Any] = {"color": plotting.BEST_OF_N, "linewidth": 1.2, "label": "best-of-N"}
    ax.plot(smooth**2, np.interp(smooth, np.sqrt(np.maximum(spent, 0.0)), gained), "--", **style)
    for length in page.lengths:
        for name in _METHODS:
            there = [one for (who, _, steps), one in page.settings.items() if who == name and steps == length]
            if not there:
                continue
            values = [one.gain for one in there]
            style = {"linestyle": "none", **find(name).style}
            if length == page.lengths[-1]:
                style["label"] = find(name).label
            else:
                style |= {"markerfacecolor": "white"}
            low, mid, high = ([getattr(one, end) for one in values] for end in ("low", "value", "high"))
            plotting.points(ax, [one.kl.value for one in there], mid, low=low, high=high, **style)
    plotting.name_axes(ax, "KL to the base model (nats per response)", "gain in reward")
    ax.legend(frameon=False, fontsize=9.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handlelength=1.6)
    return ax


def numbers(page: Page, steps: int) -> pd.DataFrame:
    """One row a method at its middle penalty: share of the limit, and best-of-N's at the same KL."""
    rows = []
    for name, found in page.middle(steps).items():
        bound = "" if found.supported else "at most "
        rows.append(
            {
                "method": find(name).label,
                "KL (nats)": f"{found.kl.value:.2f}",
                "share (%)": f"{bound}{100 * found.share.value:.0f}",
                "best-of-N (%)": f"{bound}{100 * found.best_share.value:.0f}",
                "difference (points)": interval(found.over_share, 100.0, "+.0f"),
                "seeds": f"{found.n_seeds}",
            }
        )
    return pd.DataFrame(rows).set_index("method")


@dataclass(frozen=True)
class Prediction:
    """The difference to best-of-N at equal KL here and in the enumerable worlds, method by method."""

    here: dict[str, Comparison]
    there: dict[str, dict[str, Any]]
    """By task and method."""

    def table(self) -> pd.DataFrame:
        """One row a method."""
        rows = []
        for name, found in self.here.items():
            row = {"method": find(name).label, "real words": interval(found.over_share, 100.0, "+.0f")}
            for task, by_method in self.there.items():
                one = by_method.get(name)
                row[task] = "not trained" if one is None else _points(one.over_share)
            rows.append(row)
        return pd.DataFrame(rows).set_index("method")

    def said(self) -> str:
        """In how many cases the enumerable world says the same sign as this one, where both are sure."""
        same, other, unsure = 0, [], 0
        for task, by_method in self.there.items():
            for name, one in by_method.items():
                if name not in self.here:
                    continue
                sides = (self.here[name].over_share.side, one.over_share.side)
                if 0 in sides:
                    unsure += 1
                elif sides[0] == sides[1]:
                    same += 1
                else:
                    other.append(f"{find(name).label} ({task})")
        sure = same + len(other)
        but = f", not for {', '.join(other)}" if other else ""
        return (
            f"Of {sure + unsure} comparisons {sure} are clear in both worlds; in {same} of these they have the same "
            f"sign{but}."
        )


def predict(page: Page, world: Results, resamples: int) -> Prediction:
    """Put the longest runs here beside those of the enumerable worlds that are as long, or nearest to it."""
    steps = page.lengths[-1]
    there: dict[str, dict[str, Any]] = {}
    here = page.middle(steps)
    for task in ("summarisation", "safety"):
        standings = Standings(world, task, "test", resamples)
        nearest = min(standings.lengths(), key=lambda n: abs(n - steps))
        found = {name: standings.compare(name, find(name).middle, nearest) for name in here}
        there[task] = {name: one for name, one in found.items() if one is not None}
    return Prediction(here, there)


def _points(found: Any) -> str:
    return f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def proxy_figure(page: Page) -> Axes:
    """Gold against KL for policies trained on the reward model, and what base samples said before any training."""
    ax: Axes
    _, ax = plotting.new(height=4.0)
    fit = page.results.fit("proxy", page.n_boot)
    gold = fit.gold("sentiment")
    known = gold.supported
    plotting.curve(
        ax, gold.spent[known], gold.gold_gain[known], "gold of best-of-N by the proxy", color=plotting.BEST_OF_N
    )
    ax.fill_between(
        gold.spent[known],
        gold.gold_low[known],
        gold.gold_high[known],
        color=plotting.BEST_OF_N,
        alpha=0.15,
        linewidth=0,
    )
    base = page.results.base
    for column, color, label in (
        ("proxy", plotting.BASE, "what the reward model says"),
        ("sentiment", plotting.LIMIT, "gold"),
    ):
        rows = page.results.select(reward="proxy")
        gain = rows[column] - base.prompt_means(column).mean()
        plotting.points(
            ax, rows.kl, gain, color=color, marker="o" if column == "proxy" else "s", linestyle="none", label=label
        )
    plotting.name_axes(ax, "KL to the base model (nats per response)", "gain")
    ax.legend(frameon=False, fontsize=9.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=1.6)
    return ax


def proxy_numbers(page: Page) -> pd.DataFrame:
    """One row a setting trained on the reward model: what it says, gold, and VADER as it comes; means over seeds."""
    base = page.results.base
    rows = page.results.select(reward="proxy")
    found = []
    for (knob, steps), part in rows.groupby(["knob", "steps"], sort=True):
        gains = {
            name: part[name] - base.prompt_means(name).mean() for name in ("proxy", "sentiment", "repeated_sentiment")
        }
        found.append(
            {
                "β": f"{knob:g}",
                "steps": f"{steps}",
                "KL (nats)": _range(part.kl),
                "proxy says": _range(gains["proxy"]),
                "gold": _range(gains["sentiment"]),
                "with repeats": _range(gains["repeated_sentiment"]),
            }
        )
    return pd.DataFrame(found).set_index(["β", "steps"])


def _range(values: pd.Series) -> str:
    return f"{values.mean():.2f} ({values.min():.2f} to {values.max():.2f})"


def verdict(page: Page, steps: int) -> str:
    """Say for each method of the headline where it lies against best-of-N, with its interval."""
    parts = []
    for name, found in page.middle(steps).items():
        if name not in _HEADLINE:
            continue
        where = {1: "above", -1: "below", 0: "level with"}[found.over_share.side]
        parts.append(
            f"{find(name).label} has {found.share.value:.0%} of what its KL could buy and lies {where} best-of-$N$ "
            f"({found.best_share.value:.0%} at the same KL; difference "
            f"{interval(found.over_share, 100.0, '+.0f')} points)"
        )
    return "; ".join(parts)


def _finding(page: Page, steps: int) -> str:
    """Whether P26's finding, PPO and GRPO below best-of-N, holds."""
    there = page.middle(steps)
    found = {find(name).label: there[name].over_share.side for name in _HEADLINE if name in there}
    below, not_below = ([label for label, side in found.items() if (side < 0) == wanted] for wanted in (True, False))
    parts = []
    if below:
        parts.append(f"holds here for {' and '.join(below)}")
    if not_below:
        parts.append(f"does not hold for {' and '.join(not_below)}")
    return " and ".join(parts)


def glue(page: Page, predicted: Prediction) -> None:
    """Name every number that the text quotes."""
    made = page.results.settings
    short, long = page.lengths[0], page.lengths[-1]
    rules = page.fit.share(BestOfN.along(_NS))
    assert rules.share is not None
    shares = ", ".join(
        f"{share:.1%} ($N={n}$, {kl:.2f} nats)" for n, share, kl in zip(_NS, rules.share, rules.spent, strict=True)
    )
    base = page.results.base
    rows = base.column("sentiment").reshape(base.n_prompts, -1)
    corr = np.corrcoef(base.column("sentiment"), base.column("proxy"))[0, 1]
    civil = page.results.fit("civility", page.n_boot)
    civil_rules = civil.share(BestOfN.along(_NS[:3]))
    assert civil_rules.share is not None
    claims.glue(
        headline=claims.Markdown(verdict(page, long)),
        finding=_finding(page, long),
        early=claims.Markdown(verdict(page, short)),
        early_finding=_finding(page, short),
        short_steps=short,
        long_steps=long,
        n_prompts=base.n_prompts,
        n_samples=rows.shape[1],
        end=page.fit.supported_end,
        best_shares=claims.Markdown(shares),
        zero=float((rows == 0).mean()),
        spread=float(rows.std()),
        repeats=float(np.corrcoef(base.column("sentiment"), base.column("repeated_sentiment"))[0, 1]),
        proxy_r=float(corr),
        predicted=predicted.said(),
        civil=claims.Markdown(_civil(civil.supported_end, civil_rules.share)),
        proxy_said=_proxy_said(page),
        n_runs=len(page.results.runs),
        devices=" and ".join({"cpu": "a processor", "cuda": "a GPU"}[one] for one in made["devices"]),
        **{name: made[name] for name in ("training_prompts", "labelled_pairs", "responses_a_step", "prompt_tokens")},
        response_tokens=made["response_tokens"],
        vocabulary=made["vocabulary"],
        verses=sum(made["verses"].values()),
        rates=", ".join(f"{find(one).label} {rate:g}" for one, rate in _rates(page.results.runs).items()),
        draws=short * made["responses_a_step"],
    )


def _civil(end: float, shares: FloatArray) -> str:
    said = ", ".join(f"{share:.1%} ($N={n}$)" for n, share in zip(_NS, shares, strict=False))
    return f"its limit is supported up to {end:.2f} nats, and best-of-$N$ has {said} of it."


def _proxy_said(page: Page) -> str:
    """What training on the reward model did to gold, in a sentence."""
    base = page.results.base
    rows = page.results.select(reward="proxy")
    means = rows.groupby(["knob", "steps"])[["kl", "proxy", "sentiment"]].mean()
    order = means.sort_values("kl")
    first, last = order.iloc[0], order.iloc[-1]
    gains = [
        (float(one[name]) - float(base.prompt_means(name).mean()), float(one["kl"]))
        for one in (first, last)
        for name in ("proxy", "sentiment")
    ]
    (near, at), (near_gold, _), (far, end), (far_gold, _) = gains
    return (
        f"At {at:.1f} nats the reward model says {near:+.2f} and gold is {near_gold:+.2f}; at {end:.1f} nats it says "
        f"{far:+.2f} and gold is {far_gold:+.2f}."
    )


def _rates(runs: pd.DataFrame) -> dict[str, float]:
    return {str(name): float(part.rate.iloc[0]) for name, part in runs.groupby("method", sort=False)}


def claims_of(page: Page) -> list[Claim]:
    """Return what the tables show, and P26's finding."""
    known = [one for one in page.settings.values() if one.supported]
    found = [
        claims.at_most(
            "below-the-limit", "no policy's gain is above the limit at its KL beyond the intervals", "Y24, P26",
            [one.share.low for one in known], 1.0,
        ),
        claims.true(
            "tuned-alike", "every method was tried with the same rates on validation prompts", "we derive",
            (page.results.tuning.groupby("method").rate.apply(lambda rates: tuple(sorted(rates))).nunique() == 1),
        ),
    ]  # fmt: skip
    for steps in (page.lengths[0], page.lengths[-1]):
        there = page.middle(steps)
        for name in _HEADLINE:
            if name in there:
                statement = (
                    f"{find(name).label} is below best-of-N at equal KL after {steps} steps, on held-out prompts"
                )
                found.append(
                    claims.at_most(
                        f"{name}-below-{steps}", statement, "P26", [there[name].over_share.high], 0.0, must_hold=False
                    )
                )
    return found
