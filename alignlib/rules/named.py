"""A rule by its name in text, as a command line gives it: ``"soft-best-of-n:8:2"``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

from alignlib._core.checks import require
from alignlib._core.errors import InputError, quoted
from alignlib.rules.best_of_n import BestOfN
from alignlib.rules.best_of_poisson import BestOfPoisson
from alignlib.rules.chi_squared_pessimism import ChiSquaredPessimism
from alignlib.rules.learnt_threshold import LearntThreshold
from alignlib.rules.rejection_sampling import RejectionSampling
from alignlib.rules.rule import Rule, Rules
from alignlib.rules.soft_best_of_n import SoftBestOfN
from alignlib.rules.threshold_stopping import ThresholdStopping

__all__ = ["named_rule", "named_rules"]

_RULES: tuple[type[Rule], ...] = (
    BestOfN, SoftBestOfN, BestOfPoisson, ChiSquaredPessimism, RejectionSampling, ThresholdStopping, LearntThreshold,
)  # fmt: skip


def named_rule(text: str) -> Rule:
    """Return the rule that a name and its numbers mean, in the order of the rule's own parameters.

    Parameters
    ----------
    text : str
        Such as ``"best-of-n:4"``, ``"soft-best-of-n:8:2"``, ``"best-of-poisson:3"``, ``"chi-squared-pessimism:8:1"``,
        ``"rejection-sampling:4"``, ``"threshold-stopping:4"`` or ``"learnt-threshold:8:2"``.

    Raises
    ------
    InputError
        For another name, numbers too few or too many, or one out of its range.

    Examples
    --------
    >>> named_rule("soft-best-of-n:8:2")
    SoftBestOfN(n=8.0, lam=2.0)
    """
    require(
        isinstance(text, str), f"rule must be a name and numbers, such as 'best-of-n:4'; got {quoted(text)}.", "rule"
    )
    name, *given = text.strip().split(":")
    found = {_slug(rule): rule for rule in _RULES}.get(name.strip().lower())
    if found is None:
        known = ", ".join(_form(rule) for rule in _RULES)
        raise InputError(f"rule must be one of {known}; got {quoted(text)}.", argument="rule")
    parts: Any = fields(found)  # type: ignore[arg-type]  # every rule is a dataclass
    least = sum(part.default is MISSING for part in parts)
    require(
        least <= len(given) <= len(parts),
        f"rule: {_slug(found)!r} takes numbers as in {_form(found)}; got {quoted(text)}. Give them so.",
        "rule",
    )
    try:
        values = [float(value) for value in given]
    except ValueError:
        raise InputError(
            f"rule: {_slug(found)!r} takes numbers as in {_form(found)}; got {quoted(text)}. Give them so.",
            argument="rule",
        ) from None
    make: Any = found
    try:
        rule: Rule = make(*values)
    except InputError as error:
        raise InputError(f"rule {text!r} is none: its {error}", argument="rule") from None
    return rule


def named_rules(n: Sequence[float] | None, rule: Sequence[str] | None) -> Rules | None:
    """Return best-of-N at each N, then the rules named, or None where neither is given.

    Parameters
    ----------
    n : sequence of float, optional
        Numbers of draws, each >= 1, of best-of-N.
    rule : sequence of str, optional
        Other rules as they are typed, such as ``"threshold-stopping:2"``.

    Raises
    ------
    InputError
        If a name is unknown, or a parameter is not one that its rule takes.

    Examples
    --------
    >>> [found.title for found in named_rules([2], ["threshold-stopping:2"])]
    ['best-of-2', 'threshold stopping (N=2)']
    """
    best = () if n is None or len(n) == 0 else BestOfN.along(n)
    found = [*best, *map(named_rule, rule or ())]
    return Rules(found) if found else None


def _slug(rule: type[Rule]) -> str:
    return rule.name.lower().replace(" ", "-")


def _form(rule: type[Rule]) -> str:
    parts: Any = fields(rule)  # type: ignore[arg-type]
    names = [part.name.upper() if part.default is MISSING else f"[{part.name.upper()}]" for part in parts]
    return ":".join([_slug(rule), *names])
