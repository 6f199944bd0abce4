"""``python -m supply audit [PIP_AUDIT]``, ``reproducible`` and ``release``, for the Makefile; and ``links``."""

from __future__ import annotations

import sys
from pathlib import Path

from supply import reproducible
from supply.advisories import ask
from supply.licences import ROOT, licences, objections
from supply.links import external, report


def audit(pip_audit: Path) -> int:
    """Print the report; 1 where a vulnerability is known, or a licence is not."""
    found = licences()
    width = max(len(one.name) for one in found)
    print(
        f"Licences of {len(found)} distributions: base = pip install ., report = its extra, pages = copied into pages."
    )
    for one in found:
        print(f"  {one.name:{width}}  {one.version:14}  {'+'.join(one.where):13}  {one.licence}")
    against = objections(found)
    print("All of them are known to allow this project." if not against else f"To be looked at: {'; '.join(against)}")
    known = ask(pip_audit, ROOT / "requirements.lock")
    print("\n".join(known.lines()))
    return int(bool(against) or bool(known.found))


if __name__ == "__main__":
    what, *rest = sys.argv[1:] or [""]
    if what == "audit":
        raise SystemExit(audit(Path(rest[0] if rest else "pip-audit")))
    if what == "reproducible":
        raise SystemExit(reproducible.main())
    if what == "release":
        from supply.release import main  # here, not above: the book's machinery is slow to import

        main(rest)
    if what == "links":
        print("\n".join(report(external(sorted((ROOT / "build/_build/html").rglob("*.html"))))))
        raise SystemExit(0)
    raise SystemExit("Say audit, links, reproducible or release.")
