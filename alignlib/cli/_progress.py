"""How far a long job is, told while it goes on."""

from __future__ import annotations

import sys
import time

import click

__all__ = ["Progress"]

_EVERY = 10.0  # seconds between lines of progress where nobody sees a line change


class Progress:
    """How far a long job is, on standard error: a line that changes on a terminal, else one now and then."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._shown = False
        self._first: dict[str, tuple[int, float]] = {}

    def tell(self, what: str, done: int, of: int) -> None:
        """Say it, if it is time to.

        Parameters
        ----------
        what : str
            ``"read"``, ``"join"``, ``"leave out"``, ``"draw"``, or ``"kept"`` of what was done before.
        done : int
            Parts that are finished.
        of : int
            Parts in all.
        """
        if what == "kept":
            click.echo(f"Going on: {done} of {of} parts were done before.", err=True)
            return
        now = time.monotonic()
        first, since = self._first.setdefault(what, (done, now))
        live = sys.stderr.isatty()
        if now - self._last < (0.2 if live else _EVERY):
            return
        self._last = now
        spent, share = now - since, done / max(of, 1)
        left = spent / (done - first) * (of - done) if done > first else float("nan")
        named = {"read": "Read", "join": "Joined", "leave out": "Raters left out:", "draw": "Raters drawn anew:"}[what]
        said = f"{named} {share:.0%}" + (f", about {_time(left)} left" if left == left else "")
        click.echo(f"\r{said:<60}" if live else said, err=True, nl=not live)
        self._shown = live

    def end(self) -> None:
        """Leave the line."""
        if self._shown:
            click.echo("\r" + " " * 60 + "\r", err=True, nl=False)


def _time(seconds: float) -> str:
    minutes = seconds / 60.0
    return (
        f"{seconds:.0f} s" if minutes < 1.5 else f"{minutes:.0f} min" if minutes < 90.0 else f"{minutes / 60.0:.1f} h"
    )
