"""Small projects of their own notebooks, for the tests of the machine that runs notebooks."""

from __future__ import annotations

import shutil
from pathlib import Path

import alignlib
from alignbook.pairing import sync
from alignbook.project import Project

LIBRARY = Path(alignlib.__file__).parent
ROOT = LIBRARY.parent

GOOD = """\
# %% [markdown]
# # Roots
#
# With {{n}} points the largest root is {{root:.2f}}, so $\\sqrt{4}={{root:g}}$; glued it is {glue:text}`root:.1f`.

# %% tags=["parameters"]
n: int = 5  # number of points, >= 2
top: float = 4.0  # largest radicand, > 0

# %%
import matplotlib.pyplot as plt
import numpy as np

from alignbook import claims

x = np.linspace(0, top, n)

# %% mystnb={"figure": {"caption": "{{n}} roots.", "name": "fig-roots"}, "image": {"alt": "Up to {{root:.2f}}."}}
fig, ax = plt.subplots(figsize=(2, 1))
ax.plot(x, np.sqrt(x))

# %%
claims.glue(root=np.sqrt(top))
claims.record(
    claims.equal("square", "$(\\\\sqrt{x})^2=x$", "arithmetic", np.sqrt(x) ** 2, x, rtol=1e-12, atol=1e-300),
    claims.at_most("cap", "no root exceeds 10", "we derive", np.sqrt(x), 10.0),
)
"""

PLAIN = """\
# %% [markdown]
# # {title}

# %% tags=["parameters"]
n: int = 1  # a number, >= 0

# %%
from alignbook import claims
{code}

# %%
claims.record(claims.at_least("count", "n is a count", "arithmetic", n, 0))
"""


def make_project(root: Path, scripts: dict[str, str]) -> Project:
    """Write scripts and their pairs into ``root/notebooks`` of what looks like a clone."""
    (root / "notebooks").mkdir(parents=True)
    shutil.copy(ROOT / "jupytext.toml", root)
    (root / "pyproject.toml").write_text('[project]\nname = "alignment-limits"\n', encoding="utf-8")
    for name, source in scripts.items():
        path = root / "notebooks" / f"{name}.py"
        path.write_text(source, encoding="utf-8")
        sync(path)
    return Project(root)


def plain(code: str = "", title: str = "Plain") -> str:
    """A notebook with one claim that runs ``code``."""
    return PLAIN.format(code=code, title=title)
