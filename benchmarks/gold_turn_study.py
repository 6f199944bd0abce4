"""How often the test of whether gold has fallen is wrong, and how late it is right.

``python -m benchmarks.gold_turn_study``: laws that had no part in the making of the test. False alarms: gold that stays
level or rises, with prompts that wander, answers that are right or wrong, heavy, skewed and growing noise, and, named,
judges whose mood moves all prompts alike, leaps too rare to be seen, and noise that persists, which break its
conditions. Power: gold that falls by so many standard errors of a difference from look to look after its peak; and a
run along the tilt of a known law, with what base samples predict of it beside the test.

One line of JSON a kind, kept in ``build/gold_turn_study.jsonl``; kinds that are there already are not counted again.
``--runs N`` takes so many of each instead of 1,000, ``--out FILE`` another file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib.estimation import fit_frontier, gold_turn
from alignlib.tables import RewardTable

LOOKS, ERROR = 24, 0.05
Draw = Callable[[np.random.Generator, int, int], FloatArray]


def wandering(rng: np.random.Generator, k: int, m: int, step: Callable[[tuple[int, int]], FloatArray]) -> FloatArray:
    """Prompts whose own gold moves at random from look to look, level on average over prompts."""
    return np.cumsum(step((k, m)), axis=0) + 0.5 * rng.standard_normal((k, m))


def right_or_wrong(rng: np.random.Generator, k: int, m: int) -> FloatArray:
    """One answer a prompt and look, right with a chance that differs from prompt to prompt."""
    return (rng.random((k, m)) < rng.beta(0.6, 0.4, m)).astype(float)


def rarely_wrong(rng: np.random.Generator, k: int, m: int) -> FloatArray:
    """The same, where nearly all is right."""
    return (rng.random((k, m)) < rng.beta(9.0, 0.4, m)).astype(float)


def leaping(rng: np.random.Generator, k: int, m: int) -> FloatArray:
    """Steps that are small and down but for one in ten, level on average: few prompts do not show them all."""
    leaps = np.where(rng.random((k, m)) < 0.1, rng.exponential(1.0, (k, m)), 0.0)
    return np.cumsum(leaps - 0.1, axis=0) + 0.05 * rng.standard_normal((k, m))


BY_PROMPT: dict[str, Draw] = {
    "normal noise": lambda rng, k, m: rng.standard_normal((k, m)) + 2.0 * rng.standard_normal(m),
    "Student's noise, 3 degrees": lambda rng, k, m: rng.standard_t(3.0, (k, m)),
    "right or wrong": right_or_wrong,
    "rarely wrong": rarely_wrong,
    "prompts that wander": lambda rng, k, m: wandering(rng, k, m, lambda size: 0.3 * rng.standard_normal(size)),
    "prompts that wander, few fall far": lambda rng, k, m: wandering(rng, k, m, lambda s: 1 - rng.exponential(1.0, s)),
    "prompts that wander, few rise far": lambda rng, k, m: wandering(rng, k, m, lambda s: rng.exponential(1.0, s) - 1),
    "prompts that wander, few leap": lambda rng, k, m: wandering(rng, k, m, lambda s: rng.lognormal(-0.5, 1.0, s) - 1),
    "one in ten leaps, the others sink alike": leaping,
    "rising, then level": lambda rng, k, m: rng.standard_normal((k, m)) + np.minimum(np.arange(k), 9)[:, None] / 9.0,
    "a judge's mood moves all prompts": lambda rng, k, m: rng.normal(0.0, 1.0, (k, m)) + rng.normal(0.0, 0.2, (k, 1)),
}  # fmt: skip


def autoregressive(rng: np.random.Generator, k: int, m: int) -> FloatArray:
    """Noise of a checkpoint that half persists in the next: not independent."""
    values = rng.standard_normal(k)
    for i in range(1, k):
        values[i] = 0.5 * values[i - 1] + np.sqrt(0.75) * values[i]
    return values


BY_MEANS: dict[str, Draw] = {
    "normal noise": lambda rng, k, m: rng.standard_normal(k),
    "uniform noise": lambda rng, k, m: rng.random(k),
    "Student's noise, 2.2 degrees": lambda rng, k, m: rng.standard_t(2.2, k),
    "Cauchy's noise": lambda rng, k, m: rng.standard_cauchy(k),
    "noise that leaps down": lambda rng, k, m: -(rng.exponential(1.0, k) ** 2),
    "noise that leaps up": lambda rng, k, m: rng.exponential(1.0, k) ** 2,
    "noise that leaps down, gold rises": lambda rng, k, m: 3 * np.sqrt(np.arange(k) / k) - rng.exponential(1.0, k) ** 2,
    "rounded noise": lambda rng, k, m: np.round(0.5 * rng.standard_normal(k)),
    "normal noise that grows tenfold": lambda rng, k, m: np.linspace(0.1, 1.0, k) * rng.standard_normal(k),
    "normal noise that grows by exp 4": lambda rng, k, m: np.exp(np.linspace(0.0, 4.0, k)) * rng.standard_normal(k),
    "Student's noise that grows by exp 4": lambda rng, k, m: np.exp(np.linspace(0, 4, k)) * rng.standard_t(2.2, k),
    "normal noise that shrinks tenfold": lambda rng, k, m: np.linspace(1.0, 0.1, k) * rng.standard_normal(k),
    "normal noise ten times as large from the middle on": (
        lambda rng, k, m: np.where(np.arange(k) < k // 2, 0.1, 1.0) * rng.standard_normal(k)
    ),
    "rising, then level": lambda rng, k, m: rng.standard_normal(k) + np.minimum(np.arange(k), 9),
    "noise that half persists": autoregressive,
}
SIZES = (20, 60, 200)  # prompts
SHORT_AND_LONG = (20, 50)  # looks at means
FALLS = (0.25, 0.5, 1.0, 2.0)  # standard errors of a difference between two checkpoints, from look to look
PEAK = 10  # look


def false_alarms(runs: int) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield kinds of gold that never falls, with what counts its alarms."""

    def counted(draw: Draw, m: int, k: int) -> dict[str, Any]:
        rng = np.random.default_rng(m + 1000 * k)
        said = [gold_turn(draw(rng, k, m), error=ERROR).said_at is not None for _ in range(runs)]
        return {"looks": k, "false_alarms": float(np.mean(said)), "error": ERROR}

    for name, draw in BY_PROMPT.items():
        for m in SIZES:
            yield f"level: {name}, {m} prompts", partial(counted, draw, m, LOOKS)
    yield "level: normal noise, 60 prompts, 100 looks", lambda: counted(BY_PROMPT["normal noise"], 60, 100)
    for name, draw in BY_MEANS.items():
        for k in SHORT_AND_LONG:
            yield f"level: {name}, means, {k} looks", partial(counted, draw, 0, k)
    yield "level: normal noise, means, 100 looks", lambda: counted(BY_MEANS["normal noise"], 0, 100)


def power(runs: int) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield falls of known size after a peak, with how many looks later the test says so."""

    def counted(fall: float, m: int) -> dict[str, Any]:
        rng = np.random.default_rng(m)
        look = np.arange(LOOKS)
        course = np.where(look <= PEAK, 0.5 * fall * (look - PEAK), -fall * (look - PEAK))
        late, early = [], 0
        for _ in range(runs):
            noise = rng.standard_normal((LOOKS, m)) if m else rng.standard_normal(LOOKS)
            error = np.sqrt(2.0 / m) if m else np.sqrt(2.0)
            at = gold_turn((course * error)[:, None] + noise if m else course * error + noise, error=ERROR).said_at
            early += at is not None and at <= PEAK
            late.append(np.inf if at is None else at - PEAK)
        shown = np.sort(late)
        quantiles = [shown[int(q * (runs - 1))] for q in (0.1, 0.5, 0.9)]
        return {
            "fall": fall, "said_by_the_end": float(np.isfinite(late).mean()), "said_before_it": early / runs,
            "looks_later": [None if np.isinf(q) else float(q) for q in quantiles],
        }  # fmt: skip

    for m in (60, 0):
        for fall in FALLS:
            name = f"falls by {fall:g} standard errors a look, {f'{m} prompts' if m else 'means'}"
            yield name, partial(counted, fall, m)


def beside_prediction(runs: int) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield runs along the tilt of a known law: gold ``d - b d²`` at ``d = √(2 KL)``, predicted and measured."""

    def counted(bend: float, hidden: float) -> dict[str, Any]:
        rng = np.random.default_rng(int(100 * bend + 10 * hidden))
        kl = np.linspace(0.0, 3.0, LOOKS)
        d = np.sqrt(2.0 * kl)
        predicted, nats = [], []
        for _ in range(max(runs // 5, 20)):
            proxy = rng.standard_normal((80, 64))
            table = RewardTable.from_arrays(proxy=proxy, gold=proxy - bend * proxy**2 + rng.normal(size=proxy.shape))
            predicted.append(fit_frontier(table, "proxy", n_boot=200, rng=rng).tilted_gold("gold").hedge.turns_down)
            drawn = d[:, None] + rng.standard_normal((LOOKS, 80))
            gold = drawn - bend * drawn**2 - hidden * np.clip(kl - 0.5, 0.0, None)[:, None]
            at = gold_turn(gold, error=ERROR).said_at
            nats.append(np.inf if at is None else kl[at])
        mean = d - bend * (1.0 + d**2) - hidden * np.clip(kl - 0.5, 0.0, None)
        middle = float(np.median(nats))
        return {
            "runs": len(nats), "peak_kl": float(kl[mean.argmax()]), "fall_at_the_end": float(mean.max() - mean[-1]),
            "predicted": {word: predicted.count(word) / len(nats) for word in ("yes", "undecided", "no")},
            "said_by_the_end": float(np.isfinite(nats).mean()), "said_at_kl": None if np.isinf(middle) else middle,
        }  # fmt: skip

    for bend, hidden in ((0.0, 0.0), (0.3, 0.0), (0.5, 0.0), (0.0, 1.5)):
        kind = "unseen by the base from 0.5 nats on" if hidden else f"bent by {bend:g}"
        yield f"a run along the tilt, gold {kind}", partial(counted, bend, hidden)


def main(arguments: list[str]) -> None:
    """Count what is not yet in the file, and print every line."""
    runs = int(arguments[arguments.index("--runs") + 1]) if "--runs" in arguments else 1000
    out = Path(arguments[arguments.index("--out") + 1] if "--out" in arguments else "build/gold_turn_study.jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    done = {(row["kind"], row["of"]) for row in map(json.loads, lines)}
    for line in lines:
        print(line)
    for part in (false_alarms, power, beside_prediction):
        for kind, count in part(runs):
            if (kind, runs) in done:
                continue
            line = json.dumps({"kind": kind, "of": runs, **count()}, ensure_ascii=False)
            with out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
