"""``alignlib certify``: a number that a reader names, with an interval that is proved to contain the exact one."""

from __future__ import annotations

from typing import Any

import click

from alignlib.cli._bad_input import BadInput
from alignlib.cli._command import command as make
from alignlib.cli._command import option
from alignlib.cli._options import NUMBER, NUMBERS, Whole, form_options

__all__ = ["command"]

# What each needs, and what it takes besides.
_TAKES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "tilt": (("reward", "lam"), ("prob",)),
    "limit": (("reward", "kl"), ("prob",)),
    "best-of-n": (("n",), ("reward", "prob")),
    "kl": (("q", "p"), ()),
    "kl-inverse": (("q", "kl"), ()),
    "capacity": (("channel",), ()),
    "pac-bayes": (("risk", "kl", "m", "delta"), ("rate",)),
}


@make(
    "certify",
    short_help="A number with a proof of its digits.",
    examples=[
        "alignlib certify best-of-n --n 1e12",
        "alignlib certify tilt --reward 0,1,3 --prob 0.2,0.5,0.3 --lam 0.7",
        "alignlib certify limit --reward 0,1,3 --prob 0.2,0.5,0.3 --kl 0.1",
        "alignlib certify kl-inverse --q 0.1 --kl 0.02",
        "alignlib certify capacity --channel 0.9,0.1/0.2,0.8",
        "alignlib certify pac-bayes --risk 0.1 --kl 5 --m 10000 --delta 0.05",
    ],
)
@click.argument("quantity", type=click.Choice(tuple(_TAKES)))
@option("--reward", type=NUMBERS, help="Rewards of a law, such as 0,1,3.")
@option("--prob", type=NUMBERS, help="Their masses  [default: all alike]")
@option("--lam", type=NUMBER, help="λ = 1/β of the optimum.")
@option("--kl", type=NUMBER, help="A budget, a divergence, or the KL of a posterior, in nats.")
@option("--n", type=NUMBER, help="Draws of best-of-N.")
@option("--q", type=NUMBER, help="First probability of kl(q‖p).")
@option("--p", type=NUMBER, help="Second probability of kl(q‖p).")
@option("--channel", help="Rows of a channel, such as 0.9,0.1/0.2,0.8.")
@option("--risk", type=NUMBER, help="Empirical risk.")
@option("--m", type=Whole(min=1), help="Labels.")
@option("--delta", type=NUMBER, help="Chance that a ceiling fails.")
@option("--rate", type=NUMBER, help="Of Catoni's ceiling  [default: 1]")
@form_options
def command(quantity: str, form: str | None, **typed: Any) -> None:
    """Prove the digits of one QUANTITY by ball arithmetic.

    tilt: Λ, R, D and the variance at --lam. limit: the largest gain within --kl. best-of-n: what it spends, and of a
    law also its reward. kl: kl(q‖p). kl-inverse: the largest p and the smallest x within --kl of --q. capacity: of a
    channel. pac-bayes: McAllester's, Seeger's and Catoni's ceilings. Each is computed as everywhere in this library,
    and again with intervals that enclose every rounding (python-flint).
    """
    needs, more = _TAKES[quantity]
    given = {name: value for name, value in typed.items() if value is not None}
    lacking = next((name for name in needs if name not in given), None)
    if lacking is not None:
        raise BadInput(f"certify {quantity} needs --{lacking}; see `alignlib certify --help`.")
    other = next((name for name in given if name not in (*needs, *more)), None)
    if other is not None:
        takes = ", ".join(f"--{name}" for name in (*needs, *more))
        raise BadInput(f"certify {quantity} takes no --{other}; it takes {takes}.")
    from alignlib import certified
    from alignlib.answers.output import certify
    from alignlib.cli._say import say

    if quantity == "tilt":
        found = certified.certified_tilt(given["reward"], given.get("prob"), given["lam"])
    elif quantity == "limit":
        found = certified.certified_limit(given["reward"], given.get("prob"), given["kl"])
    elif quantity == "best-of-n":
        found = certified.certified_best_of_n(given["n"], given.get("reward"), given.get("prob"))
    elif quantity == "kl":
        found = certified.certified_kl(given["q"], given["p"])
    elif quantity == "kl-inverse":
        found = certified.certified_kl_inverse(given["q"], given["kl"])
    elif quantity == "capacity":
        found = certified.certified_capacity(_rows(given["channel"]))
    else:
        found = certified.certified_ceilings(**given)
    say(form, "certify", certify, found, asked=quantity)


def _rows(text: str) -> list[list[float]]:
    """Read ``0.9,0.1/0.2,0.8``."""
    try:
        rows = [NUMBERS.convert(row, None, None) for row in text.split("/")]
    except click.BadParameter:
        raise BadInput(f"--channel must be rows of numbers, such as 0.9,0.1/0.2,0.8; got {text!r}.") from None
    if len({len(row) for row in rows}) > 1:
        raise BadInput(f"--channel must have rows of one length; got {', '.join(str(len(row)) for row in rows)}.")
    return rows
