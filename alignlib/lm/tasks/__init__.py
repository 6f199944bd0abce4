"""Two tasks with a gold rule, prompts and noisy demonstrations: their responses can be enumerated.

`TASKS` has their grammars by name; ``TASKS["safety"].task()`` is a task with its prompts.
"""

from __future__ import annotations

from collections.abc import Mapping

from alignlib.lm.tasks.safety import Safety
from alignlib.lm.tasks.summarisation import Summarisation
from alignlib.lm.tasks.task import SPLITS, Features, Grammar, Task

__all__ = ["SPLITS", "TASKS", "Features", "Grammar", "Safety", "Summarisation", "Task"]

TASKS: Mapping[str, type[Grammar]] = {grammar.name: grammar for grammar in (Summarisation, Safety)}
