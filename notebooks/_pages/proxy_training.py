"""What the chapter on training with proxies shows, on test prompts: gold along each proxy, and where training went."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from alignbook import claims
from alignbook.claim import Claim
from alignlib import plotting
from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.lm.experiment.grid import PROXIES
from alignlib.lm.experiment.results import Results, law_path, members_path
from alignlib.lm.level_law import LawCurve, LevelLaw
from alignlib.lm.tasks import TASKS
from alignlib.rules import BestOfN

__all__ = [
    "ProxyCurve",
    "claims_of",
    "ensembles",
    "every_proxy",
    "figure",
    "glue",
    "gold_curves",
    "members_table",
    "numbers",
    "predicted_peaks",
]

_DRAWN = ("300x1", "300x8", "5000x1", "20000x1")
_COLORS = (plotting.FOURTH, plotting.THIRD, plotting.CYCLE[4], plotting.BEST_OF_N)
_LAMS = np.concatenate([[0.0], np.geomspace(0.02, 100.0, 60)])
_FEW_PAIRS = 1000
_NAMED = ("300x1", "300x8", "20000x1")  # in the answer


@dataclass(frozen=True, eq=False)
class ProxyCurve(SameFields):
    """One proxy on a task's test prompts: gold along its optimum and best-of-N by it, and policies trained on it.

    ``policies`` has a row for each penalty and seed: ``knob, seed, kl, reward, gold_gain``.
    """

    task: str
    name: str
    law: LevelLaw
    optimum: LawCurve
    best_of_n: LawCurve
    policies: pd.DataFrame

    @property
    def label(self) -> str:
        """Pairs and networks in words."""
        proxy = PROXIES[self.name]
        return f"{proxy.n_pairs:,d} pairs" + (f" (mean of {proxy.members})" if proxy.members > 1 else "")

    @property
    def peak(self) -> tuple[float, float]:
        """KL in nats at which gold is largest along the proxy's optimum, and that gold gain."""
        at = int(np.argmax(self.optimum.gold_gain))
        return float(self.optimum.kl[at]), float(self.optimum.gold_gain[at])

    @cached_property
    def trained(self) -> pd.DataFrame:
        """Policies averaged over seeds, by KL."""
        return self.policies.groupby("knob")[["kl", "reward", "gold_gain"]].mean().reset_index().sort_values("kl")

    @cached_property
    def onsets(self) -> FloatArray:
        """KL of the policy with the most gold, among the penalties tried, of each seed."""
        found = [rows.kl.iloc[int(rows.gold_gain.argmax())] for _, rows in self.policies.groupby("seed")]
        return np.array(found, dtype=np.float64)

    @property
    def turned(self) -> bool:
        """Whether gold, averaged over seeds, fell again before the largest KL tried: else no peak was seen."""
        return bool(len(self.policies)) and self.trained_peak[0] < float(self.trained.kl.iloc[-1])

    @property
    def trained_peak(self) -> tuple[float, float]:
        """The largest gold gain of trained policies, averaged over seeds, and their KL."""
        best = self.trained.iloc[int(self.trained.gold_gain.argmax())]
        return float(best.kl), float(best.gold_gain)


def gold_curves(results: Results, n_largest: int) -> list[ProxyCurve]:
    """Return the curves of every proxy whose law is kept, on both tasks; policies as far as the table holds them.

    Raises
    ------
    InputError
        If there is no proxy's law.
    """
    ns = 2.0 ** np.arange(0, np.log2(n_largest) + 0.5)
    found = []
    for task in TASKS:
        names = [name for name in PROXIES if law_path(results.folder, task, name, "test").is_file()]
        require(bool(names), f"folder must hold laws of proxies for {task!r}; it holds none. Run make lm.")
        for name in names:
            law = results.law(task, name)
            rows = results.select(task, "test", reward_name=name)
            policies = rows[["knob", "seed", "kl", "reward"]].assign(gold_gain=rows.gold - law.base_gold)
            best = law.along(BestOfN.along(ns)) if name in _DRAWN else law.along(BestOfN.along([1.0]))
            found.append(ProxyCurve(task, name, law, law.optimum(_LAMS), best, policies))
    return found


def predicted_peaks(law: LevelLaw, n: int, draws: int, rng: np.random.Generator) -> FloatArray:
    """Return the KL at which gold is largest along the tilt of n base samples a prompt, for several draws of them.

    What can be known before any training, from samples with proxy and gold scores.

    Parameters
    ----------
    law : LevelLaw
        Where samples are drawn: proxy levels with the mean gold of each.
    n : int
        Samples of each prompt.
    draws : int
        How often the samples are drawn anew.
    rng : Generator
        Source of randomness.
    """
    found = []
    for _ in range(draws):
        rows = np.stack([at[np.searchsorted(_cumulated(law.mass[at]), rng.random(n), "right")] for at in law.rows])
        reward, gold = law.reward[rows], law.gold[rows]
        reward = reward - reward.max(axis=1, keepdims=True)
        kl, gained = np.zeros(len(_LAMS)), np.zeros(len(_LAMS))
        for k, lam in enumerate(_LAMS):
            tilt = np.exp(lam * reward)
            total = tilt.sum(axis=1)
            kl[k] = (lam * (tilt * reward).sum(axis=1) / total - np.log(total / n)).mean()
            gained[k] = ((tilt * gold).sum(axis=1) / total).mean()
        found.append(float(kl[np.argmax(gained)]))
    return np.array(found)


def _cumulated(mass: FloatArray) -> FloatArray:
    total = np.cumsum(mass)
    return np.asarray(total[:-1] / total[-1])


def figure(results: Results, curves: list[ProxyCurve]) -> Axes:
    """Draw gold gain over KL on each task: some proxies' optima, best-of-N by them, and policies trained on them."""
    _, axes = plotting.new(rows=len(TASKS), height=3.9)
    for ax, task in zip(axes, TASKS, strict=True):
        shown = [curve for curve in curves if curve.task == task and curve.name in _DRAWN]
        most = 1.05 * max(float(c.trained.kl.max()) if len(c.trained) else 3.0 for c in shown)
        kl = most * np.linspace(0.0, 1.0, 81) ** 2
        ax.plot(
            kl, results.law(task).average.gain_at_kl(kl), color=plotting.LIMIT, linestyle=":", label="limit on gold"
        )
        for curve in shown:
            color = _COLORS[_DRAWN.index(curve.name)]
            inside = curve.optimum.kl <= most
            ax.plot(curve.optimum.kl[inside], curve.optimum.gold_gain[inside], color=color, label=curve.label)
            near = curve.best_of_n.kl <= most
            x, y, drawn = curve.best_of_n.kl[near], curve.best_of_n.gold_gain[near], f"_{curve.label}: best-of-N"
            ax.plot(x, y, color=color, linestyle="--", linewidth=1, label=drawn)
            trained = f"_{curve.label}: trained policies"
            plotting.points(ax, curve.trained.kl, curve.trained.gold_gain, color=color, marker="o", label=trained)
        ax.axhline(0.0, color=plotting.BASE, linewidth=0.8, label="_nothing gained")
        low = min(float(c.trained.gold_gain.min()) if len(c.trained) else 0.0 for c in shown)
        ax.set_ylim(bottom=1.15 * min(low, -0.1))
        plotting.name_axes(ax, plotting.KL_LABEL if task == list(TASKS)[-1] else "", "gold gain over the base", task)
    first: Axes = axes[0]
    first.legend(frameon=False, fontsize=9.5, loc="lower center", bbox_to_anchor=(0.5, 1.08), ncols=2, handlelength=1.6)
    return first


def numbers(results: Results, curves: list[ProxyCurve], n: int, draws: int, seed: int) -> pd.DataFrame:
    """One row a proxy: the KL at which gold peaks, predicted and in training, and how high; tasks are the columns.

    Short enough for a phone; all else is in `every_proxy`.
    """
    columns: dict[tuple[str, str], dict[str, str]] = {}
    for curve in curves:
        row = f"{PROXIES[curve.name].n_pairs:,d} × {PROXIES[curve.name].members}"
        predicted = float(np.median(_predicted(curve, n, draws, seed)))
        seen, gold = "–", "–"
        if len(curve.policies):
            kl, most = curve.trained_peak
            seen = f"{'' if curve.turned else '> '}{kl:.1f}"
            gold = f"{100 * most / float(results.law(curve.task).average.gain_at_kl(kl)):.0f}"
        for title, value in (("told", f"{predicted:.1f}"), ("seen", seen), ("gold, %", gold)):
            columns.setdefault((curve.task, title), {})[row] = value
    return pd.DataFrame(columns).fillna("–").rename_axis("pairs × networks")


def every_proxy(results: Results, curves: list[ProxyCurve], n: int, draws: int, seed: int) -> str:
    """Return a Markdown table: where gold peaks (predicted, along the optimum, in training), how high, and the end."""
    rows = []
    for curve in curves:
        limit, (peak, gold) = results.law(curve.task).average, curve.peak
        low, middle, high = np.quantile(_predicted(curve, n, draws, seed), [0.1, 0.5, 0.9])
        line = {
            "task": curve.task,
            "pairs × networks": f"{PROXIES[curve.name].n_pairs:,d} × {PROXIES[curve.name].members}",
            f"from {n} samples": f"{middle:.2f} ({low:.2f} to {high:.2f})",
            "along its optimum": f"{peak:.2f}",
        }
        share = [100 * gold / float(limit.gain_at_kl(peak))]
        if len(curve.policies):
            kl, most = curve.trained_peak
            last = curve.trained.iloc[-1]
            line["in training"] = f"{kl:.2f}" if curve.turned else f"over {kl:.2f}"
            share.append(100 * most / float(limit.gain_at_kl(kl)))
            line["gold at the end"] = f"{last.gold_gain:+.2f} at {last.kl:.1f}"
        line["% of the limit"] = " / ".join(f"{one:.0f}" for one in share)
        rows.append(line)
    table = pd.DataFrame(rows).fillna("–")
    head, *below = (f"| {' | '.join(line)} |" for line in (table.columns.tolist(), *table.to_numpy().tolist()))
    return "\n".join([head, f"|{'---|' * len(table.columns)}", *below])


def _predicted(curve: ProxyCurve, n: int, draws: int, seed: int) -> FloatArray:
    return predicted_peaks(curve.law, n, draws, np.random.default_rng(seed))


def ensembles(results: Results) -> pd.DataFrame:
    """The largest gold along the optimum of the mean of K networks, beside that of the K one by one, exactly.

    On the first test prompts, the same for all.
    """
    rows = []
    for task in TASKS:
        path = members_path(results.folder, task)
        if not path.is_file():
            continue
        table = pd.read_csv(path)
        for pairs in sorted(set(table.n_pairs)):
            of_pairs = table[table.n_pairs == pairs]
            peaks = {kind: along.gold_gain.max() for kind, along in of_pairs.groupby(["networks", "first"])}
            for networks in sorted(set(of_pairs.networks) - {1}):
                alone = np.array([peaks[1, first] for first in range(networks)])
                line = {"task": task, "pairs each": pairs, "networks": networks, "their mean": peaks[networks, 0]}
                rows.append(line | {"average network": alone.mean(), "worst": alone.min(), "best": alone.max()})
    columns = ["task", "pairs each", "networks", "their mean", "average network", "worst", "best"]
    return pd.DataFrame(rows, columns=columns)


def members_table(together: pd.DataFrame) -> pd.DataFrame:
    """Show the peaks of means of networks, as many columns as a phone shows."""
    shown = together.rename(columns={"average network": "average", "best": "best one"})
    return shown[["task", "networks", "their mean", "average", "best one"]].round(2).set_index(["task", "networks"])


def _at(optimum: LawCurve, kl: FloatArray) -> FloatArray:
    return np.interp(np.sqrt(kl), np.sqrt(optimum.kl), optimum.gold_gain)


def _over(curves: list[ProxyCurve]) -> FloatArray:
    """Gold of every setting trained, averaged over seeds, less that of its proxy's optimum at the same KL."""
    parts = [c.trained.gold_gain.to_numpy() - _at(c.optimum, c.trained.kl.to_numpy()) for c in curves]
    return np.concatenate(parts)


def _told_of(results: Results, curve: ProxyCurve) -> str:
    kl, gold = curve.trained_peak if len(curve.policies) else curve.peak
    share = gold / float(results.law(curve.task).average.gain_at_kl(kl))
    there = f"{gold:+.2f} at {kl:.1f} nats, {share:.0%} of what that KL could buy"
    if not len(curve.policies):
        return f"on {curve.label} gold peaks with {there}"
    last = curve.trained.iloc[-1]
    if last.kl == kl:
        return f"on {curve.label} gold is largest at the largest KL tried ({there}), so no peak was seen"
    return f"on {curve.label} gold peaks with {there}, and is {last.gold_gain:+.2f} at {last.kl:.1f} nats"


def _in_short(results: Results, curves: list[ProxyCurve]) -> str:
    """The largest gold in training of each proxy as a share of the limit at its KL, task by task, in a clause."""
    parts: list[str] = []
    for task in TASKS:
        there: list[str] = []
        for curve in (c for c in curves if c.task == task):
            kl, gold = curve.trained_peak if len(curve.policies) else curve.peak
            share = f"{gold / float(results.law(task).average.gain_at_kl(kl)):.0%}"
            of = "" if there else " of the limit"
            there.append(share if parts else f"{share}{of} with {curve.label}")
        parts.append(f"{' and '.join(there)} on {task}")
    return ", ".join(parts)


def _alone(results: Results) -> str:
    """How high gold peaks along the optima of single networks of few pairs, task by task: how far one can be off."""
    parts = []
    for task in TASKS:
        path = members_path(results.folder, task)
        if not path.is_file():
            continue
        table = pd.read_csv(path)
        few = table[(table.networks == 1) & (table.n_pairs == table.n_pairs.min())]
        peaks = few.groupby("first").gold_gain.max()
        parts.append(
            f"{peaks.min():+.2f} to {peaks.max():+.2f} on {task} for {len(peaks)} networks, each of "
            f"{few.n_pairs.iloc[0]:,d} pairs of its own ({peaks[0]:+.2f} for the one used here)"
        )
    return f"along its optimum gold peaks at {'; at '.join(parts)}" if parts else "no other has been tried"


def _ensembles(together: pd.DataFrame) -> str:
    """In how many cases the mean of networks beats the average one and the best one."""
    if together.empty:
        return "The networks have not been taken apart yet."
    mean = together["their mean"]
    average, best = (int((mean >= together[name]).sum()) for name in ("average network", "best"))
    return (
        f"The mean is better than the average network in {average} of {len(together)} rows, and better than the best "
        f"one in {best}; which is best is not known without gold. The rows of a task are not independent: the networks "
        f"of each mean are among those of the larger ones, so there {_draws(together)}."
    )


def _draws(together: pd.DataFrame) -> str:
    n = int(together.groupby(["task", "pairs each"]).ngroups)
    return f"is {n} draw of networks" if n == 1 else f"are {n} draws of networks, not {len(together)}"


def _trained(known: list[ProxyCurve]) -> str:
    """How the gold of trained policies compares with that of the optimum, in a sentence."""
    if not known:
        return "Policies trained on these proxies are planned; no run of them is in the table yet."
    over = _over(known)
    return (
        f"Averaged over seeds, the gold of trained policies lies {over.min():+.2f} to {over.max():+.2f} from that of "
        f"the proxy's optimum at the same KL, above it at {np.mean(over > 0):.0%} of the settings."
    )


def _turns(known: list[ProxyCurve]) -> str:
    """For how many proxies of few pairs, and of many, gold turned in training, in a sentence."""
    few = [c.turned for c in known if PROXIES[c.name].n_pairs <= _FEW_PAIRS]
    many = [c.turned for c in known if PROXIES[c.name].n_pairs > _FEW_PAIRS]
    if not few:
        return "policies trained on these reward models are not in the table yet"
    more = f" and for {sum(many) or 'none'} of {len(many)} that had more" if many else ""
    return (
        f"gold falls in the end for {sum(few)} of {len(few)} reward models that learned from at most "
        f"{_FEW_PAIRS:,d} pairs{more}"
    )


def _what_helps(results: Results, known: list[ProxyCurve]) -> str:
    """The largest gold in training with one network of few pairs, with several, and with one of many, in a sentence."""
    parts = []
    for task in TASKS:
        there = []
        for curve in (c for c in known if c.task == task and c.name in _NAMED):
            kl, gold = curve.trained_peak
            there.append(f"{gold / float(results.law(task).average.gain_at_kl(kl)):.0%} with {curve.label}")
        if there:
            parts.append(f"on {task} {', '.join(there)}")
    if not parts:
        return ""
    return f"Of what its KL allows, the largest gold in training is {'; '.join(parts)}."


def glue(results: Results, curves: list[ProxyCurve], together: pd.DataFrame, n: int, draws: int, seed: int) -> None:
    """Name every number that the text quotes."""
    named = [curve for curve in curves if curve.name in _NAMED]
    told = [f"{task}: {'; '.join(_told_of(results, c) for c in named if c.task == task)}" for task in TASKS]
    single = [curve for curve in named if PROXIES[curve.name].members == 1]
    known = [curve for curve in curves if len(curve.policies)]
    ratio = np.concatenate([_predicted(c, n, draws, seed) / c.peak[0] for c in curves])
    turned = [curve for curve in known if curve.turned]
    middles = np.array([np.median(_predicted(c, n, draws, seed)) / c.trained_peak[0] for c in turned])
    close = np.abs(np.log(middles)) <= np.log(2.0)
    spread = np.quantile(ratio, [0.1, 0.5, 0.9])
    claims.glue(
        answer=_in_short(results, single),
        every_proxy=claims.Markdown(every_proxy(results, curves, n, draws, seed)),
        in_full=". ".join(one[0].upper() + one[1:] for one in told),
        trained=_trained(known),
        turns=_turns(known),
        what_helps=_what_helps(results, known),
        peaks=", ".join(f"{c.task} {c.name.replace('x', ' × ')} {c.peak[0]:.1f}" for c in curves if c.name in _DRAWN),
        ratio_low=spread[0],
        ratio_middle=spread[1],
        ratio_high=spread[2],
        against_training=claims.Markdown(
            f"the prediction is {middles.min():.2f} to {middles.max():.2f} times it"
            if middles.size
            else "none is known"
        ),
        n_close=int(close.sum()),
        n_turned=len(turned),
        n_known=len(known),
        close_by_task=", ".join(
            f"{sum(near for near, c in zip(close, turned, strict=True) if c.task == task)} of "
            f"{sum(c.task == task for c in turned)} on {task}"
            for task in TASKS
        ),
        apart=_apart(turned),
        each_seed=_each_seed(known),
        log_samples=float(np.log(n)),
        alone=_alone(results),
        weak_pairs=int(together["pairs each"].min()) if len(together) else 0,
        ensembles=_ensembles(together),
        n_test=len(curves[0].law.rows),
        n_penalties=int(max((c.policies.knob.nunique() for c in known), default=0)),
        seeds=_seeds(known),
    )


def _seeds(known: list[ProxyCurve]) -> str:
    """How many seeds stand behind each marker."""
    several = {c.name: c.policies.seed.nunique() for c in known if c.policies.seed.nunique() > 1}
    if not several:
        return "one seed each"
    names = " and ".join(f"{PROXIES[name].n_pairs:,d} × {PROXIES[name].members}" for name in several)
    rest = ", one seed for the others" if len(several) < len({c.name for c in known}) else ""
    return f"means of {max(several.values())} seeds for {names}{rest}"


def _each_seed(known: list[ProxyCurve]) -> str:
    """The peak of each seed, where a proxy has several, in a sentence."""
    several = [
        f"{c.label} on {c.task} {', '.join(f'{one:.2f}' for one in c.onsets)}" for c in known if len(c.onsets) > 1
    ]
    return f"The KL of the most gold, seed by seed: {'; '.join(several)}." if several else ""


def _apart(turned: list[ProxyCurve]) -> str:
    """Where the seeds of a proxy disagree on the peak by more than a factor of two."""
    found = [
        f"{c.label} on {c.task} ({', '.join(f'{one:.2f}' for one in c.onsets)} nats)"
        for c in turned
        if c.onsets.max() > 2.0 * c.onsets.min()
    ]
    return f"Seeds disagree on the peak by more than a factor of two for {'; '.join(found)}." if found else ""


def claims_of(results: Results, curves: list[ProxyCurve], together: pd.DataFrame) -> list[Claim]:
    """Return what the curves show of each proxy, and training on them."""
    found = []
    known = [curve for curve in curves if len(curve.policies)]
    if known:
        gains = [c.policies.reward.to_numpy() - c.law.average.base_reward for c in known]
        limits = [np.asarray(c.law.average.gain_at_kl(c.policies.kl.to_numpy())) for c in known]
        found.append(
            claims.at_most(
                "below-the-proxy-limit", "no policy exceeds its proxy's limit at its KL", "Y24, P26",
                np.concatenate(gains), np.concatenate(limits), atol=1e-3,
            )
        )  # fmt: skip
        statement = "trained policies have at least the gold of the proxy's optimum at equal KL"
        found.append(claims.at_least("kinder", statement, "observed here", _over(known), 0.0, must_hold=False))
        weak = [c for c in known if PROXIES[c.name].n_pairs <= _FEW_PAIRS]
        peaks, ends = ([pick(c.trained.gold_gain) for c in weak] for pick in (max, lambda part: part.iloc[-1]))
        statement = (
            f"on proxies of at most {_FEW_PAIRS:,d} pairs the most trained policy has a tenth less gold than the best"
        )
        found.append(
            claims.at_least(
                "trained-turns-down", statement, "G22 (the tenth is ours)", np.array(peaks) - ends,
                0.1 * np.abs(peaks), must_hold=False,
            )
        )  # fmt: skip
    turned = [c for c in known if c.turned]
    if turned:
        statement = (
            "the KL of the optimum's peak is within a factor of two of that of the policies' peak, for every proxy "
            "whose gold turned in training"
        )
        ratios = [np.log(c.peak[0] / c.trained_peak[0]) for c in turned]
        found.append(
            claims.at_most("peak-foreseen", statement, "observed here", np.abs(ratios), np.log(2.0), must_hold=False)
        )
    most_gold, end = (np.array([pick(c.optimum.gold_gain) for c in curves]) for pick in (np.max, lambda part: part[-1]))
    statement = f"gold falls by a tenth or more from its peak to λ = {_LAMS[-1]:g} along every proxy's optimum"
    found.append(
        claims.at_least(
            "turns-down", statement, "G22 (the tenth is ours)", most_gold - end, 0.1 * most_gold, must_hold=False
        )
    )
    if len(together):
        for key, column in (("ensemble-average", "average network"), ("ensemble-best", "best")):
            of = (
                "the average peak of its networks alone"
                if key.endswith("average")
                else "the best of its networks alone"
            )
            found.append(
                claims.at_least(
                    key, f"gold peaks higher along every (nested) ensemble's mean than along {of}", "observed here",
                    together["their mean"], together[column], must_hold=False,
                )
            )  # fmt: skip
    return found
