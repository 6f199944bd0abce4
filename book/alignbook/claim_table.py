"""Claims as a notebook shows them: lines of text, and an accessible HTML table."""

from __future__ import annotations

import html
import re

from alignbook.claim import Claim

__all__ = ["to_html", "to_text"]


def to_text(claims: tuple[Claim, ...]) -> str:
    """Return one line per claim."""
    return "\n".join(f"{claim.verdict}: {claim.statement} [{claim.source}]: {claim.comparison}" for claim in claims)


def to_html(claims: tuple[Claim, ...]) -> str:
    """Return an accessible table; ``$…$`` becomes mathematics as Sphinx writes it."""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Statement", "Source", "Value", "Required", "Verdict"))
    rows = "".join(
        f'<tr id="claim-{html.escape(claim.key)}"><th scope="row">{_math(claim.statement)}</th>'
        f"<td>{_math(claim.source)}</td><td>{claim.shown}</td><td>{claim.requirement}</td>"
        f'<td class="verdict-{"holds" if claim.holds else "fails"}">{claim.verdict}</td></tr>'
        for claim in claims
    )
    held = sum(claim.holds for claim in claims)
    caption = f"<caption>Claims verified here: {held} of {len(claims)} hold.</caption>"
    return f'<table class="claims">{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _math(text: str) -> str:
    """Escape ``text`` for HTML and mark its ``$…$`` as mathematics.

    >>> _math("a < $x$")
    'a &lt; <span class="math notranslate nohighlight">\\\\(x\\\\)</span>'
    """
    return re.sub(
        r"\$([^$]+)\$",
        r'<span class="math notranslate nohighlight">\\(\1\\)</span>',
        html.escape(text, quote=False),
    )
