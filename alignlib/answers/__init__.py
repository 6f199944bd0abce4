"""Answers to a reader's questions, and their one way out: lines, JSON, CSV, pictures.

`findings.ask` answers on a table of rewards, `capacity.ask_capacity` on a table of ratings. An answer is data: the
module of its question in `output` writes it (``lines``, ``record``, ``points``), `pictures` and `run_pictures` draw it,
and its JSON follows a schema in ``schemas``.
"""
