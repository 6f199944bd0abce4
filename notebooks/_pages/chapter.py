"""Figures, numbers and claims of the chapters on trained policies, one task each; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from _pages.prompts_met import has_twin, met, of_task
from _pages.training_costs import costs, costs_in_tokens, once
from alignbook import claims
from alignbook.claim import Claim
from alignlib import plotting
from alignlib._core.names import listed
from alignlib.lm.experiment.comparison import Comparison, Interval
from alignlib.lm.experiment.grid import TRIALS, compared
from alignlib.lm.experiment.results import Results
from alignlib.lm.experiment.standings import Standings
from alignlib.lm.experiment.tuning import PRICE
from alignlib.lm.methods import METHODS, RESPONSES, find

__all__ = [
    "claims_of", "difference_figure", "every_setting", "full_length", "glue", "interval", "near_from", "numbers",
    "sides", "standing",
]  # fmt: skip

_HEADLINE = ("ppo", "grpo")
_ALSO = ("rloo",)
_NS = (2, 4, 8, 16, 64)
_NEAR = 0.95  # of the limit: "nearly on the frontier"; clearly below it lies what stays under this


def interval(found: Interval, scale: float = 100.0, digits: int = 1) -> str:
    """Write a mean with its interval: ``+1.2 (0.3 to 2.0)``."""
    mean, low, high = (scale * value for value in (found.mean, found.low, found.high))
    return f"{mean:+.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def full_length(standings: Standings) -> int:
    """The longest training that the table has of every method at all its penalties."""
    lengths = [
        n
        for n in standings.lengths()
        if all(standings.compare(name, knob, n) is not None for name in compared() for knob in find(name).knobs)
    ]
    return max(lengths, default=standings.lengths()[-1])


def sides(standings: Standings, method: str, steps: int) -> tuple[int, int, int]:
    """At how many of its knobs a method lies above and below best-of-N beyond its interval, and how many it has."""
    found = [standings.compare(method, knob, steps) for knob in find(method).knobs]
    there = [one for one in found if one is not None]
    above, below = (sum(one.over_share.side == side for one in there) for side in (1, -1))
    return above, below, len(there)


def numbers(test: Standings, steps: int) -> pd.DataFrame:
    """One row a method, at its middle knob: share of the limit and best-of-N's at the same KL, on unseen prompts.

    Five short columns, which a phone shows side by side; the rest is in `every_setting`.
    """
    rows = [
        {
            "method": find(name).label,
            "KL": f"{found.kl.mean:.2f}",
            "share": f"{100 * found.share.mean:.1f}",
            "best-of-N": f"{100 * found.best_share.mean:.1f}",
            "points": interval(found.over_share),
        }
        for name in compared()
        if (found := test.compare(name, find(name).middle, steps)) is not None
    ]
    return pd.DataFrame(rows).set_index("method")


def _alike(test: Standings, steps: int) -> str:
    """At how many settings the difference has the same side in share, reward and wasted KL, in a clause."""
    found = [
        one for name in compared() for knob in find(name).knobs if (one := test.compare(name, knob, steps)) is not None
    ]
    agree = sum(one.over_share.side == one.over_gain.side == -one.over_wasted.side for one in found)
    return f"at {'all' if agree == len(found) else agree} of the {len(found)} settings"


def every_setting(test: Standings, train: Standings, steps: int) -> str:
    """Every method at all values of its knob, less best-of-N at equal KL in all three measures, as a Markdown table."""
    rows = [
        "| method | β or N | KL | points | reward | wasted KL | points, open to training |",
        "|---|---:|---:|---|---|---|---|",
    ]
    for name in compared():
        for knob in find(name).knobs:
            found, seen = (one.compare(name, knob, steps) for one in (test, train))
            if found is not None and seen is not None:
                cells = (
                    find(name).label, f"{knob:g}", f"{found.kl.mean:.2f}", interval(found.over_share),
                    interval(found.over_gain, 1.0, 3), interval(found.over_wasted, 1.0, 3), interval(seen.over_share),
                )  # fmt: skip
                rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def difference_figure(test: Standings) -> Axes:
    """Draw share less best-of-N's at equal KL over the length of training, each method at its middle knob."""
    ax: Axes
    _, ax = plotting.new(height=4.2)
    lengths = test.lengths()
    names = [name for name in test.methods() if find(name).compared]
    # Side by side, so that intervals at one length can be told apart.
    for number, name in enumerate(names):
        shift = 1.0 + 0.035 * (number - (len(names) - 1) / 2)
        found = [(n, test.compare(name, find(name).middle, n)) for n in lengths]
        there = [(n, one.over_share) for n, one in found if one is not None]
        low, mean, high = ([100 * getattr(one, end) for _, one in there] for end in ("low", "mean", "high"))
        style: dict[str, Any] = {"linestyle": "-", "linewidth": 1.0, "label": find(name).label, **find(name).style}
        plotting.points(ax, [shift * n for n, _ in there], mean, low=low, high=high, **style)
    ax.axhline(0.0, color=plotting.BASE, linewidth=1, label="_best-of-N")
    ax.set_xscale("log")
    ax.set_xticks(lengths, [f"{n:,d}" for n in lengths])
    ax.xaxis.set_minor_formatter(NullFormatter())
    plotting.name_axes(ax, f"steps of training ({RESPONSES} responses each)", "share, less best-of-N's (points)")
    ax.legend(frameon=False, fontsize=9.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handlelength=1.6)
    return ax


def _said(found: dict[str, Comparison | None]) -> str:
    """What each method reaches beside best-of-N at its KL, in a clause each; the first says what the numbers are."""
    parts: list[str] = []
    for name, one in found.items():
        if one is not None:
            of, at = ("", "") if parts else (" of the limit", " at the same KL")
            low, high = 100 * one.over_share.low, 100 * one.over_share.high
            parts.append(
                f"{find(name).label} gets {one.share.mean:.1%}{of} and best-of-$N$ {one.best_share.mean:.1%}{at} "
                f"({100 * one.over_share.mean:+.1f} points, {low:.1f} to {high:.1f})"
            )
    return ". ".join(parts)


def _differences(standings: Standings, steps: int) -> str:
    """The difference to best-of-N at equal KL of each method named, at its middle penalty, with its interval."""
    found = {name: standings.compare(name, find(name).middle, steps) for name in (*_HEADLINE, *_ALSO)}
    return "; ".join(f"{find(name).label} {interval(one.over_share)}" for name, one in found.items() if one is not None)


def standing(results: Results, stage: str) -> str:
    """A sentence to begin with where runs of a stage are missing; nothing where none is."""
    share = results.complete_stage(stage)
    return "" if share >= 1.0 else f"Preliminary, from {share:.0%} of the planned runs. "


def _verdict(test: Standings, steps: int) -> str:
    """Say whether PPO and GRPO lie below best-of-N at equal KL, and at how many penalties."""
    held: dict[str, list[str]] = {"holds here for": [], "holds in part for": [], "does not hold here for": []}
    for name in _HEADLINE:
        above, below, total = sides(test, name, steps)
        there = [
            f"{side} at {f'all {total}' if found == total else f'{found} of {total}'} penalties"
            for side, found in (("above", above), ("below", below))
            if found
        ]
        whole, part = below == total, below and not above
        kind = "holds here for" if whole else "holds in part for" if part else "does not hold here for"
        held[kind].append(f"{find(name).label} ({' and '.join(there) or 'level with it at every penalty'})")
    return " and ".join(f"{kind} {' and '.join(labels)}" for kind, labels in held.items() if labels)


def _late(test: Standings, steps: int) -> str:
    """The verdict after longer training than the page is about, in a sentence; nothing where there is none."""
    longest = test.lengths()[-1]
    return (
        f"After {longest:,d} steps it {_verdict(test, longest)}; at the middle penalty the differences are: "
        f"{_differences(test, longest)} points. "
        if longest > steps
        else ""
    )


def _under_the_limit(test: Standings, steps: int) -> str:
    """Where best-of-N is nearly on the limit, and where the methods of the headline are clearly below it."""
    shares = _best_shares(test)
    near = [f"{n}" for n, share in shares.items() if share >= _NEAR]
    where = f"at $N={', '.join(near)}$ of" if near else "at none of"
    told = [f"best-of-$N$ has at least that {where} $N={', '.join(str(n) for n in shares)}$"]
    for name in _HEADLINE:
        there = [one for knob in find(name).knobs if (one := test.compare(name, knob, steps)) is not None]
        below = sum(one.share.high < _NEAR for one in there)
        told.append(f"{find(name).label} lies below it, with the whole interval, at {below} of {len(there)} penalties")
    return ", ".join(told)


def _best_shares(test: Standings) -> dict[int, float]:
    """Best-of-N's share of the limit at its own KL, by N."""
    best, at = test.curves.weighed(), np.log(_NS)
    shares = np.interp(at, test.curves.log_n, best.best_gain / np.maximum(best.limit(best.best_kl), 1e-12))
    return dict(zip(_NS, shares.tolist(), strict=True))


def _met(results: Results, task: str, test: Standings, steps: int) -> str:
    """How many of the prompts open to training the runs on fresh prompts drew, by method."""
    parts = []
    for name in (*_HEADLINE, *_ALSO):
        rows = test.rows(name, find(name).middle, steps)
        found = met(results, task, name, steps, [int(seed) for seed in rows.seed])
        if found:
            low, high = min(found), max(found)
            parts.append(f"{find(name).label} {low if low == high else f'{low} to {high}'}")
    return ", ".join(parts)


def _twins(results: Results, task: str, test: Standings, steps: int) -> str:
    """How many test prompts have a reward that training met under other words, by run of RLOO."""
    rows = test.rows("rloo", find("rloo").middle, steps)
    found = [int(has_twin(results, task, "rloo", steps, int(seed)).sum()) for seed in rows.seed]
    return (
        f"{min(found)}" if len(set(found)) == 1 else f"{min(found)} to {max(found)}" if found else "an unknown number"
    )


def _controls(results: Results, task: str, test: Standings) -> str:
    """What the controls reach, as a clause."""
    found = []
    rows = results.select(task, "test", stage="control")
    for row in rows.drop_duplicates(["method", "knob"]).to_dict("records"):
        method, knob, steps, n = str(row["method"]), float(row["knob"]), int(row["steps"]), int(row["n_prompts"])
        one = test.compare(method, knob, steps, n_prompts=n)
        if one is not None:
            found.append(f"{find(method).label} {one.share.mean:.1%} at {one.kl.mean:.2f} nats (β = {knob:g})")
    return ", ".join(found) or "not trained yet"


def _trained(test: Standings) -> str:
    """Which methods were trained for how long, at all of their penalties or at the middle one only."""
    parts = []
    for n in test.lengths():
        there = {name: [test.compare(name, knob, n) is not None for knob in find(name).knobs] for name in compared()}
        whole = [find(name).label for name, known in there.items() if all(known)]
        rest = [find(name).label for name, known in there.items() if any(known) and not all(known)]
        told = [f"{'every method' if len(whole) == len(there) else listed(whole)} at all penalties"] if whole else []
        every = "the others" if whole and len(whole) + len(rest) == len(there) else listed(rest)
        told += [f"{every} at the middle one only"] if rest else []
        parts.append(f"{n:,d} steps: {', '.join(told)}")
    return "; ".join(parts)


def _whole_lengths(test: Standings) -> str:
    """Which methods the picture has after every length of training, in a clause."""
    whole = [
        find(name).label
        for name in compared()
        if all(test.compare(name, find(name).middle, n) is not None for n in test.lengths())
    ]
    return "all of them for every method" if len(whole) == len(compared()) else f"all of them for {listed(whole)} only"


def _tuned(results: Results, task: str) -> str:
    parts = []
    for name in compared():
        settings = results.tuning.taken(task, name)
        read = [f"rate {settings.learning_rate:.2g}", settings.schedule]
        more = {"group": "groups of {}", "epochs": "{} epochs", "clip": "clip {:g}", "gae_lambda": "GAE λ {:g}"}
        read += [text.format(getattr(settings, key)) for key, text in more.items() if key in find(name).searched]
        parts.append(f"{find(name).label}: {', '.join(read)}")
    return "; ".join(parts)


def glue(results: Results, task: str, test: Standings, train: Standings) -> None:
    """Name every number that the text quotes."""
    long, short = full_length(test), test.lengths()[0]
    said = {name: test.compare(name, find(name).middle, long) for name in (*_HEADLINE, *_ALSO)}
    claims.glue(
        headline=claims.Markdown(_said({name: one for name, one in said.items() if name in _HEADLINE})),
        verdict=claims.Markdown(_verdict(test, long)),
        under_the_limit=claims.Markdown(_under_the_limit(test, long)),
        near=_NEAR,
        met=_met(results, task, test, long),
        twins=_twins(results, task, test, long),
        n_distinct=of_task(task).grammar.n_distinct,
        alike=_alike(test, long),
        train_headline=_differences(train, long),
        train_verdict=claims.Markdown(_verdict(train, long)),
        early_verdict=claims.Markdown(_verdict(test, short)),
        early=_differences(test, short),
        late=claims.Markdown(_late(test, long)),
        long_steps=long,
        short_steps=short,
        n_test=len(test.curves.limit_kl),
        n_train=len(train.curves.limit_kl),
        n_seeds=max(one.n_seeds for one in said.values() if one is not None),
        n_responses=int(results.settings["n_responses"]),
        batch=RESPONSES,
        best_shares=claims.Markdown(", ".join(f"{share:.1%} ($N={n}$)" for n, share in _best_shares(test).items())),
        trained=_trained(test),
        whole_lengths=_whole_lengths(test),
        machines=listed([{"cpu": "a processor", "cuda": "a GPU"}[one] for one in results.settings["devices"]]),
        trials=TRIALS,
        price=PRICE,
        tuning_steps=int(results.tuning.trials.steps.max()),
        tuning_responses=int(
            results.tuning.trials.groupby("method").steps.sum().max() // results.tuning.trials.task.nunique()
        )
        * RESPONSES,
        tuned=_tuned(results, task),
        once=once(test, (*_HEADLINE, *_ALSO), long),
        costs=claims.Markdown(costs(test, (*_HEADLINE, *_ALSO), long)),
        base_length=float(results.settings["base_length"][task]),
        costs_in_tokens=costs_in_tokens(test, (*_HEADLINE, *_ALSO), long),
        every_setting=claims.Markdown(every_setting(test, train, long)),
        controls=_controls(results, task, test),
        standing=standing(results, "main"),
    )


def upper_ends(key: str, statement: str, source: str, ends: list[Interval], bound: float) -> Claim:
    """Claim that the upper ends of intervals are at most a bound; of the worst both ends are shown."""
    low, high = np.array([(one.low, one.high) for one in ends]).T
    return claims.at_most(key, statement, source, high, bound, must_hold=False, interval=(low, high))


def near_from(shares: npt.ArrayLike, tried: Sequence[int], near: float) -> Claim:
    """Claim that best-of-N has a share of the limit from some N on; where from none, the number is past the largest."""
    far = [n for n, share in zip(tried, np.asarray(shares), strict=True) if not share >= near]
    after = [n for n in tried if n > max(far, default=0)]
    statement = (
        f"best-of-N is nearly on the limit, at {near:.0%} of it or more, from some N on, "
        f"of {', '.join(map(str, tried))}"
    )
    return claims.at_most(
        "best-near-limit-from", statement, "after P26", min(after, default=max(tried) + 1), max(tried), must_hold=False
    )


def claims_of(results: Results, task: str, test: Standings, train: Standings) -> list[Claim]:
    """Return what the tables show, and P26's finding after the longest and the shortest training."""
    found = [
        claims.at_most(
            f"below-the-limit-{one.split}", f"no policy exceeds the limit at its KL ({one.split} prompts; a check)",
            "Y24, P26",
            [
                compared_to.share.mean
                for name in one.methods() for knob in find(name).knobs for n in one.lengths()
                if (compared_to := one.compare(name, knob, n)) is not None
            ],
            1.0, atol=1e-4,
        )
        for one in (test, train)
    ]  # fmt: skip
    rows = results.select(task, "test", reward_name="gold")
    rows = rows[rows.to_optimum.notna() & (rows.layers == 2)]
    lam = 1.0 / rows.knob.to_numpy()
    law = test.curves.law.average
    gain = rows.reward.to_numpy() - law.base_reward
    implied = rows.kl.to_numpy() - np.asarray(law.kl(lam)) - lam * (gain - np.asarray(law.gain(lam)))
    found.append(
        claims.equal(
            "closeness", "KL to the optimum summed over all responses is what KL and reward alone imply", "Y24",
            rows.to_optimum, implied, atol=1e-4,
        )
    )  # fmt: skip
    for when, steps in (("long", full_length(test)), ("short", test.lengths()[0])):
        for standings in (test, train):
            for name in _HEADLINE:
                there = [standings.compare(name, knob, steps) for knob in find(name).knobs]
                over = [one.over_share for one in there if one is not None]
                share = [one.share for one in there if one is not None]
                on = "test prompts" if standings is test else "prompts open to training"
                if share:
                    key = f"{name}-under-limit-{when}" + ("" if standings is test else "-train")
                    statement = (
                        f"{find(name).label} is clearly below the limit at its KL, under {_NEAR:.0%} of it, at every "
                        f"penalty, on {on}, after {steps:,d} steps (upper ends of the intervals)"
                    )
                    found.append(upper_ends(key, statement, "P26", share, _NEAR))
                if over:
                    key = f"{name}-below-{when}" + ("" if standings is test else "-train")
                    statement = (
                        f"{find(name).label} is below best-of-N at equal KL at every penalty, on {on}, after "
                        f"{steps:,d} steps (upper ends of the intervals)"
                    )
                    found.append(upper_ends(key, statement, "after P26", over, 0.0))
    statement = f"best-of-N is nearly on the limit, at {_NEAR:.0%} of it or more, at N = {', '.join(map(str, _NS))}"
    shares = list(_best_shares(test).values())
    found.append(claims.at_least("best-near-limit", statement, "P26", shares, _NEAR, must_hold=False))
    found.append(near_from(shares, _NS, _NEAR))
    settings = results.tuning.trials
    counts = settings[settings.task == task].groupby("method").size()
    statement = f"every method was tried with {TRIALS} random settings on validation prompts"
    found.append(claims.true("tuned-alike", statement, "we derive", (counts == TRIALS).to_numpy()))
    assert set(METHODS) >= set(counts.index)
    return found
