"""The KL of a trained policy, as lines, as JSON and as the points of a CSV."""

from __future__ import annotations

import math
from typing import Any

from alignlib._core.doors import guard
from alignlib._core.names import counted
from alignlib._core.plain import plain
from alignlib.answers.output.render import bounds, interval_name
from alignlib.training import PolicyKL
from alignlib.training.policy_kl import ESTIMATORS, KLEstimate

__all__ = ["COLUMNS", "lines", "messages", "points", "record"]

_HEAVY = 0.1  # one response that carries this much of a mean makes its interval doubtful
_ROUNDING = 1e-6  # nats per sequence: log-probabilities of one model, summed in another order
_FEW = 10  # prompts
_ONE_PROMPT = 0.15  # of the sum: where one prompt of many has more, others like it are easily missed
COLUMNS = (
    "name", "estimates", "remark", "unbiased", "kl", "low", "high", "standard_error", "kl_per_token",
    "kl_per_token_low", "kl_per_token_high", "largest_share", "largest_prompt_share",
)  # fmt: skip


# ------------------------------------------------------------------ JSON and CSV
def record(found: PolicyKL) -> dict[str, Any]:
    """Return the numbers for JSON; what is unknown or infinite is None.

    Parameters
    ----------
    found : PolicyKL
        The answer.
    """
    return {
        "sampled_from": found.sampled_from,
        "n_samples": found.n_samples,
        "n_prompts": found.n_prompts,
        "fixed_prompts": found.fixed_prompts,
        "mean_length": found.mean_length,
        "level": found.level,
        "effective_samples": plain(found.effective_samples),
        "best": found.best.name,
        "estimates": points(found),
        "checks": {
            name: dict(zip(("value", "low", "high"), map(plain, values), strict=True))
            for name, values in found.checks.items()
        },
        "resting": [
            {
                "charge": one.charge,
                "beta": plain(one.beta),
                "low": plain(one.beta_low),
                "high": plain(one.beta_high),
                "n_prompts": one.n_prompts,
            }
            for one in found.resting
        ],
        "messages": list(messages(found)),
    }


def points(found: PolicyKL) -> list[dict[str, Any]]:
    """Return one row per estimator.

    Parameters
    ----------
    found : PolicyKL
        The answer.
    """
    return [_point(one) for one in found.estimates]


def _point(one: KLEstimate) -> dict[str, Any]:
    token = one.per_token or (None, None, None)
    return {
        "name": one.name,
        "estimates": "KL(base‖policy)" if one.name == "reverse_k1" else "KL(policy‖base)",
        "remark": one.about.remark,
        "unbiased": one.about.unbiased,
        "kl": plain(one.value),
        "low": plain(one.low),
        "high": plain(one.high),
        "standard_error": plain(one.standard_error),
        "kl_per_token": plain(token[0]),
        "kl_per_token_low": plain(token[1]),
        "kl_per_token_high": plain(token[2]),
        "largest_share": plain(one.largest_share),
        "largest_prompt_share": plain(one.largest_prompt_share),
    }


# ------------------------------------------------------------------ lines
def lines(found: PolicyKL) -> list[str]:
    """Return the table of estimators as text, the answer last.

    Parameters
    ----------
    found : PolicyKL
        Every estimate that the samples allow.

    Examples
    --------
    >>> from alignlib.training import KLSamples, estimate_policy_kl
    >>> samples = KLSamples.from_sequences([-1.0, -2.0, -3.0], [-1.5, -2.0, -2.9])
    >>> lines(estimate_policy_kl(samples, n_boot=100))[0][:12]
    '3 responses '
    """
    prompts = "" if found.n_prompts is None else f" to {counted(found.n_prompts, 'prompt')}"
    tokens = "" if found.mean_length is None else f", {found.mean_length:.4g} tokens on average"
    interval = interval_name(found.level)
    rows = [
        f"{counted(found.n_samples, 'response')}{prompts} sampled from the {found.sampled_from}{tokens}.",
        "",
        f"{'estimator':<24} {'nats/sequence':>13}  {interval:<20} {'nats/token':>10}  remark",
    ]
    for name in ESTIMATORS:
        for one in (estimate for estimate in found.estimates if estimate.name == name):
            token = "unknown" if one.per_token is None else f"{one.per_token[0]:.4g}"
            about = one.about
            rows.append(
                f"{about.label:<24} {one.value:>13.4g}  {bounds(one.low, one.high):<20} {token:>10}  {about.remark}"
            )
    best = found.best
    said = [f"- {message}" for message in messages(found)]
    value = f"{best.value:.4g} nats per sequence ({interval} {best.low:.4g} to {best.high:.4g})"
    answer = f"KL to the base model: {value}, by {best.about.label}{_caveat(found)}."
    if best.high < 0.0:
        answer = f"No KL can be told: {best.about.label} is {value}, and no KL is below 0. See above what may be wrong."
    elif _doubted(found):
        answer += " Only if these responses are of the law that was scored, which the notes above doubt."
    return [*rows, *(["", *said] if said else []), *_resting(found), "", answer]


def _resting(found: PolicyKL) -> list[str]:
    """Say at which penalty the policy would go no further, by each charge that the samples tell of."""
    if not found.resting:
        return []
    each = []
    for one in found.resting:
        known = math.isfinite(one.beta_low) and math.isfinite(one.beta_high)
        ends = f"{interval_name(one.level)} {one.beta_low:.3g} to {one.beta_high:.3g}" if known else "any β would do"
        each.append(f"{one.beta:.3g} ({ends}) with {one.charge}")
    said = (
        f"By {counted(found.resting[0].n_prompts, 'prompt')}, the policy would go no further at β = {'; '.join(each)}. "
        "If the β that is set is larger, it is drawn back to the base; if smaller, it still moves away."
    )
    return ["", said]


def _caveat(found: PolicyKL) -> str:
    """Say what an estimate from the base's responses rests on."""
    if found.effective_samples is None:
        return ""
    return (
        f"; it rests on weights policy/base worth {found.effective_samples:.3g} of {found.n_samples} responses, and "
        "what the policy says but the base hardly ever does is not in it: the KL may be larger"
    )


def messages(found: PolicyKL) -> tuple[str, ...]:
    """Say what the numbers warn of.

    Parameters
    ----------
    found : PolicyKL
        Every estimate that the samples allow.

    Returns
    -------
    tuple of str
        Sentences, none where nothing is amiss.

    Examples
    --------
    >>> from alignlib.training import KLSamples, estimate_policy_kl
    >>> samples = KLSamples.from_sequences([-9.0, -9.0, -9.0, -9.1], [-1.0, -1.0, -1.0, -1.0])
    >>> len(messages(estimate_policy_kl(samples, n_boot=100))) > 0  # likelier under the base than under the policy
    True
    """
    said = [*found.notes, *_source_messages(found)]
    for one in found.estimates:
        if math.isinf(one.value):
            said.append(
                f"{one.about.label}: a log-ratio is so large that its exponential is no float; the estimate is "
                "useless here, take k1 or Rao–Blackwell."
            )
        elif one.largest_share > _HEAVY and found.n_samples >= 5 / _HEAVY:
            said.append(
                f"{one.about.label}: one response of {found.n_samples} carries {100 * one.largest_share:z.0f} % of "
                "it, so its interval is not to be trusted."
            )
    best = found.best
    if best.high - best.low <= _ROUNDING * abs(best.value) < math.inf and not _same_probabilities(found):
        said.append(
            f"{best.about.label}: one value is all that {found.n_samples} responses show, so the interval has no "
            f"width; what none of them shows may be up to {100 * min(3.0 / found.n_samples, 1.0):.2g} % of the "
            "responses, and may move the KL. Sample more."
        )
    if (
        found.n_prompts is not None
        and found.n_prompts >= _FEW
        and not found.fixed_prompts
        and math.isfinite(best.value)
        and best.largest_prompt_share > max(_ONE_PROMPT, 3.0 / found.n_prompts)
    ):
        said.append(
            f"{best.about.label}: one prompt of {found.n_prompts} carries {100 * best.largest_prompt_share:z.0f} % of "
            "it; prompts as far out may be missing, so the KL may lie above its interval more often than "
            f"{100 * (1 - found.level) / 2:.2g} % of the time. Sample more prompts."
        )
    if found.n_prompts is not None and 1 < found.n_prompts < _FEW and not found.fixed_prompts:
        said.append(
            f"With {found.n_prompts} prompts the intervals are rough; sample more prompts, or ask about these only "
            "(fixed_prompts=True)."
        )
    return tuple(said)


def _same_probabilities(found: PolicyKL) -> bool:
    """Whether policy and base agree on these responses up to rounding."""
    sizes = [one.value for one in found.estimates] + list(found.checks["log_ratio"][1:])
    return max(map(abs, sizes)) <= _ROUNDING


def _doubted(found: PolicyKL) -> bool:
    """Whether some check speaks against the samples coming from where they are said to."""
    if _same_probabilities(found):
        return False
    checks = [found.checks.get(name) for name in ("martingale", "surprise")]
    weight = found.checks.get("mean_weight")
    apart = any(one is not None and not one[1] <= 0.0 <= one[2] for one in checks)
    reach = found.checks.get("out_of_reach")
    apart = apart or (reach is not None and checks[1] is None and not reach[1] <= 0.0 <= reach[2])
    return found.checks["log_ratio"][2] < 0.0 or apart or (weight is not None and weight[1] > 1.0)


def _source_messages(found: PolicyKL) -> list[str]:
    """Say what speaks against the samples coming from where they are said to, and explain a negative estimate."""
    said = []
    wrong = (
        "check that they were scored at the temperature, top-p and top-k they were sampled with, that the columns "
        "of policy and base are not exchanged, and that prompt and padding are masked alike"
    )
    value, _, high = found.checks["log_ratio"]
    if found.estimates[0].name == "given":
        if high < 0.0:
            said.append(
                f"The KLs given average {value:.3g}, below 0 by more than chance, which no divergence is: their sign "
                "is turned, or they are not of the policy that sampled."
            )
        return said
    if _same_probabilities(found):
        same = "Policy and base give these responses the same probabilities, up to rounding: the KL is 0, as before"
        return [f"{same} the first update, or where one model was named as both."]
    off = high < 0.0
    if off and found.sampled_from == "policy":
        said.append(
            f"k1 is {value:.3g}, below 0 by more than chance, which no divergence is: the responses do not come "
            f"from the policy whose log-probabilities are given; {wrong}. If the base wrote them, say so "
            "(sampled_from='base')."
        )
    elif off:
        said.append(
            f"log(policy/base) averages {-value:.3g}, above 0 by more than chance: the base did not write these "
            f"responses; {wrong}."
        )
    elif value < 0.0 and found.sampled_from == "policy":
        said.append(
            f"k1 is {value:.3g} by chance: it is unbiased, so where the KL is small beside the error it must fall "
            "below 0 as often as needed. Average it as it is; clipped at 0 it would be too large."
        )
    martingale = found.checks.get("martingale")
    if martingale is not None and not off and not martingale[1] <= 0.0 <= martingale[2]:
        said.append(
            f"k1 and Rao–Blackwell differ by {martingale[0]:.3g} ({martingale[1]:.3g} to {martingale[2]:.3g}), "
            f"more than chance: the tokens were not drawn from the policy that scored them, or the exact divergences "
            f"are no sums over them; {wrong}."
        )
        off = True
    named = {one.name: one for one in found.estimates}
    exact, by_token = named.get("rao_blackwell"), named.get("k3_tokens")
    # by chance k3 comes out too low, where its rare large values were not drawn, and hardly too high
    if not off and exact is not None and by_token is not None and exact.high < by_token.low:
        said.append(
            f"Rao–Blackwell lies below k3 by token, with the whole of its interval: the exact divergences are no sums "
            f"over the tokens of a response (a mean?), or of another model; {wrong}."
        )
        off = True
    surprise = found.checks.get("surprise")
    if surprise is not None and not off and not surprise[1] <= 0.0 <= surprise[2]:
        more = surprise[0] > 0.0
        said.append(
            f"Responses are {'less' if more else 'more'} likely to the policy than its entropy says, by "
            f"{abs(surprise[0]):.3g} nats each ({abs(surprise[1 if more else 2]):.3g} to "
            f"{abs(surprise[2 if more else 1]):.3g}), more than chance: they were drawn "
            f"{'at a higher temperature' if more else 'at a lower temperature, or cut by top-k or top-p'}, or by "
            "another engine than scored them, and the KL here is not that of the policy."
        )
        off = True
    reach = found.checks.get("out_of_reach")
    if reach is not None and surprise is None and not off and not reach[1] <= 0.0 <= reach[2]:
        said.append(_of_reach(reach))
        off = reach[2] < 0.0
    weight = found.checks.get("mean_weight")
    if weight is not None and not off and weight[1] > 1.0:
        said.append(
            f"The weights average {weight[0]:.3g} ({weight[1]:.3g} to {weight[2]:.3g}) but must not exceed 1: the "
            f"responses do not come from the {found.sampled_from}; {wrong}."
        )
    return said


def _of_reach(reach: tuple[float, float, float]) -> str:
    """Say what it means that base over policy does not average 1 over the policy's tokens."""
    if reach[0] > 0.0:
        return (
            f"Over the tokens of a response, {reach[0]:.3g} ({reach[1]:.3g} to {reach[2]:.3g}) of the base's mass is "
            "never drawn, more than chance. Either the responses were drawn at a lower temperature than scored, or cut "
            "by top-k or top-p, or by another engine, and the KL is not that of the policy; or the policy's own law is "
            "so cut or nearly sure, and it is. Sums of entropies (entropy) tell the one from the other."
        )
    return (
        f"Over the tokens of a response, base/policy averages above 1, by {-reach[0]:.3g} in all ({-reach[2]:.3g} to "
        f"{-reach[1]:.3g}), more than chance: they were drawn at a higher temperature than scored, or by another "
        "engine, and the KL is not that of the policy."
    )


guard(globals())
