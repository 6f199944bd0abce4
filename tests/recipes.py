"""The recipes of CONTRIBUTING.md as a reader would copy them: the Python block of each, as one file."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
# What each recipe is called there, and where its file goes.
PLACES = {
    "A law": "alignlib/laws/gamma.py",
    "A divergence": "alignlib/divergences/toy_chi_squared.py",
    "A method": "alignlib/lm/methods/better_of_two.py",
    "A table format": "alignlib/tables/formats/toy.py",
    "A rule": "alignlib/rules/three_at_times.py",
}


@cache
def recipes() -> dict[str, str]:
    """The blocks by the headings that they stand under."""
    found = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        blocks = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        assert len(blocks) <= 1
        found |= {section.partition("\n")[0]: block for block in blocks}
    return found


@cache
def recipe(heading: str) -> ModuleType:
    """Execute a block as a module of its own."""
    module = ModuleType(f"recipe_{Path(PLACES[heading]).stem}")
    sys.modules[module.__name__] = module  # dataclasses look their annotations up there
    exec(compile(recipes()[heading], f"CONTRIBUTING.md, {heading}", "exec"), module.__dict__)
    return module
