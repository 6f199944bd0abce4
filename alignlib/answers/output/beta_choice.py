"""How a choice of β is written: what to set in each normalisation of the penalty, and what it rests on."""

from __future__ import annotations

from typing import Any

from alignlib._core.names import counted
from alignlib.answers.output.render import interval_name, listed
from alignlib.training.beta_choice import NORMALISATIONS, BetaChoice

__all__ = ["beta_headline", "beta_lines", "beta_notes", "beta_record"]

_SEEN = 0.01  # of the KL
_OF_BETA = (
    "kl", "beta", "beta_low", "beta_high", "level", "length", "group", "deviation", "scale", "scale_low", "scale_high",
    "still", "unequal",
)  # fmt: skip


def beta_record(beta: BetaChoice, normalisation: str | None) -> dict[str, Any]:
    """Return the numbers of a choice of β for JSON.

    Parameters
    ----------
    beta : BetaChoice
        The choice.
    normalisation : str, optional
        How the trainer's penalty is normalised.
    """
    to_set = {name.replace("-", "_"): beta.to_set(name) for name in NORMALISATIONS}
    naive = None if beta.naive is None else {"per_token": beta.naive[0], "length_normalised": beta.naive[1]}
    return {**listed(beta, _OF_BETA), "normalisation": normalisation, "to_set": to_set, "naive": naive}


def beta_headline(beta: BetaChoice, normalisation: str | None) -> str:
    """Return which β to set, in a sentence.

    Parameters
    ----------
    beta : BetaChoice
        The choice.
    normalisation : str, optional
        How the trainer's penalty is normalised.
    """
    interval = f"{interval_name(beta.level)} {beta.beta_low:.3g} to {beta.beta_high:.3g}"
    said = f"For {beta.kl:.3g} nats per sequence the optimum takes β = {beta.beta:.3g} ({interval})"
    if normalisation is None:
        return f"{said}, the KL summed over a response."
    value = beta.to_set(normalisation)
    if value is None:
        needs = "the mean length (length or tokens)" if normalisation == "per-token" else "prompts whose rewards vary"
        return f"{said}, the KL summed over a response; what to set for a {normalisation} penalty takes {needs}."
    return f"{said}: set {value:.3g} where the penalty is {normalisation}."


def beta_lines(beta: BetaChoice) -> list[str]:
    """Show what to set in each normalisation, and how it follows.

    Parameters
    ----------
    beta : BetaChoice
        The choice.
    """
    group = "G of a large group" if beta.group is None else f"G = {beta.group}"
    length = "the mean length" if beta.length is None else f"{beta.length:.4g} tokens"
    by_token = f"β × {length}: the KL per token, against the reward of a response"
    centred = f"β, {group}" if beta.group is None else f"β × (G-1)/G, {group}"
    one_length = "β" if beta.naive is not None else centred
    by_length = (
        f"{one_length}: reward's part, less its group's mean, and KL of a response are both divided by its length"
    )
    if beta.naive is None:
        by_token, by_length = (f"{one}, if all are equally long" for one in (by_token, by_length))
    elif beta.per_token is not None and beta.length is not None:
        times = (beta.per_token / beta.beta / beta.length, beta.length_normalised / beta.beta)
        by_token, by_length = (
            f"{ratio:.3g} × {one}; lengths differ, and without the {ratio:.3g} it would spend {kl:.2g} nats"
            for one, ratio, kl in zip((by_token, by_length), times, beta.naive, strict=True)
        )
    how = {
        "sequence": "β: the KL summed over a response, against its reward, no group's mean of which is taken off",
        "per-token": by_token,
        "length-normalised": by_length,
        "group-centred": f"{centred}: charged after the group's mean is taken off (token-mean too)",
        "group-scaled": "the same, rewards also divided by their deviation in the group",
    }
    if beta.scale is not None:
        how["group-scaled"] = (
            f"β / {beta.scale:.3g}, {group}: charged after rewards are also divided by their deviation, which is "
            f"{beta.deviation:.3g} on average"
        )
    said = [f"{'set':>9}  where the penalty is"]
    for name in NORMALISATIONS:
        value = beta.to_set(name)
        said.append(f"{'unknown' if value is None else f'{value:.4g}':>9}  {name:<18} {how[name]}")
    return said


def _by_how_much(understated: float | None) -> str:
    """Say what halves of the samples tell of it, which is less than it: the bias falls slowly in the samples."""
    if understated is None or understated < _SEEN:
        return "."
    return (
        f": on half of the samples of each prompt it seems to spend {understated:.0%} less. What it spends beyond the "
        "wished KL is mostly more than that, in simulations up to twenty times as much; more samples of each prompt "
        "tell."
    ).replace("%", " %")


def beta_notes(beta: BetaChoice) -> list[str]:
    """Return what a choice of β rests on, in sentences.

    Parameters
    ----------
    beta : BetaChoice
        The choice.
    """
    notes: list[str] = []
    notes.append(
        "β is that of the optimum, which a run reaches only if it is trained to the end: stopped before, it spends "
        "less or wastes some. It is meant for the log-ratio of a whole response, by k1 in the reward or k2 in the "
        "loss. Charged in the loss token by token, as GRPO does, k2 and k3 come to rest at another policy. In "
        "small exact worlds that of k2 mostly spends more than wished, and that of k3 (trl's GRPO) more or less "
        "about as often, in some many times as much (chapter 'Where the KL is charged'): measure, and correct."
    )
    if beta.naive is None and beta.length is not None and not beta.unequal:
        notes.append(
            "What is set for per-token and length-normalised penalties is for responses of one length; with "
            "unequal ones they spend another KL, mostly more. The column of the table with the tokens of each "
            "response tells how much (tokens)."
        )
    if beta.unequal:
        notes.append(
            "What is set for per-token and length-normalised penalties spends the KL with the lengths in the base "
            "samples. Under the first the longest responses move furthest: few samples understate that, so it may "
            "spend more than wished" + _by_how_much(beta.understated)
        )
    if beta.scale is not None and beta.scale_low is not None and beta.scale_high is not None:
        ratio = f"{beta.scale_low / beta.scale:.2g} to {beta.scale_high / beta.scale:.2g}"
        notes.append(
            f"Divided by the deviation of its own group, each prompt has a β of its own: {ratio} times the one for "
            f"all on four of five; {counted(beta.still, 'prompt')} do not vary and learn nothing. What is set "
            "spends the KL all the same, but not at the optimum."
        )
    return notes
