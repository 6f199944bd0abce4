"""Training logs: KL and reward of every checkpoint, in nats per sequence, from a log of any known format.

`read_training_log` reads one as a `TrainingLog`. A new format is one file in this folder that calls `register`.
"""

from __future__ import annotations

from alignlib.training.logs.log_format import LogFormat, LogQuery, LogRows, register
from alignlib.training.logs.training_log import TrainingLog, read_training_log

__all__ = ["LogFormat", "LogQuery", "LogRows", "TrainingLog", "read_training_log", "register"]
