"""The small library behind the companion to *Theoretical Limits of Language Model Alignment*.

Units are nats; ``lam`` is the inverse temperature λ = 1/β; rewards are whatever unit they come in. Bad input raises
`InputError`. Importing this package costs nothing: each name below is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# The front door, by noun: where each name lives. What is not here is found in the rooms (alignlib.laws, …).
_HOMES = {
    "InputError": "alignlib._core.errors",
    "RewardTable": "alignlib.tables.rewards",
    "RaterTable": "alignlib.tables.rater_table",
}

if TYPE_CHECKING:
    from alignlib._core.errors import InputError as InputError
    from alignlib.tables.rater_table import RaterTable as RaterTable
    from alignlib.tables.rewards import RewardTable as RewardTable
else:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
