"""A verified statement, whose verdict is computed from its numbers; as lines of text and as an accessible table."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["Claim", "from_json", "number", "to_html", "to_text"]


_KINDS = ("equal", "at most", "at least", "true")


@dataclass(frozen=True)
class Claim:
    """One verified statement; of many compared points, the numbers are those of the worst one.

    ``kind`` is ``equal`` (|value - expected| ≤ tolerance), ``at most`` (value ≤ expected + tolerance),
    ``at least`` (value ≥ expected - tolerance) or ``true`` (value of expected points hold).
    The page's text relies on a claim with ``must_hold``: the book is not built when it fails.
    ``interval`` is the 95 % interval of what was sampled or trained, at the worst point; ``value`` may be an end of it.
    """

    key: str
    statement: str
    source: str
    kind: str
    value: float
    expected: float
    tolerance: float
    points: int = 1
    must_hold: bool = True
    interval: tuple[float, float] | None = None

    @property
    def holds(self) -> bool:
        """Whether the numbers bear the statement out; NaN never does."""
        if self.kind == "at most":
            return self.value <= self.expected + self.tolerance
        if self.kind == "at least":
            return self.value >= self.expected - self.tolerance
        return self.value == self.expected or abs(self.value - self.expected) <= self.tolerance

    @property
    def verdict(self) -> str:
        """``holds`` or ``does not hold``."""
        return "holds" if self.holds else "does not hold"

    @property
    def requirement(self) -> str:
        """What the value is held against, as text: ``= 2 ± 1e-12``, ``≤ 3``."""
        if self.kind == "true":
            return "all" if self.points > 1 else "true"
        sign, slack = {"at most": ("≤", "+"), "at least": ("≥", "-")}.get(self.kind, ("=", "±"))
        return f"{sign} {number(self.expected)}" + (f" {slack} {self.tolerance:.3g}" if self.tolerance else "")

    @property
    def shown(self) -> str:
        """The value as text, and of how many points it is the worst."""
        if self.kind == "true":
            return f"{number(self.value)} of {number(self.expected)}" if self.points > 1 else str(self.holds).lower()
        said = [f"worst of {self.points}"] if self.points > 1 else []
        what = number(self.value)
        if self.interval:
            low, high = self.interval
            whole = "95 % interval [{}, {}]"
            if self.value == high:  # what counts stands in the interval, and need not be said beside it
                what = f"upper end of the {whole.format(f'{low:.3g}', what)}"
            elif self.value == low:
                what = f"lower end of the {whole.format(what, f'{high:.3g}')}"
            else:
                said.append(whole.format(f"{low:.3g}", f"{high:.3g}"))
        return what + (f" ({'; '.join(said)})" if said else "")

    @property
    def comparison(self) -> str:
        """Value and requirement as one text: ``1.5 ≤ 2``."""
        return self.shown if self.kind == "true" else f"{self.shown} {self.requirement}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; non-finite numbers become text, which JSON lacks."""
        data = {name: _plain(value) for name, value in asdict(self).items() if name != "interval"}
        data["interval"] = [_plain(end) for end in self.interval] if self.interval else None
        return data | {"holds": self.holds}


def from_json(data: Mapping[str, Any]) -> Claim:
    """Rebuild a claim from :meth:`Claim.to_json`; whether it holds is computed again.

    >>> claim = Claim("a", "one is at most infinity", "we derive", "at most", 1.0, math.inf, 0.0)
    >>> from_json(claim.to_json()) == claim
    True

    Raises
    ------
    KeyError, TypeError, ValueError, OverflowError
        For what is no claim.
    """
    values: dict[str, Any] = {item.name: data[item.name] for item in fields(Claim) if item.name != "interval"}
    values |= {name: float(values[name]) for name in ("value", "expected", "tolerance")}
    texts = all(isinstance(values[name], str) for name in ("key", "statement", "source"))
    count = type(values["points"]) is int and 1 <= values["points"] < 1 << 63
    if not (texts and count and values["kind"] in _KINDS and isinstance(values["must_hold"], bool)):
        raise ValueError("a claim has texts, a kind, numbers, a count of points, and whether it must hold")
    if data.get("interval") is not None:
        low, high = map(float, data["interval"])
        if low > high:
            raise ValueError("an interval ends above its beginning")
        values["interval"] = (low, high)
    return Claim(**values)


def number(value: float) -> str:
    """Format a number to six digits, whole numbers without a point.

    >>> number(64.0), number(0.93021234)
    ('64', '0.930212')
    """
    return f"{value:.6g}"


def _plain(value: Any) -> Any:
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def to_text(claims: tuple[Claim, ...]) -> str:
    """Return one line per claim."""
    return "\n".join(f"{claim.verdict}: {claim.statement} [{claim.source}]: {claim.comparison}" for claim in claims)


def to_html(claims: tuple[Claim, ...]) -> str:
    """Return an accessible table; ``$…$`` becomes mathematics as Sphinx writes it."""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Statement", "Source", "Value", "Required", "Verdict"))
    rows = "".join(
        f'<tr id="claim-{html.escape(claim.key)}"><th scope="row">{_with_math(claim.statement)}</th>'
        f"<td>{_with_math(claim.source)}</td><td>{claim.shown}</td><td>{claim.requirement}</td>"
        f'<td class="verdict-{"holds" if claim.holds else "fails"}">{claim.verdict}</td></tr>'
        for claim in claims
    )
    held = sum(claim.holds for claim in claims)
    caption = f"<caption>Claims verified here: {held} of {len(claims)} hold.</caption>"
    return f'<table class="claims">{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _with_math(text: str) -> str:
    """Escape ``text`` for HTML and mark its ``$…$`` as mathematics.

    >>> _with_math("a < $x$")
    'a &lt; <span class="math notranslate nohighlight">\\\\(x\\\\)</span>'
    """
    return re.sub(
        r"\$([^$]+)\$",
        r'<span class="math notranslate nohighlight">\\(\1\\)</span>',
        html.escape(text, quote=False),
    )
