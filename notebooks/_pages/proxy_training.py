"""What the chapter on training with proxies shows: gold along each proxy's optimum, and where trained policies lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.interpolate import PchipInterpolator

from alignbook import claims
from alignbook.claims import Claim
from alignlib import plotting
from alignlib._core.checks import FloatArray, require
from alignlib.lm.experiment.results import Results, law_path
from alignlib.lm.experiment.standing import over_seeds, with_standing
from alignlib.lm.level_law import LawCurve, LevelLaw
from alignlib.rules import BestOfN

__all__ = ["ProxyCurve", "claims_of", "figure", "glue", "gold_curves"]

_LOOKS = {"weak": (plotting.FOURTH, "^"), "ensemble": (plotting.THIRD, "s"), "strong": (plotting.BEST_OF_N, "o")}
_MEASURES = ("kl", "share", "wasted", "gold_gain", "gold_over")
_LAMS = np.concatenate([[0.0], np.geomspace(0.02, 200.0, 160)])


@dataclass(frozen=True)
class ProxyCurve:
    """One proxy: gold along its optimum and along best-of-N, and the policies trained on it.

    ``policies`` has a row for each penalty: KL, proxy share, wasted KL, gold gain, and ``gold_over``, the gold gain
    less that of the proxy's optimum at the same KL.
    """

    optimum: LawCurve
    best_of_n: LawCurve
    policies: pd.DataFrame

    @property
    def peak(self) -> float:
        """KL in nats at which gold is largest along the proxy's optimum."""
        return float(self.optimum.kl[np.argmax(self.optimum.gold_gain)])


def gold_curves(results: Results, task: str, n_largest: int) -> dict[str, ProxyCurve]:
    """Return the curves of every proxy whose law is kept; policies as far as the table holds them.

    Raises
    ------
    ValueError
        If there is no proxy's law.
    """
    names = [name for name in _LOOKS if law_path(results.folder, task, name, "train").is_file()]
    require(bool(names), f"folder must hold laws of proxies for {task!r}; it holds none. Run make lm.")
    ns = 2.0 ** np.arange(0, np.log2(n_largest) + 0.5)
    found = {}
    for name in names:
        law = results.law(task, name)
        optimum = law.optimum(_LAMS)
        policies = _policies(results, task, name, law, optimum)
        found[name] = ProxyCurve(optimum, law.along(BestOfN.along(ns)), policies)
    return found


def _policies(results: Results, task: str, name: str, law: LevelLaw, optimum: LawCurve) -> pd.DataFrame:
    if not (results.curves.query("task == @task").reward_name == name).any():
        return pd.DataFrame(columns=_MEASURES)
    rows = with_standing(results, task, "train", name)
    rows = rows[rows["last"]].copy()
    rows["gold_gain"] = rows.gold - law.base_gold
    rows["gold_over"] = rows.gold_gain - _at(optimum, rows.kl.to_numpy())
    return over_seeds(rows, _MEASURES)


def _at(optimum: LawCurve, kl: FloatArray) -> FloatArray:
    rising = np.concatenate([[True], np.diff(np.maximum.accumulate(optimum.kl)) > 1e-12])
    root = np.sqrt(np.minimum(kl, optimum.kl[-1]))  # gains rise like √KL near 0
    return np.asarray(PchipInterpolator(np.sqrt(optimum.kl[rising]), optimum.gold_gain[rising])(root))


def figure(results: Results, task: str, curves: Mapping[str, ProxyCurve]) -> Axes:
    """Draw gold gain over KL: each proxy's optimum, best-of-N by it, and the policies trained on it."""
    _, ax = plotting.new(height=4.2)
    most = max(float(curve.optimum.kl.max()) for curve in curves.values())
    kl = most * np.linspace(0.0, 1.0, 81) ** 2
    ax.plot(kl, results.law(task).average.gain_at_kl(kl), color=plotting.LIMIT, linestyle=":", label="limit on gold")
    for name, curve in curves.items():
        color, marker = _LOOKS[name]
        ax.plot(curve.optimum.kl, curve.optimum.gold_gain, color=color, label=f"{name} proxy")
        ax.plot(curve.best_of_n.kl, curve.best_of_n.gold_gain, color=color, linestyle="--", linewidth=1.0)
        rows = curve.policies
        if rows.empty:
            continue
        low, high = _finite(rows, "low"), _finite(rows, "high")
        plotting.points(ax, rows.kl, rows.gold_gain, color=color, marker=marker, low=low, high=high)
    plotting.name_axes(ax, plotting.KL_LABEL, "gold gain over the base")
    return plotting.legend(ax, loc="best")


def _finite(rows: pd.DataFrame, side: str) -> FloatArray:
    """The interval's end, or the mean where a single seed gives none."""
    end = rows[f"gold_gain_{side}"].to_numpy()
    return np.where(np.isfinite(end), end, rows.gold_gain.to_numpy())


def glue(results: Results, curves: Mapping[str, ProxyCurve]) -> None:
    """Name every number that the text quotes."""
    peaks = ", ".join(f"{name} {curve.peak:.1f} nats" for name, curve in curves.items())
    parts, trained = [], []
    for name, curve in curves.items():
        if curve.policies.empty:
            continue
        last = curve.policies.sort_values("kl").iloc[-1]
        lost = float(curve.optimum.gold_gain.max()) - float(last.gold_gain)
        parts.append(f"on the {name} proxy the policy at {last.kl:.1f} nats has {-lost:+.2f} gold against that peak")
        wasted, over = curve.policies.wasted, curve.policies.gold_over
        trained.append(
            f"on the {name} one it wastes {wasted.min():.2f} to {wasted.max():.2f} nats and its gold lies "
            f"{over.min():+.2f} to {over.max():+.2f} from that of the proxy's optimum at the same KL"
        )
    claims.glue(
        answer=f"Gold along each proxy's optimum is largest at: {peaks}; {'; '.join(parts) or 'no policy is trained'}.",
        peaks=peaks,
        trained="; ".join(trained) or "none is in the table yet",
        complete=results.complete,
        seeds=_seeds(curves),
    )


def _seeds(curves: Mapping[str, ProxyCurve]) -> str:
    """How many seeds each penalty has, as a clause."""
    rows = pd.concat([curve.policies for curve in curves.values() if not curve.policies.empty] or [pd.DataFrame()])
    if rows.empty:
        return "none is trained yet"
    found = rows.groupby("knob").n_seeds.min()
    return ", ".join(f"β = {knob:g}: {n} seed{'s' if n > 1 else ''}" for knob, n in found.items())


def _last(values: FloatArray) -> float:
    return float(values[-1])


def claims_of(curves: Mapping[str, ProxyCurve]) -> list[Claim]:
    """Return what the curves show of each proxy."""
    shares = np.concatenate([curve.policies["share"].to_numpy(dtype=float) for curve in curves.values()])
    found = []
    if shares.size:
        statement = "no policy exceeds its proxy's limit at its KL"
        found.append(claims.at_most("below-the-proxy-limit", statement, "Y24, P26", shares, 1.0, atol=1e-6))
    over = np.concatenate([curve.policies.gold_over.to_numpy(dtype=float) for curve in curves.values()])
    if over.size:
        statement = "trained policies have at least the gold of the proxy's optimum at equal KL"
        found.append(claims.at_least("kinder", statement, "observed here", over, 0.0, must_hold=False))
    most, end = (np.array([pick(curve.optimum.gold_gain) for curve in curves.values()]) for pick in (np.max, _last))
    statement = (
        f"gold falls by a tenth of its gain or more from its peak to λ = {_LAMS[-1]:g} along every proxy's optimum"
    )
    found.append(
        claims.at_least("turns-down", statement, "G22 (the tenth is ours)", most - end, 0.1 * most, must_hold=False)
    )
    if {"weak", "ensemble"} <= set(curves):
        found.append(
            claims.at_least(
                "ensemble", "the ensemble's largest gold gain is at least that of its first member", "observed here",
                curves["ensemble"].optimum.gold_gain.max(), curves["weak"].optimum.gold_gain.max(), must_hold=False,
            )
        )  # fmt: skip
    return found
