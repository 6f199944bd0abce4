"""How an answer is written: one module a question, each with ``lines``, ``record`` (JSON) and ``points`` (CSV).

`render` holds what they share: numbers beside one another, tables, wrapping, and the way out as JSON or CSV.
"""
