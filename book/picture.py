"""Draw the book's one picture, `book/_assets/limit.svg`: what is out of reach, the limit, best-of-N.

    python book/picture.py

The file is kept in the repository for the README; a test draws it again and compares.
"""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
import numpy as np
import scipy

from alignlib import plotting
from alignlib.laws import FiniteLaw
from alignlib.rules import BestOfN

PATH = Path(__file__).parent / "_assets" / "limit.svg"


def draw() -> bytes:
    """Return the picture as SVG: 60 equally likely responses; rewards are quantiles of a normal law, none drawn."""
    family = FiniteLaw(scipy.stats.norm.ppf((np.arange(60) + 0.5) / 60))
    kl = family.max_kl * np.linspace(0, 1, 121) ** 2
    limit = family.gain(family.lam_at_kl(kl))
    top = 1.22 * limit[-1]
    fig, ax = plotting.new(height=3.1)
    ax.fill_between(kl, limit, top, color="#e9e9e9", linewidth=0)
    ax.text(
        0.34 * family.max_kl, 0.9 * top, "out of reach of any method", color=plotting.BOUND, ha="center", fontsize=11
    )
    plotting.curve(ax, kl, limit, "the limit", at=0.62 * family.max_kl, offset=(-4, 5), ha="right")
    for n in (2, 4, 8, 16, 64):
        best = BestOfN(n).on(family)
        plotting.points(ax, best.kl, best.gain, [f"best of {n}"], offset=(7, -4))
    plotting.points(ax, 0.0, 0.0, ["base model"], color=plotting.BASE, marker="s", offset=(8, 3))
    ax.set_xlim(-0.04 * family.max_kl, 1.04 * family.max_kl)
    ax.set_ylim(-0.06 * top, top)
    plotting.name_axes(ax, plotting.KL_LABEL, "gain in reward")
    out = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "alignlib", "svg.fonttype": "none"}):
        fig.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(fig)
    return out.getvalue()


if __name__ == "__main__":
    PATH.write_bytes(draw())
    print(f"Wrote {PATH}")
