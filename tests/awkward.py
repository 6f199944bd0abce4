"""Small tables with the traits that make real ones awkward, each made from a fixed seed.

Massive ties, missing cells, many columns, prompts that are always or never right, a reward that is 0 or 1, scores on
unlike scales, the right answer always in the first row of its prompt, checkpoints under repeated names.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["JUDGES", "MODELS", "VERIFIERS", "answers", "checkpoints", "scored", "verified"]

VERIFIERS = [f"verifier_{k:02d}" for k in range(12)]
MODELS = {"wide": 200.0, "narrow": 0.3, "middling": 3.0, "hacked": 1.0, "shifted": 20.0}  # and their scales
JUDGES = ["judge_of_ten", "judge_of_three", "judge_yes_no", "judge_blind"]


def answers(n_prompts: int = 40, n_samples: int = 64) -> pd.DataFrame:
    """Answers that are right or wrong, with a tenth of the prompts never and a tenth always right."""
    rng = np.random.default_rng(7)
    chance = rng.beta(0.7, 0.7, n_prompts)
    chance[: n_prompts // 10], chance[-(n_prompts // 10) :] = 0.0, 1.0
    right = rng.random((n_prompts, n_samples)) < chance[:, None]
    frame = pd.DataFrame({"prompt_id": np.repeat(np.arange(n_prompts), n_samples)})
    frame["sample_id"] = np.tile(np.arange(n_samples), n_prompts)
    frame["answer"] = rng.choice(list("ABCD"), len(frame))
    frame["correct"] = right.reshape(-1).astype(int)
    return frame


def verified(shared: float = 1.0) -> pd.DataFrame:
    """Answers with the scores of twelve verifiers: 96 % exactly 0 or 1, 1 % missing, errors in part ``shared``."""
    rng = np.random.default_rng(8)
    frame = answers(40, 32)
    common = shared * rng.normal(size=len(frame))
    columns = {}
    for name in VERIFIERS:
        sure = 1.6 * (frame["correct"] - 0.5) + common + rng.normal(size=len(frame))
        score = np.where(rng.random(len(frame)) < 0.04, rng.choice([0.25, 0.5, 0.75], len(frame)), sure > 0.0)
        columns[name] = np.where(rng.random(len(frame)) < 0.013, np.nan, score)
    return pd.concat([frame, pd.DataFrame(columns)], axis=1)


def scored() -> pd.DataFrame:
    """Ten solutions to each of 120 problems, the first of them right; models on unlike scales, and judges that tie.

    "hacked" likes one wrong solution of most problems best and the right one little; "judge_blind" gives everything the
    same mark or one less.
    """
    rng = np.random.default_rng(9)
    n, m = 120, 10
    right = np.zeros((n, m))
    right[:, 0] = 1.0
    frame = pd.DataFrame({"prompt_id": np.repeat(np.arange(n), m), "sample_id": np.tile(np.arange(m), n)})
    frame["source"] = "made"
    frame["gold_correct"] = right.reshape(-1).astype(int)
    for name, scale in MODELS.items():
        score = 1.2 * right + rng.normal(size=(n, m))
        if name == "hacked":
            score = -0.8 * right + rng.normal(size=(n, m))
            score[np.arange(n), rng.integers(1, m, n)] += 3.0
        frame[f"score_{name}"] = (scale * score - scale).reshape(-1)
    quality = right + 0.6 * rng.normal(size=(n, m))
    marks = {"judge_of_ten": 6, "judge_of_three": 2, "judge_yes_no": 1}
    for name, top in marks.items():
        mark = np.clip(np.round((0.5 + 0.5 * quality) * top), 0, top)
        mark[:, 0] = mark.max(axis=1)
        mark[:, 1] = mark[:, 0]  # a tie at the top on every problem
        frame[f"score_{name}"] = mark.reshape(-1)
    blind = 10.0 - (rng.random((n, m)) < 0.1)
    blind[:, :2] = 10.0
    frame["score_judge_blind"] = blind.reshape(-1)
    for name in ("min", "mean", "last"):
        process = rng.random((n, m))
        process[rng.random((n, m)) < 0.01] = np.nan
        frame[f"prm_{name}"] = process.reshape(-1)
    return frame


def checkpoints() -> pd.DataFrame:
    """Twelve training runs of ten checkpoints: half of them turn down, two levels differ, five names come twice."""
    rng = np.random.default_rng(10)
    rows = []
    for k in range(12):
        method = ("dpo", "rloo", "ipo")[k % 3]
        for step, kl in enumerate(np.geomspace(0.2, 40.0, 10)):
            depth = np.sqrt(kl)
            gold = depth * (1.2 - (0.55 if k % 2 else 0.3) * np.log(depth)) + 0.8 * (k % 4 == 0)
            name = f"{method}_{k}_step_{min(step, 8) if k < 5 else step}"
            made = {"name": name, "kl": kl, "gold_score": gold + 0.05 * rng.normal(), "wins": 100 + 10 * step}
            rows.append(made | {"judge": "a judge", "seed": k % 2, "step": 100.0 * step, "run": f"{method}_run_{k}"})
    return pd.DataFrame(rows)
