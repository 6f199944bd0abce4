"""Training logs: KL and reward of every checkpoint, in nats per sequence, from a log of any known format.

`alignlib.training.read_training_log` reads one as a `TrainingLog`. A new format is one file in this folder that calls
`register`.
"""

from __future__ import annotations

from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register

__all__ = ["LogFormat", "LogQuery", "LogRows", "register"]
