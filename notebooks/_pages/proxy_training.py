"""What the chapter on training with proxies shows, on test prompts: gold along each proxy, and where training went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from alignbook import claims
from alignbook.claims import Claim
from alignlib import plotting
from alignlib._core.checks import FloatArray, require
from alignlib._core.same import SameFields
from alignlib.laws import FiniteLaw
from alignlib.lm.experiment.grid import PROXIES
from alignlib.lm.experiment.results import Results, law_path
from alignlib.lm.level_law import LawCurve, LevelLaw
from alignlib.rules import BestOfN

__all__ = ["ProxyCurve", "claims_of", "figure", "glue", "gold_curves", "numbers", "predicted_peak"]

_DRAWN = ("300x1", "300x8", "1000x1", "20000x1")
_COLORS = (plotting.FOURTH, plotting.THIRD, plotting.CYCLE[4], plotting.BEST_OF_N)
_LAMS = np.concatenate([[0.0], np.geomspace(0.02, 100.0, 120)])


@dataclass(frozen=True, eq=False)
class ProxyCurve(SameFields):
    """One proxy on test prompts: gold along its optimum and along best-of-N, and the policies trained on it.

    ``policies`` has a row for each penalty, averaged over seeds: KL, proxy reward, gold gain.
    """

    law: LevelLaw
    optimum: LawCurve
    best_of_n: LawCurve
    policies: pd.DataFrame

    @property
    def peak(self) -> tuple[float, float]:
        """KL in nats at which gold is largest along the proxy's optimum, and that gold gain."""
        at = int(np.argmax(self.optimum.gold_gain))
        return float(self.optimum.kl[at]), float(self.optimum.gold_gain[at])


def gold_curves(results: Results, task: str, n_largest: int) -> dict[str, ProxyCurve]:
    """Return the curves of every proxy whose law is kept; policies as far as the table holds them.

    Raises
    ------
    InputError
        If there is no proxy's law.
    """
    names = [name for name in PROXIES if law_path(results.folder, task, name, "test").is_file()]
    require(bool(names), f"folder must hold laws of proxies for {task!r}; it holds none. Run make lm.")
    ns = 2.0 ** np.arange(0, np.log2(n_largest) + 0.5)
    found = {}
    for name in names:
        law = results.law(task, name)
        rows = results.select(task, "test", stage="proxy", reward_name=name)
        policies = rows.groupby("knob")[["kl", "reward", "gold"]].mean().reset_index().sort_values("kl")
        policies["gold_gain"] = policies.gold - law.base_gold
        found[name] = ProxyCurve(law, law.optimum(_LAMS), law.along(BestOfN.along(ns)), policies)
    return found


def predicted_peak(law: LevelLaw, n: int, rng: np.random.Generator) -> float:
    """Return the KL at which gold is largest along the tilt of n base samples a prompt: a prediction without training.

    Parameters
    ----------
    law : LevelLaw
        Where samples are drawn: proxy levels with the mean gold of each.
    n : int
        Samples of each prompt.
    rng : Generator
        Source of randomness.
    """
    kl, gold = np.zeros(len(_LAMS)), np.zeros(len(_LAMS))
    for at in law.rows:
        drawn = rng.choice(at, size=n, p=law.mass[at] / law.mass[at].sum())
        sample = FiniteLaw(law.reward[drawn], np.full(n, 1.0 / n))
        kl += np.asarray(sample.kl(_LAMS))
        tilt = np.exp(np.outer(_LAMS, law.reward[drawn] - law.reward[drawn].max()))
        gold += (tilt @ law.gold[drawn]) / tilt.sum(axis=1)
    return float(kl[np.argmax(gold)] / len(law.rows))


def figure(results: Results, task: str, curves: Mapping[str, ProxyCurve]) -> Axes:
    """Draw gold gain over KL: some proxies' optima, best-of-N by them, and the policies trained on them."""
    ax: Axes
    _, ax = plotting.new(height=4.4)
    shown = [name for name in _DRAWN if name in curves]
    most = max(float(curves[name].policies.kl.max()) if len(curves[name].policies) else 3.0 for name in shown) * 1.1
    kl = most * np.linspace(0.0, 1.0, 81) ** 2
    ax.plot(kl, results.law(task).average.gain_at_kl(kl), color=plotting.LIMIT, linestyle=":", label="limit on gold")
    for name, color in zip(shown, _COLORS, strict=False):
        curve, proxy = curves[name], PROXIES[name]
        label = f"{proxy.n_pairs:,d} pairs" + (f", mean of {proxy.members}" if proxy.members > 1 else "")
        inside = curve.optimum.kl <= most
        ax.plot(curve.optimum.kl[inside], curve.optimum.gold_gain[inside], color=color, label=label)
        inside = curve.best_of_n.kl <= most
        ax.plot(curve.best_of_n.kl[inside], curve.best_of_n.gold_gain[inside], color=color, linestyle="--", linewidth=1)
        plotting.points(ax, curve.policies.kl, curve.policies.gold_gain, color=color, marker="o")
    plotting.name_axes(ax, plotting.KL_LABEL, "gold gain over the base")
    ax.legend(frameon=False, fontsize=9.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=1.6)
    return ax


def numbers(results: Results, task: str, curves: Mapping[str, ProxyCurve], n: int, seed: int) -> pd.DataFrame:
    """One row a proxy: where gold peaks along its optimum, predicted and exact, and where training on it led."""
    rows = []
    limit = results.law(task).average
    for name, curve in curves.items():
        proxy = PROXIES[name]
        peak, gold = curve.peak
        line = {
            "pairs": f"{proxy.n_pairs:,d}",
            "members": proxy.members,
            f"peak from {n} samples (nats)": f"{predicted_peak(curve.law, n, np.random.default_rng(seed)):.2f}",
            "exact peak (nats)": f"{peak:.2f}",
            "gold there (% of its limit)": f"{100 * gold / float(limit.gain_at_kl(peak)):.0f}",
        }
        if len(curve.policies):
            best, last = curve.policies.iloc[int(curve.policies.gold_gain.argmax())], curve.policies.iloc[-1]
            line |= {
                "best trained: KL": f"{best.kl:.2f}", "gold": f"{best.gold_gain:.2f}",
                "most trained: KL": f"{last.kl:.2f}", "gold ": f"{last.gold_gain:.2f}",
            }  # fmt: skip
        rows.append(line)
    return pd.DataFrame(rows).set_index(["pairs", "members"]).fillna("–")


def _at(optimum: LawCurve, kl: FloatArray) -> FloatArray:
    return np.interp(np.sqrt(kl), np.sqrt(optimum.kl), optimum.gold_gain)


def _over(curves: Mapping[str, ProxyCurve]) -> FloatArray:
    """Gold of every trained policy less that of its proxy's optimum at the same KL."""
    parts = [
        curve.policies.gold_gain.to_numpy() - _at(curve.optimum, curve.policies.kl.to_numpy())
        for curve in curves.values()
    ]
    return np.concatenate(parts)


def glue(results: Results, task: str, curves: Mapping[str, ProxyCurve], n: int, seed: int) -> None:
    """Name every number that the text quotes."""
    limit = results.law(task).average
    peaks = {name: curve.peak for name, curve in curves.items()}
    told = []
    for name in ("300x1", "300x8", "20000x1"):
        if name in curves:
            peak, gold = peaks[name]
            proxy = PROXIES[name]
            label = f"{proxy.n_pairs:,d} pairs" + (f" (mean of {proxy.members} networks)" if proxy.members > 1 else "")
            share = gold / float(limit.gain_at_kl(peak))
            text = f"with {label} gold peaks at {peak:.1f} nats, at {share:.0%} of its limit"
            policies = curves[name].policies
            if len(policies):
                last = policies.iloc[-1]
                text += f"; trained to {last.kl:.1f} nats a policy keeps {last.gold_gain / gold:.0%} of that"
            told.append(text)
    predicted = np.array([predicted_peak(curve.law, n, np.random.default_rng(seed)) for curve in curves.values()])
    exact = np.array([peak for peak, _ in peaks.values()])
    over = _over(curves)
    claims.glue(
        answer=". ".join(one if number == 0 else one[0].upper() + one[1:] for number, one in enumerate(told)),
        trained=_trained(curves, over),
        peaks=", ".join(f"{name.replace('x', ' × ')} {peak:.1f}" for name, (peak, _) in peaks.items()),
        predicted_least=float((predicted / exact).min()),
        predicted_most=float((predicted / exact).max()),
        n_test=len(next(iter(curves.values())).law.rows),
    )


def _trained(curves: Mapping[str, ProxyCurve], over: FloatArray) -> str:
    """What training on the proxies led to, in a sentence; or that it is still to come."""
    if not over.size:
        return "Policies trained on these proxies are planned; no run of them is in the table yet."
    n = sum(len(curve.policies) > 0 for curve in curves.values())
    return (
        f"Policies were trained on {n} of the {len(curves)} proxies; their gold lies {over.min():+.2f} to "
        f"{over.max():+.2f} from that of the proxy's optimum at the same KL."
    )


def claims_of(results: Results, task: str, curves: Mapping[str, ProxyCurve]) -> list[Claim]:
    """Return what the curves show of each proxy."""
    found = []
    spent = np.concatenate([curve.policies.kl.to_numpy() for curve in curves.values()])
    if spent.size:
        gains = [curve.policies.reward.to_numpy() - curve.law.average.base_reward for curve in curves.values()]
        limits = [np.asarray(curve.law.average.gain_at_kl(curve.policies.kl.to_numpy())) for curve in curves.values()]
        statement = "no policy exceeds its proxy's limit at its KL"
        most = np.concatenate(limits)
        found.append(
            claims.at_most("below-the-proxy-limit", statement, "Y24, P26", np.concatenate(gains), most, atol=1e-3)
        )
        statement = "trained policies have at least the gold of the proxy's optimum at equal KL"
        found.append(claims.at_least("kinder", statement, "observed here", _over(curves), 0.0, must_hold=False))
    most_gold, end = (
        np.array([pick(curve.optimum.gold_gain) for curve in curves.values()])
        for pick in (np.max, lambda part: part[-1])
    )
    statement = f"gold falls by a tenth or more from its peak to λ = {_LAMS[-1]:g} along every proxy's optimum"
    found.append(
        claims.at_least(
            "turns-down", statement, "G22 (the tenth is ours)", most_gold - end, 0.1 * most_gold, must_hold=False
        )
    )
    if {"300x1", "300x8"} <= set(curves):
        found.append(
            claims.at_least(
                "ensemble", "the mean of eight weak networks has a larger gold peak than the first of them",
                "observed here", curves["300x8"].peak[1], curves["300x1"].peak[1], must_hold=False,
            )
        )  # fmt: skip
    return found
