"""Known vulnerabilities of what the lock names, as pip-audit reports them; said where its source does not answer."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SOURCE", "Report", "ask", "read_report"]

SOURCE = "the Python Packaging Advisory Database, through pip-audit and the JSON interface of PyPI"
_UNREACHABLE = re.compile(r"connection|resolve|timed? ?out|network|proxy|unreachable|service error|max retries", re.I)


@dataclass(frozen=True)
class Report:
    """What the source said; ``found`` has a sentence for each known vulnerability, ``skipped`` who was not checked."""

    n_checked: int = 0
    found: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    why_not: str = "it knows none of these distributions"

    def lines(self) -> list[str]:
        """Return the report as text."""
        if self.n_checked == 0:
            return [
                f"Known vulnerabilities: not checked. Source: {SOURCE}; there is no answer from here ({self.why_not}).",
                "Run this where the source answers before a release: nothing is known until then.",
            ]
        said = f"Known vulnerabilities: {len(self.found)} in {self.n_checked} distributions of requirements.lock."
        left = [f"Not checked: {', '.join(self.skipped)}."] if self.skipped else []
        return [f"{said} Source: {SOURCE}.", *(f"  {line}" for line in self.found), *left]


def ask(pip_audit: Path, lock: Path, timeout: float = 600.0) -> Report:
    """Run pip-audit over a lock with hashes; it installs nothing and asks for one distribution after the other."""
    options = [
        "--requirement",
        str(lock),
        "--disable-pip",
        "--require-hashes",
        "--format",
        "json",
        "--progress-spinner",
    ]
    command = [str(pip_audit), *options, "off", "--timeout", "15"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Report(why_not=f"{type(error).__name__}")
    if done.returncode in (0, 1) and done.stdout.lstrip().startswith("{"):
        return read_report(done.stdout)
    last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
    if _UNREACHABLE.search(done.stderr):
        return Report(why_not="no connection")
    raise RuntimeError(f"pip-audit failed: {last}")


def read_report(text: str) -> Report:
    """Read what pip-audit writes as JSON.

    >>> vulnerable = {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
    >>> read_report(json.dumps({"dependencies": [vulnerable, {"name": "b", "version": "3", "vulns": []}]})).found
    ('a 1: PYSEC-1, fixed in 2',)
    """
    entries = json.loads(text)["dependencies"]
    checked = [entry for entry in entries if "vulns" in entry]
    found = [(entry, one, ", ".join(one["fix_versions"])) for entry in checked for one in entry["vulns"]]
    return Report(
        len(checked),
        tuple(f"{e['name']} {e['version']}: {one['id']}, fixed in {by or 'no version yet'}" for e, one, by in found),
        tuple(entry["name"] for entry in entries if "skip_reason" in entry),
    )
